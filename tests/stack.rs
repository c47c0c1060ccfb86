//! The development stack: the program `latchkey`

use std::{collections::BTreeSet, net::TcpListener};

use serde_json::{Value, json};

use crate::harness::{
    Answer, Folder, Latchkey, PASSWORD, Program, TIMEOUT, command, eventually, signal,
};

const FUNCTION_ERROR: &str = r#"{"message":"Internal Server Error"}"#;

/// Runs the program to its end. Returns its exit code, standard output and standard error.
async fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    // The start includes a build of the functions, which may wait for another cargo process.
    let output = tokio::time::timeout(TIMEOUT * 15, command(arguments).await.output())
        .await
        .expect("an end in time")
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test]
async fn it_prints_its_addresses_and_an_example() {
    let mut program = Program::start(&["--listen", "127.0.0.1:0", "--in-memory"]).await;
    assert!(
        program.url.starts_with("http://127.0.0.1:") && !program.url.ends_with(":0"),
        "{}",
        program.url
    );
    assert!(
        program.dynamodb_url.starts_with("http://127.0.0.1:"),
        "{}",
        program.dynamodb_url
    );
    program.prints("/_local/mailbox").await;
    program.prints("curl").await;
    assert_eq!(
        program.get("/identity/ping").await.text(),
        r#"{"ping":"pong"}"#
    );
    // Only the stack's own pages are allowed by default.
    let own = program.url.replace("127.0.0.1", "localhost");
    for (origin, allowed) in [
        (own.as_str(), Some(own.as_str())),
        ("https://app.example", None),
    ] {
        let answer = program
            .send(
                reqwest::Client::new()
                    .get(format!("{}/identity/ping", program.url))
                    .header("origin", origin),
            )
            .await;
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
    }
    assert!(program.end("INT").await);
}

#[tokio::test]
async fn the_help_lists_every_option() {
    let (code, help, _) = run(&["--help"]).await;
    assert_eq!(code, Some(0));
    for option in [
        "--listen",
        "127.0.0.1:3000",
        "--data-dir",
        ".latchkey",
        "--in-memory",
        "--release",
        "--cors-origin",
    ] {
        assert!(help.contains(option), "{option}: {help}");
    }
}

#[tokio::test]
async fn a_restart_keeps_users_sessions_and_mails() {
    let folder = Folder::new("restart");
    let arguments = ["--listen", "127.0.0.1:0", "--data-dir", folder.path()];
    let credentials = [("email", "restart@example.com"), ("password", PASSWORD)];
    let program = Program::start(&arguments).await;
    let signed_up = program.post("/identity/users", &credentials).await;
    assert_eq!(signed_up.status, 201);
    let mails = || async {
        let mails = program.get("/_local/mailbox.json").await;
        (!mails.json()["messages"].as_array().unwrap().is_empty()).then_some(mails.json())
    };
    let mails = eventually("the mail", mails).await;
    assert!(program.end("TERM").await);

    let program = Program::start(&arguments).await;
    let signed_in = program.post("/identity/sessions", &credentials).await;
    assert_eq!(
        (signed_in.status, &signed_in.json()["uid"]),
        (201, &signed_up.json()["uid"])
    );
    program
        .post("/identity/users", &credentials)
        .await
        .is_refused(422, &["email.taken"]);
    assert_eq!(program.get("/_local/mailbox.json").await.json(), mails);
    let sign_out = reqwest::Client::new()
        .delete(format!("{}/identity/sessions", program.url))
        .bearer_auth(signed_up.session());
    program.send(sign_out).await.is_empty(204);
    // A killed stack leaves no child processes, and loses no acknowledged write.
    assert!(!program.end("KILL").await);
    let program = Program::start(&arguments).await;
    assert_eq!(
        program
            .post("/identity/sessions", &credentials)
            .await
            .status,
        201
    );
    assert!(program.end("INT").await);
}

#[tokio::test]
async fn a_new_secret_ends_no_session_while_the_previous_one_is_configured() {
    let folder = Folder::new("rotation");
    let arguments = ["--listen", "127.0.0.1:0", "--data-dir", folder.path()];
    let credentials = [("email", "rotation@example.com"), ("password", PASSWORD)];
    let program = Program::start(&arguments).await;
    let sessions = [
        program.post("/identity/users", &credentials).await,
        program.post("/identity/sessions", &credentials).await,
    ];
    assert!(program.end("INT").await);

    let sign_out = async |answer: &Answer, status: u16| {
        let program = Program::start(&arguments).await;
        // The sign-in publishes the keys of the new secret.
        assert_eq!(
            program
                .post("/identity/sessions", &credentials)
                .await
                .status,
            201
        );
        let request = reqwest::Client::new()
            .delete(format!("{}/identity/sessions", program.url))
            .bearer_auth(answer.session());
        assert_eq!(program.send(request).await.status, status);
        assert!(program.end("INT").await);
    };
    let file = format!("{}/secrets.json", folder.path());
    for (secret, (answer, status)) in ["1", "2"].iter().zip(sessions.iter().zip([204, 404])) {
        let mut secrets: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let current = secrets["TokenSecret"]["AWSCURRENT"].take();
        secrets["TokenSecret"] = json!({ "AWSCURRENT": secret.repeat(64), "AWSPREVIOUS": current });
        std::fs::write(&file, secrets.to_string()).unwrap();
        sign_out(answer, status).await;
    }
}

#[tokio::test]
async fn the_mailbox_can_be_emptied() {
    let program = Program::start(&["--listen", "127.0.0.1:0", "--in-memory"]).await;
    program
        .post(
            "/identity/users",
            &[("email", "mailbox@example.com"), ("password", PASSWORD)],
        )
        .await;
    let newest = || async {
        program.get("/_local/mailbox.json").await.json()["messages"]
            .as_array()
            .unwrap()
            .last()
            .cloned()
    };
    let mail = eventually("the mail", newest).await;
    let names: BTreeSet<&str> = mail
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        names,
        BTreeSet::from(["from", "html", "id", "sent_at", "subject", "text", "to"]),
        "{mail}"
    );
    assert!(
        program
            .send(reqwest::Client::new().delete(format!("{}/_local/mailbox.json", program.url)))
            .await
            .status
            < 300
    );
    assert_eq!(
        program.get("/_local/mailbox.json").await.json(),
        json!({ "messages": [] })
    );
    let page = program.get("/_local/mailbox").await;
    assert!(
        page.status == 200
            && page
                .header("content-type")
                .unwrap()
                .starts_with("text/html"),
        "{page:?}"
    );
    assert!(program.end("INT").await);
}

#[tokio::test]
async fn the_error_for_a_port_in_use_names_the_port_and_a_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (code, _, errors) = run(&["--listen", &address.to_string(), "--in-memory"]).await;
    assert_eq!(code, Some(1), "{errors}");
    assert!(
        errors.contains(&address.port().to_string()) && errors.contains("--listen 127.0.0.1:0"),
        "{errors}"
    );
    assert!(!errors.contains("panicked"), "{errors}");
}

#[tokio::test]
async fn a_second_stack_with_the_same_folder_is_rejected() {
    let folder = Folder::new("shared");
    let arguments = ["--listen", "127.0.0.1:0", "--data-dir", folder.path()];
    let program = Program::start(&arguments).await;
    let (code, _, errors) = run(&arguments).await;
    assert_eq!(code, Some(1), "{errors}");
    assert!(
        errors.contains(folder.path()) && !errors.contains("panicked"),
        "{errors}"
    );
    assert!(program.end("INT").await);
}

#[tokio::test]
async fn invalid_arguments_are_explained() {
    for arguments in [
        &["--listen", "nowhere"][..],
        &["--in-memory", "--data-dir", "x"],
        &["--unknown"],
        &["argument"],
    ] {
        let (code, _, errors) = run(arguments).await;
        assert_eq!(code, Some(2), "{arguments:?}: {errors}");
        assert!(
            errors.contains(arguments[0]) && errors.contains("--help"),
            "{errors}"
        );
    }
}

#[tokio::test]
async fn concurrent_calls_start_instances_that_are_reused() {
    let program = Program::start(&["--listen", "127.0.0.1:0", "--in-memory"]).await;
    let credentials = [("email", "instances@example.com"), ("password", PASSWORD)];
    assert_eq!(
        program.post("/identity/users", &credentials).await.status,
        201
    );
    for _ in 0..3 {
        assert_eq!(
            program
                .post("/identity/sessions", &credentials)
                .await
                .status,
            201
        );
    }
    assert_eq!(program.instances("session-create").len(), 1);
    let sign_in = || program.post("/identity/sessions", &credentials);
    let (first, second, third, fourth) = tokio::join!(sign_in(), sign_in(), sign_in(), sign_in());
    assert_eq!(
        [first, second, third, fourth].map(|answer| answer.status),
        [201; 4]
    );
    let instances = program.instances("session-create").len();
    assert!((2..=4).contains(&instances), "{instances}");
    assert!(program.end("INT").await);
}

#[tokio::test]
async fn a_function_that_dies_leads_to_an_error_and_is_restarted() {
    let program = Program::start(&["--listen", "127.0.0.1:0", "--in-memory"]).await;
    let ping = || program.get("/identity/ping");
    assert_eq!(ping().await.status, 200);
    let [instance] = &program.instances("ping")[..] else {
        panic!("{:?}", program.instances("ping"))
    };

    // The instance dies while it handles a call.
    signal(instance.id, "STOP");
    let (answer, ()) = tokio::join!(ping(), async {
        eventually(
            "the call",
            || async move { instance.has_unread().then_some(()) },
        )
        .await;
        signal(instance.id, "KILL");
    });
    assert_eq!((answer.status, answer.text()), (500, FUNCTION_ERROR));
    assert_eq!(ping().await.status, 200);

    // The death of an idle instance affects no call.
    let [instance] = &program.instances("ping")[..] else {
        panic!("{:?}", program.instances("ping"))
    };
    assert!(instance.is_alive());
    signal(instance.id, "KILL");
    let instance = &instance;
    eventually("the end of the instance", || async move {
        (!instance.is_alive()).then_some(())
    })
    .await;
    assert_eq!(ping().await.status, 200);
    assert!(program.end("INT").await);
}

#[tokio::test]
async fn a_function_that_hangs_is_stopped_at_its_timeout() {
    let program = Program::start(&["--listen", "127.0.0.1:0", "--in-memory"]).await;
    assert_eq!(program.get("/identity/ping").await.status, 200);
    let [instance] = &program.instances("ping")[..] else {
        panic!("{:?}", program.instances("ping"))
    };
    signal(instance.id, "STOP");
    let answer = program.get("/identity/ping").await;
    assert_eq!(
        (answer.status, answer.text()),
        (503, r#"{"message":"Service Unavailable"}"#)
    );
    eventually("the end of the instance", || async move {
        (!instance.is_alive()).then_some(())
    })
    .await;
    assert_eq!(program.get("/identity/ping").await.status, 200);
    assert!(program.end("INT").await);
}

#[tokio::test]
async fn options_and_variables_reach_the_functions() {
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--in-memory",
        "--cors-origin",
        "https://one.example",
        "--cors-origin",
        "https://two.example",
    ];
    let program = Program::start_with(&arguments, &[("IDENTITY_SESSION_EXPIRE_TIME", "700")]).await;
    for origin in ["https://one.example", "https://two.example"] {
        let request = reqwest::Client::new()
            .get(format!("{}/identity/configs", program.url))
            .header("origin", origin);
        let answer = program.send(request).await;
        assert_eq!(answer.json()["session_expire_time"], 700);
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
    }
    for (origin, status) in [
        ("https://two.example", 400),
        (program.url.as_str(), 400),
        ("https://three.example", 403),
    ] {
        let request = reqwest::Client::new()
            .post(format!("{}/identity/sessions", program.url))
            .header("origin", origin);
        assert_eq!(program.send(request).await.status, status, "{origin}");
    }
    assert!(program.end("INT").await);
}

#[tokio::test]
async fn an_origin_that_the_functions_would_reject_is_no_option() {
    for origin in ["http://app.example", "https://app.example/", "*", "null"] {
        let (code, _, error) = run(&["--cors-origin", origin]).await;
        assert_eq!(code, Some(1), "{error}");
        let value = format!("--cors-origin: {origin:?}");
        assert!(
            error.contains(&value) && error.contains("https origins such as"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn the_reason_of_a_failed_start_is_logged() {
    let latchkey = Latchkey::start(&[("IDENTITY_UID_PREFIX", "I")]).await;
    let answer = latchkey.post("/identity/users").send().await;
    assert_eq!((answer.status, answer.text()), (500, FUNCTION_ERROR));
    latchkey.log_with(1, "IDENTITY_UID_PREFIX").await;
    assert_eq!(latchkey.get("/identity/ping").send().await.status, 200);
}

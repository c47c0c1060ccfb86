//! `latchkey users` with a running stack

use std::{fs, process::Stdio};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::harness::{Folder, PASSWORD, Program, TIMEOUT, command, otp, tables_at};

/// Hash of `Pass-123-word`, computed with libxcrypt.
const BCRYPT: &str = "$2a$10$abcdefghijklmnopqrstuun9caK.EKpJTvpbtkoEsTsMuUseQZ2cm";

/// The exit code, standard output and standard error of a command.
struct Outcome {
    code: Option<i32>,
    output: String,
    errors: String,
}

impl Outcome {
    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.errors);
        serde_json::from_str(&self.output).unwrap()
    }

    #[track_caller]
    fn is_refused(&self, words: &[&str]) {
        assert_eq!(
            (self.code, self.output.as_str()),
            (Some(1), ""),
            "{}",
            self.errors
        );
        assert!(
            words.iter().all(|word| self.errors.contains(word))
                && !self.errors.contains("panicked"),
            "{}",
            self.errors
        );
    }
}

async fn users(folder: &Folder, arguments: &[&str], input: impl AsRef<[u8]>) -> Outcome {
    let arguments = [&["users", "--data-dir", folder.path()], arguments].concat();
    let mut process = command(&arguments)
        .await
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = process.stdin.take().unwrap();
    // With invalid arguments the program ends without reading its input.
    let _ = stdin.write_all(input.as_ref()).await;
    drop(stdin);
    let ended = tokio::time::timeout(TIMEOUT * 15, process.wait_with_output())
        .await
        .expect("an end in time")
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Outcome {
        code: ended.status.code(),
        output: text(ended.stdout),
        errors: text(ended.stderr),
    }
}

async fn start(folder: &Folder) -> Program {
    Program::start(&["--listen", "127.0.0.1:0", "--data-dir", folder.path()]).await
}

#[tokio::test]
async fn users_are_managed_from_the_terminal() {
    let folder = Folder::new("manage");
    let program = start(&folder).await;
    let email = "terminal@example.com";
    let created = users(
        &folder,
        &["create", email, "--role", "admin", "--level", "3"],
        &format!("{PASSWORD}\n"),
    )
    .await
    .json();
    assert_eq!(
        (&created["role"], &created["level"], &created["state"]),
        (&json!("admin"), &json!(3), &json!("active"))
    );
    let uid = created["uid"].as_str().unwrap();
    let credentials = [("email", email), ("password", PASSWORD)];
    assert_eq!(
        program
            .post("/identity/sessions", &credentials)
            .await
            .status,
        201
    );

    assert_eq!(users(&folder, &["show", uid], "").await.json(), created);
    let changed = users(&folder, &["set-role", email, "--level", "5"], "")
        .await
        .json();
    assert_eq!(
        (&changed["role"], &changed["level"]),
        (&json!("admin"), &json!(5))
    );
    assert_eq!(
        users(&folder, &["verify-email", email], "").await.json()["labels"][0]["value"],
        "verified"
    );
    let set = ["set-label", email, "phone", "verified", "--scope", "public"];
    let label = users(&folder, &set, "").await.json()["labels"][1].clone();
    let expected = ["phone", "verified", "public"];
    assert_eq!(
        ["key", "value", "scope"].map(|name| label[name].clone()),
        expected
    );
    let remove = ["remove-label", uid, "phone"];
    let labels = users(&folder, &remove, "").await.json()["labels"].clone();
    assert_eq!(labels.as_array().unwrap().len(), 1);
    users(&folder, &remove, "")
        .await
        .is_refused(&["key: the user has no label"]);
    for text in ["termin", uid] {
        let found = users(&folder, &["search", text], "").await;
        assert_eq!(found.json()["uid"], uid, "{text}");
        assert!(found.errors.contains("1 users found."), "{}", found.errors);
    }
    let found = users(&folder, &["search", "nobody"], "").await;
    assert_eq!((found.code, found.output.as_str()), (Some(0), ""));
    assert_eq!(
        users(&folder, &["end-sessions", uid], "").await.json()["uid"],
        uid
    );
    assert_eq!(
        users(&folder, &["set-state", email, "banned"], "")
            .await
            .json()["state"],
        "banned"
    );
    program
        .post("/identity/sessions", &credentials)
        .await
        .is_refused(401, &["identity.session.banned"]);

    users(&folder, &["disable-otp", email], "")
        .await
        .is_refused(&["no second factor"]);
    users(&folder, &["show", "nobody@example.com"], "")
        .await
        .is_refused(&["email: no user has this e-mail address"]);
    users(&folder, &["create", email, "--hash"], BCRYPT)
        .await
        .is_refused(&["email: another user has this e-mail address"]);
    users(&folder, &["create", "weak@example.com"], "weak")
        .await
        .is_refused(&["password: "]);
    users(&folder, &["create", "none@example.com"], "")
        .await
        .is_refused(&["standard input"]);
    let unconfirmed = users(&folder, &["delete", email], "").await;
    assert!(
        unconfirmed.code == Some(2) && unconfirmed.errors.contains("--yes"),
        "{}",
        unconfirmed.errors
    );
    assert_eq!(
        users(&folder, &["delete", email, "--yes"], "").await.json()["uid"],
        uid
    );
    users(&folder, &["show", uid], "")
        .await
        .is_refused(&["uid: no user has this uid"]);
    assert!(program.end("INT").await);
}

#[tokio::test]
async fn users_move_from_one_stack_to_another() {
    let old = Folder::new("manage-old");
    let new = Folder::new("manage-new");
    let from = start(&old).await;
    let to = start(&new).await;
    let mut lines: String = (0..600)
        .map(|number| {
            json!({ "email": format!("moved{number}@example.com"), "password_digest": BCRYPT, "state": "active" }).to_string()
                + "\n"
        })
        .collect();
    lines += "{}\n\nnonsense\n";
    let imported = users(&old, &["import"], &lines).await;
    imported.is_refused(&[
        "line 601: email: required",
        "line 603: not a JSON object",
        "600 imported, 0 already present, 2 rejected",
    ]);

    let exported = users(&old, &["export", "--page", "250"], "").await;
    assert_eq!(
        (exported.code, exported.output.lines().count()),
        (Some(0), 600),
        "{}",
        exported.errors
    );
    assert!(
        exported.errors.contains("250 users exported ...")
            && exported.errors.contains("600 users exported."),
        "{}",
        exported.errors
    );
    let file = format!("{}/users.jsonl", new.path());
    fs::write(&file, &exported.output).unwrap();
    for summary in [
        "600 imported, 0 already present, 0 rejected",
        "0 imported, 600 already present, 0 rejected",
    ] {
        let imported = users(&new, &["import", &file], "").await;
        assert_eq!(
            (imported.code, imported.output.as_str()),
            (Some(0), ""),
            "{}",
            imported.errors
        );
        assert!(imported.errors.contains(summary), "{}", imported.errors);
    }
    let credentials = [
        ("email", "moved599@example.com"),
        ("password", "Pass-123-word"),
    ];
    assert_eq!(
        to.post("/identity/sessions", &credentials).await.status,
        201
    );

    // An interrupted export is resumed with `--after`.
    let all: Vec<&str> = exported.output.lines().collect();
    let email = serde_json::from_str::<Value>(all[399]).unwrap()["email"]
        .as_str()
        .unwrap()
        .to_owned();
    let rest = users(&old, &["export", "--after", &format!("USER#{email}")], "").await;
    assert_eq!(rest.output.lines().collect::<Vec<_>>(), all[400..]);
    assert!(from.end("INT").await && to.end("INT").await);
}

#[tokio::test]
async fn without_a_running_stack_the_error_names_the_folder_and_the_remedy() {
    let folder = Folder::new("manage-none");
    users(&folder, &["show", "ann@example.com"], "")
        .await
        .is_refused(&[
            "No stack is running",
            folder.path(),
            "cargo run",
            "--endpoint",
        ]);
    // A killed stack leaves its file behind.
    let program = start(&folder).await;
    assert!(!program.end("KILL").await);
    assert!(fs::exists(format!("{}/stack.json", folder.path())).unwrap());
    users(&folder, &["show", "ann@example.com"], "")
        .await
        .is_refused(&["No stack is running", folder.path()]);
    let program = start(&folder).await;
    users(&folder, &["show", "ann@example.com"], "")
        .await
        .is_refused(&["no user has this e-mail address"]);
    assert!(program.end("INT").await);
    assert!(!fs::exists(format!("{}/stack.json", folder.path())).unwrap());
}

#[tokio::test]
async fn rekey_reports_and_moves_nothing_in_a_new_stack() {
    let folder = Folder::new("manage-rekey");
    let _program = start(&folder).await;
    for (arguments, message) in [
        (&["rekey"][..], "0 users can be moved; 0 keep their key."),
        (&["rekey", "--apply"], "0 users moved; 0 keep their key."),
    ] {
        let outcome = users(&folder, arguments, "").await;
        assert_eq!((outcome.code, outcome.output.as_str()), (Some(0), ""));
        assert!(outcome.errors.contains(message), "{}", outcome.errors);
    }
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// The data folder of a stack of the previous version: no data secret, and plain OTP secrets.
#[tokio::test]
async fn a_data_folder_of_the_previous_version_opens_and_its_secrets_are_sealed() {
    let folder = Folder::new("manage-reseal");
    let program = start(&folder).await;
    let line = json!({ "email": "otto@example.com", "password_digest": BCRYPT, "state": "active" });
    let imported = users(&folder, &["import"], &line.to_string()).await;
    assert_eq!(imported.code, Some(0), "{}", imported.errors);
    tables_at(&program.dynamodb_url)
        .update_item()
        .table_name("UsersTable")
        .key("pk", s("USER#otto@example.com"))
        .update_expression("SET otp_secret = :secret")
        .expression_attribute_values(":secret", s(otp::SECRET))
        .send()
        .await
        .unwrap();
    assert!(program.end("INT").await);
    let file = format!("{}/secrets.json", folder.path());
    let read = || serde_json::from_slice::<Value>(&fs::read(&file).unwrap()).unwrap();
    let mut secrets = read();
    let removed = secrets.as_object_mut().unwrap().remove("DataSecret");
    assert!(removed.is_some());
    fs::write(&file, secrets.to_string()).unwrap();

    let program = start(&folder).await;
    let outcome = users(&folder, &["reseal"], "").await;
    assert_eq!((outcome.code, outcome.output.as_str()), (Some(0), ""));
    for message in [
        "1 OTP secrets can be encrypted under the current key version 1.",
        "plain text: 1 OTP secrets",
        "users reseal --apply",
    ] {
        assert!(outcome.errors.contains(message), "{}", outcome.errors);
    }
    let outcome = users(&folder, &["reseal", "--apply"], "").await;
    assert_eq!((outcome.code, outcome.output.as_str()), (Some(0), ""));
    for message in [
        "1 OTP secrets encrypted under the current key version 1.",
        "1: 1 OTP secrets",
    ] {
        assert!(outcome.errors.contains(message), "{}", outcome.errors);
    }
    // The data secret is kept over a restart.
    assert!(program.end("INT").await);
    let generated = read()["DataSecret"].clone();
    let program = start(&folder).await;
    assert_eq!(read()["DataSecret"], generated);
    let exported = users(&folder, &["export"], "").await;
    assert!(
        !exported.output.contains(otp::SECRET),
        "{}",
        exported.output
    );
    let exported = users(&folder, &["export", "--plain-otp-secrets"], "").await;
    assert!(exported.output.contains(otp::SECRET), "{}", exported.output);
    let code = otp::code(otp::step());
    let fields = [
        ("email", "otto@example.com"),
        ("password", "Pass-123-word"),
        ("otp_code", code.as_str()),
    ];
    let signed_in = program.post("/identity/sessions", &fields).await;
    assert_eq!(signed_in.status, 201, "{}", signed_in.text());
    assert!(program.end("INT").await);
}

#[tokio::test]
async fn files_of_other_programs_are_imported_line_by_line() {
    let folder = Folder::new("manage-encodings");
    let _program = start(&folder).await;
    let line = |name: &str| {
        json!({
            "email": format!("{name}@example.com"),
            "password_digest": BCRYPT,
            "state": "not-active",
            "otp": 0,
            "created_at": "2019-05-01 10:00:00",
        })
        .to_string()
    };
    let latin1 = [line("b").as_bytes(), b" \xe9"].concat();
    let input = [
        b"\xef\xbb\xbf",
        line("a").as_bytes(),
        b"\r\n",
        &latin1,
        b"\r\n",
        line("c").as_bytes(),
    ]
    .concat();
    let imported = users(&folder, &["import"], &input).await;
    imported.is_refused(&["line 2: not UTF-8", "2 imported", "1 rejected"]);
    let user = users(&folder, &["show", "a@example.com"], "").await.json();
    assert_eq!(
        (&user["state"], &user["otp"], &user["created_at"]),
        (
            &json!("other"),
            &json!(false),
            &json!("2019-05-01T10:00:00Z")
        )
    );
    let exported = users(&folder, &["export"], "").await.output;
    assert_eq!(exported.matches("\"state\":\"not-active\"").count(), 2);
    let utf16: Vec<u8> = line("d")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    users(&folder, &["import"], [&b"\xff\xfe"[..], &utf16].concat())
        .await
        .is_refused(&["UTF-16"]);
}

#[tokio::test]
async fn a_password_on_standard_input_has_no_byte_order_mark_and_no_line_end() {
    let folder = Folder::new("manage-password");
    let program = start(&folder).await;
    let email = "marked@example.com";
    let user = users(
        &folder,
        &["create", email],
        format!("\u{feff}{PASSWORD}\r\n"),
    )
    .await
    .json();
    // An active user is created like one who confirmed the address.
    assert_eq!(
        (&user["state"], &user["level"]),
        (&json!("active"), &json!(1))
    );
    assert_eq!(user["labels"][0]["value"], "verified");
    let credentials = [("email", email), ("password", PASSWORD)];
    let answer = program.post("/identity/sessions", &credentials).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[tokio::test]
async fn a_closed_pipe_ends_a_command_quietly() {
    let folder = Folder::new("manage-pipe");
    let _program = start(&folder).await;
    users(&folder, &["create", "pipe@example.com"], PASSWORD)
        .await
        .json();
    for arguments in [&["show", "pipe@example.com"][..], &["export"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let arguments = [&["users", "--data-dir", folder.path()], arguments].concat();
        let process = command(&arguments).await.stdout(writer).spawn().unwrap();
        let ended = tokio::time::timeout(TIMEOUT * 15, process.wait_with_output())
            .await
            .expect("an end in time")
            .unwrap();
        let errors = String::from_utf8(ended.stderr).unwrap();
        assert_eq!((ended.status.code(), errors.as_str()), (Some(0), ""));
    }
}

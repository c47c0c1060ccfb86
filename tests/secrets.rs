//! Absence of secrets in the log

use std::collections::BTreeSet;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::{Value, json};

use crate::harness::{
    Fault, Faulty, Latchkey, Mail, User, bearer_of, claims, event, jti, otp, text,
};

const FIRST: &str = "First-Horse-7-Battery&+";
const WRONG: &str = "Wrong-Horse-7-Battery";
const SECOND: &str = "Second-Horse-7-Battery";
const CHANGED: &str = "Changed-Horse-7-Battery";
const EMAIL: &str = "Whistle.Blower@secrets.example";

/// The encodings in which a secret could appear in a line.
fn forms(secret: &str) -> Vec<String> {
    let percent: String = secret
        .bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect();
    let json = json!(secret).to_string().trim_matches('"').to_owned();
    vec![
        secret.to_owned(),
        percent,
        json,
        BASE64.encode(secret.as_bytes()),
        BASE64URL_NOPAD.encode(secret.as_bytes()),
    ]
}

/// The text of the data key.
async fn data_key(latchkey: &Latchkey) -> String {
    latchkey.data_secret().await["1"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Runs every operation on passwords, tokens and codes, with success and failure. Returns every
/// secret that was used.
async fn exercise_all_operations(latchkey: &Latchkey) -> Vec<String> {
    let user = latchkey
        .signed_up_with("-", &json!({ "email": EMAIL, "password": FIRST }))
        .await;
    let mut secrets = vec![user.session.clone(), user.csrf_token.clone()];
    let confirmation = latchkey
        .mail_to(EMAIL, 1, |mail| mail.confirmation_token().is_some())
        .await;
    // Only accounts whose address is confirmed are sent notices.
    latchkey.set_state(&user, "active").await;

    let mut authenticator = latchkey.authenticator();
    latchkey.add_passkey(&user, &mut authenticator).await;
    let ceremony = latchkey.passkey_request().await;
    let credential = authenticator.sign_in(&ceremony.options);
    let signature = credential["response"]["signature"].as_str().unwrap();
    secrets.extend([ceremony.state.clone(), signature.to_owned()]);
    for status in [201, 422] {
        let answer = latchkey
            .post("/identity/sessions/passkey")
            .json(&ceremony.body(&credential))
            .send()
            .await;
        assert_eq!(answer.status, status, "{answer:?}");
        if status == 201 {
            secrets.push(answer.session());
        }
    }

    latchkey
        .change_password(&user, WRONG, CHANGED)
        .send()
        .await
        .is_refused(400, &["resource.password.prev_pass_not_correct"]);
    latchkey
        .change_password(&user, FIRST, CHANGED)
        .send()
        .await
        .is_empty(201);
    latchkey
        .change_password(&user, CHANGED, FIRST)
        .csrf("wrong")
        .send()
        .await
        .is_refused(401, &["authz.csrf_token_mismatch"]);
    latchkey
        .change_password(&user, CHANGED, FIRST)
        .send()
        .await
        .is_empty(201);
    latchkey
        .sign_in(EMAIL, WRONG)
        .send()
        .await
        .is_refused(404, &["identity.session.invalid_params"]);
    let signed_in = latchkey
        .sign_in(EMAIL, FIRST)
        .cookie(&user.session)
        .send()
        .await;
    secrets.extend([
        signed_in.session(),
        signed_in.json()["csrf_token"].as_str().unwrap().to_owned(),
    ]);
    latchkey.set_otp_secret(&user, otp::SECRET).await;
    let code = otp::code(otp::step());
    let wrong = otp::wrong_code();
    for (code, status) in [(&wrong, 403), (&code, 201), (&code, 403)] {
        let fields = [("email", EMAIL), ("password", FIRST), ("otp_code", code)];
        assert_eq!(
            latchkey
                .post("/identity/sessions")
                .form(&fields)
                .send()
                .await
                .status,
            status
        );
    }
    let allowed = latchkey
        .get("/auth/request")
        .header("x-original-method", "GET")
        .cookie(&signed_in.session())
        .send()
        .await;
    secrets.push(bearer_of(&allowed).to_owned());
    latchkey
        .post("/auth/request")
        .cookie(&signed_in.session())
        .send()
        .await
        .is_refused(401, &["authz.missing_csrf_token"]);
    for token in [signed_in.session(), bearer_of(&allowed).to_owned()] {
        let mut request = event("GET", "/orders");
        request["requestContext"]["http"]["sourceIp"] = json!("127.0.0.1");
        request["headers"]["authorization"] = json!(format!("Bearer {token}"));
        let answer = latchkey.invoke("AuthorizeFunction", request).await.unwrap();
        secrets.extend(answer["context"]["token"].as_str().map(str::to_owned));
    }
    latchkey
        .sign_out(&signed_in.session())
        .send()
        .await
        .is_empty(204);
    latchkey
        .sign_out(&signed_in.session())
        .send()
        .await
        .is_refused(404, &["identity.session.not_found"]);
    latchkey
        .delete("/identity/sessions")
        .bearer(&user.session[..user.session.len() - 2])
        .send()
        .await
        .is_refused(404, &["identity.session.not_found"]);

    let reset = latchkey.reset_mail(EMAIL).await;
    let token = reset.reset_token().unwrap();
    secrets.extend([
        token.to_owned(),
        confirmation.confirmation_token().unwrap().to_owned(),
    ]);
    // Follow the links. Here they lead to the stack's pages, in production to a front end.
    for mail in [&reset, &confirmation] {
        let (_, path) = mail.link().unwrap().split_once(&latchkey.domain()).unwrap();
        latchkey.get(path).send().await;
        latchkey
            .get(&format!(
                "/identity/ping?{}",
                path.split_once('?').unwrap().1
            ))
            .send()
            .await;
    }
    latchkey
        .confirm(token, "Password1")
        .send()
        .await
        .is_refused(422, &["password.weak"]);
    latchkey
        .confirm(&format!("{token}x"), SECOND)
        .send()
        .await
        .is_refused(422, &["jwt.decode_and_verify"]);
    latchkey.confirm(token, SECOND).send().await.is_empty(201);
    latchkey
        .confirm(token, SECOND)
        .send()
        .await
        .is_refused(422, &["identity.user.utilized_token"]);
    latchkey.mail_to(EMAIL, 3, Mail::is_notice).await;
    latchkey
        .post("/identity/password/validate")
        .form(&[("password", SECOND)])
        .send()
        .await;
    for (media_type, body) in [
        ("application/json", format!("{{\"password\":\"{SECOND}\"")),
        ("text/plain", SECOND.to_owned()),
    ] {
        assert!(
            latchkey
                .post("/identity/users")
                .body(media_type, body)
                .send()
                .await
                .status
                >= 400
        );
    }

    let stored = latchkey.user_item(&user).await;
    secrets.push(text(&stored, "password_hash").to_owned());
    let tokens: Vec<String> = secrets
        .iter()
        .filter(|secret| secret.starts_with("ey"))
        .cloned()
        .collect();
    for token in tokens {
        secrets.push(jti(&token));
        secrets.extend(token.split('.').skip(1).map(str::to_owned));
    }
    secrets.extend([FIRST, WRONG, CHANGED, SECOND, otp::SECRET].map(str::to_owned));
    secrets.push(latchkey.token_secret().await);
    secrets.push(data_key(latchkey).await);
    // The sign-up and the two failed ones above.
    latchkey.invocations("user-create", "answered", 3).await;
    secrets
}

#[tokio::test]
async fn no_log_line_contains_a_secret() {
    let latchkey = Latchkey::start(&[]).await;
    let secrets = exercise_all_operations(&latchkey).await;
    let log = latchkey.log();
    assert!(
        log.iter().any(|line| line.contains("/identity/sessions")),
        "the stack logs requests: {log:#?}"
    );
    assert!(
        log.iter().any(|line| line.starts_with('{')),
        "the functions log: {log:#?}"
    );
    contains_none_of(&log, &secrets);
}

#[track_caller]
fn contains_none_of(log: &[String], secrets: &[String]) {
    for secret in secrets {
        for form in forms(secret) {
            let lines: Vec<&String> = log.iter().filter(|line| line.contains(&form)).collect();
            assert!(lines.is_empty(), "{form}: {lines:#?}");
        }
    }
}

/// Sends a request of every kind that reads or writes secrets, and ignores the answers.
async fn try_everything(latchkey: &Latchkey, user: &User, token: &str) {
    let otp_code = otp::code(otp::step());
    let with_code = [
        ("email", EMAIL),
        ("password", FIRST),
        ("otp_code", &otp_code),
    ];
    let new = [
        ("email", "Deep.Throat@secrets.example"),
        ("password", SECOND),
    ];
    for request in [
        latchkey.sign_in(EMAIL, FIRST),
        latchkey.sign_in(EMAIL, WRONG),
        latchkey.post("/identity/sessions").form(&with_code),
        latchkey.post("/identity/users").form(&new),
        latchkey.change_password(user, WRONG, CHANGED),
        latchkey.by(user, "POST", "/resource/otp/generate_qrcode"),
        latchkey.by(user, "GET", "/resource/sessions"),
        latchkey.post("/identity/sessions/passkey/options"),
        latchkey.by(user, "GET", "/resource/users/me"),
        latchkey.confirm(token, "Password1"),
        latchkey.ask_for_code(EMAIL),
    ] {
        request.send().await;
    }
    for event in [
        json!({ "action": "show", "email": EMAIL }),
        json!({ "action": "export" }),
        json!({ "action": "export", "plain_otp_secrets": true }),
        json!({ "action": "reseal" }),
    ] {
        let _ = latchkey.invoke("ManageUsersFunction", event).await;
    }
}

/// The stored secrets of the user, the token secret and the data key.
async fn stored_secrets(latchkey: &Latchkey, user: &User) -> Vec<String> {
    let item = latchkey.user_item(user).await;
    let codes = item
        .get("otp_recovery_codes")
        .and_then(|codes| codes.as_ss().ok())
        .cloned()
        .unwrap_or_default();
    let own = ["password_hash", "otp_secret"].map(|name| text(&item, name).to_owned());
    let sessions = latchkey
        .stored()
        .await
        .into_values()
        .filter_map(|item| Some(item.get("csrf_hash")?.as_s().ok()?.clone()));
    own.into_iter()
        .chain(codes)
        .chain(sessions)
        .chain([latchkey.token_secret().await, data_key(latchkey).await])
        .collect()
}

#[tokio::test]
async fn no_log_line_contains_a_secret_when_services_fail() {
    const BAD: [Fault; 5] = [
        Fault::BodyCut,
        Fault::AnswerCut,
        Fault::WrongType,
        Fault::UnknownType,
        Fault::Garbage,
    ];
    let faulty = Faulty::start(&[("IDENTITY_ARGON2", "m=8192,t=1,p=1")]).await;
    let latchkey = &faulty.latchkey;
    // At the start of the function the secret is truncated.
    faulty.fail_always("GetSecretValue", Fault::BodyCut);
    let body = json!({ "email": EMAIL, "password": FIRST });
    latchkey
        .post("/identity/users")
        .json(&body)
        .send()
        .await
        .is_refused(503, &["server.unavailable"]);
    let secret = latchkey.token_secret().await;
    contains_none_of(
        &latchkey
            .log_with(1, "GetSecretValue: the response cannot be read")
            .await,
        &[secret],
    );
    faulty.heal();
    let user = latchkey.signed_up_with("-", &body).await;
    latchkey.set_otp_secret(&user, otp::SECRET).await;
    let token = latchkey.reset_token(&user).await;
    // Each fault at every call of an operation, and at every second or third call.
    for fault in BAD {
        for operation in [
            "BatchGetItem",
            "Query",
            "Scan",
            "UpdateItem",
            "TransactWriteItems",
            "BatchWriteItem",
        ] {
            // A transaction or a batch returns no items.
            if !operation.ends_with("Item")
                && operation.contains("Write")
                && matches!(fault, Fault::WrongType | Fault::UnknownType)
            {
                continue;
            }
            faulty.plan(move |called| (called == operation).then_some(fault));
            try_everything(latchkey, &user, &token).await;
        }
    }
    for every in [2, 3] {
        let mut number = 0;
        faulty.plan(move |operation| {
            number += 1;
            let kinds: Vec<Fault> = Fault::of(operation)
                .into_iter()
                .filter(|fault| BAD.contains(fault))
                .collect();
            (number % every == 0).then(|| kinds[number / every % kinds.len()])
        });
        try_everything(latchkey, &user, &token).await;
    }
    // Errors of SES that quote the whole mail, with its address and token.
    for code in ["MessageRejected", "AccessDeniedException"] {
        faulty.fail_always("SendEmail", Fault::Refused(400, code));
        latchkey.ask_for_code(EMAIL).send().await;
        faulty.called("SendEmail", 1).await;
        latchkey.log_with(1, code).await;
    }
    // Errors of the database that quote the items.
    for operation in [
        "UpdateItem",
        "TransactWriteItems",
        "BatchWriteItem",
        "BatchGetItem",
    ] {
        faulty.fail_always(operation, Fault::Refused(400, "ValidationException"));
        try_everything(latchkey, &user, &token).await;
    }
    faulty.heal();
    let mut secrets = stored_secrets(latchkey, &user).await;
    secrets.extend([FIRST, WRONG, CHANGED, SECOND, otp::SECRET].map(str::to_owned));
    secrets.extend([
        user.session.clone(),
        user.csrf_token.clone(),
        jti(&user.session),
        token.clone(),
        jti(&token),
    ]);
    let log = latchkey.log();
    contains_none_of(&log, &secrets);
    for line in log.iter().filter(|line| line.starts_with('{')) {
        let low = line.to_lowercase();
        assert!(
            !low.contains("whistle.blower")
                && !low.contains("deep.throat")
                && !line.contains("panicked"),
            "{line}"
        );
    }
    for expected in [
        "dynamodb BatchGetItem: ",
        "dynamodb TransactWriteItems: ",
        "code ValidationException, status 400",
    ] {
        assert!(
            log.iter().any(|line| line.contains(expected)),
            "{expected} is not logged"
        );
    }
}

#[tokio::test]
async fn functions_log_json_lines_without_personal_data() {
    let latchkey = Latchkey::start(&[]).await;
    exercise_all_operations(&latchkey).await;
    for line in latchkey.log().iter().filter(|line| line.starts_with('{')) {
        let json: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        if json["_aws"].is_null() {
            assert!(
                json["timestamp"].is_string()
                    && json["level"].is_string()
                    && json["fields"]["message"].is_string(),
                "{line}"
            );
        }
        assert!(
            !line.to_lowercase().contains("whistle.blower") && !line.contains("127.0.0.1"),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_session_token_contains_only_known_claims() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.signed_up("plain-claims").await;
    let names: BTreeSet<String> = claims(&user.session)
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert!(
        names
            .iter()
            .eq(["aud", "exp", "iat", "iss", "jti", "sub", "uid", "user"]),
        "{names:?}"
    );
}

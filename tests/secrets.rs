//! No secret in any log line

use std::collections::BTreeSet;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::{Value, json};

use crate::harness::{Latchkey, Mail, bearer_of, claims, event, jti, otp, text};

const FIRST: &str = "First-Horse-7-Battery&+";
const WRONG: &str = "Wrong-Horse-7-Battery";
const SECOND: &str = "Second-Horse-7-Battery";
const CHANGED: &str = "Changed-Horse-7-Battery";
const EMAIL: &str = "Whistle.Blower@secrets.example";

/// The forms in which a secret may find its way into a line.
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
    vec![secret.to_owned(), percent, json, BASE64.encode(secret.as_bytes()), BASE64URL_NOPAD.encode(secret.as_bytes())]
}

/// Signs up, in and out, resets the password, and fails at all of it too. Returns every secret that passed.
async fn live_through_everything(latchkey: &Latchkey) -> Vec<String> {
    let user = latchkey.signed_up_with("-", &json!({ "email": EMAIL, "password": FIRST })).await;
    let mut secrets = vec![user.session.clone(), user.csrf_token.clone()];

    latchkey.change_password(&user, WRONG, CHANGED).send().await.is_refused(400, &["resource.password.prev_pass_not_correct"]);
    latchkey.change_password(&user, FIRST, CHANGED).send().await.is_empty(201);
    latchkey.change_password(&user, CHANGED, FIRST).csrf("wrong").send().await.is_refused(401, &["authz.csrf_token_mismatch"]);
    latchkey.change_password(&user, CHANGED, FIRST).send().await.is_empty(201);
    latchkey.sign_in(EMAIL, WRONG).send().await.is_refused(404, &["identity.session.invalid_params"]);
    let signed_in = latchkey.sign_in(EMAIL, FIRST).cookie(&user.session).send().await;
    secrets.extend([signed_in.session(), signed_in.json()["csrf_token"].as_str().unwrap().to_owned()]);
    latchkey.set_otp_secret(&user, otp::SECRET).await;
    let (code, wrong) = (otp::code(otp::step()), otp::wrong_code());
    for (code, status) in [(&wrong, 403), (&code, 201), (&code, 403)] {
        let fields = [("email", EMAIL), ("password", FIRST), ("otp_code", code)];
        assert_eq!(latchkey.post("/identity/sessions").form(&fields).send().await.status, status);
    }
    let let_through = latchkey.get("/auth/request").cookie(&signed_in.session()).send().await;
    secrets.push(bearer_of(&let_through).to_owned());
    latchkey.post("/auth/request").cookie(&signed_in.session()).send().await.is_refused(401, &["authz.missing_csrf_token"]);
    for token in [signed_in.session(), bearer_of(&let_through).to_owned()] {
        let mut asked = event("GET", "/orders");
        asked["requestContext"]["http"]["sourceIp"] = json!("127.0.0.1");
        asked["headers"]["authorization"] = json!(format!("Bearer {token}"));
        let answer = latchkey.invoke("AuthorizeFunction", asked).await.unwrap();
        secrets.extend(answer["context"]["token"].as_str().map(str::to_owned));
    }
    latchkey.sign_out(&signed_in.session()).send().await.is_empty(204);
    latchkey.sign_out(&signed_in.session()).send().await.is_refused(404, &["identity.session.not_found"]);
    latchkey
        .delete("/identity/sessions")
        .bearer(&user.session[..user.session.len() - 2])
        .send()
        .await
        .is_refused(404, &["identity.session.not_found"]);

    let confirmation = latchkey.mail_to(EMAIL, 1, |mail| mail.confirmation_token().is_some()).await;
    let reset = latchkey.reset_mail(EMAIL).await;
    let token = reset.reset_token().unwrap();
    secrets.extend([token.to_owned(), confirmation.confirmation_token().unwrap().to_owned()]);
    // As the links are followed: here to the pages of the stack, in an operator's world to the front end.
    for mail in [&reset, &confirmation] {
        let (_, path) = mail.link().unwrap().split_once(&latchkey.domain()).unwrap();
        latchkey.get(path).send().await;
        latchkey.get(&format!("/identity/ping?{}", path.split_once('?').unwrap().1)).send().await;
    }
    latchkey.confirm(token, "Password1").send().await.is_refused(422, &["password.weak"]);
    latchkey.confirm(&format!("{token}x"), SECOND).send().await.is_refused(422, &["jwt.decode_and_verify"]);
    latchkey.confirm(token, SECOND).send().await.is_empty(201);
    latchkey.confirm(token, SECOND).send().await.is_refused(422, &["identity.user.utilized_token"]);
    latchkey.mail_to(EMAIL, 3, Mail::is_notice).await;
    latchkey.post("/identity/password/validate").form(&[("password", SECOND)]).send().await;
    for (media_type, body) in [("application/json", format!("{{\"password\":\"{SECOND}\"")), ("text/plain", SECOND.to_owned())] {
        assert!(latchkey.post("/identity/users").body(media_type, body).send().await.status >= 400);
    }

    let stored = latchkey.user_item(&user).await;
    secrets.push(text(&stored, "password_hash").to_owned());
    let tokens: Vec<String> = secrets.iter().filter(|secret| secret.starts_with("ey")).cloned().collect();
    for token in tokens {
        secrets.push(jti(&token));
        secrets.extend(token.split('.').skip(1).map(str::to_owned));
    }
    secrets.extend([FIRST, WRONG, CHANGED, SECOND, otp::SECRET].map(str::to_owned));
    secrets.push(latchkey.token_secret().await);
    // The sign-up and the two that failed just now.
    latchkey.invocations("user-create", "answered", 3).await;
    secrets
}

#[tokio::test]
async fn whatever_happens_no_secret_is_in_any_log_line() {
    let latchkey = Latchkey::start(&[]).await;
    let secrets = live_through_everything(&latchkey).await;
    let log = latchkey.log();
    assert!(log.iter().any(|line| line.contains("/identity/sessions")), "the stack logs requests: {log:#?}");
    assert!(log.iter().any(|line| line.starts_with('{')), "the functions log: {log:#?}");
    for secret in &secrets {
        for form in forms(secret) {
            let told: Vec<&String> = log.iter().filter(|line| line.contains(&form)).collect();
            assert!(told.is_empty(), "{form}: {told:#?}");
        }
    }
}

#[tokio::test]
async fn functions_log_json_lines_that_name_nobody() {
    let latchkey = Latchkey::start(&[]).await;
    live_through_everything(&latchkey).await;
    for line in latchkey.log().iter().filter(|line| line.starts_with('{')) {
        let json: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        if json["_aws"].is_null() {
            assert!(
                json["timestamp"].is_string() && json["level"].is_string() && json["fields"]["message"].is_string(),
                "{line}"
            );
        }
        assert!(!line.to_lowercase().contains("whistle.blower") && !line.contains("127.0.0.1"), "{line}");
    }
}

#[tokio::test]
async fn a_token_tells_no_secret_of_its_user() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.signed_up("plain-claims").await;
    let names: BTreeSet<String> = claims(&user.session).as_object().unwrap().keys().cloned().collect();
    assert!(names.iter().eq(["aud", "exp", "iat", "iss", "jti", "sub", "uid", "user"]), "{names:?}");
}

//! Re-authentication with a passkey

use serde_json::{Value, json};

use crate::harness::{
    Latchkey, Request, User, all_at_once, latchkey, passkeys::Authenticator, text,
};

const PATH: &str = "/resource/sessions/current";
const REFUSED: &[&str] = &["identity.session.invalid_params"];

async fn with_passkey(latchkey: &Latchkey, name: &str) -> (User, Authenticator) {
    let user = latchkey.confirmed(name).await;
    let mut authenticator = Authenticator::synchronised(&latchkey.domain());
    latchkey.add_passkey(&user, &mut authenticator).await;
    (user, authenticator)
}

fn request(latchkey: &Latchkey, user: &User, body: &Value) -> Request {
    latchkey.by(user, "POST", PATH).json(body)
}

/// A request with a credential for a new ceremony.
async fn reauthenticate(
    latchkey: &Latchkey,
    user: &User,
    authenticator: &mut Authenticator,
) -> Request {
    let ceremony = latchkey.passkey_request().await;
    let credential = authenticator.sign_in(&ceremony.options);
    request(latchkey, user, &ceremony.body(&credential))
}

#[tokio::test]
async fn a_passkey_replaces_the_session_and_satisfies_the_second_factor() {
    let latchkey = latchkey().await;
    let (user, mut authenticator) = with_passkey(latchkey, "step-up-passkey").await;
    latchkey.enroll(&user).await;
    latchkey.age_authentication(&user, 5000).await;
    latchkey
        .by(&user, "POST", "/resource/passkeys/options")
        .send()
        .await
        .is_refused(401, &["authz.reauthentication_required"]);
    let answer = reauthenticate(latchkey, &user, &mut authenticator)
        .await
        .send()
        .await;
    let renewed = User::from_answer(&answer, &user.password);
    assert_ne!(renewed.csrf_token, user.csrf_token);
    latchkey.passkey_creation(&renewed).await;
    latchkey
        .get("/resource/users/me")
        .cookie(&user.session)
        .send()
        .await
        .is_refused(401, &["authz.invalid_session"]);
    let recorded = "reauthenticate succeed".to_owned();
    assert!(latchkey.activities(&user).await.contains(&recorded));
}

#[tokio::test]
async fn a_state_is_required_and_used_once() {
    let latchkey = latchkey().await;
    let (user, mut authenticator) = with_passkey(latchkey, "step-up-state").await;
    let ceremony = latchkey.passkey_request().await;
    let credential = authenticator.sign_in(&ceremony.options);
    for (body, status, key) in [
        (
            json!({ "credential": credential }),
            400,
            "identity.session.missing_state",
        ),
        (
            json!({ "credential": credential, "state": " ", "password": user.password }),
            400,
            "identity.session.empty_state",
        ),
        (
            json!({ "credential": credential, "state": user.session }),
            422,
            "jwt.decode_and_verify",
        ),
        (
            json!({ "credential": " " }),
            400,
            "identity.session.missing_password",
        ),
    ] {
        let request = request(latchkey, &user, &body);
        latchkey.refuses(&user, request, status, &[key]).await;
    }
    let body = ceremony.body(&credential);
    let answer = request(latchkey, &user, &body).send().await;
    let renewed = User::from_answer(&answer, &user.password);
    request(latchkey, &renewed, &body)
        .send()
        .await
        .is_refused(422, &["identity.user.utilized_token"]);
    // Not even for a sign-in.
    latchkey
        .post("/identity/sessions/passkey")
        .json(&body)
        .send()
        .await
        .is_refused(422, &["identity.user.utilized_token"]);
}

#[tokio::test]
async fn the_passkey_of_another_account_is_refused_like_an_unknown_one() {
    let latchkey = latchkey().await;
    let (user, mut own) = with_passkey(latchkey, "step-up-own").await;
    let (_, mut foreign) = with_passkey(latchkey, "step-up-foreign").await;
    let refused = reauthenticate(latchkey, &user, &mut foreign).await;
    let foreign = refused.send().await;
    foreign.is_refused(404, REFUSED);
    let mut unknown = own.clone();
    unknown.credentials[0].id = vec![7; 32];
    let refused = reauthenticate(latchkey, &user, &mut unknown).await;
    assert_eq!(refused.send().await.comparable(), foreign.comparable());
    let recorded = "reauthenticate failed".to_owned();
    let activities = latchkey.activities(&user).await;
    assert_eq!(activities.iter().filter(|one| **one == recorded).count(), 2);
    let accepted = reauthenticate(latchkey, &user, &mut own).await;
    assert_eq!(accepted.send().await.status, 201);
}

#[tokio::test]
async fn the_tenth_refused_passkey_ends_the_session() {
    let latchkey = latchkey().await;
    let (user, mut authenticator) = with_passkey(latchkey, "step-up-tenth").await;
    authenticator.user_verified = false;
    for _ in 0..10 {
        let refused = reauthenticate(latchkey, &user, &mut authenticator).await;
        refused.send().await.is_refused(404, REFUSED);
    }
    latchkey
        .get("/resource/users/me")
        .cookie(&user.session)
        .send()
        .await
        .is_refused(401, &["authz.invalid_session"]);
    assert_eq!(latchkey.failures(&user.email).await, 0);
}

#[tokio::test]
async fn a_copied_passkey_is_refused_and_mailed() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("step-up-clone").await;
    let mut authenticator = latchkey.authenticator();
    latchkey.add_passkey(&user, &mut authenticator).await;
    let mut clone = authenticator.clone();
    let signed_in = latchkey.sign_in_with_passkey(&mut authenticator).await;
    assert_eq!(signed_in.send().await.status, 201);
    let refused = reauthenticate(latchkey, &user, &mut clone).await;
    refused.send().await.is_refused(404, REFUSED);
    let mails = latchkey.queued_mails(&user).await;
    assert!(
        mails
            .iter()
            .any(|mail| text(mail, "kind") == "passkey_clone_suspected")
    );
}

#[tokio::test]
async fn a_copy_that_loses_a_race_is_refused_and_the_session_lives_on() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("step-up-copies").await;
    let mut authenticator = latchkey.authenticator();
    latchkey.add_passkey(&user, &mut authenticator).await;
    let mut requests = Vec::new();
    let mut sessions = Vec::new();
    for _ in 0..4 {
        let session = latchkey.with_new_session(&user).await;
        let mut copy = authenticator.clone();
        requests.push(reauthenticate(latchkey, &session, &mut copy).await);
        sessions.push(session);
    }
    let answers = all_at_once(requests).await;
    let replaced = answers.iter().filter(|answer| answer.status == 201);
    assert_eq!(replaced.count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        answer.is_refused(404, REFUSED);
    }
    let mut live = 0;
    for session in &sessions {
        let me = latchkey.by(session, "GET", "/resource/users/me");
        live += usize::from(me.send().await.status == 200);
    }
    assert_eq!(live, 3, "the sessions that were not replaced");
    let failed = "reauthenticate failed".to_owned();
    let activities = latchkey.activities(&user).await;
    assert_eq!(activities.iter().filter(|one| **one == failed).count(), 3);
}

#[tokio::test]
async fn of_sixteen_requests_with_one_state_one_replaces_the_session() {
    let latchkey = latchkey().await;
    let (user, mut authenticator) = with_passkey(latchkey, "step-up-race").await;
    let ceremony = latchkey.passkey_request().await;
    let credential = authenticator.sign_in(&ceremony.options);
    let body = ceremony.body(&credential);
    let answers = all_at_once((0..16).map(|_| request(latchkey, &user, &body))).await;
    let replaced = answers.iter().filter(|answer| answer.status == 201);
    assert_eq!(replaced.count(), 1);
    let expected = [201, 401, 422, 429];
    assert!(
        answers
            .iter()
            .all(|answer| expected.contains(&answer.status)),
        "{answers:?}"
    );
    let winner = answers.iter().find(|answer| answer.status == 201).unwrap();
    let renewed = User::from_answer(winner, &user.password);
    assert_eq!(latchkey.session_ids(&renewed).await.len(), 1);
}

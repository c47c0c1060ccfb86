//! Public keys of session tokens, which signing functions publish for the others

use std::collections::BTreeSet;

use serde_json::json;

use crate::harness::{
    Fault, Faulty, Lambda, Latchkey, PASSWORD, User, event, eventually, forgeries, kid, number, otp,
};

const ME: &str = "/resource/users/me";

/// The functions that publish, with an event that starts each.
const SIGNERS: [(&str, &str, &str); 7] = [
    ("session-create", "POST", "/identity/sessions"),
    ("user-create", "POST", "/identity/users"),
    (
        "session-reauthenticate",
        "POST",
        "/resource/sessions/current",
    ),
    (
        "email-confirm-code",
        "POST",
        "/identity/users/email/confirm_code",
    ),
    ("passkey-sign-in", "POST", "/identity/sessions/passkey"),
    (
        "passkey-create-options",
        "POST",
        "/resource/passkeys/options",
    ),
    ("jwks", "GET", "/.well-known/jwks.json"),
];

/// The logical id of a function.
fn logical_id(binary: &str) -> String {
    let words = binary
        .split('-')
        .map(|word| word[..1].to_uppercase() + &word[1..]);
    words.chain(["Function".to_owned()]).collect()
}

/// The key ids in the item of the published keys.
async fn published(latchkey: &Latchkey) -> BTreeSet<String> {
    let item = latchkey.published_keys().await.unwrap_or_default();
    let keys = item.get("keys").and_then(|keys| keys.as_l().ok());
    keys.into_iter()
        .flatten()
        .map(|key| key.as_m().unwrap()["id"].as_s().unwrap().clone())
        .collect()
}

async fn status_of(latchkey: &Latchkey, path: &str, session: &str) -> u16 {
    latchkey.get(path).bearer(session).send().await.status
}

#[tokio::test]
async fn every_signing_function_publishes_the_keys_during_its_init() {
    let faulty = Faulty::start(&otp::FOR_RACES[1..]).await;
    let latchkey = &faulty.latchkey;
    let user = latchkey.signed_up("keys-signers").await;
    latchkey.mail_to(&user.email, 1, |_| true).await;
    let expected = BTreeSet::from([kid(&user.session).unwrap()]);
    assert_eq!(published(latchkey).await, expected);
    for (binary, method, path) in SIGNERS {
        let _ = latchkey
            .invoke(&logical_id(binary), event(method, path))
            .await;
    }
    let binaries = SIGNERS.map(|(binary, _, _)| binary);
    for binary in binaries.into_iter().chain(["mail-send"]) {
        latchkey.delete_published_keys().await;
        let mut lambda = Lambda::start(&faulty, binary).await;
        lambda.has_polled(1).await;
        eventually(binary, || async {
            (published(latchkey).await == expected).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn without_a_publication_nothing_is_signed_and_the_answer_is_503() {
    for operation in ["GetItem", "PutItem"] {
        let faulty = Faulty::start(&otp::FOR_RACES[1..]).await;
        let latchkey = &faulty.latchkey;
        faulty.fail_always(operation, Fault::Throttled);
        let fields = [
            ("email", "keys-unpublished@example.com"),
            ("password", PASSWORD),
        ];
        let sign_up = || latchkey.post("/identity/users").form(&fields).send();
        let answer = sign_up().await;
        answer.is_refused(503, &["server.unavailable"]);
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert!(latchkey.everything().await.is_empty());
        assert!(published(latchkey).await.is_empty());
        faulty.heal();
        assert_eq!(sign_up().await.status, 201, "{operation}");
        assert_eq!(published(latchkey).await.len(), 1);
    }
}

#[tokio::test]
async fn a_publication_whose_answer_is_lost_takes_effect_once() {
    for fault in [
        Fault::AnswerLost,
        Fault::AnswerCut,
        Fault::BodyCut,
        Fault::Conflict,
    ] {
        let faulty = Faulty::start(&otp::FOR_RACES[1..]).await;
        faulty.fail("PutItem", 1, fault);
        let user = faulty.latchkey.signed_up("keys-lost").await;
        assert_eq!(faulty.calls("PutItem"), 2, "{fault:?}");
        let item = faulty.latchkey.published_keys().await.unwrap();
        assert_eq!(number(&item, "revision"), 1, "{fault:?}");
        assert_eq!(status_of(&faulty.latchkey, ME, &user.session).await, 200);
    }
}

/// A stack that is updated from a version that published no keys.
#[tokio::test]
async fn a_session_of_a_version_without_public_keys_is_kept_until_they_are_published() {
    let latchkey = Latchkey::start(&otp::FOR_RACES[1..]).await;
    let user = latchkey.signed_up("keys-update").await;
    latchkey.mail_to(&user.email, 1, |_| true).await;
    latchkey.delete_published_keys().await;
    for _ in 0..2 {
        let answer = latchkey.get(ME).bearer(&user.session).send().await;
        answer.is_refused(503, &["server.unavailable"]);
    }
    latchkey.log_with(1, "no public keys are published").await;
    // Text that no key would make a token is rejected as always.
    latchkey
        .get(ME)
        .bearer("no-token")
        .send()
        .await
        .is_refused(401, &["authz.invalid_session"]);
    assert_eq!(
        latchkey.get("/.well-known/jwks.json").send().await.status,
        200
    );
    assert_eq!(status_of(&latchkey, ME, &user.session).await, 200);
    assert_eq!(
        status_of(&latchkey, "/resource/sessions", &user.session).await,
        200
    );
}

#[tokio::test]
async fn the_key_set_is_returned_even_if_the_keys_cannot_be_published() {
    let faulty = Faulty::start(&[]).await;
    faulty.fail_always("GetItem", Fault::Failed);
    let answer = faulty.latchkey.get("/.well-known/jwks.json").send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["keys"].as_array().unwrap().len(), 1);
    faulty.latchkey.log_with(1, "could not be published").await;
}

/// The number of batches that read the published keys.
fn reads(faulty: &Faulty) -> usize {
    let batches = faulty.requests("BatchGetItem");
    batches
        .iter()
        .filter(|batch| batch.to_string().contains("KEYS#tokens"))
        .count()
}

#[tokio::test]
async fn forged_key_ids_cause_no_read_while_the_keys_are_recent() {
    let faulty = Faulty::start(&otp::FOR_RACES[1..]).await;
    let latchkey = &faulty.latchkey;
    let user = latchkey.signed_up("keys-forged").await;
    let other = latchkey.signed_up("keys-forger").await;
    for user in [&user, &other] {
        latchkey.mail_to(&user.email, 1, |_| true).await;
    }
    faulty.heal();
    assert_eq!(status_of(latchkey, ME, &user.session).await, 200);
    assert_eq!((reads(&faulty), faulty.calls("BatchGetItem")), (1, 1));
    faulty.fail_always("BatchGetItem", Fault::Failed);
    for (what, forged) in forgeries(&user.session, &other.session) {
        let answer = latchkey.get(ME).bearer(&forged).send().await;
        assert_eq!(answer.status, 401, "{what}: {answer:?}");
    }
    assert_eq!(faulty.calls("BatchGetItem"), 0);
    faulty.heal();
    assert_eq!(status_of(latchkey, ME, &user.session).await, 200);
    assert_eq!((reads(&faulty), faulty.calls("BatchGetItem")), (0, 1));
}

/// Cookies of one request: a genuine one among forged ones.
#[tokio::test]
async fn a_new_instance_finds_the_genuine_token_among_forged_ones_in_one_round_trip() {
    let faulty = Faulty::start(&otp::FOR_RACES[1..]).await;
    let latchkey = &faulty.latchkey;
    let user = latchkey.signed_up("keys-cookies").await;
    let other = latchkey.signed_up("keys-cookies-forger").await;
    for user in [&user, &other] {
        latchkey.mail_to(&user.email, 1, |_| true).await;
    }
    let mut cookies: Vec<String> = forgeries(&user.session, &other.session)
        .into_iter()
        .map(|(_, forged)| format!("_barong_session={forged}"))
        .filter(|cookie| cookie.is_ascii() && !cookie.contains(['"', ',']))
        // Not the unsigned ones, so that all fit into the headers of a request.
        .skip(8)
        .take(12)
        .collect();
    cookies.push(format!("_barong_session={}", user.session));
    faulty.heal();
    let me = latchkey.get(ME).header("cookie", cookies.join("; "));
    let answer = me.send().await;
    assert_eq!(
        (answer.status, &answer.json()["uid"]),
        (200, &json!(user.uid))
    );
    assert_eq!((reads(&faulty), faulty.calls("BatchGetItem")), (1, 1));
}

#[tokio::test]
async fn a_verifier_needs_neither_secrets_manager_nor_its_permission() {
    let faulty = Faulty::start(&otp::FOR_RACES[1..]).await;
    let latchkey = &faulty.latchkey;
    let user: User = latchkey.signed_up("keys-outage").await;
    latchkey.mail_to(&user.email, 1, |_| true).await;
    faulty.fail_always("GetSecretValue", Fault::Silence);
    for path in [ME, "/resource/sessions", "/resource/users/activity/all"] {
        assert_eq!(
            status_of(latchkey, path, &user.session).await,
            200,
            "{path}"
        );
    }
    latchkey.sign_out(&user.session).send().await.is_empty(204);
    assert_eq!(faulty.calls("GetSecretValue"), 0);
}

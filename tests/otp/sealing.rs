//! Storage of OTP secrets: encrypted under the data keys, or in plain text by earlier versions

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::harness::{
    Answer, Fault, Faulty, Item, Latchkey, PASSWORD, Request, User, all_at_once, latchkey, number,
    otp::{self, Authenticator, FOR_RACES},
    text,
};

/// The key version of a stored secret; `None` if it is plain.
fn version(item: &Item) -> Option<&str> {
    let stored = text(item, "otp_secret");
    let (version, _) = stored.strip_prefix("v1.")?.split_once('.')?;
    Some(version)
}

/// A confirmed user whose secret is in plain text.
async fn with_plain_secret(latchkey: &Latchkey, name: &str) -> User {
    let user = latchkey.confirmed(name).await;
    latchkey.set_otp_secret(&user, otp::SECRET).await;
    user
}

async fn item(latchkey: &Latchkey, user: &User) -> Item {
    latchkey.user_item(user).await
}

#[track_caller]
fn is_sealed(item: &Item) {
    assert_eq!(version(item), Some("1"), "{item:?}");
    assert!(!format!("{item:?}").contains(otp::SECRET));
}

fn reauthentication(latchkey: &Latchkey, user: &User, code: &str) -> Request {
    latchkey
        .post("/resource/sessions/current")
        .bearer(&user.session)
        .form(&[("password", PASSWORD), ("otp_code", code)])
}

#[tokio::test]
async fn a_plain_secret_is_sealed_by_the_next_sign_in_with_a_code() {
    let latchkey = latchkey().await;
    let user = with_plain_secret(latchkey, "sealing-sign-in").await;
    let step = otp::step();
    let signed_in = latchkey.sign_in_with(&user, &otp::code(step)).send().await;
    assert_eq!(signed_in.status, 201, "{signed_in:?}");
    let sealed = item(latchkey, &user).await;
    is_sealed(&sealed);
    assert_eq!(number(&sealed, "otp_last_step"), step);
    // The sealed secret is the same one, and it is not sealed again.
    let code = otp::code(step + 1);
    let again = latchkey.sign_in_with(&user, &code).send().await;
    assert_eq!(again.status, 201, "{again:?}");
    assert_eq!(
        text(&item(latchkey, &user).await, "otp_secret"),
        text(&sealed, "otp_secret")
    );
}

#[tokio::test]
async fn a_refused_sign_in_does_not_change_a_plain_secret() {
    let latchkey = latchkey().await;
    let user = with_plain_secret(latchkey, "sealing-refused").await;
    for code in [otp::wrong_code().as_str(), "ABCDE-FGH23", "no code"] {
        latchkey
            .sign_in_with(&user, code)
            .send()
            .await
            .is_refused(403, &["identity.session.invalid_otp"]);
        assert_eq!(
            text(&item(latchkey, &user).await, "otp_secret"),
            otp::SECRET
        );
    }
}

#[tokio::test]
async fn a_plain_secret_is_sealed_by_every_operation_that_uses_a_code_of_it() {
    let latchkey = latchkey().await;
    for operation in ["verify", "recovery_codes", "reauthenticate"] {
        let user = with_plain_secret(latchkey, &format!("sealing-{operation}")).await;
        let code = otp::code(otp::step());
        let request = match operation {
            "reauthenticate" => reauthentication(latchkey, &user, &code),
            operation => latchkey.otp(operation, &user.session, &code),
        };
        let answer = request.send().await;
        assert_eq!(answer.status, 201, "{operation}: {answer:?}");
        is_sealed(&item(latchkey, &user).await);
    }
    let user = with_plain_secret(latchkey, "sealing-disable").await;
    let code = otp::code(otp::step());
    let answer = latchkey.otp("disable", &user.session, &code).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(!item(latchkey, &user).await.contains_key("otp_secret"));
}

#[tokio::test]
async fn a_plain_pending_secret_can_be_enabled_and_is_sealed() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("sealing-pending").await;
    latchkey
        .edit_user(&user, |item| {
            let secret = AttributeValue::S(otp::SECRET.to_owned());
            item.insert("otp_pending_secret".to_owned(), secret);
        })
        .await;
    let code = otp::code(otp::step());
    let answer = latchkey.otp("enable", &user.session, &code).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let enabled = item(latchkey, &user).await;
    is_sealed(&enabled);
    assert!(!enabled.contains_key("otp_pending_secret"));
}

#[tokio::test]
async fn a_sealed_secret_works_for_its_user_and_its_field_only() {
    let latchkey = Latchkey::start(&FOR_RACES).await;
    let (owner, _) = latchkey.enrolled("sealing-owner").await;
    let thief = latchkey.confirmed("sealing-thief").await;
    let secret = item(&latchkey, &owner).await["otp_secret"].clone();
    for field in ["otp_secret", "otp_pending_secret"] {
        latchkey
            .edit_user(&thief, |item| {
                item.remove("otp_secret");
                item.insert(field.to_owned(), secret.clone());
            })
            .await;
        let operation = if field == "otp_secret" {
            "verify"
        } else {
            "enable"
        };
        let request = latchkey.otp(operation, &thief.session, "123456");
        latchkey
            .refuses(&thief, request, 500, &["server.internal_error"])
            .await;
        let cause = format!("{field} of {}", thief.uid);
        latchkey.log_with(1, &cause).await;
    }
}

/// The data secret with a further key, which becomes the current one.
fn rotated(mut secret: Value, version: &str) -> Value {
    secret[version] = json!(version.repeat(64));
    secret["current"] = json!(version);
    secret
}

#[tokio::test]
async fn secrets_under_an_earlier_key_are_served_after_a_rotation() {
    let latchkey = Latchkey::start(&FOR_RACES).await;
    let (user, authenticator) = latchkey.enrolled("sealing-rotation").await;
    assert_eq!(version(&item(&latchkey, &user).await), Some("1"));
    latchkey
        .put_data_secret(&rotated(latchkey.data_secret().await, "2"))
        .await;
    // An instance that starts after the rotation has both keys.
    let code = authenticator.code();
    let signed_in = latchkey.sign_in_with(&user, &code).send().await;
    assert_eq!(signed_in.status, 201, "{signed_in:?}");
    assert_eq!(version(&item(&latchkey, &user).await), Some("1"));

    // The running instances fetch the new key when they find a value under it.
    let reseal = json!({ "action": "reseal", "apply": true });
    let answer = latchkey.invoke("ManageUsersFunction", reseal).await;
    assert_eq!(answer.unwrap()["versions"], json!({ "2": 1 }));
    assert_eq!(version(&item(&latchkey, &user).await), Some("2"));
    let next = otp::code_of(&authenticator.secret, otp::step() + 1);
    let verified = latchkey.otp("verify", &user.session, &next).send().await;
    assert_eq!(verified.status, 201, "{verified:?}");
}

#[tokio::test]
async fn an_instance_from_before_a_rotation_opens_values_under_the_new_key() {
    let latchkey = Latchkey::start(&FOR_RACES).await;
    let (user, authenticator) = latchkey.enrolled("sealing-instance").await;
    // Starts the instance, with the first key only.
    let verify = |code: &str| latchkey.otp("verify", &user.session, code);
    assert_eq!(verify(&authenticator.code()).send().await.status, 201);
    latchkey
        .put_data_secret(&rotated(latchkey.data_secret().await, "2"))
        .await;
    let reseal = json!({ "action": "reseal", "apply": true });
    latchkey
        .invoke("ManageUsersFunction", reseal)
        .await
        .unwrap();
    assert_eq!(version(&item(&latchkey, &user).await), Some("2"));
    let next = otp::code_of(&authenticator.secret, otp::step() + 1);
    let verified = verify(&next).send().await;
    assert_eq!(verified.status, 201, "{verified:?}");
}

#[tokio::test]
async fn a_removed_key_is_named_in_the_log_and_loses_no_secret() {
    let latchkey = Latchkey::start(&FOR_RACES).await;
    let first = latchkey.data_secret().await;
    let second = rotated(first.clone(), "2");
    latchkey.put_data_secret(&second).await;
    let (user, authenticator) = latchkey.enrolled("sealing-removed").await;
    assert_eq!(version(&item(&latchkey, &user).await), Some("2"));
    latchkey.put_data_secret(&first).await;
    let code = authenticator.code();
    latchkey
        .refuses(
            &user,
            latchkey.sign_in_with(&user, &code),
            500,
            &["server.internal_error"],
        )
        .await;
    let log = latchkey.log_with(1, "no key version").await;
    assert!(
        log.iter()
            .any(|line| line.contains(&user.uid) && line.contains(r#"\"2\""#)),
        "{log:#?}"
    );
    // An instance that starts after the operator restored the key.
    latchkey.put_data_secret(&second).await;
    let reauthenticated = reauthentication(&latchkey, &user, &code).send().await;
    assert_eq!(reauthenticated.status, 201, "{reauthenticated:?}");
}

#[track_caller]
fn is_unavailable(answer: &Answer) {
    answer.is_refused(503, &["server.unavailable"]);
}

#[tokio::test]
async fn without_the_data_secret_only_sealed_secrets_are_unavailable() {
    let faulty = Faulty::start(&FOR_RACES).await;
    let latchkey = &faulty.latchkey;
    let (user, authenticator) = latchkey.enrolled("sealing-down").await;
    let plain = with_plain_secret(latchkey, "sealing-down-plain").await;
    let without = latchkey.confirmed("sealing-down-without").await;
    faulty.fail_secret("DataSecret");

    // Instances of these operations start now.
    latchkey.signed_in(&without).await;
    latchkey
        .sign_in(&user.email, PASSWORD)
        .send()
        .await
        .is_refused(401, &["identity.session.missing_otp"]);
    let code = authenticator.code();
    let before = latchkey.items_of(&user).await;
    is_unavailable(&latchkey.sign_in_with(&user, &code).send().await);
    is_unavailable(&latchkey.otp("verify", &user.session, &code).send().await);
    is_unavailable(&reauthentication(latchkey, &user, &code).send().await);
    assert_eq!(latchkey.items_of(&user).await, before, "nothing is opened");
    // A recovery code needs no key, and a plain secret stays plain.
    let recovery_code = &authenticator.recovery_codes[0];
    let recovered = latchkey.sign_in_with(&user, recovery_code).send().await;
    assert_eq!(recovered.status, 201, "{recovered:?}");
    let signed_in = latchkey
        .sign_in_with(&plain, &otp::code(otp::step()))
        .send()
        .await;
    assert_eq!(signed_in.status, 201, "{signed_in:?}");
    assert_eq!(
        text(&item(latchkey, &plain).await, "otp_secret"),
        otp::SECRET
    );

    faulty.heal();
    let signed_in = latchkey.sign_in_with(&user, &code).send().await;
    assert_eq!(signed_in.status, 201, "{signed_in:?}");
}

#[tokio::test]
async fn a_retried_sign_in_seals_the_secret_once() {
    let faulty = Faulty::start(&FOR_RACES[1..]).await;
    let latchkey = &faulty.latchkey;
    let user = with_plain_secret(latchkey, "sealing-lost").await;
    faulty.fail("TransactWriteItems", 1, Fault::AnswerLost);
    let step = otp::step();
    let signed_in = latchkey.sign_in_with(&user, &otp::code(step)).send().await;
    assert_eq!(signed_in.status, 201, "{signed_in:?}");
    assert_eq!(faulty.calls("TransactWriteItems"), 2);
    is_sealed(&item(latchkey, &user).await);
    let next = otp::code(step + 1);
    assert_eq!(latchkey.sign_in_with(&user, &next).send().await.status, 201);
}

#[tokio::test]
async fn a_retried_activation_stores_the_secret_once() {
    let faulty = Faulty::start(&FOR_RACES[1..]).await;
    let latchkey = &faulty.latchkey;
    let user = latchkey.confirmed("sealing-lost-enable").await;
    let secret = latchkey.generated_secret(&user).await;
    faulty.fail("TransactWriteItems", 1, Fault::AnswerLost);
    let step = otp::step();
    let enabled = latchkey
        .otp("enable", &user.session, &otp::code_of(&secret, step))
        .send()
        .await;
    assert_eq!(otp::recovery_codes(&enabled).len(), 10);
    assert_eq!(faulty.calls("TransactWriteItems"), 2);
    let next = otp::code_of(&secret, step + 1);
    let signed_in = latchkey.sign_in_with(&user, &next).send().await;
    assert_eq!(signed_in.status, 201, "{signed_in:?}");
}

#[tokio::test]
async fn sealing_during_sixteen_concurrent_requests_revives_no_disabled_secret() {
    let latchkey = Latchkey::start(&FOR_RACES).await;
    let (user, authenticator) = latchkey.enrolled("sealing-race").await;
    let Authenticator {
        secret,
        recovery_codes,
    } = &authenticator;
    latchkey.set_otp_secret(&user, secret).await;
    let code = authenticator.code();
    let requests = (0..16).map(|index| {
        if index % 2 == 0 {
            latchkey.sign_in_with(&user, &code)
        } else {
            latchkey.otp("disable", &user.session, &recovery_codes[index / 2])
        }
    });
    let statuses: Vec<u16> = all_at_once(requests)
        .await
        .iter()
        .map(|answer| answer.status)
        .collect();
    let succeeded = |parity: usize| {
        let own = statuses.iter().skip(parity).step_by(2);
        own.filter(|&&status| status < 300).count()
    };
    let stored = item(&latchkey, &user).await;
    assert!(succeeded(1) <= 1, "{statuses:?}");
    if succeeded(1) == 1 {
        assert!(!stored.contains_key("otp_secret"), "{statuses:?}");
    } else {
        assert_eq!(version(&stored), Some("1"), "{statuses:?}");
        assert_eq!(succeeded(0), 1, "{statuses:?}");
    }
}

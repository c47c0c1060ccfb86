//! `POST /identity/sessions/passkey`

use aws_sdk_dynamodb::types::AttributeValue;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use shared::{
    platform::clock::Timestamp,
    tokens::{ceremony::CeremonyOptions, signed_token::SigningKeys},
};

use crate::harness::{
    Latchkey, PASSWORD, Request, USER_NAMES, User, all_at_once, claims, forgeries, latchkey, now,
    number, otp,
    passkeys::{Algorithm, Authenticator},
};

const PATH: &str = "/identity/sessions/passkey";
const REFUSED: &[&str] = &["identity.session.invalid_params"];
const USED: &[&str] = &["identity.user.utilized_token"];

/// A change of an authenticator.
type Change = dyn Fn(&mut Authenticator);

fn request(latchkey: &Latchkey, credential: &Value, state: &str) -> Request {
    latchkey
        .post(PATH)
        .json(&json!({ "credential": credential, "state": state }))
}

/// The client data of a credential with another member.
fn with_client_data(credential: &Value, name: &str, value: &Value) -> Value {
    let mut changed = credential.clone();
    let text = &mut changed["response"]["clientDataJSON"];
    let bytes = BASE64URL_NOPAD
        .decode(text.as_str().unwrap().as_bytes())
        .unwrap();
    let mut data: Value = serde_json::from_slice(&bytes).unwrap();
    data[name] = value.clone();
    *text = json!(BASE64URL_NOPAD.encode(data.to_string().as_bytes()));
    changed
}

/// The credential with another value at this JSON pointer.
fn with(credential: &Value, pointer: &str, value: Value) -> Value {
    let mut changed = credential.clone();
    *changed.pointer_mut(pointer).unwrap() = value;
    changed
}

/// The base64url text at this pointer, decoded, changed and encoded.
fn with_bytes(credential: &Value, pointer: &str, change: impl FnOnce(&mut Vec<u8>)) -> Value {
    let text = credential.pointer(pointer).unwrap().as_str().unwrap();
    let mut bytes = BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
    change(&mut bytes);
    with(credential, pointer, json!(BASE64URL_NOPAD.encode(&bytes)))
}

#[tokio::test]
async fn a_passkey_opens_a_session_like_a_password() {
    let latchkey = latchkey().await;
    let (user, mut authenticator) = latchkey.with_passkey("passkey").await;
    let answer = latchkey
        .sign_in_with_passkey(&mut authenticator)
        .await
        .send()
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.has_names(&USER_NAMES);
    let signed_in = User::from_answer(&answer, PASSWORD);
    assert_eq!(signed_in.uid, user.uid);
    assert!(!answer.device_cookie().is_empty());
    latchkey.use_session(&user, &signed_in.session).await;
    let item = latchkey.passkey_item(&user).await;
    assert_eq!(number(&item, "sign_count"), 2);
    assert!(item.contains_key("last_used_at"));
    let activities = latchkey.activities(&user).await;
    assert!(activities.contains(&"login::passkey succeed".to_owned()));
    // The passkey counts as a second factor on this device.
    assert_eq!(claims(&answer.device_cookie())["device"]["otp"], true);
}

#[tokio::test]
async fn every_algorithm_and_a_credential_in_a_form_are_accepted() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("passkey-algorithms").await;
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
        let mut authenticator = latchkey.authenticator();
        authenticator.algorithm = algorithm;
        latchkey.add_passkey(&user, &mut authenticator).await;
        let signed_in = latchkey.sign_in_with_passkey(&mut authenticator).await;
        assert_eq!(signed_in.send().await.status, 201, "{algorithm:?}");
        let ceremony = latchkey.passkey_request().await;
        let credential = authenticator.sign_in(&ceremony.options).to_string();
        let fields = [
            ("credential", credential.as_str()),
            ("state", &ceremony.state),
        ];
        let form = latchkey.post(PATH).form(&fields).send().await;
        assert_eq!(form.status, 201, "{algorithm:?}");
    }
}

#[tokio::test]
async fn a_passkey_satisfies_the_second_factor() {
    let latchkey = latchkey().await;
    let (user, _) = latchkey.enrolled("passkey-otp").await;
    let mut authenticator = Authenticator::synchronised(&latchkey.domain());
    latchkey.add_passkey(&user, &mut authenticator).await;
    let answer = latchkey
        .sign_in_with_passkey(&mut authenticator)
        .await
        .send()
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.json()["otp"], true);
    // A counter that is always 0.
    let again = latchkey.sign_in_with_passkey(&mut authenticator).await;
    assert_eq!(again.send().await.status, 201);
}

#[tokio::test]
async fn a_session_that_is_not_remembered_has_no_device_cookie() {
    let latchkey = latchkey().await;
    let (_, mut authenticator) = latchkey.with_passkey("passkey-forget").await;
    let ceremony = latchkey.passkey_request().await;
    let credential = authenticator.sign_in(&ceremony.options);
    let mut body = ceremony.body(&credential);
    body["remember"] = json!(false);
    let answer = latchkey.post(PATH).json(&body).send().await;
    assert_eq!(answer.status, 201);
    let cookies = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "set-cookie");
    let cookies: Vec<_> = cookies.map(|(_, cookie)| cookie.as_str()).collect();
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    assert!(!cookies[0].contains("Max-Age"), "{cookies:?}");
    let mut body = latchkey.passkey_request().await.body(&credential);
    body["remember"] = json!("perhaps");
    latchkey
        .post(PATH)
        .json(&body)
        .send()
        .await
        .is_refused(422, &["identity.session.invalid_remember"]);
}

#[tokio::test]
async fn missing_and_empty_parameters_are_rejected() {
    let latchkey = latchkey().await;
    for (body, keys) in [
        (
            json!({}),
            &[
                "identity.session.missing_credential",
                "identity.session.missing_state",
            ][..],
        ),
        (
            json!({ "credential": " ", "state": "" }),
            &[
                "identity.session.empty_credential",
                "identity.session.empty_state",
            ],
        ),
        (
            json!({ "credential": {}, "state": null }),
            &["identity.session.missing_state"],
        ),
        (
            json!({ "credential": null, "state": "x" }),
            &["identity.session.missing_credential"],
        ),
    ] {
        latchkey
            .post(PATH)
            .json(&body)
            .send()
            .await
            .is_refused(400, keys);
    }
    let long = json!({ "credential": {}, "state": "x".repeat(4097) });
    latchkey
        .post(PATH)
        .json(&long)
        .send()
        .await
        .is_refused(422, &["identity.session.too_long_state"]);
}

#[tokio::test]
async fn a_state_that_is_forged_expired_or_of_another_operation_is_rejected() {
    let latchkey = latchkey().await;
    let (user, mut authenticator) = latchkey.with_passkey("passkey-state").await;
    let keys = SigningKeys::from_secrets(&latchkey.token_secret().await, None).unwrap();
    let begun = |seconds_ago| {
        let begun_at = Timestamp::from_seconds(now() - seconds_ago);
        CeremonyOptions::of_sign_in(&keys, begun_at).unwrap()
    };
    let options = |ceremony: &CeremonyOptions| json!({ "challenge": ceremony.challenge, "rpId": "localhost" });
    let expired = begun(301);
    let credential = authenticator.sign_in(&options(&expired));
    let registration = latchkey.passkey_creation(&user).await.state;
    let others = [
        "token".to_owned(),
        expired.state.clone(),
        registration,
        user.session.clone(),
        latchkey.reset_token(&user).await,
    ];
    let genuine = latchkey.passkey_request().await.state;
    let forged = forgeries(&genuine, &begun(0).state).into_iter();
    // All states of sign-ins have the same uid.
    let forged = forged
        .map(|(_, token)| token)
        .filter(|token| *token != genuine);
    for state in others.into_iter().chain(forged) {
        let request = request(latchkey, &credential, &state);
        latchkey
            .refuses(&user, request, 422, &["jwt.decode_and_verify"])
            .await;
    }
    let live = begun(200);
    let credential = authenticator.sign_in(&options(&live));
    let answer = request(latchkey, &credential, &live.state).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[tokio::test]
async fn every_wrong_credential_gets_one_response_and_does_not_use_up_the_state() {
    let latchkey = latchkey().await;
    let (user, mut authenticator) = latchkey.with_passkey("passkey-wrong").await;
    let (other, mut stranger) = latchkey.with_passkey("passkey-stranger").await;
    let ceremony = latchkey.passkey_request().await;
    let options = &ceremony.options;
    let credential = authenticator.sign_in(options);
    let of_stranger = stranger.sign_in(options);
    let signed_by = |authenticator: &Authenticator, change: &dyn Fn(&mut Authenticator)| {
        let mut changed = authenticator.clone();
        change(&mut changed);
        changed.sign_in(options)
    };
    let other_challenge = latchkey.passkey_request().await.options["challenge"].clone();
    let mut unknown = latchkey.authenticator();
    unknown.credentials = authenticator.credentials.clone();
    unknown.credentials[0].id = vec![7; 32];
    let mut cases = vec![
        ("empty", json!({})),
        ("no JSON", json!("{")),
        (
            "another type",
            with(&credential, "/type", json!("password")),
        ),
        (
            "rawId unlike id",
            with(&credential, "/rawId", json!("AAAA")),
        ),
        ("padded id", with(&credential, "/id", json!("AAA="))),
        (
            "no user handle",
            with(&credential, "/response/userHandle", Value::Null),
        ),
        (
            "user handle of another user",
            with(
                &credential,
                "/response/userHandle",
                of_stranger["response"]["userHandle"].clone(),
            ),
        ),
        (
            "user handle that is no uid",
            with(&credential, "/response/userHandle", json!("AAAA")),
        ),
        ("unknown credential", unknown.sign_in(options)),
        (
            "wrong signature",
            with_bytes(&credential, "/response/signature", |bytes| {
                *bytes.last_mut().unwrap() ^= 1;
            }),
        ),
        (
            "signature of another credential",
            with(
                &credential,
                "/response/signature",
                of_stranger["response"]["signature"].clone(),
            ),
        ),
        (
            "trailing bytes",
            with_bytes(&credential, "/response/authenticatorData", |bytes| {
                bytes.push(0);
            }),
        ),
        (
            "counter changed after the signature",
            with_bytes(&credential, "/response/authenticatorData", |bytes| {
                bytes[36] += 1;
            }),
        ),
        (
            "client data of a registration",
            with_client_data(&credential, "type", &json!("webauthn.create")),
        ),
        (
            "another challenge",
            with_client_data(&credential, "challenge", &other_challenge),
        ),
    ];
    let changes: [(&str, &Change); 7] = [
        ("no user verification", &|it| it.user_verified = false),
        ("no user presence", &|it| it.user_present = false),
        ("another origin", &|it| {
            it.origin = "https://evil.example".to_owned();
        }),
        ("the origin with another port", &|it| {
            it.origin = "http://localhost:1".to_owned();
        }),
        ("an iframe of another site", &|it| it.cross_origin = true),
        ("backed up without being eligible", &|it| {
            it.backed_up = true;
        }),
        ("another eligibility for backup", &|it| {
            it.backup_eligible = true;
        }),
    ];
    for (name, change) in changes {
        cases.push((name, signed_by(&authenticator, change)));
    }
    let mut other_rp = authenticator.clone();
    other_rp.credentials[0].rp_id = "example.com".to_owned();
    cases.push(("another RP ID", other_rp.sign_in_with(0, options)));
    let refused = request(latchkey, &json!({}), &ceremony.state).send().await;
    refused.is_refused(404, REFUSED);
    let before = latchkey.items_of(&user).await;
    let passkey = latchkey.passkey_item(&user).await;
    for (name, wrong) in cases {
        let answer = request(latchkey, &wrong, &ceremony.state).send().await;
        answer.is_refused(404, REFUSED);
        assert_eq!(
            answer.comparable(),
            refused.clone().comparable(),
            "{name} differs"
        );
    }
    assert_eq!(latchkey.items_of(&user).await, before);
    assert_eq!(latchkey.passkey_item(&user).await, passkey);
    assert!(latchkey.session_ids(&other).await.len() == 1);
    let answer = request(latchkey, &credential, &ceremony.state).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[tokio::test]
async fn a_wrong_signature_is_recorded_and_counts_for_nothing() {
    let latchkey = Latchkey::start(&[("IDENTITY_SIGN_IN_FREE_ATTEMPTS", "1")]).await;
    let (user, mut authenticator) = latchkey.with_passkey("passkey-uncounted").await;
    authenticator.user_verified = false;
    for _ in 0..12 {
        let wrong = latchkey.sign_in_with_passkey(&mut authenticator).await;
        wrong.send().await.is_refused(404, REFUSED);
    }
    let activities = latchkey.activities(&user).await;
    let failed = "login::passkey failed".to_owned();
    assert_eq!(activities.iter().filter(|one| **one == failed).count(), 12);
    assert_eq!(latchkey.failures(&user.email).await, 0);
    assert_eq!(
        latchkey.sign_in(&user.email, PASSWORD).send().await.status,
        201
    );
    // Nor does the back-off after wrong passwords concern a passkey.
    for _ in 0..3 {
        latchkey
            .sign_in(&user.email, "Wrong-Horse-7-Battery")
            .send()
            .await;
    }
    let limited = latchkey.sign_in(&user.email, PASSWORD).send().await;
    limited.is_refused(429, &["request.too_many_attempts"]);
    authenticator.user_verified = true;
    let signed_in = latchkey.sign_in_with_passkey(&mut authenticator).await;
    assert_eq!(signed_in.send().await.status, 201);
}

#[tokio::test]
async fn the_state_of_the_account_is_disclosed_after_a_valid_signature_only() {
    let latchkey = latchkey().await;
    for (state, key) in [
        ("banned", "identity.session.banned"),
        ("deleted", "identity.session.deleted"),
        ("locked", "identity.session.not_active"),
    ] {
        let (user, mut authenticator) = latchkey.with_passkey(&format!("passkey-{state}")).await;
        latchkey.set_state(&user, state).await;
        authenticator.user_verified = false;
        let wrong = latchkey.sign_in_with_passkey(&mut authenticator).await;
        latchkey.refuses(&user, wrong, 404, REFUSED).await;
        authenticator.user_verified = true;
        let right = latchkey.sign_in_with_passkey(&mut authenticator).await;
        latchkey.refuses(&user, right, 401, &[key]).await;
        let failed = "login::passkey failed".to_owned();
        let activities = latchkey.activities(&user).await;
        assert_eq!(activities.iter().filter(|one| **one == failed).count(), 2);
    }
}

#[tokio::test]
async fn of_sixteen_requests_with_one_state_one_opens_a_session() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("passkey-race").await;
    let mut authenticator = Authenticator::synchronised(&latchkey.domain());
    latchkey.add_passkey(&user, &mut authenticator).await;
    let before = latchkey.session_ids(&user).await.len();
    let ceremony = latchkey.passkey_request().await;
    let credential = authenticator.sign_in(&ceremony.options);
    let requests = (0..16).map(|_| request(latchkey, &credential, &ceremony.state));
    let answers = all_at_once(requests).await;
    let (opened, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(opened.len(), 1);
    for answer in refused {
        answer.is_refused(422, USED);
    }
    assert_eq!(latchkey.session_ids(&user).await.len(), before + 1);
}

#[tokio::test]
async fn a_passkey_that_the_user_does_not_list_is_unknown() {
    let latchkey = latchkey().await;
    let (user, mut authenticator) = latchkey.with_passkey("passkey-dead").await;
    latchkey
        .edit_user(&user, |item| drop(item.remove("passkeys")))
        .await;
    let dead = latchkey.sign_in_with_passkey(&mut authenticator).await;
    latchkey.refuses(&user, dead, 404, REFUSED).await;
}

#[tokio::test]
async fn a_user_who_moved_to_another_address_signs_in() {
    let latchkey = latchkey().await;
    let (user, mut authenticator) = latchkey.with_passkey("passkey-moved").await;
    let requested = latchkey
        .change_email(&user, "passkey-moved-new@example.com")
        .send()
        .await;
    requested.is_empty(201);
    let mail = latchkey
        .mail_to("passkey-moved-new@example.com", 1, |mail| {
            mail.email_change_token().is_some()
        })
        .await;
    let token = mail.email_change_token().unwrap();
    let confirmed = latchkey.confirm_email_change(&user, token).send().await;
    assert_eq!(confirmed.status, 201, "{confirmed:?}");
    let signed_in = latchkey
        .sign_in_with_passkey(&mut authenticator)
        .await
        .send()
        .await;
    assert_eq!(signed_in.status, 201, "{signed_in:?}");
    assert_eq!(signed_in.json()["email"], "passkey-moved-new@example.com");
}

#[tokio::test]
async fn a_state_signed_before_a_rotation_of_the_token_secret_is_accepted_afterwards() {
    let latchkey = Latchkey::start(&[]).await;
    let (_, mut authenticator) = latchkey.with_passkey("passkey-rotation").await;
    let ceremony = latchkey.passkey_request().await;
    latchkey.put_secret("TokenSecret", &"1".repeat(64)).await;
    // The first instance of the function starts now, with the new version.
    let credential = authenticator.sign_in(&ceremony.options);
    let answer = request(&latchkey, &credential, &ceremony.state)
        .send()
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[tokio::test]
async fn a_related_origin_is_accepted_if_it_is_configured() {
    let latchkey = Latchkey::start(&[(
        "IDENTITY_PASSKEY_ORIGINS",
        "https://app.example,https://example.co.uk",
    )])
    .await;
    let user = latchkey.confirmed("passkey-related").await;
    let mut authenticator = Authenticator::new("https://example.co.uk");
    latchkey.add_passkey(&user, &mut authenticator).await;
    for origin in ["https://example.co.uk", "https://app.example"] {
        origin.clone_into(&mut authenticator.origin);
        let signed_in = latchkey.sign_in_with_passkey(&mut authenticator).await;
        assert_eq!(signed_in.send().await.status, 201, "{origin}");
    }
    authenticator.origin = latchkey.domain();
    let refused = latchkey.sign_in_with_passkey(&mut authenticator).await;
    latchkey.refuses(&user, refused, 404, REFUSED).await;
}

/// Makes a further notice of a sign-in due.
async fn wait_an_hour(latchkey: &Latchkey, user: &User) {
    latchkey
        .edit_user(user, |item| {
            item.insert(
                "sign_in_notice_at".to_owned(),
                AttributeValue::N("0".to_owned()),
            );
        })
        .await;
}

#[tokio::test]
async fn a_sign_in_takes_three_round_trips_and_an_unknown_credential_as_many() {
    let latchkey = Latchkey::start(&[("IDENTITY_SIGN_IN_NOTICE", "on")]).await;
    let (user, mut authenticator) = latchkey.with_passkey("passkey-trips").await;
    // The first request of an instance also waits for the publication of the keys.
    let cold = latchkey.sign_in_with_passkey(&mut authenticator).await;
    assert_eq!(cold.send().await.status, 201);
    wait_an_hour(&latchkey, &user).await;
    let signed_in = latchkey
        .sign_in_with_passkey(&mut authenticator)
        .await
        .send()
        .await;
    assert_eq!(signed_in.status, 201);
    let kinds = latchkey.kinds_of_mails(&user).await;
    assert_eq!(
        kinds.iter().filter(|kind| *kind == "new_sign_in").count(),
        2
    );
    let mut unknown = authenticator.clone();
    unknown.credentials[0].id = vec![7; 32];
    let refused = latchkey.sign_in_with_passkey(&mut unknown).await;
    refused.send().await.is_refused(404, REFUSED);
    authenticator.user_verified = false;
    let refused = latchkey.sign_in_with_passkey(&mut authenticator).await;
    refused.send().await.is_refused(404, REFUSED);
    let lines = latchkey.invocations("passkey-sign-in", "answered", 4).await;
    let trips: Vec<_> = lines[1..]
        .iter()
        .map(|line| line["round_trips"].clone())
        .collect();
    assert_eq!(trips, [json!(3), json!(3), json!(3)]);
}

#[tokio::test]
async fn a_known_device_gets_no_notice() {
    let latchkey = Latchkey::start(&[("IDENTITY_SIGN_IN_NOTICE", "on")]).await;
    let (user, mut authenticator) = latchkey.with_passkey("passkey-known").await;
    let device = latchkey
        .sign_in_with_passkey(&mut authenticator)
        .await
        .send()
        .await
        .device_cookie();
    let notices = async || {
        let kinds = latchkey.kinds_of_mails(&user).await;
        kinds.iter().filter(|kind| *kind == "new_sign_in").count()
    };
    assert_eq!(notices().await, 1);
    wait_an_hour(&latchkey, &user).await;
    let known = latchkey.sign_in_with_passkey(&mut authenticator).await;
    assert_eq!(known.device(&device).send().await.status, 201);
    assert_eq!(notices().await, 1);
    let unknown = latchkey.sign_in_with_passkey(&mut authenticator).await;
    assert_eq!(unknown.send().await.status, 201);
    assert_eq!(notices().await, 2);
}

#[tokio::test]
async fn the_code_of_the_second_factor_stays_unused() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("passkey-otp-unused").await;
    let mut authenticator = latchkey.authenticator();
    latchkey.add_passkey(&user, &mut authenticator).await;
    latchkey.set_otp_secret(&user, otp::SECRET).await;
    let signed_in = latchkey.sign_in_with_passkey(&mut authenticator).await;
    assert_eq!(signed_in.send().await.status, 201);
    let fields = [
        ("email", user.email.as_str()),
        ("password", PASSWORD),
        ("otp_code", &otp::code(otp::step())),
    ];
    let answer = latchkey
        .post("/identity/sessions")
        .form(&fields)
        .send()
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

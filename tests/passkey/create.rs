//! `POST /resource/passkeys`

use aws_sdk_dynamodb::types::AttributeValue;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use shared::{
    platform::clock::Timestamp,
    tokens::{ceremony::CeremonyOptions, signed_token::SigningKeys},
};

use crate::harness::{
    Latchkey, Mail, User, all_at_once, forgeries, latchkey, now, only_changed,
    passkeys::{Algorithm, Authenticator, Ceremony},
    text,
};

const PATH: &str = "/resource/passkeys";
const INVALID: &[&str] = &["resource.passkey.invalid_credential"];
const USED: &[&str] = &["identity.user.utilized_token"];

/// A user, an authenticator with a new credential, and the ceremony in which it was created.
async fn registered(latchkey: &Latchkey, name: &str) -> (User, Authenticator, Ceremony, Value) {
    let user = latchkey.confirmed(name).await;
    let ceremony = latchkey.passkey_creation(&user).await;
    let mut authenticator = latchkey.authenticator();
    let credential = authenticator.register(&ceremony.options);
    (user, authenticator, ceremony, credential)
}

/// Asserts that each credential is refused, and that the right one is accepted afterwards with the
/// same state.
async fn refuses_all(name: &str, wrong: impl Fn(&Value, &Ceremony) -> Vec<(&'static str, Value)>) {
    let latchkey = latchkey().await;
    let (user, _, ceremony, credential) = registered(latchkey, name).await;
    for (what, wrong) in wrong(&credential, &ceremony) {
        println!("{what}");
        let request = latchkey.create_passkey(&user, &ceremony, &wrong);
        latchkey.refuses(&user, request, 422, INVALID).await;
    }
    assert!(latchkey.passkey_items(&user).await.is_empty());
    let failed = "add passkey failed".to_owned();
    assert!(latchkey.activities(&user).await.contains(&failed));
    let right = latchkey.create_passkey(&user, &ceremony, &credential);
    assert_eq!(right.send().await.status, 201);
}

#[tokio::test]
async fn a_passkey_is_stored_listed_recorded_and_reported() {
    let latchkey = latchkey().await;
    let (user, _, ceremony, credential) = registered(latchkey, "key-new").await;
    let before = latchkey.user_item(&user).await;
    let mut body = ceremony.body(&credential);
    body["name"] = json!("  My laptop \n");
    let answer = latchkey.by(&user, "POST", PATH).json(&body).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.has_names(&[
        "id",
        "name",
        "aaguid",
        "backed_up",
        "transports",
        "created_at",
        "last_used_at",
    ]);
    let passkey = answer.json();
    assert_eq!(passkey["id"], credential["id"]);
    assert_eq!(passkey["name"], "My laptop");
    assert_eq!(passkey["aaguid"], "00000000-0000-0000-0000-000000000000");
    assert_eq!(passkey["backed_up"], false);
    assert_eq!(passkey["transports"], json!(["internal", "hybrid"]));
    assert_eq!(passkey["last_used_at"], Value::Null);
    assert_eq!(latchkey.passkeys(&user).await, [passkey]);

    let after = latchkey.user_item(&user).await;
    only_changed(&before, &after, &["passkeys", "updated_at"]);
    let items = latchkey.passkey_items(&user).await;
    let hash = text(&items[0], "pk").strip_prefix("PASSKEY#").unwrap();
    assert_eq!(after["passkeys"], AttributeValue::Ss(vec![hash.to_owned()]));
    let activities = latchkey.activities(&user).await;
    assert_eq!(activities.last().unwrap(), "add passkey succeed");
    let topic = latchkey
        .by(&user, "GET", "/resource/users/activity/passkey")
        .send()
        .await;
    assert_eq!(topic.json()[0]["action"], "add passkey");
    let notice = latchkey.mail_to(&user.email, 1, Mail::is_notice).await;
    assert!(notice.subject.contains("passkey was added"), "{notice:?}");
    assert!(notice.text.contains("127.0.0.1"), "{notice:?}");
}

#[tokio::test]
async fn a_name_is_optional_and_a_blank_one_counts_as_absent() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-names").await;
    let longest = "ж".repeat(64);
    for (name, stored) in [
        (Value::Null, Value::Null),
        (json!("  "), Value::Null),
        (json!(7), json!("7")),
        (json!(format!(" {longest} ")), json!(longest)),
    ] {
        let mut authenticator = latchkey.authenticator();
        let ceremony = latchkey.passkey_creation(&user).await;
        let mut body = ceremony.body(&authenticator.register(&ceremony.options));
        body["name"] = name;
        let answer = latchkey.by(&user, "POST", PATH).json(&body).send().await;
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(answer.json()["name"], stored);
    }
}

#[tokio::test]
async fn a_name_of_more_than_64_characters_is_refused() {
    let latchkey = latchkey().await;
    let (user, _, ceremony, credential) = registered(latchkey, "key-long-name").await;
    let mut body = ceremony.body(&credential);
    body["name"] = json!("x".repeat(65));
    let request = latchkey.by(&user, "POST", PATH).json(&body);
    latchkey
        .refuses(&user, request, 422, &["name.too_long"])
        .await;
}

#[tokio::test]
async fn missing_and_blank_parameters_are_refused() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-missing").await;
    for (body, keys) in [
        (
            json!({}),
            &[
                "resource.passkey.missing_credential",
                "resource.passkey.missing_state",
            ][..],
        ),
        (
            json!({ "credential": " ", "state": "", "name": "x".repeat(65) }),
            &[
                "resource.passkey.empty_credential",
                "resource.passkey.empty_state",
            ],
        ),
        (
            json!({ "credential": {} }),
            &["resource.passkey.missing_state"],
        ),
    ] {
        let request = latchkey.by(&user, "POST", PATH).json(&body);
        latchkey.refuses(&user, request, 400, keys).await;
    }
    let body = json!({ "credential": [], "state": "state" });
    let request = latchkey.by(&user, "POST", PATH).json(&body);
    latchkey
        .refuses(&user, request, 400, &["request.malformed_body"])
        .await;
}

#[tokio::test]
async fn credentials_of_every_algorithm_and_length_are_accepted_as_object_and_as_text() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-kinds").await;
    let mut authenticator = Authenticator::synchronised(&latchkey.domain());
    for (algorithm, id_length) in [
        (Algorithm::Es256, 1023),
        (Algorithm::EdDsa, 16),
        (Algorithm::Rs256, 64),
    ] {
        authenticator.algorithm = algorithm;
        authenticator.id_length = id_length;
        // As if it were another authenticator.
        let mut another = authenticator.clone();
        let ceremony = latchkey.passkey_creation(&user).await;
        let credential = another.register(&ceremony.options).to_string();
        let fields = [
            ("credential", credential.as_str()),
            ("state", &ceremony.state),
        ];
        let answer = latchkey.by(&user, "POST", PATH).form(&fields).send().await;
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(answer.json()["backed_up"], true);
    }
    assert_eq!(latchkey.passkeys(&user).await.len(), 3);
}

#[tokio::test]
async fn malformed_credentials_are_refused() {
    refuses_all("key-malformed", |right, _| {
        let with = |pointer: &str, value: Value| {
            let mut changed = right.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            changed
        };
        let attestation = right.pointer("/response/attestationObject").unwrap();
        let attestation = attestation.as_str().unwrap();
        let mut longer = BASE64URL_NOPAD.decode(attestation.as_bytes()).unwrap();
        longer.push(0);
        vec![
            ("an empty object", json!({})),
            ("text that is not JSON", json!("{")),
            ("another type", with("/type", json!("password"))),
            ("no id", with("/id", Value::Null)),
            ("another raw id", with("/rawId", json!("AAAA"))),
            (
                "another id",
                json!({
                    "id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": right["response"],
                }),
            ),
            (
                "padding",
                with("/response/attestationObject", json!(format!("{attestation}="))),
            ),
            (
                "half an attestation object",
                with(
                    "/response/attestationObject",
                    json!(attestation[..attestation.len() / 2]),
                ),
            ),
            (
                "a byte after the attestation object",
                with(
                    "/response/attestationObject",
                    json!(BASE64URL_NOPAD.encode(&longer)),
                ),
            ),
            ("no client data", with("/response/clientDataJSON", json!(""))),
            (
                "seventeen transports",
                with("/response/transports", json!(vec!["usb"; 17])),
            ),
        ]
    })
    .await;
}

#[tokio::test]
async fn credentials_of_another_ceremony_site_or_user_verification_are_refused() {
    let latchkey = latchkey().await;
    let domain = latchkey.domain();
    let user = latchkey.confirmed("key-elsewhere").await;
    let ceremony = latchkey.passkey_creation(&user).await;
    let another = latchkey.passkey_creation(&user).await;
    let own = || Authenticator::new(&domain);
    let mut other_rp = ceremony.options.clone();
    other_rp["rp"]["id"] = json!("example.com");
    for (what, mut authenticator, options) in [
        (
            "another origin",
            Authenticator::new("https://evil.example"),
            &ceremony.options,
        ),
        (
            "a subdomain",
            Authenticator::new(&domain.replace("localhost", "a.localhost")),
            &ceremony.options,
        ),
        (
            "an iframe of another site",
            Authenticator {
                cross_origin: true,
                ..own()
            },
            &ceremony.options,
        ),
        (
            "no user",
            Authenticator {
                user_present: false,
                ..own()
            },
            &ceremony.options,
        ),
        (
            "no user verification",
            Authenticator {
                user_verified: false,
                ..own()
            },
            &ceremony.options,
        ),
        (
            "backed up, not eligible",
            Authenticator {
                backed_up: true,
                ..own()
            },
            &ceremony.options,
        ),
        ("another challenge", own(), &another.options),
        ("another RP ID", own(), &other_rp),
    ] {
        println!("{what}");
        let credential = authenticator.register(options);
        let request = latchkey.create_passkey(&user, &ceremony, &credential);
        latchkey.refuses(&user, request, 422, INVALID).await;
    }
    // The response to a sign-in is not a registration.
    let mut authenticator = latchkey.authenticator();
    latchkey.add_passkey(&user, &mut authenticator).await;
    let mut options = ceremony.options.clone();
    options["rpId"] = json!("localhost");
    let credential = authenticator.sign_in(&options);
    let request = latchkey.create_passkey(&user, &ceremony, &credential);
    latchkey.refuses(&user, request, 422, INVALID).await;
}

#[tokio::test]
async fn forged_expired_and_foreign_states_are_refused() {
    let latchkey = latchkey().await;
    let (user, mut authenticator, ceremony, credential) = registered(latchkey, "key-forged").await;
    let other = latchkey.confirmed("key-forged-other").await;
    let foreign = latchkey.passkey_creation(&other).await.state;
    let keys = SigningKeys::from_secrets(&latchkey.token_secret().await, None).unwrap();
    let stored: shared::domain::user::User = serde_json::from_value(json!({
        "uid": user.uid, "email": user.email, "password_hash": "", "state": "active",
        "role": "member", "level": 1, "session_epoch": 0, "created_at": 0, "updated_at": 0,
    }))
    .unwrap();
    let expired = Timestamp::from_seconds(now() - 301);
    let expired = CeremonyOptions::of_registration(&stored, &keys, expired).unwrap();
    let expired_credential = {
        let mut options = ceremony.options.clone();
        options["challenge"] = json!(expired.challenge);
        authenticator.credentials.clear();
        authenticator.register(&options)
    };
    let sign_in = latchkey.passkey_request().await.state;
    let mut states = forgeries(&ceremony.state, &foreign);
    states.push(("the state of another user".to_owned(), foreign));
    states.push(("the state of a sign-in".to_owned(), sign_in));
    states.push(("a session".to_owned(), user.session.clone()));
    let cases = states
        .into_iter()
        .map(|(what, state)| (what, state, &credential))
        .chain([("expired".to_owned(), expired.state, &expired_credential)]);
    for (what, state, credential) in cases {
        println!("{what}");
        let body = json!({ "credential": credential, "state": state });
        let request = latchkey.by(&user, "POST", PATH).json(&body);
        latchkey
            .refuses(&user, request, 422, &["jwt.decode_and_verify"])
            .await;
    }
    let right = latchkey.create_passkey(&user, &ceremony, &credential);
    assert_eq!(right.send().await.status, 201);
}

#[tokio::test]
async fn a_state_works_once_and_a_used_one_changes_nothing() {
    let latchkey = latchkey().await;
    let (user, mut authenticator, ceremony, credential) = registered(latchkey, "key-used").await;
    let first = latchkey.create_passkey(&user, &ceremony, &credential);
    assert_eq!(first.send().await.status, 201);
    let again = latchkey.create_passkey(&user, &ceremony, &credential);
    latchkey.refuses(&user, again, 422, USED).await;
    let second = authenticator.register(&ceremony.options);
    let request = latchkey.create_passkey(&user, &ceremony, &second);
    latchkey.refuses(&user, request, 422, USED).await;
    assert_eq!(latchkey.passkeys(&user).await.len(), 1);
}

#[tokio::test]
async fn a_credential_id_that_exists_is_taken_for_every_user() {
    let latchkey = latchkey().await;
    let (user, authenticator, ceremony, credential) = registered(latchkey, "key-taken").await;
    let first = latchkey.create_passkey(&user, &ceremony, &credential);
    assert_eq!(first.send().await.status, 201);
    let other = latchkey.confirmed("key-taken-other").await;
    for user in [&user, &other] {
        let ceremony = latchkey.passkey_creation(user).await;
        let same = authenticator.register_again(&ceremony.options);
        assert_eq!(same["id"], credential["id"]);
        let request = latchkey.create_passkey(user, &ceremony, &same);
        latchkey
            .refuses(user, request, 422, &["resource.passkey.taken"])
            .await;
    }
    // The passkey still belongs to its user, with its key.
    let mut authenticator = authenticator;
    let signed_in = latchkey.sign_in_with_passkey(&mut authenticator).await;
    let answer = signed_in.send().await;
    assert_eq!(answer.json()["uid"], json!(user.uid));
}

#[tokio::test]
async fn a_user_whose_address_is_no_longer_confirmed_is_refused() {
    let latchkey = latchkey().await;
    let (user, _, ceremony, credential) = registered(latchkey, "key-unconfirmed").await;
    latchkey.set_state(&user, "pending").await;
    let request = latchkey.create_passkey(&user, &ceremony, &credential);
    let keys = ["resource.passkey.email_not_confirmed"];
    latchkey.refuses(&user, request, 422, &keys).await;
    latchkey.set_state(&user, "active").await;
    let request = latchkey.create_passkey(&user, &ceremony, &credential);
    assert_eq!(request.send().await.status, 201);
}

#[tokio::test]
async fn a_recent_authentication_is_required_before_the_body_is_read() {
    let latchkey = latchkey().await;
    let (user, _, ceremony, credential) = registered(latchkey, "key-create-old").await;
    latchkey.age_authentication(&user, 901).await;
    let keys = ["authz.reauthentication_required"];
    let request = latchkey.create_passkey(&user, &ceremony, &credential);
    latchkey.refuses(&user, request, 401, &keys).await;
    let empty = latchkey.by(&user, "POST", PATH);
    latchkey.refuses(&user, empty, 401, &keys).await;
}

#[tokio::test]
async fn of_sixteen_concurrent_uses_of_a_state_exactly_one_adds_a_passkey() {
    let latchkey = latchkey().await;
    let (user, mut authenticator, ceremony, _) = registered(latchkey, "key-race").await;
    let requests = (0..16).map(|_| {
        let credential = authenticator.register(&ceremony.options);
        latchkey.create_passkey(&user, &ceremony, &credential)
    });
    let answers = all_at_once(requests.collect::<Vec<_>>()).await;
    let (added, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(added.len(), 1);
    for answer in refused {
        answer.is_refused(422, USED);
    }
    assert_eq!(latchkey.passkey_items(&user).await.len(), 1);
    assert_eq!(latchkey.passkeys(&user).await, [added[0].json()]);
}

//! `POST /identity/sessions` for users with an imported password hash

use aws_sdk_dynamodb::types::AttributeValue;

use crate::harness::{Latchkey, User, all_at_once, eventually, latchkey, only_changed, text};

/// Hashes of `Pass-123-word`, computed with libxcrypt.
const HASHES: [&str; 3] = [
    "$2a$10$abcdefghijklmnopqrstuun9caK.EKpJTvpbtkoEsTsMuUseQZ2cm",
    "$2b$11$abcdefghijklmnopqrstuuiSvvq/xE3sEoFFORMmfh7S0aF8NUP2.",
    "$2y$12$abcdefghijklmnopqrstuufF.TOAoyse7DicFBpdEeEP15MqPCi2y",
];
const PASSWORD: &str = "Pass-123-word";

/// A user with an imported hash.
async fn imported(latchkey: &Latchkey, name: &str, hash: &str) -> User {
    let user = latchkey.signed_up(name).await;
    let hash = AttributeValue::S(hash.to_owned());
    latchkey
        .edit_user(&user, |item| {
            drop(item.insert("password_hash".to_owned(), hash));
        })
        .await;
    User {
        password: PASSWORD.to_owned(),
        ..user
    }
}

async fn hash_of(latchkey: &Latchkey, user: &User) -> String {
    text(&latchkey.user_item(user).await, "password_hash").to_owned()
}

#[tokio::test]
async fn the_first_sign_in_replaces_a_bcrypt_hash() {
    let latchkey = latchkey().await;
    for (number, hash) in HASHES.iter().enumerate() {
        let user = imported(latchkey, &format!("imported-{number}"), hash).await;
        let before = latchkey.user_item(&user).await;
        latchkey.signed_in(&user).await;
        let after = latchkey.user_item(&user).await;
        let replaced = text(&after, "password_hash").to_owned();
        assert!(
            replaced.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{replaced}"
        );
        only_changed(&before, &after, &["password_hash"]);
        latchkey.signed_in(&user).await;
        assert_eq!(
            hash_of(latchkey, &user).await,
            replaced,
            "a current hash was replaced"
        );
    }
}

#[tokio::test]
async fn a_wrong_password_is_rejected_and_does_not_replace_the_hash() {
    let latchkey = latchkey().await;
    let user = imported(latchkey, "imported-wrong", HASHES[0]).await;
    let before = latchkey.user_item(&user).await;
    for wrong in [
        "Pass-123-Word",
        "Pass-123-word ",
        "Pass-123-wor",
        "Pass-123-word\0Pass-123-word",
    ] {
        latchkey
            .sign_in(&user.email, wrong)
            .send()
            .await
            .is_refused(404, &["identity.session.invalid_params"]);
    }
    assert_eq!(latchkey.user_item(&user).await, before);
    latchkey.signed_in(&user).await;
}

#[tokio::test]
async fn concurrent_sign_ins_succeed_and_leave_one_valid_hash() {
    let latchkey = latchkey().await;
    let user = imported(latchkey, "imported-race", HASHES[1]).await;
    let answers = all_at_once((0..4).map(|_| latchkey.sign_in(&user.email, PASSWORD))).await;
    assert!(
        answers.iter().all(|answer| answer.status == 201),
        "{answers:?}"
    );
    assert!(hash_of(latchkey, &user).await.starts_with("$argon2id$"));
    latchkey.signed_in(&user).await;
}

/// The number of hashes that each of the sign-ins computed, in the order of their requests.
async fn hashes_of(latchkey: &Latchkey, sign_ins: &[(&str, &str, u16)]) -> Vec<usize> {
    let mut counts = Vec::new();
    for (number, (email, password, status)) in sign_ins.iter().enumerate() {
        let answer = latchkey.sign_in(email, password).send().await;
        assert_eq!(answer.status, *status, "{answer:?}");
        let answered = latchkey
            .invocations("session-create", "answered", number + 1)
            .await;
        let request = &answered.last().unwrap()["request_id"];
        counts.push(
            eventually("the hashes of the sign-in", || async {
                latchkey
                    .json_lines()
                    .iter()
                    .filter(|line| line["request_id"] == *request)
                    .find_map(|line| line["HashTime"].as_array().map(Vec::len))
            })
            .await,
        );
    }
    counts
}

#[tokio::test]
async fn a_refusal_computes_the_same_hashes_for_imported_native_and_unknown_users() {
    const ARGON2: &str = "$argon2id$v=19$m=8192,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$/X5EVS2D22ucK8nb1tiP4PrNEd9GVKwh/oAT/XoF68M";
    for (kinds, refused) in [
        ("", [1, 2, 2, 1]),
        ("bcrypt-10;m=8192,t=2,p=1", [3, 3, 3, 3]),
    ] {
        let latchkey = Latchkey::start(&[
            ("IDENTITY_ARGON2", "m=8192,t=1,p=1"),
            ("IDENTITY_IMPORTED_HASHES", kinds),
        ])
        .await;
        let native = latchkey.signed_up("imported-native").await;
        let bcrypt = imported(&latchkey, "imported-bcrypt", HASHES[0]).await;
        let argon2 = imported(&latchkey, "imported-argon2", ARGON2).await;
        let mut sign_ins: Vec<(&str, &str, u16)> = [
            &native.email,
            &bcrypt.email,
            &argon2.email,
            "imported-nobody@example.com",
        ]
        .map(|email| (email, "Wrong-Horse-7-Battery", 404))
        .to_vec();
        // A right password computes its own hash, and the one that replaces it.
        sign_ins.push((&native.email, &native.password, 201));
        sign_ins.push((&bcrypt.email, &bcrypt.password, 201));
        let counts = hashes_of(&latchkey, &sign_ins).await;
        assert_eq!(counts[..4], refused, "{kinds}");
        assert_eq!(counts[4..], [1, 2], "{kinds}");
    }
}

//! `POST /identity/password/validate`

use serde_json::Value;

use crate::harness::{Answer, PASSWORD, latchkey};

async fn validate(password: &str) -> Answer {
    latchkey()
        .await
        .post("/identity/password/validate")
        .form(&[("password", password)])
        .send()
        .await
}

async fn entropy(password: &str) -> f64 {
    let answer = validate(password).await;
    assert_eq!(answer.status, 201, "{password:?}: {answer:?}");
    answer.json()["entropy"].as_f64().unwrap()
}

#[tokio::test]
async fn a_missing_or_empty_password_is_rejected() {
    let path = "/identity/password/validate";
    latchkey()
        .await
        .post(path)
        .send()
        .await
        .is_refused(400, &["identity.general.missing_password"]);
    for blank in ["", " ", "\t\r\n ", "\u{a0}\u{2003}"] {
        validate(blank)
            .await
            .is_refused(400, &["identity.general.empty_password"]);
    }
}

#[tokio::test]
async fn a_weak_password_has_a_warning_and_suggestions() {
    let answer = validate("password").await;
    assert_eq!(answer.status, 201);
    let body = answer.json();
    answer.has_names(&["entropy", "score", "warning", "suggestions"]);
    assert_eq!(body["score"], 0);
    assert!(body["entropy"].as_f64().unwrap() < 10.0, "{body}");
    assert!(!body["warning"].as_str().unwrap().is_empty());
    assert!(
        body["suggestions"]
            .as_array()
            .unwrap()
            .iter()
            .all(Value::is_string),
        "{body}"
    );
    assert!(!body["suggestions"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_strong_password_has_no_warning() {
    let body = validate("mangrove lantern quiver sextant").await.json();
    assert_eq!(body["score"], 4);
    assert!(body["entropy"].as_f64().unwrap() > 50.0, "{body}");
    assert!(body["warning"].is_null());
}

#[tokio::test]
async fn only_the_first_64_characters_are_evaluated() {
    // Characters, not bytes.
    for letter in ["a", "ж"] {
        let shorter = format!("{}Zy9", letter.repeat(60));
        let evaluated = format!("{shorter}!");
        let whole = entropy(&evaluated).await;
        assert!((entropy(&shorter).await - whole).abs() > 0.1, "{letter}");
        assert!(
            (entropy(&format!("{evaluated}xw-Kq7")).await - whole).abs() < 1e-9,
            "{letter}"
        );
    }
}

#[tokio::test]
async fn every_password_up_to_the_length_limit_is_estimated() {
    let hostile = [
        "a",
        "4@8({[<369&#!1|0$5+7%2",
        "qwertyuiop",
        "2001-01-01",
        "abcABC123",
        "😀",
        "\u{0}",
        "\u{202e}",
        "p4$$w0rd",
        "\u{301}e",
    ];
    for part in hostile {
        let password: String = part.chars().cycle().take(1024).collect();
        assert!(entropy(&password).await.is_finite(), "{part:?}");
    }
}

#[tokio::test]
async fn a_password_that_matches_the_rule_is_accepted_if_its_entropy_suffices() {
    // All of them match the default rule.
    for (number, password) in [
        "Password1",
        "Passw0rd",
        "Qwerty123",
        "Abcdefg1",
        "Zebra-Ladder-19",
        "Summer2024!",
        PASSWORD,
        "aB3xK9qLw2",
    ]
    .iter()
    .enumerate()
    {
        let email = format!("entropy{number}@example.com");
        let answer = latchkey()
            .await
            .post("/identity/users")
            .form(&[("email", &email), ("password", password)])
            .send()
            .await;
        if entropy(password).await >= 25.0 {
            assert_eq!(answer.status, 201, "{password}");
        } else {
            answer.is_refused(422, &["password.weak"]);
        }
    }
}

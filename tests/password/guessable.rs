//! Passwords that are easy to guess at this service or for this account

use serde_json::json;

use crate::harness::{Latchkey, PASSWORD, User};

const WEAK: &[&str] = &["password.weak"];

async fn entropy(latchkey: &Latchkey, password: &str) -> f64 {
    let answer = latchkey
        .post("/identity/password/validate")
        .form(&[("password", password)])
        .send()
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["entropy"].as_f64().unwrap()
}

#[tokio::test]
async fn the_words_of_the_application_are_weak_at_every_operation() {
    let latchkey = Latchkey::start(&[("IDENTITY_APP_NAME", "Wexlorn Bank")]).await;
    for word in ["Wexlorn2026", "Nrolxew-1"] {
        assert!(entropy(&latchkey, word).await < 25.0, "{word}");
    }
    // The word of another application is strong.
    assert!(entropy(&latchkey, "Latchkey2026").await >= 25.0);

    let user = latchkey.signed_up("words").await;
    refuses_everywhere(&latchkey, &user, "Wexlorn2026").await;
}

#[tokio::test]
async fn the_address_of_the_user_is_weak_at_every_operation() {
    let latchkey = &Latchkey::start(&[]).await;
    let user = latchkey.signed_up("Qzvwexlorn").await;
    for password in ["Qzvwexlorn2026", "Qzvwexlorn@example.com1"] {
        // It is strong for everyone else.
        assert!(entropy(latchkey, password).await >= 25.0, "{password}");
        refuses_everywhere(latchkey, &user, password).await;
    }
    let other = latchkey.signed_up("guessable-other").await;
    latchkey
        .change_password(&other, PASSWORD, "Qzvwexlorn2026")
        .send()
        .await
        .is_empty(201);
}

/// Asserts that the user cannot have the password: not at sign-up with a similar
/// address, by a reset, by a change, or from an operator.
async fn refuses_everywhere(latchkey: &Latchkey, user: &User, password: &str) {
    let (local, _) = user.email.split_once('@').unwrap();
    let sibling = format!("{local}@sub.example.com");
    latchkey
        .post("/identity/users")
        .form(&[
            ("email", sibling.as_str()),
            ("password", &password.replace("example", "sub.example")),
        ])
        .send()
        .await
        .is_refused(422, WEAK);
    let event = json!({
        "action": "create",
        "email": sibling,
        "password": password.replace("example", "sub.example"),
    });
    let answer = latchkey.invoke("ManageUsersFunction", event).await.unwrap();
    assert_eq!(answer["error"]["field"], "password", "{answer}");
    let token = latchkey.reset_token(user).await;
    latchkey
        .post("/identity/users/password/confirm_code")
        .form(&[
            ("reset_password_token", token.as_str()),
            ("password", password),
            ("confirm_password", password),
        ])
        .send()
        .await
        .is_refused(422, WEAK);
    latchkey
        .change_password(user, PASSWORD, password)
        .send()
        .await
        .is_refused(422, WEAK);
    // The old password still works.
    latchkey.signed_in(user).await;
}

//! `POST /identity/users` with several spellings of one address

use serde_json::json;

use crate::harness::{Answer, Latchkey, PASSWORD, all_at_once, latchkey};

async fn sign_up(latchkey: &Latchkey, email: &str) -> Answer {
    let form = [("email", email), ("password", PASSWORD)];
    latchkey.post("/identity/users").form(&form).send().await
}

#[tokio::test]
async fn all_spellings_of_an_address_are_one_account() {
    let latchkey = Latchkey::start(&[("IDENTITY_MAIL_INTERVAL", "60")]).await;
    let owner = latchkey
        .signed_up_with("-", &json!({ "email": "Mia@Bücher.example" }))
        .await;
    assert_eq!(owner.email, "Mia@Bücher.example");
    let before = latchkey.everything().await;
    let spellings = [
        "mia@xn--bcher-kva.example",
        "MIA@BU\u{308}CHER.example",
        "mia@ｂücher.ｅxample",
        "mia@bücher。example",
        "mia@𝐛ücher.example",
        "mia@bü\u{ad}cher.example",
    ];
    for email in spellings {
        sign_up(&latchkey, email)
            .await
            .is_refused(422, &["email.taken"]);
    }
    assert_eq!(latchkey.everything().await, before);
    for email in spellings {
        let answer = latchkey.sign_in(email, PASSWORD).send().await;
        assert_eq!(answer.json()["uid"], owner.uid, "{email}");
    }
    // Mails to all spellings are limited together.
    latchkey
        .ask_for_code(spellings[0])
        .send()
        .await
        .is_empty(201);
    for email in &spellings[1..] {
        latchkey
            .ask_for_code(email)
            .send()
            .await
            .is_refused(429, &["request.too_many_attempts"]);
    }
    let mail = latchkey
        .mail_to("Mia@xn--bcher-kva.example", 1, |mail| {
            mail.reset_token().is_some()
        })
        .await;
    latchkey
        .confirm(mail.reset_token().unwrap(), "Newer-Horse-7-Battery")
        .send()
        .await
        .is_empty(201);
}

#[tokio::test]
async fn wrong_passwords_for_all_spellings_are_counted_together() {
    let latchkey = latchkey().await;
    for number in 0..6 {
        let email = ["ada@ämter.example", "ada@xn--mter-koa.example"][number % 2];
        latchkey
            .sign_in(email, "Wrong-Horse-7-Battery")
            .send()
            .await
            .is_refused(404, &["identity.session.invalid_params"]);
    }
    latchkey
        .sign_in("ada@ÄMTER.example", "Wrong-Horse-7-Battery")
        .send()
        .await
        .is_refused(429, &["request.too_many_attempts"]);
}

#[tokio::test]
async fn only_one_of_concurrent_sign_ups_with_spellings_of_one_address_succeeds() {
    let latchkey = Latchkey::start(&[]).await;
    let spellings = [
        "race@bücher.example",
        "race@xn--bcher-kva.example",
        "race@ｂücher.example",
        "Race@BÜCHER.example",
    ];
    let requests = (0..16).map(|number| {
        let form = [("email", spellings[number % 4]), ("password", PASSWORD)];
        latchkey.post("/identity/users").form(&form)
    });
    let answers = all_at_once(requests).await;
    let (created, refused): (Vec<&Answer>, Vec<&Answer>) =
        answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(created.len(), 1);
    for answer in refused {
        answer.is_refused(422, &["email.taken"]);
    }
}

#[tokio::test]
async fn a_letter_that_looks_like_ascii_in_lower_case_does_not_block_the_ascii_address() {
    let latchkey = latchkey().await;
    let kelvin = "\u{212a}im.address@example.com";
    sign_up(latchkey, kelvin)
        .await
        .is_refused(422, &["email.invalid"]);
    latchkey.signed_up("kim.address").await;
    latchkey
        .sign_in(kelvin, PASSWORD)
        .send()
        .await
        .is_refused(404, &["identity.session.invalid_params"]);
    latchkey
        .ask_for_code(kelvin)
        .send()
        .await
        .is_refused(422, &["email.invalid"]);
}

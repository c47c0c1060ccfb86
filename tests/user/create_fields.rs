//! `POST /identity/users`: validation of the parameters

use serde_json::{Value, json};

use crate::harness::{Answer, Latchkey, PASSWORD, latchkey};

const PATH: &str = "/identity/users";

async fn sign_up(latchkey: &Latchkey, fields: &[(&str, &str)]) -> Answer {
    latchkey.post(PATH).form(fields).send().await
}

#[tokio::test]
async fn a_rejected_sign_up_has_no_effect() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.signed_up("taken").await;
    let before = latchkey.everything().await;
    let good = ("email", "new@example.com");
    let taken = ("email", " TAKEN@example.COM ");
    let unknown = if user.uid == "ID0000000000" {
        "ID0000000001"
    } else {
        "ID0000000000"
    };
    for (fields, keys) in [
        (
            &[("email", "nobody"), ("password", PASSWORD)][..],
            &["email.invalid"][..],
        ),
        (&[taken, ("password", PASSWORD)], &["email.taken"]),
        (
            &[good, ("password", "password")],
            &["password.requirements"],
        ),
        (&[good, ("password", "Password1")], &["password.weak"]),
        (
            &[good, ("password", PASSWORD), ("data", "{")],
            &["data.invalid_format"],
        ),
        (
            &[good, ("password", PASSWORD), ("refid", "nobody")],
            &["identity.user.invalid_referral_format"],
        ),
        (
            &[good, ("password", PASSWORD), ("refid", unknown)],
            &["identity.user.referral_doesnt_exist"],
        ),
        // Several errors are reported in the order email, password, data.
        (
            &[("data", "{"), ("password", "password"), ("email", "nobody")],
            &[
                "email.invalid",
                "password.requirements",
                "data.invalid_format",
            ],
        ),
        (
            &[("data", "{"), ("password", "Password1"), taken],
            &["email.taken", "password.weak", "data.invalid_format"],
        ),
        (
            &[taken, ("password", "weak")],
            &["email.taken", "password.requirements"],
        ),
        (
            &[good, ("password", "Password1"), ("data", "nonsense")],
            &["password.weak", "data.invalid_format"],
        ),
        // An error of the referral is reported first and alone.
        (
            &[
                ("email", "nobody"),
                ("password", "weak"),
                ("data", "{"),
                ("refid", "nobody"),
            ],
            &["identity.user.invalid_referral_format"],
        ),
        (
            &[
                taken,
                ("password", "weak"),
                ("data", "{"),
                ("refid", unknown),
            ],
            &["identity.user.referral_doesnt_exist"],
        ),
    ] {
        sign_up(&latchkey, fields).await.is_refused(422, keys);
        assert_eq!(latchkey.everything().await, before, "{fields:?}");
    }
    latchkey.sign_in(&user.email, PASSWORD).send().await;
    assert_eq!(latchkey.mails_to("new@example.com").await.len(), 0);
}

#[tokio::test]
async fn an_address_follows_the_rule_of_html_and_has_a_dot_in_its_domain() {
    let latchkey = latchkey().await;
    for email in [
        "a@fields.example",
        "first.last+tag@sub.fields.example.co.uk",
        "!#$%&'*+/=?^_`{|}~-@fields.example",
        "1@2.3",
        "fields@пошта.укр",
        "fields@例子.中国",
        "a@x-y.z-9.fields",
        "fields@उदाहरण.परीक्षा",
        "fields@ตัวอย่าง.ไทย",
        &format!("{}@fields.example", "x".repeat(64)),
        &format!("fields@{}.example", "ü".repeat(31)),
    ] {
        let answer = sign_up(latchkey, &[("email", email), ("password", PASSWORD)]).await;
        assert_eq!(answer.status, 201, "{email}: {answer:?}");
        assert_eq!(answer.json()["email"], email);
    }
    let label = "x".repeat(64);
    for email in [
        "a",
        "@",
        "a@",
        "@fields.example",
        "a@b",
        "a@localhost",
        "a@b@fields.example",
        "a@.example",
        "a@fields.",
        "a@fields..example",
        "a@-fields.example",
        "a@fields-.example",
        "a b@fields.example",
        "a@fie lds.example",
        "\"a\"@fields.example",
        "a@[127.0.0.1]",
        "a,b@fields.example",
        "<a@fields.example>",
        "a@fie_lds.example",
        ".a@fields.example",
        "a.@fields.example",
        "a..b@fields.example",
        "josé@fields.example",
        "жанна@fields.example",
        "\u{212a}im@fields.example",
        "ｍia@fields.example",
        "a@xn--0.example",
        "a\u{0}@fields.example",
        "a\n@fields.example",
        "a\u{200b}@fields.example",
        "\u{202e}a@fields.example",
        "a\u{a0}b@fields.example",
        "a\u{feff}@fields.example",
        "a\u{ad}b@fields.example",
        "a@fields\u{2028}.example",
        "\u{1f40e}@fields.example",
        "a@fields.example\r\nBcc: b@fields.example",
        &format!("a@{label}.example"),
        &format!("a@{}ü.example", "x".repeat(60)),
        &format!("{label}x@fields.example"),
    ] {
        sign_up(latchkey, &[("email", email), ("password", PASSWORD)])
            .await
            .is_refused(422, &["email.invalid"]);
    }
}

#[tokio::test]
async fn the_password_rule_is_in_characters() {
    let latchkey = latchkey().await;
    let of_length = |length: usize| {
        format!(
            "aA1{}",
            "жщ\u{1f40e}ю"
                .chars()
                .cycle()
                .take(length - 3)
                .collect::<String>()
        )
    };
    for length in [7, 81] {
        sign_up(
            latchkey,
            &[
                ("email", "length@example.com"),
                ("password", &of_length(length)),
            ],
        )
        .await
        .is_refused(422, &["password.requirements"]);
    }
    for length in [8, 80] {
        let email = format!("length{length}@example.com");
        assert_eq!(
            sign_up(
                latchkey,
                &[("email", &email), ("password", &of_length(length))]
            )
            .await
            .status,
            201,
            "{length}"
        );
    }
}

#[tokio::test]
async fn data_is_any_json_and_stored_verbatim() {
    let latchkey = latchkey().await;
    for (number, data) in [
        r#"{ "language": "de",  "b": [1, 2.50] }"#,
        "[]",
        "1",
        "\"text\"",
        "true",
        " {} ",
    ]
    .iter()
    .enumerate()
    {
        let user = latchkey
            .signed_up_with(&format!("data{number}"), &json!({ "data": data }))
            .await;
        assert_eq!(
            latchkey.sign_in(&user.email, PASSWORD).send().await.json()["data"],
            *data
        );
    }
    for (number, blank) in ["", "  "].iter().enumerate() {
        let user = latchkey
            .signed_up_with(&format!("data-blank{number}"), &json!({ "data": blank }))
            .await;
        assert_eq!(
            latchkey.sign_in(&user.email, PASSWORD).send().await.json()["data"],
            Value::Null
        );
    }
    for data in [
        "{",
        "{]",
        "nonsense",
        "{'a':1}",
        "{\"a\":1,}",
        "{} {}",
        "\u{0}",
        "NaN",
    ] {
        sign_up(
            latchkey,
            &[
                ("email", "data@example.com"),
                ("password", PASSWORD),
                ("data", data),
            ],
        )
        .await
        .is_refused(422, &["data.invalid_format"]);
    }
}

#[tokio::test]
async fn a_referral_must_have_the_format_of_a_uid() {
    let latchkey = latchkey().await;
    for refid in [
        "nobody",
        "ID",
        "ID12345",
        "ID000000000G",
        "ID00000000000",
        "0000000000",
        "ID-000000000",
        "USER#a@b.co",
        "ID0000000000 OR 1=1",
    ] {
        let fields = [
            ("email", "referral@example.com"),
            ("password", PASSWORD),
            ("refid", refid),
        ];
        sign_up(latchkey, &fields)
            .await
            .is_refused(422, &["identity.user.invalid_referral_format"]);
    }
    let user = latchkey
        .signed_up_with("referral-blank", &json!({ "refid": " " }))
        .await;
    assert_eq!(
        latchkey.sign_in(&user.email, PASSWORD).send().await.json()["referral_uid"],
        Value::Null
    );
}

#[tokio::test]
async fn a_captcha_response_is_text_or_an_object() {
    let latchkey = latchkey().await;
    let sign_up = |number: usize, captcha: Value| {
        let body = json!({ "email": format!("captcha{number}@example.com"), "password": PASSWORD, "captcha_response": captcha });
        latchkey.post(PATH).json(&body).send()
    };
    for captcha in [json!(1), json!(true), json!([{}])] {
        sign_up(0, captcha)
            .await
            .is_refused(422, &["identity.user.invalid_captcha_format"]);
    }
    for (number, captcha) in [
        json!("token"),
        json!({ "geetest_challenge": "x" }),
        json!(null),
        json!(""),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(sign_up(number, captcha).await.status, 201);
    }
}

//! Content and language of mails

use serde_json::{Value, json};
use shared::domain::language::Language;

use crate::harness::{Latchkey, Mail, PASSWORD, User, latchkey};

const LANGUAGES: [&str; 8] = ["en", "ru", "uk", "es", "fr", "de", "pt", "zh"];

fn is_reset(mail: &Mail) -> bool {
    mail.reset_token().is_some()
}

/// Asserts the sender, the recipient, a subject of one line, and the same link in both parts.
#[track_caller]
fn is_complete(mail: &Mail, user: &User) {
    assert_eq!(mail.from, "\"Latchkey\" <noreply@example.com>");
    assert_eq!(mail.to, [user.email.as_str()]);
    assert!(
        mail.subject.contains("Latchkey") && !mail.subject.contains(['\r', '\n']),
        "{mail:?}"
    );
    assert!(
        mail.text.contains("Latchkey") && mail.html.contains("Latchkey"),
        "{mail:?}"
    );
    for template in ["{{", "{%", "None", "Some("] {
        assert!(
            !mail.text.contains(template) && !mail.html.contains(template),
            "{template}: {mail:?}"
        );
    }
    if let Some(link) = mail.link() {
        assert!(
            mail.html.contains(&link.replace('&', "&amp;"))
                || mail.html.contains(&link.replace('&', "&#38;")),
            "{mail:?}"
        );
    }
}

#[tokio::test]
async fn every_mail_is_written_in_every_language() {
    let latchkey = latchkey().await;
    let mut subjects = Vec::new();
    for lang in LANGUAGES {
        let user = latchkey
            .signed_up_with(&format!("mail-{lang}"), &json!({ "lang": lang }))
            .await;
        let confirmation = latchkey
            .mail_to(&user.email, 1, |mail| mail.confirmation_token().is_some())
            .await;
        let reset = latchkey.reset_mail_in(&user.email, lang).await;
        let fields = [
            ("reset_password_token", reset.reset_token().unwrap()),
            ("password", "New-Horse-7-Quiver"),
            ("confirm_password", "New-Horse-7-Quiver"),
            ("lang", lang),
        ];
        latchkey
            .post("/identity/users/password/confirm_code")
            .form(&fields)
            .send()
            .await
            .is_empty(201);
        let notice = latchkey.mail_to(&user.email, 1, Mail::is_notice).await;
        let tag = lang.parse::<Language>().unwrap().tag();
        for part in [&confirmation.text, &confirmation.html] {
            assert!(part.contains(&user.email), "{lang}: {part}");
        }
        for mail in [confirmation, reset, notice] {
            is_complete(&mail, &user);
            assert!(
                mail.html.contains(&format!("lang=\"{tag}\"")),
                "{lang}: {}",
                mail.html
            );
            assert_eq!(mail.parameter("lang"), Some(lang));
            subjects.push(mail.subject);
        }
    }
    subjects.sort();
    subjects.dedup();
    assert_eq!(subjects.len(), 3 * LANGUAGES.len(), "{subjects:#?}");
}

#[tokio::test]
async fn the_requested_language_takes_precedence_over_the_users_and_the_default() {
    let latchkey = latchkey().await;
    let user = latchkey
        .signed_up_with("mail-language", &json!({ "data": r#"{"language":"FR"}"# }))
        .await;
    for (lang, expected) in [
        ("de", "de"),
        ("DE", "de"),
        ("pt-BR", "pt"),
        ("en-US", "en"),
        ("zh-Hans-CN", "zh"),
        ("", "fr"),
        ("xx", "fr"),
        ("x", "fr"),
        ("english", "fr"),
        ("../../etc", "fr"),
        ("<b>", "fr"),
    ] {
        let mail = latchkey.reset_mail_in(&user.email, lang).await;
        assert_eq!(mail.parameter("lang"), Some(expected), "{lang}");
    }
    for (number, data) in [
        "{}",
        r#"{"language":"xx"}"#,
        r#"{"language":7}"#,
        "[]",
        r#""de""#,
        "null",
    ]
    .iter()
    .enumerate()
    {
        let user = latchkey
            .signed_up_with(&format!("mail-default{number}"), &json!({ "data": data }))
            .await;
        assert_eq!(
            latchkey.reset_mail(&user.email).await.parameter("lang"),
            Some("en"),
            "{data}"
        );
    }
}

#[tokio::test]
async fn the_language_of_the_sign_up_is_that_of_later_mails() {
    let latchkey = latchkey().await;
    let signed_up = async |name: &str, more: Value| latchkey.signed_up_with(name, &more).await;
    let user = signed_up("mail-sign-up", json!({ "lang": "DE-at" })).await;
    let item = latchkey.user_item(&user).await;
    assert_eq!(crate::harness::text(&item, "language"), "de");
    for (lang, expected) in [("", "de"), ("xx", "de"), ("fr", "fr")] {
        let mail = latchkey.reset_mail_in(&user.email, lang).await;
        assert_eq!(mail.parameter("lang"), Some(expected), "{lang}");
    }
    // Notices follow it too.
    latchkey.set_state(&user, "active").await;
    latchkey.enroll(&user).await;
    let notice = latchkey.mail_to(&user.email, 1, Mail::is_notice).await;
    assert_eq!(notice.parameter("lang"), Some("de"));

    let data = r#"{"language":"uk"}"#;
    let with_data = signed_up("mail-sign-up-data", json!({ "lang": "de", "data": data })).await;
    let confirmation = latchkey.mail_to(&with_data.email, 1, |_| true).await;
    assert_eq!(confirmation.parameter("lang"), Some("de"));
    let reset = latchkey.reset_mail(&with_data.email).await;
    assert_eq!(reset.parameter("lang"), Some("uk"));

    for more in [json!({}), json!({ "lang": "xx" })] {
        let name = format!("mail-none{}", more.as_object().unwrap().len());
        let user = signed_up(&name, more).await;
        assert!(!latchkey.user_item(&user).await.contains_key("language"));
    }
}

#[tokio::test]
async fn configured_names_and_addresses_are_used_in_mails_and_escaped() {
    let latchkey = Latchkey::start(&[
        ("IDENTITY_APP_NAME", "<b>Bits & Bobs</b>"),
        ("IDENTITY_SENDER_EMAIL", "hello@mail.example"),
        ("IDENTITY_SENDER_NAME", "Bits, Bobs"),
        ("IDENTITY_DOMAIN", "https://id.example/"),
        ("IDENTITY_CODE_EXPIRE_TIME", "7200"),
        ("IDENTITY_DEFAULT_LANGUAGE", "es"),
    ])
    .await;
    let user = latchkey.signed_up("operator").await;
    let mail = latchkey.reset_mail(&user.email).await;
    // Without quotes the comma would separate two addresses.
    assert_eq!(mail.from, "\"Bits, Bobs\" <hello@mail.example>");
    let link = format!(
        "https://id.example/accounts/password_reset?reset_token={}&lang=es",
        mail.reset_token().unwrap()
    );
    assert_eq!(mail.link(), Some(link.as_str()));
    assert!(
        mail.subject.contains("<b>Bits & Bobs</b>"),
        "{}",
        mail.subject
    );
    assert!(
        mail.text.contains("<b>Bits & Bobs</b>") && mail.text.contains("2 horas"),
        "{}",
        mail.text
    );
    assert!(
        !mail.html.contains("<b>Bits") && mail.html.contains("Bits &"),
        "{}",
        mail.html
    );
    let claims = crate::harness::claims(mail.reset_token().unwrap());
    assert_eq!(
        claims["exp"].as_i64().unwrap()
            - crate::harness::number(&latchkey.grant(&user, "RESET").await.unwrap(), "expires_at"),
        0
    );
}

#[tokio::test]
async fn the_sender_name_defaults_to_the_application_name() {
    let latchkey = Latchkey::start(&[("IDENTITY_APP_NAME", "Bodega Añil")]).await;
    let user = latchkey.signed_up("sender").await;
    let from = latchkey.mail_to(&user.email, 1, |_| true).await.from;
    // In plain text, or encoded by RFC 2047.
    assert!(
        from.contains("Bodega") && from.ends_with("<noreply@example.com>")
            || from.starts_with("=?"),
        "{from}"
    );
}

#[tokio::test]
async fn a_rejected_request_sends_no_mail() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("mail-none").await;
    latchkey.mail_to(&user.email, 1, |_| true).await;
    latchkey.sign_in(&user.email, "Wrong-Horse-7").send().await;
    latchkey
        .confirm("forged", PASSWORD)
        .send()
        .await
        .is_refused(422, &["jwt.decode_and_verify"]);
    latchkey
        .post("/identity/users")
        .form(&[("email", &user.email), ("password", PASSWORD)])
        .send()
        .await
        .is_refused(422, &["email.taken"]);
    // Mails to one user are sent in order, so any other mail would have arrived before this one.
    let reset = latchkey.reset_mail(&user.email).await;
    assert!(is_reset(&reset));
    assert_eq!(latchkey.mails_to(&user.email).await.len(), 2);
}

#[tokio::test]
async fn a_notice_links_to_the_reset_page_and_names_the_support() {
    for (support, href) in [
        ("", None),
        (
            "https://help.example/a?b=c&d=e",
            Some("https://help.example/a?b=c"),
        ),
        ("mailto:help@id.example", Some("mailto:help@id.example")),
    ] {
        let latchkey = Latchkey::start(&[
            ("IDENTITY_SUPPORT_URL", support),
            ("IDENTITY_DOMAIN", "https://id.example"),
        ])
        .await;
        let user = latchkey.confirmed("support").await;
        let fields = [
            ("old_password", PASSWORD),
            ("new_password", "New-Horse-7-Quiver"),
            ("confirm_password", "New-Horse-7-Quiver"),
        ];
        latchkey
            .by(&user, "PUT", "/resource/users/password")
            .form(&fields)
            .send()
            .await
            .is_empty(201);
        let notice = latchkey.mail_to(&user.email, 1, Mail::is_notice).await;
        assert_eq!(
            notice.link(),
            Some("https://id.example/accounts/password_reset?lang=en")
        );
        let named = support.trim_start_matches("mailto:");
        let last = format!("Support:\n{named}\n\nLatchkey");
        assert_eq!(notice.text.contains("Support:"), href.is_some());
        assert_eq!(notice.text.ends_with(&last), href.is_some());
        assert_eq!(
            href.is_some_and(|href| notice.html.contains(&format!("href=\"{href}"))),
            href.is_some(),
            "{notice:?}"
        );
        // Only the notice names the support.
        let reset = latchkey.reset_mail(&user.email).await;
        assert!(!reset.text.contains("Support:"), "{reset:?}");
    }
}

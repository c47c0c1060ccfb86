//! `ANY /accounts/{proxy+}`

use std::collections::BTreeSet;

use reqwest::Method;
use shared::domain::language::Language;

use crate::harness::{Answer, CONTRACT, Latchkey, latchkey};

const PAGES: [&str; 6] = [
    "sign_in",
    "sign_up",
    "password_reset",
    "confirmation",
    "email_change",
    "settings",
];

const LOGO: &str = "https://cdn.example:8443/logo.svg";

async fn page(latchkey: &Latchkey, path: &str) -> Answer {
    latchkey.get(&format!("/accounts/{path}")).send().await
}

#[tokio::test]
async fn every_page_exists_in_every_language_and_loads_nothing_from_other_hosts() {
    let latchkey = latchkey().await;
    let mut titles = BTreeSet::new();
    for name in PAGES {
        for language in Language::ALL {
            let answer = page(latchkey, &format!("{name}?lang={}", language.as_str())).await;
            assert_eq!(
                (answer.status, answer.header("content-type")),
                (200, Some("text/html; charset=utf-8")),
                "{answer:?}"
            );
            let html = answer.text();
            assert!(
                html.contains(&format!(
                    "<html lang=\"{}\" data-language=\"{}\">",
                    language.tag(),
                    language.as_str()
                )),
                "{html}"
            );
            assert!(!html.contains("//"), "{html}");
            let title = html
                .split("<h1>")
                .nth(1)
                .unwrap()
                .split("</h1>")
                .next()
                .unwrap();
            assert!(titles.insert(title.to_owned()), "duplicate title: {title}");
        }
    }
}

#[tokio::test]
async fn pages_have_a_strict_content_security_policy_and_are_not_cached() {
    let answer = page(latchkey().await, "sign_in").await;
    let policy = answer.header("content-security-policy").unwrap();
    for directive in [
        "default-src 'none'",
        "script-src 'self';",
        "style-src 'self';",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(directive), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
    assert!(
        !answer.text().contains("style=") && !answer.text().contains("onclick"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn browsers_may_offer_passkeys_on_the_sign_in_page() {
    let answer = page(latchkey().await, "sign_in").await;
    let field = r#"type="email" autocomplete="username webauthn""#;
    assert!(answer.text().contains(field), "{}", answer.text());
    // Without this header, pages may use passkeys at their own origin.
    assert_eq!(answer.header("permissions-policy"), None);
}

#[tokio::test]
async fn the_language_is_the_requested_one_the_browsers_or_the_default() {
    let latchkey = Latchkey::start(&[("IDENTITY_DEFAULT_LANGUAGE", "pt")]).await;
    for (query, accepted, expected) in [
        ("?lang=fr-CA", "de", "fr"),
        ("?lang=xx", "ja, uk;q=0.5", "uk"),
        ("", "zh-CN,zh;q=0.9", "zh"),
        ("", "en;q=0, fr;q=0.3, de;q=0.7", "de"),
        ("", "pt;q=0, *", "en"),
        ("", "", "pt"),
    ] {
        let request = latchkey
            .get(&format!("/accounts/sign_in{query}"))
            .header("accept-language", accepted);
        assert!(
            request
                .send()
                .await
                .text()
                .contains(&format!(" data-language=\"{expected}\">")),
            "{query} {accepted}"
        );
    }
}

#[tokio::test]
async fn head_is_answered_like_get_and_other_methods_are_rejected() {
    let latchkey = latchkey().await;
    for path in [
        "sign_in",
        "assets/style.css",
        "no_such_page",
        "settings/?lang=de",
    ] {
        let path = format!("/accounts/{path}");
        let get = latchkey.get(&path).send().await;
        let head = latchkey.request(Method::HEAD, &path).send().await;
        assert_eq!(get.status, head.status, "{path}");
        assert_eq!(head.text(), "", "{path}");
        for name in [
            "content-type",
            "content-security-policy",
            "cache-control",
            "location",
        ] {
            assert_eq!(get.header(name), head.header(name), "{path}");
        }
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            let answer = latchkey.request(method, &path).send().await;
            assert_eq!(
                (answer.status, answer.header("allow")),
                (405, Some("GET, HEAD")),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn a_slash_at_the_end_of_a_page_is_removed_by_a_relative_redirect() {
    let latchkey = latchkey().await;
    for (path, location) in [
        ("sign_in/", "../sign_in"),
        (
            "password_reset/?reset_token=a.b-c&lang=de",
            "../password_reset?reset_token=a.b-c&lang=de",
        ),
        (
            "settings/?next=//evil.example",
            "../settings?next=//evil.example",
        ),
    ] {
        let answer = page(latchkey, path).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (308, Some(location)),
            "{path}"
        );
    }
    for path in [
        "no_such_page/",
        "sign_in//",
        "%2Fevil.example/",
        "a/sign_in/",
        "assets/style.css/",
    ] {
        assert_eq!(page(latchkey, path).await.status, 404, "{path}");
    }
}

/// A browser would cut a pasted code or password, which then is wrong.
#[tokio::test]
async fn no_field_limits_its_length() {
    for name in PAGES {
        let answer = page(latchkey().await, name).await;
        assert!(!answer.text().contains("maxlength"), "{name}");
    }
}

#[tokio::test]
async fn nothing_but_its_form_is_loaded_where_a_link_has_a_token() {
    let latchkey = Latchkey::start(&[
        ("IDENTITY_CAPTCHA", "hcaptcha"),
        ("IDENTITY_CAPTCHA_ID", "key"),
        ("IDENTITY_CAPTCHA_SECRET_ARN", "arn"),
        ("IDENTITY_LOGO_URL", LOGO),
    ])
    .await;
    for (path, asks, form) in [
        ("password_reset?reset_token=t", "ask-reset", "set-password"),
        (
            "confirmation?confirmation_token=t",
            "ask-confirmation",
            "confirm",
        ),
    ] {
        let answer = page(&latchkey, path).await;
        let html = answer.text();
        assert!(html.contains(&format!("<form id=\"{form}\"")), "{html}");
        for absent in [&format!("<form id=\"{asks}\""), "captcha\"", LOGO] {
            assert!(!html.contains(absent), "{html}");
        }
        let policy = answer.header("content-security-policy").unwrap();
        assert!(!policy.contains("https:"), "{policy}");

        // Without the token, the page has the other form.
        let name = path.split('?').next().unwrap();
        for path in [name.to_owned(), path.trim_end_matches('t').to_owned()] {
            let answer = page(&latchkey, &path).await;
            let html = answer.text();
            assert!(html.contains(&format!("<form id=\"{asks}\"")), "{html}");
            assert!(!html.contains(&format!("<form id=\"{form}\"")), "{html}");
            assert!(
                html.contains("data-provider=\"hcaptcha\"") && html.contains(LOGO),
                "{html}"
            );
        }
    }
}

#[tokio::test]
async fn the_page_of_a_new_address_loads_nothing_of_another_origin() {
    let latchkey = Latchkey::start(&[
        ("IDENTITY_CAPTCHA", "hcaptcha"),
        ("IDENTITY_CAPTCHA_ID", "key"),
        ("IDENTITY_CAPTCHA_SECRET_ARN", "arn"),
        ("IDENTITY_LOGO_URL", LOGO),
    ])
    .await;
    // After the sign-in, the script of the page still has the token.
    for path in ["email_change?token=t", "email_change"] {
        let answer = page(&latchkey, path).await;
        let html = answer.text();
        assert!(html.contains("<form id=\"confirm-email\""), "{html}");
        assert!(
            !html.contains("captcha\"") && !html.contains(LOGO),
            "{html}"
        );
        let policy = answer.header("content-security-policy").unwrap();
        assert!(!policy.contains("https:"), "{policy}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    }
}

#[tokio::test]
async fn a_logo_is_shown_and_its_origin_allowed_for_images_only() {
    let latchkey = Latchkey::start(&[("IDENTITY_LOGO_URL", LOGO)]).await;
    let answer = page(&latchkey, "sign_in").await;
    assert!(
        answer
            .text()
            .contains(&format!("<img class=\"logo\" src=\"{LOGO}\" alt=\"\">")),
        "{}",
        answer.text()
    );
    let policy = answer.header("content-security-policy").unwrap();
    assert!(
        policy.contains("img-src 'self' data: https://cdn.example:8443;"),
        "{policy}"
    );
    assert_eq!(policy.matches("https:").count(), 1, "{policy}");
}

#[tokio::test]
async fn no_page_contains_input_of_the_client() {
    let latchkey = latchkey().await;
    for path in [
        "%3Cscript%3E",
        "password_reset?reset_token=%22%3E%3Cscript%3E&lang=%3Cb%3E",
        "a/b/c",
        "assets/../sign_in",
        "%ff",
    ] {
        let answer = page(latchkey, path).await;
        assert!([200, 404].contains(&answer.status), "{answer:?}");
        assert!(
            !answer.text().contains("<script>") && !answer.text().contains("<b>"),
            "{}",
            answer.text()
        );
    }
    let answer = page(latchkey, "no_such_page").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (404, Some("text/html; charset=utf-8"))
    );
}

#[tokio::test]
async fn assets_are_cacheable_and_their_urls_are_versioned() {
    let latchkey = latchkey().await;
    let html = page(latchkey, "sign_in").await;
    for (name, kind) in [("style.css", "text/css"), ("script.js", "text/javascript")] {
        let address = html
            .text()
            .split('"')
            .find(|text| text.contains(name))
            .unwrap();
        assert!(address.contains("?v="), "{address}");
        let answer = latchkey.get(address).send().await;
        assert!(
            answer.header("content-type").unwrap().starts_with(kind),
            "{answer:?}"
        );
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (200, Some("public, max-age=86400"))
        );
    }
}

#[tokio::test]
async fn pages_have_a_text_for_every_error_of_the_operations_that_they_call() {
    let html = page(latchkey().await, "sign_in?lang=en").await;
    let texts = html
        .text()
        .split("id=\"texts\">")
        .nth(1)
        .unwrap()
        .split("</script>")
        .next()
        .unwrap();
    let texts: serde_json::Value = serde_json::from_str(texts).unwrap();
    let script = latchkey()
        .await
        .get("/accounts/assets/script.js")
        .send()
        .await;
    let called = CONTRACT
        .operations()
        .into_iter()
        .filter(|(_, path, _)| script.text().contains(&format!("\"{path}\"")));
    let mut keys = BTreeSet::new();
    for (_, _, place) in called {
        let text = CONTRACT.at(&place).to_string();
        keys.extend(
            text.split('"')
                .filter(|word| word.contains('.') && !word.contains([' ', '/', '@']))
                .map(str::to_owned),
        );
    }
    let keys: Vec<&String> = keys
        .iter()
        .filter(|key| {
            key.split('.')
                .all(|part| !part.is_empty() && !part.contains(char::is_uppercase))
        })
        .collect();
    assert!(keys.len() > 60, "{keys:?}");
    for key in keys {
        let by_form = ["missing_", "empty_", "too_long"]
            .iter()
            .any(|form| key.contains(form))
            || key.starts_with("authz.")
            || key == "identity.session.not_found";
        let alias = [
            "resource.password.doesnt_match",
            "resource.otp.invalid",
            "resource.user.invalid_password",
            "resource.user.invalid_otp",
            "resource.user.email_not_confirmed",
            "resource.passkey.email_not_confirmed",
            "resource.passkey.taken",
        ]
        .contains(&key.as_str());
        // Errors that only a program can cause are shown as a general failure.
        let only_by_programs = [
            "request.malformed_body",
            "identity.user.invalid_captcha_format",
            "identity.session.invalid_captcha_format",
            "identity.session.invalid_remember",
            "data.invalid_format",
            "identity.user.invalid_referral_format",
            "identity.user.referral_doesnt_exist",
        ]
        .contains(&key.as_str());
        assert!(
            by_form || alias || only_by_programs || texts[key.as_str()].is_string(),
            "{key}"
        );
    }
}

#[tokio::test]
async fn the_content_security_policy_allows_only_the_host_of_the_captcha() {
    for (provider, host) in [
        ("turnstile", "https://challenges.cloudflare.com"),
        ("hcaptcha", "https://hcaptcha.com"),
    ] {
        let latchkey = Latchkey::start(&[
            ("IDENTITY_CAPTCHA", provider),
            ("IDENTITY_CAPTCHA_ID", "key"),
            ("IDENTITY_CAPTCHA_SECRET_ARN", "arn"),
            ("IDENTITY_CAPTCHA_PROTECTED_ENDPOINTS", "session_create"),
        ])
        .await;
        let answer = page(&latchkey, "sign_in").await;
        assert!(
            answer
                .header("content-security-policy")
                .unwrap()
                .contains(host),
            "{answer:?}"
        );
        assert!(
            answer
                .text()
                .contains(&format!("data-provider=\"{provider}\"")),
            "{}",
            answer.text()
        );
        let answer = page(&latchkey, "sign_up").await;
        assert!(
            !answer
                .header("content-security-policy")
                .unwrap()
                .contains("https:"),
            "{answer:?}"
        );
    }
}

//! The hosted pages in a browser: links that are of no use, lost tokens, passwords and devices

use serde_json::json;
use shared::domain::language::Language;

use super::browser::{OTHER, sign_in, stack};
use crate::harness::{Browser, Latchkey, Mail, PASSWORD, User};

async fn opens_settings(browser: &Browser, user: &User) {
    browser.open("/accounts/sign_in?lang=en").await;
    sign_in(browser, &user.email, PASSWORD).await;
    browser.is_at("/accounts/settings").await;
    browser.shows("#sessions li").await;
}

/// Requests a reset and returns the link of the mail, the `count`th of the user.
async fn reset_link(latchkey: &Latchkey, user: &User, count: usize) -> String {
    latchkey
        .ask_for_code(&user.email)
        .send()
        .await
        .is_empty(201);
    let is_reset = |mail: &Mail| mail.reset_token().is_some();
    let mail = latchkey.mail_to(&user.email, count, is_reset).await;
    mail.link().unwrap().to_owned()
}

async fn sets_password(browser: &Browser, password: &str) {
    for field in ["password", "confirm_password"] {
        let field = format!("#set-password [name={field}]");
        browser.fill(&field, password).await;
    }
    browser.click("#set-password > button").await;
}

#[tokio::test]
async fn a_user_stays_signed_in_unless_the_box_is_cleared() {
    const SESSION: &str = "_barong_session";
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.signed_up("browser-remember").await;
    let checked = "return document.querySelector('[name=remember]').checked";
    let labels = [
        "Keep me signed in",
        "Оставаться в системе",
        "Залишатися в системі",
        "Mantener la sesión iniciada",
        "Garder ma session ouverte",
        "Angemeldet bleiben",
        "Manter a sessão ativa",
        "保持登录状态",
    ];
    for (language, label) in Language::ALL.into_iter().zip(labels) {
        let page = format!("/accounts/sign_in?lang={}", language.as_str());
        browser.open(&page).await;
        assert_eq!(browser.shows(".check").await, label);
        assert_eq!(browser.evaluate(checked).await, json!(true));
    }
    opens_settings(&browser, &user).await;
    assert!(browser.cookie_expiry(SESSION).await.is_some());
    browser.click("#sign-out button").await;
    browser.is_at("/accounts/sign_in").await;

    browser.click(".check").await;
    assert_eq!(browser.evaluate(checked).await, json!(false));
    sign_in(&browser, &user.email, PASSWORD).await;
    browser.is_at("/accounts/settings").await;
    browser.shows("#sessions li").await;
    assert_eq!(browser.cookie_expiry(SESSION).await, None);
    browser.close().await;
}

#[tokio::test]
async fn a_link_of_no_use_leads_to_the_form_that_requests_a_new_one() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.signed_up("browser-dead-link").await;
    let old = reset_link(&latchkey, &user, 1).await;
    reset_link(&latchkey, &user, 2).await;
    for (link, message) in [
        (old.as_str(), "we have sent you a newer one"),
        (
            "/accounts/password_reset?reset_token=forged&lang=en",
            "a new one.",
        ),
    ] {
        browser.open(link).await;
        sets_password(&browser, OTHER).await;
        browser.shows_message(message).await;
        browser.fill("#ask-reset [name=email]", &user.email).await;
        browser.click("#ask-reset button").await;
        browser.shows_message("mail").await;
    }
    // The password is still the old one.
    latchkey.signed_in(&user).await;

    browser
        .open("/accounts/confirmation?confirmation_token=forged&lang=en")
        .await;
    browser.click("#confirm > button").await;
    browser.shows_message("a new one.").await;
    browser.shows("#ask-confirmation").await;
    browser.close().await;
}

#[tokio::test]
async fn the_form_of_a_reset_link_begins_with_the_password_and_names_the_user() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.signed_up("browser-username").await;
    let link = reset_link(&latchkey, &user, 1).await;
    browser.open(&link).await;
    browser.shows("#set-password").await;
    let fields = "return [document.activeElement.name, document.activeElement.autocomplete,
        ...['value', 'autocomplete', 'readOnly'].map((name) => document.querySelector('#set-password .username')[name])]";
    assert_eq!(
        browser.evaluate(fields).await,
        json!([
            "password",
            "new-password",
            user.email.as_str(),
            "username",
            true
        ])
    );
    browser.close().await;
}

#[tokio::test]
async fn a_lost_csrf_token_leads_to_the_sign_in_page() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.signed_up("browser-lost-csrf").await;
    opens_settings(&browser, &user).await;
    browser.evaluate("localStorage.clear()").await;
    browser.click("#end-others button").await;
    browser.is_at("/accounts/sign_in").await;
    browser.shows_message("sign in again.").await;
    opens_settings(&browser, &user).await;
    browser.click("#end-others button").await;
    browser.shows_message("ended").await;
    browser.close().await;
}

#[tokio::test]
async fn a_session_that_has_ended_can_sign_out() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.signed_up("browser-sign-out").await;
    for has_cookie in [true, false] {
        let user = latchkey.with_new_session(&user).await;
        opens_settings(&browser, &user).await;
        latchkey
            .by(&user, "DELETE", "/resource/sessions")
            .send()
            .await
            .is_empty(204);
        if !has_cookie {
            browser.deletes_cookies().await;
        }
        browser.click("#sign-out button").await;
        browser.is_at("/accounts/sign_in").await;
        browser.shows("#sign-in").await;
        let is_hidden = "return document.getElementById('message').hidden";
        assert_eq!(browser.evaluate(is_hidden).await, json!(true));
        let is_kept = "return localStorage.getItem('latchkey.csrf')";
        assert_eq!(browser.evaluate(is_kept).await, json!(null));
    }
    browser.close().await;
}

#[tokio::test]
async fn a_new_password_is_rated_in_the_language_of_the_page_and_can_be_shown() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    browser.open("/accounts/sign_up?lang=de").await;
    browser.fill("[name=password]", "password").await;
    let rating = browser.shows("#strength").await;
    assert_eq!(
        rating,
        "Passwortstärke: sehr schwach. Dieses Passwort wird häufig verwendet. Verwenden Sie mehrere ungewöhnliche Wörter."
    );
    let kind = "return document.querySelector('[name=password]').type";
    assert_eq!(browser.evaluate(kind).await, json!("password"));
    browser.click(".reveal").await;
    assert_eq!(browser.evaluate(kind).await, json!("text"));
    // Password managers store only the content of a password field.
    browser.click("#sign-up > button").await;
    assert_eq!(browser.evaluate(kind).await, json!("password"));
    browser.close().await;
}

#[tokio::test]
async fn sessions_are_listed_by_device() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey
        .signed_up_with("-", &json!({ "email": "browser-devices@example.com" }))
        .await;
    opens_settings(&browser, &user).await;
    browser.click("#end-others button").await;
    browser.shows_message("ended").await;
    assert_eq!(
        browser.shows("#no-others").await,
        "You are not signed in on any other device."
    );
    for user_agent in [
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
        "Example/1.0",
    ] {
        let request = latchkey
            .sign_in(&user.email, PASSWORD)
            .header("user-agent", user_agent);
        assert_eq!(request.send().await.status, 201);
    }
    browser.open("/accounts/settings?lang=en").await;
    browser.shows("#end-others").await;
    let devices = browser
        .evaluate("return [...document.querySelectorAll('#sessions b')].map((one) => one.textContent).sort()")
        .await;
    assert_eq!(
        devices,
        json!(["Chrome on Linux", "Safari on iPhone", "Unknown device"])
    );
    let current = browser
        .evaluate(
            "return document.querySelector('.badge').parentElement.querySelector('b').textContent",
        )
        .await;
    assert_eq!(current, json!("Chrome on Linux"));
    browser.close().await;
}

//! The hosted pages in a browser: step-up, recovery codes, confirmation and the end of a session

use std::time::Duration;

use serde_json::json;

use super::browser::{OTHER, sign_in, stack};
use crate::harness::{Browser, Latchkey, Mail, PASSWORD, User, eventually, otp};

/// Seconds, the shortest time that the configuration allows.
const REAUTHENTICATION_TIME: u64 = 5;

async fn stack_with_step_up() -> Latchkey {
    let time = REAUTHENTICATION_TIME.to_string();
    Latchkey::start(&[
        otp::FOR_RACES[1],
        ("IDENTITY_REAUTHENTICATION_TIME", time.as_str()),
    ])
    .await
}

/// Waits until the newest session is too old for operations that need a step-up.
async fn authentication_ages() {
    tokio::time::sleep(Duration::from_secs(REAUTHENTICATION_TIME + 1)).await;
}

async fn opens_settings(browser: &Browser, user: &User, recovery_code: Option<&str>) {
    browser.open("/accounts/sign_in?lang=en").await;
    sign_in(browser, &user.email, PASSWORD).await;
    if let Some(code) = recovery_code {
        browser.shows("#otp").await;
        browser.fill("[name=otp_code]", code).await;
        browser.click("#sign-in > button").await;
    }
    browser.is_at("/accounts/settings").await;
    browser.shows("#sessions li").await;
}

/// Waits until the dialog of the step-up is closed.
async fn dialog_closes(browser: &Browser) {
    let open = "return document.getElementById('step-up-dialog').open";
    eventually("the dialog closes", || async {
        (browser.evaluate(open).await == json!(false)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_step_up_asks_for_the_password_and_repeats_the_request() {
    let latchkey = stack_with_step_up().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.signed_up("browser-step-up").await;
    opens_settings(&browser, &user, None).await;
    let csrf_token = "return localStorage.getItem('latchkey.csrf')";
    let first = browser.evaluate(csrf_token).await;
    authentication_ages().await;

    browser.click("#factor-begin button").await;
    browser.shows("#step-up").await;
    assert_eq!(
        browser.evaluate("return document.activeElement.name").await,
        json!("password")
    );
    let code_is_hidden = "return document.getElementById('step-up-code').hidden";
    assert_eq!(browser.evaluate(code_is_hidden).await, json!(true));
    browser.fill("#step-up [name=password]", OTHER).await;
    browser.click("#step-up button:not([type])").await;
    assert_eq!(
        browser.shows("#step-up-message").await,
        "The password is incorrect."
    );

    browser.types(thirtyfour::Key::Escape).await;
    dialog_closes(&browser).await;
    assert_eq!(browser.evaluate(csrf_token).await, first);

    browser.click("#factor-begin button").await;
    browser.shows("#step-up").await;
    browser.fill("#step-up [name=password]", PASSWORD).await;
    browser.click("#step-up button:not([type])").await;
    dialog_closes(&browser).await;
    // The repeated request reaches the next check: the address is not confirmed.
    browser
        .shows_message("Please confirm your email address first.")
        .await;
    assert_ne!(browser.evaluate(csrf_token).await, first);
    browser.close().await;
}

#[tokio::test]
async fn a_step_up_asks_for_a_code_while_the_second_factor_is_on() {
    let latchkey = stack_with_step_up().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let (user, authenticator) = latchkey.enrolled("browser-step-up-code").await;
    let codes = &authenticator.recovery_codes;
    opens_settings(&browser, &user, Some(&codes[0])).await;
    authentication_ages().await;

    browser.fill("#factor-disable [name=code]", &codes[1]).await;
    browser.click("#factor-disable button").await;
    browser.shows("#step-up-code").await;
    browser.fill("#step-up [name=password]", PASSWORD).await;
    browser.click("#step-up button:not([type])").await;
    assert!(
        browser
            .shows("#step-up-message")
            .await
            .contains("Please enter the code")
    );
    // A recovery code that was used.
    browser.fill("#step-up [name=otp_code]", &codes[0]).await;
    browser.click("#step-up button:not([type])").await;
    eventually("the code is refused", || async {
        let shown = browser.shows("#step-up-message").await;
        shown.contains("This code is incorrect").then_some(())
    })
    .await;
    browser.fill("#step-up [name=otp_code]", &codes[2]).await;
    browser.click("#step-up button:not([type])").await;
    dialog_closes(&browser).await;
    browser
        .shows_message("Two-factor authentication is off.")
        .await;
    browser.close().await;
}

#[tokio::test]
async fn recovery_codes_are_replaced_copied_and_printed() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let (user, authenticator) = latchkey.enrolled("browser-recovery").await;
    let old = &authenticator.recovery_codes;
    opens_settings(&browser, &user, Some(&old[0])).await;
    let code = "#recovery-replace [name=code]";
    browser.fill(code, &authenticator.wrong_code()).await;
    browser.click("#recovery-replace button").await;
    browser.shows_message("This code is incorrect").await;
    browser.fill(code, &authenticator.code()).await;
    browser.click("#recovery-replace button").await;
    browser
        .shows_message("New recovery codes have been created.")
        .await;
    let shown = browser.shows("#recovery-codes").await;
    let new: Vec<&str> = shown.lines().collect();
    assert_eq!(new.len(), 10, "{shown}");
    assert!(!old.iter().any(|code| new.contains(&code.as_str())));

    browser
        .evaluate(
            "navigator.clipboard.writeText = async (text) => { window.copied = text; };
             window.print = () => { window.printed = true; };",
        )
        .await;
    browser.click("#recovery-print").await;
    assert_eq!(browser.evaluate("return window.printed").await, json!(true));
    browser.click("#recovery-copy").await;
    browser
        .shows_message("The recovery codes have been copied.")
        .await;
    assert_eq!(
        browser.evaluate("return window.copied").await,
        json!(new.join("\n"))
    );

    latchkey
        .sign_in_with(&user, &old[1])
        .send()
        .await
        .is_refused(403, &["identity.session.invalid_otp"]);
    assert_eq!(
        latchkey.sign_in_with(&user, new[0]).send().await.status,
        201
    );
    browser.close().await;
}

#[tokio::test]
async fn a_confirmation_in_another_browser_requires_the_password() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.signed_up("browser-elsewhere").await;
    let mail = latchkey
        .mail_to(&user.email, 1, |mail: &Mail| {
            mail.confirmation_token().is_some()
        })
        .await;
    let link = mail.link().unwrap();
    browser.open(link).await;
    browser.shows("#confirm > button").await;
    browser.click("#confirm > button").await;
    assert!(
        browser
            .shows("#confirm-proof")
            .await
            .contains("Enter your password to confirm your email address.")
    );
    browser.fill("#confirm [name=password]", OTHER).await;
    browser.click("#confirm > button").await;
    browser.shows_message("The password is incorrect.").await;
    browser.fill("#confirm [name=password]", PASSWORD).await;
    browser.click("#confirm > button").await;
    browser.is_at("/accounts/sign_in").await;
    browser
        .shows_message("Your email address has been confirmed.")
        .await;
    sign_in(&browser, &user.email, PASSWORD).await;
    browser.is_at("/accounts/settings").await;
    assert_eq!(browser.shows("#who").await, user.email);
    let is_hidden = "return document.getElementById('pending').hidden";
    assert_eq!(browser.evaluate(is_hidden).await, json!(true));

    browser.open(link).await;
    browser.shows("#confirm > button").await;
    browser.click("#confirm > button").await;
    browser.is_at("/accounts/sign_in").await;
    browser
        .shows_message("This link has already been used")
        .await;
    browser.click("#message a").await;
    browser.is_at("/accounts/confirmation").await;
    browser.shows("#ask-confirmation").await;
    browser.close().await;
}

#[tokio::test]
async fn the_sign_in_page_shows_why_a_session_ended() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.signed_up("browser-reason").await;
    opens_settings(&browser, &user, None).await;
    latchkey
        .by(&user, "DELETE", "/resource/sessions")
        .send()
        .await
        .is_empty(204);
    browser.click("#end-others button").await;
    browser.is_at("/accounts/sign_in").await;
    browser.shows_message("Your session has ended.").await;

    opens_settings(&browser, &user, None).await;
    latchkey.set_state(&user, "banned").await;
    browser.open("/accounts/settings?lang=en").await;
    browser.is_at("/accounts/sign_in").await;
    browser.shows_message("your account is not active").await;
    browser.close().await;
}

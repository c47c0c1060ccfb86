//! The pages by the rules of axe-core, which cover what a program can decide of WCAG 2.2

use serde_json::json;
use shared::platform::environment::variable;

use super::{
    browser::{sign_in, stack},
    browser_passkeys::adds_passkey,
};
use crate::harness::{Browser, Latchkey, PASSWORD};

/// The script of axe-core. It must be set where `CI` is set; elsewhere the test is skipped without
/// it.
fn axe() -> Option<String> {
    let Some(path) = variable("LATCHKEY_AXE") else {
        assert!(
            variable("CI").is_none(),
            "LATCHKEY_AXE is not set to the path of axe.min.js: npm pack axe-core"
        );
        eprintln!(
            "SKIPPED: LATCHKEY_AXE is not set to the path of axe.min.js (npm pack axe-core), so accessibility was not tested"
        );
        return None;
    };
    Some(std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")))
}

/// Asserts that what the browser shows violates no rule, and that a phone need not scroll sideways.
async fn is_accessible(browser: &Browser, axe: &str, what: &str) {
    for (scheme, width, height) in [
        ("light", 1280, 900),
        ("dark", 1280, 900),
        ("light", 500, 800),
        ("dark", 500, 800),
    ] {
        browser.prefers(scheme).await;
        browser.resize(width, height).await;
        browser.evaluate(axe).await;
        let violations = browser
            .evaluate(
                "return axe.run().then(({ violations }) => violations.map(({ id, nodes }) =>
                    `${id}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`).join('; ')}`))",
            )
            .await;
        assert_eq!(violations, json!([]), "{what}, {scheme}, {width} pixels");
        let overflow = browser
            .evaluate("const { scrollWidth, clientWidth } = document.documentElement; return scrollWidth - clientWidth")
            .await;
        assert_eq!(overflow, json!(0), "{what}, {width} pixels");
    }
}

/// A stack and a browser; `None` where a tool is missing.
async fn start() -> Option<(Latchkey, Browser, String)> {
    let axe = axe()?;
    let latchkey = stack().await;
    let browser = Browser::start(&latchkey.domain()).await?;
    Some((latchkey, browser, axe))
}

#[tokio::test]
async fn every_page_of_a_stranger_is_accessible() {
    let Some((_latchkey, browser, axe)) = start().await else {
        return;
    };
    for page in [
        "/accounts/sign_in?lang=en",
        "/accounts/sign_up?lang=de",
        "/accounts/password_reset?lang=zh",
        "/accounts/password_reset?reset_token=t&lang=en",
        "/accounts/confirmation?lang=uk",
        "/accounts/confirmation?confirmation_token=t&lang=en",
        "/accounts/unknown?lang=en",
        "/",
        "/_local/mailbox",
    ] {
        browser.open(page).await;
        browser.shows("main").await;
        is_accessible(&browser, &axe, page).await;
    }
    browser.open("/accounts/sign_in?lang=en").await;
    browser.click("#languages summary").await;
    browser.shows("#languages nav").await;
    is_accessible(&browser, &axe, "the menu of languages").await;
    sign_in(&browser, "nobody@example.com", PASSWORD).await;
    browser.shows("#message").await;
    is_accessible(&browser, &axe, "a refused sign-in").await;
    browser.close().await;
}

#[tokio::test]
async fn every_part_of_the_account_page_is_accessible() {
    let Some((latchkey, browser, axe)) = start().await else {
        return;
    };
    let user = latchkey.confirmed("accessible").await;
    browser.open("/accounts/sign_in?lang=en").await;
    sign_in(&browser, &user.email, PASSWORD).await;
    browser.is_at("/accounts/settings").await;
    browser.shows("#factor-begin button").await;
    is_accessible(&browser, &axe, "the account page").await;
    browser.click("#factor-begin button").await;
    browser.shows("#key").await;
    is_accessible(&browser, &axe, "the set-up of a second factor").await;
    let _authenticator = browser.authenticator().await;
    adds_passkey(&browser, "Laptop").await;
    is_accessible(&browser, &axe, "the list of passkeys").await;
    for action in ["Rename", "Remove"] {
        browser
            .click(&format!("#passkeys [aria-label='{action}: Laptop']"))
            .await;
        is_accessible(&browser, &axe, action).await;
        browser.types(thirtyfour::Key::Escape).await;
    }
    browser.open("/accounts/email_change?token=t&lang=en").await;
    browser.shows("#confirm-email").await;
    is_accessible(&browser, &axe, "the confirmation of a new address").await;
    browser.open("/_local/mailbox").await;
    browser.shows("#list li").await;
    is_accessible(&browser, &axe, "the mailbox").await;
    browser.close().await;
}

#[tokio::test]
async fn the_dialogs_with_a_passkey_are_accessible() {
    let Some((latchkey, browser, axe)) = start().await else {
        return;
    };
    let user = latchkey.confirmed("accessible-passkey").await;
    let _authenticator = browser.authenticator().await;
    browser.open("/accounts/sign_in?lang=en").await;
    sign_in(&browser, &user.email, PASSWORD).await;
    browser.shows("#offer").await;
    is_accessible(&browser, &axe, "the offer of a passkey").await;
    browser.click("#offer button:not([type])").await;
    browser.is_at("/accounts/settings").await;
    browser.shows("#passkeys li").await;
    // The dialog as it opens if the authentication is too old.
    browser
        .evaluate("document.getElementById('step-up-dialog').showModal()")
        .await;
    browser.shows("#step-up-passkey").await;
    is_accessible(&browser, &axe, "a step-up with a passkey").await;
    browser.close().await;
}

//! The hosted pages in a browser: change of the address

use serde_json::json;

use super::browser::{OTHER, sign_in, stack};
use crate::harness::{Browser, Latchkey, Mail, PASSWORD, User};

async fn opens_settings(browser: &Browser, user: &User) {
    browser.open("/accounts/sign_in?lang=en").await;
    sign_in(browser, &user.email, &user.password).await;
    browser.is_at("/accounts/settings").await;
    browser.shows("#sessions li").await;
}

async fn link_to(latchkey: &Latchkey, email: &str) -> String {
    let is_link = |mail: &Mail| mail.email_change_token().is_some();
    let mail = latchkey.mail_to(email, 1, is_link).await;
    mail.link().unwrap().to_owned()
}

#[tokio::test]
async fn a_user_changes_the_address_and_signs_in_to_confirm_it() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.confirmed("browser-move").await;
    opens_settings(&browser, &user).await;
    browser.shows("#change-email").await;
    let code_is_hidden = "return document.getElementById('change-email-code').hidden";
    assert_eq!(browser.evaluate(code_is_hidden).await, json!(true));
    let new = "browser-moved@example.com";
    let submit = "#change-email > button";
    browser
        .fill("#change-email [name=email]", &user.email)
        .await;
    browser
        .fill("#change-email [name=password]", PASSWORD)
        .await;
    browser.click(submit).await;
    browser
        .shows_message("must be different from the current one")
        .await;
    browser.fill("#change-email [name=email]", new).await;
    browser.fill("#change-email [name=password]", OTHER).await;
    browser.click(submit).await;
    browser.shows_message("The password is incorrect.").await;
    browser
        .fill("#change-email [name=password]", PASSWORD)
        .await;
    browser.click(submit).await;
    browser
        .shows_message("We have sent a link to the new address.")
        .await;
    let link = link_to(&latchkey, new).await;

    // In a browser without a session, the link leads to the sign-in and back.
    browser.click("#sign-out button").await;
    browser.is_at("/accounts/sign_in").await;
    browser.open(&link).await;
    browser.is_at("/accounts/sign_in").await;
    browser
        .shows_message("Please sign in to confirm your new email address.")
        .await;
    let url = browser.url().await;
    assert!(!url.contains("token"), "{url}");
    sign_in(&browser, &user.email, PASSWORD).await;
    browser.is_at("/accounts/email_change").await;
    browser.shows("#confirm-email").await;
    assert_eq!(browser.shows("#who").await, user.email);
    browser.click("#confirm-email > button").await;
    browser.is_at("/accounts/settings").await;
    browser
        .shows_message("Your email address has been changed.")
        .await;
    assert_eq!(browser.shows("#who").await, new);

    // The token is used up, so that the next sign-in leads to the settings.
    browser.click("#sign-out button").await;
    browser.is_at("/accounts/sign_in").await;
    sign_in(&browser, new, PASSWORD).await;
    browser.is_at("/accounts/settings").await;
    browser.close().await;
}

#[tokio::test]
async fn a_link_is_confirmed_by_a_button_and_removed_from_the_address_bar() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.confirmed("browser-button").await;
    opens_settings(&browser, &user).await;
    let new = "browser-button-new@example.com";
    let again = latchkey.with_new_session(&user).await;
    latchkey.email_change_token(&again, new).await;
    let link = link_to(&latchkey, new).await;
    browser.open(&link).await;
    browser.shows("#confirm-email").await;
    let url = browser.url().await;
    assert!(!url.contains("token"), "{url}");
    // Opening the link changes nothing.
    latchkey.signed_in(&user).await;
    browser.click("#confirm-email > button").await;
    browser.is_at("/accounts/settings").await;
    browser
        .shows_message("Your email address has been changed.")
        .await;
    // A second click on the link.
    browser.open(&link).await;
    browser.shows("#confirm-email").await;
    browser.click("#confirm-email > button").await;
    browser.is_at("/accounts/settings").await;
    browser
        .shows_message("This link has already been used")
        .await;
    browser.close().await;
}

#[tokio::test]
async fn a_link_of_another_account_changes_nothing_and_says_so() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.confirmed("browser-owner").await;
    let stranger = latchkey.confirmed("browser-stranger").await;
    let new = "browser-foreign@example.com";
    latchkey.email_change_token(&user, new).await;
    opens_settings(&browser, &stranger).await;
    browser.open(&link_to(&latchkey, new).await).await;
    browser.shows("#confirm-email").await;
    assert_eq!(browser.shows("#who").await, stranger.email);
    browser.click("#confirm-email > button").await;
    browser.is_at("/accounts/settings").await;
    browser.shows_message("belongs to another account").await;
    assert_eq!(browser.shows("#who").await, stranger.email);
    latchkey.signed_in(&user).await;
    // Without a token, the page leads to the settings.
    browser.open("/accounts/email_change?lang=en").await;
    browser.is_at("/accounts/settings").await;
    browser.close().await;
}

#[tokio::test]
async fn a_code_is_asked_for_while_the_second_factor_is_on() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let (user, authenticator) = latchkey.enrolled("browser-move-code").await;
    browser.open("/accounts/sign_in?lang=en").await;
    sign_in(&browser, &user.email, PASSWORD).await;
    browser.shows("#otp").await;
    let codes = &authenticator.recovery_codes;
    browser.fill("[name=otp_code]", &codes[0]).await;
    browser.click("#sign-in > button").await;
    browser.is_at("/accounts/settings").await;
    browser.shows("#change-email-code").await;
    let new = "browser-move-code-new@example.com";
    browser.fill("#change-email [name=email]", new).await;
    browser
        .fill("#change-email [name=password]", PASSWORD)
        .await;
    browser.click("#change-email > button").await;
    browser.shows_message("Please enter the code").await;
    let code = "#change-email [name=otp_code]";
    browser.fill(code, &codes[0]).await;
    browser.click("#change-email > button").await;
    browser.shows_message("This code is incorrect").await;
    browser.fill(code, &codes[1]).await;
    browser.click("#change-email > button").await;
    browser
        .shows_message("We have sent a link to the new address.")
        .await;
    link_to(&latchkey, new).await;
    browser.close().await;
}

#[tokio::test]
async fn an_address_that_is_not_confirmed_cannot_be_changed() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.signed_up("browser-move-pending").await;
    opens_settings(&browser, &user).await;
    let is_hidden = "return document.getElementById('email-section').hidden";
    assert_eq!(browser.evaluate(is_hidden).await, json!(true));
    browser.close().await;
}

//! The hosted pages in a browser: export of the data, and closing of the account

use serde_json::json;

use super::browser::{OTHER, sign_in, stack};
use crate::harness::{Browser, PASSWORD, eventually};

const SETTINGS: &str = "/accounts/settings?lang=en";

#[tokio::test]
async fn a_user_downloads_their_data() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.confirmed("browser-export").await;
    browser.open("/accounts/sign_in?lang=en").await;
    sign_in(&browser, &user.email, PASSWORD).await;
    browser.shows("#export button").await;
    // Catches the file, which the browser would store in a folder.
    browser
        .evaluate(
            "const make = URL.createObjectURL.bind(URL);
             URL.createObjectURL = (blob) => {
               blob.text().then((text) => { window.text = text; });
               return make(blob);
             };
             HTMLAnchorElement.prototype.click = function () { window.file = this.download; };",
        )
        .await;
    browser.click("#export button").await;
    browser
        .shows_message("Your data has been downloaded.")
        .await;
    let file = eventually("the file", || async {
        let file = "return window.text && window.file ? [window.file, window.text] : null";
        let file = browser.evaluate(file).await;
        file.is_array().then_some(file)
    })
    .await;
    assert_eq!(file[0], json!(format!("{}.json", user.uid)));
    let document: serde_json::Value = serde_json::from_str(file[1].as_str().unwrap()).unwrap();
    assert_eq!(document["account"]["email"], user.email.as_str());
    browser.close().await;
}

#[tokio::test]
async fn a_user_closes_the_account_and_reopens_it() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let (user, authenticator) = latchkey.enrolled("browser-closing").await;
    browser.open("/accounts/sign_in?lang=en").await;
    sign_in(&browser, &user.email, PASSWORD).await;
    browser.shows("#otp").await;
    browser
        .fill("[name=otp_code]", &authenticator.recovery_codes[0])
        .await;
    browser.click("#sign-in > button").await;
    browser.is_at("/accounts/settings").await;
    browser.shows("#close-begin").await;

    browser.click("#close-begin").await;
    browser.shows("#close").await;
    browser.types(thirtyfour::Key::Escape).await;
    let open = "return document.getElementById('close-dialog').open";
    eventually("the dialog closes", || async {
        (browser.evaluate(open).await == json!(false)).then_some(())
    })
    .await;

    browser.click("#close-begin").await;
    browser.fill("#close [name=password]", OTHER).await;
    browser
        .fill("#close [name=otp_code]", &authenticator.recovery_codes[1])
        .await;
    browser.click("#close button.danger").await;
    assert_eq!(
        browser.shows("#close-message").await,
        "The password is incorrect."
    );
    browser.fill("#close [name=password]", PASSWORD).await;
    browser.click("#close button.danger").await;
    browser.is_at("/accounts/sign_in").await;
    browser.shows_message("Your account has been closed.").await;
    browser.open(SETTINGS).await;
    browser.is_at("/accounts/sign_in").await;
    sign_in(&browser, &user.email, PASSWORD).await;
    browser.shows_message("This account has been closed.").await;

    let mail = latchkey.reset_mail(&user.email).await;
    latchkey
        .confirm(mail.reset_token().unwrap(), OTHER)
        .send()
        .await
        .is_empty(201);
    browser.open("/accounts/sign_in?lang=en").await;
    sign_in(&browser, &user.email, OTHER).await;
    // The second factor was turned on within the last 72 hours, so the reset removed it.
    browser.is_at("/accounts/settings").await;
    browser.shows("#who").await;
    browser.close().await;
}

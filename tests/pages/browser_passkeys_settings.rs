//! The hosted pages in a browser: the passkeys of an account, and step-up with one

use serde_json::{Value, json};

use super::{
    browser::stack,
    browser_passkeys::{NO_AUTOFILL, adds_passkey, hidden, opens_settings, refuses, signs_out},
};
use crate::harness::{Browser, Latchkey, User, eventually};

/// The names of the listed passkeys, sorted: those added in the same second have no order.
async fn names(browser: &Browser) -> Value {
    browser
        .evaluate(
            "return [...document.querySelectorAll('#passkeys b')].map((name) => name.textContent).sort()",
        )
        .await
}

/// Clicks a button of the passkey with that name: `Rename` or `Remove`.
async fn clicks(browser: &Browser, action: &str, name: &str) {
    browser
        .click(&format!("#passkeys [aria-label='{action}: {name}']"))
        .await;
}

/// Waits until a dialog is closed.
async fn closes(browser: &Browser, dialog: &str) {
    let open = format!("return document.getElementById('{dialog}').open");
    eventually("the dialog closes", || async {
        (browser.evaluate(&open).await == json!(false)).then_some(())
    })
    .await;
}

/// Makes the session of the browser too old for operations that need a step-up.
async fn authentication_ages(latchkey: &Latchkey, browser: &Browser, user: &User) {
    let session = browser.cookie("_barong_session").await;
    let user = User {
        session,
        ..user.clone()
    };
    latchkey.age_authentication(&user, 1000).await;
}

#[tokio::test]
async fn passkeys_of_two_devices_are_renamed_and_removed() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.confirmed("browser-passkeys").await;
    browser.runs_first(NO_AUTOFILL).await;
    opens_settings(&browser, &user, None).await;
    let laptop = browser.authenticator().await;
    adds_passkey(&browser, "Laptop").await;
    // The same device again.
    browser.click("#passkey-add button").await;
    browser
        .shows_message("There is already a passkey for your account on this device.")
        .await;
    let of_laptop = laptop.passkeys().await;
    assert_eq!(of_laptop.len(), 1);
    laptop.detach().await;
    let synced = json!({ "defaultBackupEligibility": true, "defaultBackupState": true });
    let phone = browser.authenticator_with(&synced).await;
    adds_passkey(&browser, "Phone").await;
    assert_eq!(names(&browser).await, json!(["Laptop", "Phone"]));
    let listed = browser.shows("#passkeys").await;
    assert!(listed.contains("Laptop On one device only"), "{listed}");
    assert!(listed.contains("Phone Synced"), "{listed}");

    clicks(&browser, "Rename", "Phone").await;
    browser.shows("#rename").await;
    browser.fill("#rename [name=name]", &"x".repeat(65)).await;
    browser.click("#rename button:not([type])").await;
    assert_eq!(
        browser.shows("#rename-message").await,
        "This entry is too long."
    );
    browser
        .fill("#rename [name=name]", "New <b>phone</b>")
        .await;
    browser.click("#rename button:not([type])").await;
    browser.shows_message("The passkey has been renamed.").await;
    closes(&browser, "rename-dialog").await;
    assert_eq!(names(&browser).await, json!(["Laptop", "New <b>phone</b>"]));

    clicks(&browser, "Remove", "Laptop").await;
    browser.shows("#remove").await;
    assert_eq!(browser.shows("#remove-name").await, "Laptop");
    browser.click("#remove-cancel").await;
    closes(&browser, "remove-dialog").await;
    assert_eq!(names(&browser).await.as_array().unwrap().len(), 2);
    clicks(&browser, "Remove", "Laptop").await;
    browser.click("#remove button:not([type])").await;
    browser.shows_message("The passkey has been removed.").await;
    assert_eq!(names(&browser).await, json!(["New <b>phone</b>"]));
    latchkey
        .mail_to(&user.email, 1, |mail| {
            mail.subject.contains("A passkey was removed")
        })
        .await;

    // The removed passkey does not sign in, the other does.
    signs_out(&browser).await;
    let of_phone = phone.passkeys().await;
    phone.has_passkeys(&of_laptop).await;
    browser.click("#passkey-sign-in button").await;
    browser
        .shows_message("This passkey was not accepted.")
        .await;
    phone.has_passkeys(&of_phone).await;
    browser.click("#passkey-sign-in button").await;
    browser.is_at("/accounts/settings").await;
    browser.close().await;
}

#[tokio::test]
async fn a_passkey_confirms_who_changes_the_account() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.confirmed("browser-passkey-step-up").await;
    let stranger = latchkey.confirmed("browser-passkey-stranger").await;
    browser.runs_first(NO_AUTOFILL).await;
    opens_settings(&browser, &stranger, None).await;
    let authenticator = browser.authenticator().await;
    adds_passkey(&browser, "Stranger").await;
    let of_stranger = authenticator.passkeys().await;
    authenticator.has_passkeys(&[]).await;
    signs_out(&browser).await;
    opens_settings(&browser, &user, None).await;
    assert!(hidden(&browser, "step-up-passkey").await);
    adds_passkey(&browser, "Laptop").await;
    let of_user = authenticator.passkeys().await;
    authentication_ages(&latchkey, &browser, &user).await;

    clicks(&browser, "Remove", "Laptop").await;
    browser.click("#remove button:not([type])").await;
    browser.shows("#step-up-passkey").await;
    authenticator.has_passkeys(&of_stranger).await;
    browser.click("#step-up-passkey button").await;
    let message = browser.shows("#step-up-message").await;
    assert!(
        message.contains("This passkey was not accepted."),
        "{message}"
    );
    assert_eq!(names(&browser).await, json!(["Laptop"]));

    authenticator.has_passkeys(&of_user).await;
    browser.click("#step-up-passkey button").await;
    browser.shows_message("The passkey has been removed.").await;
    closes(&browser, "step-up-dialog").await;
    assert_eq!(names(&browser).await, json!([]));
    // The device no longer offers a passkey that the account does not have.
    eventually("the passkey is deleted", || async {
        authenticator.passkeys().await.is_empty().then_some(())
    })
    .await;
    browser.close().await;
}

#[tokio::test]
async fn a_pending_account_confirms_its_address_before_it_adds_a_passkey() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.signed_up("browser-passkeys-pending").await;
    opens_settings(&browser, &user, None).await;
    let note = browser.shows("#passkeys-pending").await;
    assert!(
        note.contains("Please confirm your email address first."),
        "{note}"
    );
    assert!(hidden(&browser, "passkey-add").await);
    browser.click("#passkeys-pending a").await;
    browser.is_at("/accounts/confirmation").await;
    browser.close().await;
}

#[tokio::test]
async fn every_refused_passkey_is_explained() {
    const OPTIONS: &str = "/resource/passkeys/options";
    const ADD: &str = "/resource/passkeys";
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.confirmed("browser-passkeys-refused").await;
    opens_settings(&browser, &user, None).await;
    let authenticator = browser.authenticator().await;
    browser.shows("#passkey-add").await;
    let fails_with = |name: &str| {
        format!(
            "window.fetch = window.real;
             navigator.credentials.create = async () => {{ throw new DOMException('', '{name}'); }};"
        )
    };
    for (script, message) in [
        (
            refuses(OPTIONS, 422, "resource.passkey.limit"),
            "You have as many passkeys as an account can have.",
        ),
        (
            refuses(OPTIONS, 422, "resource.passkey.email_not_confirmed"),
            "Please confirm your email address first.",
        ),
        (
            refuses(ADD, 422, "resource.passkey.invalid_credential"),
            "The passkey could not be added.",
        ),
        (
            refuses(ADD, 422, "resource.passkey.taken"),
            "There is already a passkey for your account on this device.",
        ),
        (
            refuses(ADD, 422, "jwt.decode_and_verify"),
            "This took too long.",
        ),
        (
            fails_with("NotSupportedError"),
            "Passkeys cannot be used here.",
        ),
        (fails_with("UnknownError"), "Something went wrong."),
    ] {
        browser.evaluate(&script).await;
        browser.click("#passkey-add button").await;
        browser.shows_message(message).await;
        assert_eq!(names(&browser).await, json!([]));
        if message == "The passkey could not be added." {
            // The device does not offer what the API does not have.
            eventually("the passkey is deleted", || async {
                authenticator.passkeys().await.is_empty().then_some(())
            })
            .await;
        }
    }
    browser.evaluate(&fails_with("NotAllowedError")).await;
    browser.click("#passkey-add button").await;
    eventually("the message disappears", || async {
        hidden(&browser, "message").await.then_some(())
    })
    .await;
    browser.close().await;
}

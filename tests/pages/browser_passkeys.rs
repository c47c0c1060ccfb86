//! The hosted pages in a browser: sign-in with a passkey

use serde_json::{Value, json};

use super::browser::{OTHER, sign_in, stack};
use crate::harness::{Browser, PASSWORD, User, eventually};

/// A browser without passkeys in the autofill.
pub(super) const NO_AUTOFILL: &str =
    "PublicKeyCredential.isConditionalMediationAvailable = async () => false;";

/// Adds a passkey on the settings page, which must be open.
pub(super) async fn adds_passkey(browser: &Browser, name: &str) {
    browser.shows("#passkey-add").await;
    browser.fill("#passkey-add [name=name]", name).await;
    browser.click("#passkey-add button").await;
    browser.shows_message("The passkey has been added.").await;
}

/// Signs in with the password, and a recovery code if the second factor is on. Chromium must not
/// have an authenticator yet, so that the page does not offer to add a passkey.
pub(super) async fn opens_settings(browser: &Browser, user: &User, recovery_code: Option<&str>) {
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

pub(super) async fn signs_out(browser: &Browser) {
    browser.click("#sign-out button").await;
    browser.is_at("/accounts/sign_in").await;
}

pub(super) async fn hidden(browser: &Browser, id: &str) -> bool {
    let script = format!("return document.getElementById('{id}').hidden");
    browser.evaluate(&script).await == json!(true)
}

#[tokio::test]
async fn a_user_adds_a_passkey_and_signs_in_without_typing_anything() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.confirmed("browser-passkey").await;
    opens_settings(&browser, &user, None).await;
    let authenticator = browser.authenticator().await;
    assert!(browser.shows("#no-passkeys").await.contains("no passkeys"));
    let proposed = "return document.querySelector('#passkey-add [name=name]').value";
    assert_eq!(browser.evaluate(proposed).await, json!("Chrome on Linux"));
    adds_passkey(&browser, "My laptop").await;
    let listed = browser.shows("#passkeys li").await;
    assert!(
        listed.starts_with("My laptop On one device only"),
        "{listed}"
    );
    assert!(listed.contains("not used yet"), "{listed}");
    let mail = latchkey
        .mail_to(&user.email, 1, |mail| {
            mail.subject.contains("A passkey was added")
        })
        .await;
    assert!(mail.text.contains("Device: Chrome on Linux"), "{mail:?}");
    assert_eq!(authenticator.passkeys().await.len(), 1);

    signs_out(&browser).await;
    browser.is_at("/accounts/settings").await;
    assert_eq!(browser.shows("#who").await, user.email);
    let listed = browser.shows("#passkeys li").await;
    assert!(listed.contains("Last used: 1 minute ago"), "{listed}");
    // The passkey is not offered again to a browser that knows it.
    assert_eq!(
        browser
            .evaluate("return localStorage.getItem('latchkey.passkey')")
            .await,
        json!("known")
    );
    browser.close().await;
}

#[tokio::test]
async fn the_button_signs_in_and_a_cancelled_request_is_no_problem() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.confirmed("browser-passkey-button").await;
    browser.runs_first(NO_AUTOFILL).await;
    opens_settings(&browser, &user, None).await;
    let _authenticator = browser.authenticator().await;
    adds_passkey(&browser, "").await;
    // A passkey without a name is listed with its date.
    let listed = browser.shows("#passkeys li b").await;
    assert!(listed.starts_with("Passkey · "), "{listed}");
    signs_out(&browser).await;

    browser.shows("#passkey-sign-in button").await;
    browser
        .evaluate(
            "window.get = navigator.credentials.get;
             navigator.credentials.get = async () => {
                 window.asked = true;
                 throw new DOMException('', 'NotAllowedError');
             };",
        )
        .await;
    browser.click("#passkey-sign-in button").await;
    let settled = "const button = document.querySelector('#passkey-sign-in button');
        return window.asked === true && document.activeElement === button && !button.disabled";
    eventually("the cancelled request ends", || async {
        (browser.evaluate(settled).await == json!(true)).then_some(())
    })
    .await;
    assert!(hidden(&browser, "message").await);

    browser
        .evaluate("navigator.credentials.get = window.get;")
        .await;
    // The passkey is not remembered longer than the user wants.
    browser.click(".check").await;
    browser.click("#passkey-sign-in button").await;
    browser.is_at("/accounts/settings").await;
    assert_eq!(browser.shows("#who").await, user.email);
    assert_eq!(browser.cookie_expiry("_barong_session").await, None);
    browser.close().await;
}

#[tokio::test]
async fn a_passkey_needs_no_code_of_the_second_factor() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let (user, otp) = latchkey.enrolled("browser-passkey-otp").await;
    opens_settings(&browser, &user, Some(&otp.recovery_codes[0])).await;
    let _authenticator = browser.authenticator().await;
    adds_passkey(&browser, "Phone").await;
    signs_out(&browser).await;
    browser.is_at("/accounts/settings").await;
    browser.shows("#factor-disable").await;
    browser.close().await;
}

#[tokio::test]
async fn a_copied_passkey_is_refused_and_reported() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.confirmed("browser-passkey-clone").await;
    opens_settings(&browser, &user, None).await;
    let authenticator = browser.authenticator().await;
    adds_passkey(&browser, "Phone").await;
    signs_out(&browser).await;
    browser.is_at("/accounts/settings").await;
    browser.shows("#passkeys li").await;
    let mut passkeys = authenticator.passkeys().await;
    assert!(passkeys[0]["signCount"].as_i64().unwrap() > 1);
    passkeys[0]["signCount"] = json!(0);
    authenticator.has_passkeys(&passkeys).await;

    signs_out(&browser).await;
    browser
        .shows_message("This passkey was not accepted.")
        .await;
    browser.is_at("/accounts/sign_in").await;
    let mail = latchkey
        .mail_to(&user.email, 1, |mail| {
            mail.subject == "A sign-in to Latchkey with your passkey was refused"
        })
        .await;
    assert!(mail.text.contains("signature counter"), "{mail:?}");
    assert!(mail.text.contains("Device: Chrome on Linux"), "{mail:?}");
    // The password still works, and the passkey is not offered again.
    sign_in(&browser, &user.email, PASSWORD).await;
    browser.is_at("/accounts/settings").await;
    browser.close().await;
}

#[tokio::test]
async fn a_device_that_does_not_verify_its_user_cannot_sign_in() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.confirmed("browser-passkey-uv").await;
    browser.runs_first(NO_AUTOFILL).await;
    opens_settings(&browser, &user, None).await;
    let authenticator = browser.authenticator().await;
    adds_passkey(&browser, "Phone").await;
    signs_out(&browser).await;
    authenticator.verifies_user(false).await;
    browser.shows("#passkey-sign-in").await;
    // A page that does not require the verification, as a thief's would.
    browser
        .evaluate(
            "window.get = navigator.credentials.get.bind(navigator.credentials);
             navigator.credentials.get = (options) => {
                 options.publicKey.userVerification = 'discouraged';
                 return window.get(options);
             };",
        )
        .await;
    browser.click("#passkey-sign-in button").await;
    browser
        .shows_message("This passkey was not accepted.")
        .await;
    authenticator.verifies_user(true).await;
    browser
        .evaluate("navigator.credentials.get = window.get;")
        .await;
    browser.click("#passkey-sign-in button").await;
    browser.is_at("/accounts/settings").await;
    browser.close().await;
}

#[tokio::test]
async fn the_passkey_of_an_account_that_may_not_sign_in_states_why() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.confirmed("browser-passkey-banned").await;
    opens_settings(&browser, &user, None).await;
    let _authenticator = browser.authenticator().await;
    adds_passkey(&browser, "Phone").await;
    latchkey.set_state(&user, "banned").await;
    browser.open("/accounts/sign_in?lang=en").await;
    browser
        .shows_message("Your account has been blocked.")
        .await;
    browser.is_at("/accounts/sign_in").await;
    browser.close().await;
}

#[tokio::test]
async fn a_browser_without_passkeys_signs_in_with_the_password() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.confirmed("browser-passkey-none").await;
    browser
        .runs_first("delete window.PublicKeyCredential;")
        .await;
    browser.open("/accounts/sign_in?lang=en").await;
    assert!(hidden(&browser, "passkey-sign-in").await);
    opens_settings(&browser, &user, None).await;
    assert!(
        browser
            .shows("#passkeys-unsupported")
            .await
            .contains("does not support passkeys")
    );
    assert!(hidden(&browser, "passkey-add").await);
    browser.close().await;
}

#[tokio::test]
async fn a_browser_that_cannot_convert_options_and_credentials_uses_passkeys_too() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.confirmed("browser-passkey-old").await;
    browser
        .runs_first(
            "delete PublicKeyCredential.parseCreationOptionsFromJSON;
             delete PublicKeyCredential.parseRequestOptionsFromJSON;
             delete PublicKeyCredential.prototype.toJSON;",
        )
        .await;
    opens_settings(&browser, &user, None).await;
    let _authenticator = browser.authenticator().await;
    adds_passkey(&browser, "Phone").await;
    signs_out(&browser).await;
    browser.is_at("/accounts/settings").await;
    assert_eq!(browser.shows("#who").await, user.email);
    browser.close().await;
}

/// Counts the requests for options, and shortens the time after which they are renewed.
const FAST_RENEWAL: &str = "
    window.requests = 0;
    const fetched = window.fetch;
    window.fetch = (path, ...more) => {
        if (String(path).endsWith('/passkey/options')) window.requests += 1;
        return fetched(path, ...more);
    };
    const timer = window.setTimeout;
    window.setTimeout = (work, delay, ...more) => timer(work, delay === 240000 ? 1100 : delay, ...more);
";

#[tokio::test]
async fn the_options_of_the_autofill_are_renewed_before_they_expire() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.confirmed("browser-passkey-renewal").await;
    browser.runs_first(FAST_RENEWAL).await;
    browser.open("/accounts/sign_in?lang=en").await;
    eventually("the options are renewed twice", || async {
        let requests = browser.evaluate("return window.requests").await;
        (requests.as_i64().unwrap() >= 3).then_some(())
    })
    .await;
    assert!(hidden(&browser, "message").await);
    sign_in(&browser, &user.email, PASSWORD).await;
    browser.is_at("/accounts/settings").await;
    browser.close().await;
}

/// Makes the browser answer requests to a path with an error key.
pub(super) fn refuses(path: &str, status: u16, key: &str) -> String {
    format!(
        "window.real ??= window.fetch;
         window.fetch = async (path, ...more) => path === '{path}'
             ? new Response(JSON.stringify({{ errors: ['{key}'] }}), {{ status: {status}, headers: {{ 'retry-after': '120' }} }})
             : window.real(path, ...more);"
    )
}

#[tokio::test]
async fn every_refused_sign_in_with_a_passkey_is_explained() {
    const OPTIONS: &str = "/identity/sessions/passkey/options";
    const SIGN_IN: &str = "/identity/sessions/passkey";
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.confirmed("browser-passkey-refused").await;
    browser.runs_first(NO_AUTOFILL).await;
    opens_settings(&browser, &user, None).await;
    let _authenticator = browser.authenticator().await;
    adds_passkey(&browser, "Phone").await;
    signs_out(&browser).await;
    browser.shows("#passkey-sign-in button").await;
    for (script, message) in [
        (
            refuses(OPTIONS, 429, "request.too_many_attempts"),
            "Too many attempts. Please try again in 2 minutes.",
        ),
        (
            refuses(SIGN_IN, 422, "jwt.decode_and_verify"),
            "This took too long.",
        ),
        (
            refuses(SIGN_IN, 422, "identity.user.utilized_token"),
            "This took too long.",
        ),
        (
            refuses(SIGN_IN, 404, "identity.session.invalid_params"),
            "This passkey was not accepted.",
        ),
        (
            refuses(SIGN_IN, 401, "identity.session.deleted"),
            "This account has been closed.",
        ),
        (
            refuses(SIGN_IN, 503, "server.unavailable"),
            "Something went wrong.",
        ),
        (
            "window.fetch = () => Promise.reject(new TypeError('offline'));".to_owned(),
            "Something went wrong.",
        ),
        (
            "window.fetch = window.real;
             navigator.credentials.get = async () => { throw new DOMException('', 'SecurityError'); };"
                .to_owned(),
            "Passkeys cannot be used here.",
        ),
    ] {
        browser.evaluate(&script).await;
        browser
            .evaluate("document.getElementById('message').textContent = ''")
            .await;
        browser.click("#passkey-sign-in button").await;
        browser.shows_message(message).await;
    }
    // The form with the password is as it was.
    sign_in(&browser, &user.email, OTHER).await;
    browser
        .shows_message("Incorrect email address or password.")
        .await;
    browser.close().await;
}

/// Whether the dialog that offers a passkey is open.
async fn is_offered(browser: &Browser) -> bool {
    let open = "return Boolean(document.getElementById('offer-dialog')?.open)";
    browser.evaluate(open).await == json!(true)
}

#[tokio::test]
async fn a_passkey_is_offered_once_after_a_sign_in_with_the_password() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.confirmed("browser-passkey-offer").await;
    let authenticator = browser.authenticator().await;
    browser.open("/accounts/sign_in?lang=en").await;
    sign_in(&browser, &user.email, PASSWORD).await;
    browser.shows("#offer").await;
    assert!(is_offered(&browser).await);
    browser.click("#offer-cancel").await;
    browser.is_at("/accounts/settings").await;
    browser.shows("#no-passkeys").await;
    signs_out(&browser).await;
    sign_in(&browser, &user.email, PASSWORD).await;
    browser.is_at("/accounts/settings").await;
    browser.shows("#no-passkeys").await;

    // Another browser of the user.
    let forget = "localStorage.removeItem('latchkey.passkey')";
    browser.evaluate(forget).await;
    signs_out(&browser).await;
    sign_in(&browser, &user.email, PASSWORD).await;
    browser.shows("#offer").await;
    browser.click("#offer button:not([type])").await;
    browser.is_at("/accounts/settings").await;
    browser.shows_message("The passkey has been added.").await;
    let listed = browser.shows("#passkeys li").await;
    assert!(listed.starts_with("Chrome on Linux"), "{listed}");
    assert_eq!(authenticator.passkeys().await.len(), 1);

    // A device that has a passkey of the account already.
    browser.evaluate(forget).await;
    browser.runs_first(NO_AUTOFILL).await;
    signs_out(&browser).await;
    sign_in(&browser, &user.email, PASSWORD).await;
    browser.shows("#offer").await;
    browser.click("#offer button:not([type])").await;
    let message = browser.shows("#offer-message").await;
    assert!(message.contains("There is already a passkey"), "{message}");
    browser.types(thirtyfour::Key::Escape).await;
    browser.is_at("/accounts/settings").await;
    browser.close().await;
}

#[tokio::test]
async fn a_passkey_is_not_offered_where_it_would_not_help() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let confirmed = latchkey.confirmed("browser-passkey-shared").await;
    let pending = latchkey.signed_up("browser-passkey-pending").await;
    let goes_on = async || {
        browser.is_at("/accounts/settings").await;
        browser.shows("#sessions li").await;
        let known = "return localStorage.getItem('latchkey.passkey')";
        assert_eq!(browser.evaluate(known).await, Value::Null);
        signs_out(&browser).await;
    };
    // A device without an authenticator of its own.
    browser.open("/accounts/sign_in?lang=en").await;
    sign_in(&browser, &confirmed.email, PASSWORD).await;
    goes_on().await;
    let _authenticator = browser.authenticator().await;
    // A computer that others use.
    browser.open("/accounts/sign_in?lang=en").await;
    browser.click(".check").await;
    sign_in(&browser, &confirmed.email, PASSWORD).await;
    goes_on().await;
    // An account whose address is not confirmed.
    sign_in(&browser, &pending.email, PASSWORD).await;
    goes_on().await;
    browser.close().await;
}

//! The hosted pages in a browser

use serde_json::json;
use shared::domain::language::Language;

use crate::harness::{Browser, Latchkey, Mail, PASSWORD, otp};

pub(super) const OTHER: &str = "Other-Horse-7-Battery";

pub(super) async fn stack() -> Latchkey {
    Latchkey::start(&otp::FOR_RACES[1..]).await
}

/// Submits the sign-in form.
pub(super) async fn sign_in(browser: &Browser, email: &str, password: &str) {
    browser.fill("[name=email]", email).await;
    browser.fill("[name=password]", password).await;
    browser.click("#sign-in > button").await;
}

#[tokio::test]
async fn a_user_signs_up_confirms_the_address_and_enables_a_second_factor() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let email = "browser-story@example.com";
    browser.open("/accounts/sign_up?lang=de").await;
    browser.fill("[name=email]", email).await;
    browser.fill("[name=password]", PASSWORD).await;
    browser.click("#sign-up > button").await;
    browser.shows_message("Ihr Konto wurde erstellt.").await;
    assert_eq!(browser.shows("#who").await, email);
    assert!(
        browser
            .shows("#pending")
            .await
            .contains("noch nicht bestätigt")
    );

    let mail = latchkey
        .mail_to(email, 1, |mail| mail.confirmation_token().is_some())
        .await;
    browser.open(mail.link().unwrap()).await;
    browser.shows("#confirm > button").await;
    assert!(
        !browser.url().await.contains("token"),
        "{}",
        browser.url().await
    );
    browser.click("#confirm > button").await;
    browser
        .shows_message("Ihre E-Mail-Adresse wurde bestätigt.")
        .await;

    browser.open("/accounts/settings?lang=en").await;
    browser.shows("#factor-begin button").await;
    browser.click("#factor-begin button").await;
    let secret = browser.shows("#key").await;
    assert_eq!(
        browser
            .evaluate("return document.getElementById('barcode').naturalWidth")
            .await,
        json!(300)
    );
    browser
        .fill("#factor-enable [name=code]", &otp::wrong_code_of(&secret))
        .await;
    browser.click("#factor-enable button").await;
    browser.shows_message("This code is incorrect").await;
    let in_view =
        "const { top, bottom } = document.getElementById('message').getBoundingClientRect();
        return top >= 0 && bottom <= innerHeight";
    assert_eq!(browser.evaluate(in_view).await, json!(true));
    let step = otp::step();
    browser
        .fill("#factor-enable [name=code]", &otp::code_of(&secret, step))
        .await;
    browser.click("#factor-enable button").await;
    browser
        .shows_message("Two-factor authentication is on.")
        .await;
    let codes = browser.shows("#recovery-codes").await;
    assert_eq!(codes.lines().count(), 10, "{codes}");
    // They are shown once, so they must not be overlooked.
    let in_view =
        "const { top, bottom } = document.getElementById('recovery-codes').getBoundingClientRect();
        return top >= 0 && bottom <= innerHeight";
    assert_eq!(browser.evaluate(in_view).await, json!(true));

    browser.click("#sign-out button").await;
    browser.is_at("/accounts/sign_in").await;
    sign_in(&browser, email, PASSWORD).await;
    browser.shows_message("Please enter the code").await;
    browser.shows("#otp").await;
    browser
        .fill("[name=otp_code]", codes.lines().next().unwrap())
        .await;
    browser.click("#sign-in > button").await;
    browser.is_at("/accounts/settings").await;
    browser.shows("#factor-disable").await;
    browser.close().await;
}

#[tokio::test]
async fn a_mailed_link_sets_a_password_once() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.signed_up("browser-reset").await;
    browser.open("/accounts/password_reset?lang=en").await;
    browser.fill("#ask-reset [name=email]", &user.email).await;
    browser.click("#ask-reset button").await;
    browser
        .shows_message("you will receive an email shortly")
        .await;
    let mail = latchkey
        .mail_to(&user.email, 1, |mail: &Mail| mail.reset_token().is_some())
        .await;
    let link = mail.link().unwrap();

    browser.open(link).await;
    browser.shows("#set-password").await;
    assert!(
        !browser.url().await.contains("token"),
        "{}",
        browser.url().await
    );
    // The links to other languages keep the token.
    assert!(
        browser
            .element(".languages a[lang=fr]")
            .await
            .attr("href")
            .await
            .unwrap()
            .unwrap()
            .contains("reset_token")
    );
    for (password, repeated, message) in [
        ("", "", "Please fill in all fields."),
        (OTHER, PASSWORD, "The passwords do not match."),
        ("short", "short", "does not meet the requirements"),
    ] {
        browser
            .fill("#set-password [name=password]", password)
            .await;
        browser
            .fill("#set-password [name=confirm_password]", repeated)
            .await;
        browser.click("#set-password > button").await;
        browser.shows_message(message).await;
    }
    assert_eq!(
        browser
            .element("#set-password [name=password]")
            .await
            .attr("aria-invalid")
            .await
            .unwrap()
            .as_deref(),
        Some("true")
    );
    browser.fill("#set-password [name=password]", OTHER).await;
    browser
        .fill("#set-password [name=confirm_password]", OTHER)
        .await;
    browser.click("#set-password > button").await;
    browser.is_at("/accounts/sign_in").await;
    browser
        .shows_message("Your password has been changed.")
        .await;
    assert_eq!(
        latchkey.sign_in(&user.email, OTHER).send().await.status,
        201
    );

    browser.open(link).await;
    browser
        .fill("#set-password [name=password]", PASSWORD)
        .await;
    browser
        .fill("#set-password [name=confirm_password]", PASSWORD)
        .await;
    browser.click("#set-password > button").await;
    browser
        .shows_message("This link has already been used")
        .await;
    browser.shows("#ask-reset").await;
    browser.close().await;
}

#[tokio::test]
async fn sessions_are_listed_and_can_be_ended() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.signed_up("browser-sessions").await;
    browser.open("/accounts/settings?lang=en").await;
    // Without a session the page redirects.
    browser.is_at("/accounts/sign_in").await;
    sign_in(&browser, &user.email, OTHER).await;
    browser
        .shows_message("Incorrect email address or password.")
        .await;
    sign_in(&browser, &user.email, PASSWORD).await;
    browser.is_at("/accounts/settings").await;
    browser.shows("#sessions button").await;
    browser.click("#sessions button").await;
    browser.shows_message("The session has been ended.").await;
    latchkey
        .get("/resource/users/me")
        .bearer(&user.session)
        .send()
        .await
        .is_refused(401, &["authz.invalid_session"]);
    browser.fill("[name=old_password]", PASSWORD).await;
    browser.fill("[name=new_password]", OTHER).await;
    browser
        .fill("#change-password [name=confirm_password]", OTHER)
        .await;
    browser.click("#change-password > button").await;
    browser
        .shows_message("Your password has been changed.")
        .await;
    assert_eq!(
        latchkey.sign_in(&user.email, OTHER).send().await.status,
        201
    );
    browser.close().await;
}

#[tokio::test]
async fn the_language_of_mails_is_stored_and_other_data_is_kept() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let data = r#"{"theme":"dark","id":12345678901234567890,"language":"FR-ca"}"#;
    let user = latchkey
        .signed_up_with("browser-language", &json!({ "data": data }))
        .await;
    let stored = async || {
        latchkey
            .get("/resource/users/me")
            .bearer(&user.session)
            .send()
            .await
    };
    browser.open("/accounts/sign_in?lang=en").await;
    sign_in(&browser, &user.email, PASSWORD).await;
    browser.is_at("/accounts/settings").await;
    browser.shows("#language").await;
    let selected = "return document.querySelector('#language select').value";
    assert_eq!(browser.evaluate(selected).await, json!("fr"));
    let saved = [
        "Your language has been saved.",
        "Язык сохранён.",
        "Мову збережено.",
        "El idioma se ha guardado.",
        "La langue a été enregistrée.",
        "Die Sprache wurde gespeichert.",
        "O idioma foi salvo.",
        "语言已保存。",
    ];
    for (number, language) in Language::ALL.into_iter().enumerate() {
        let option = format!("#language option[value={}]", language.as_str());
        browser.click(&option).await;
        browser.click("#language button").await;
        browser.shows_message(saved[number]).await;
        assert!(
            browser
                .url()
                .await
                .ends_with(&format!("?lang={}", language.as_str()))
        );
        browser.shows("#language").await;
        assert_eq!(browser.evaluate(selected).await, json!(language.as_str()));
        let expected = data.replace("FR-ca", language.as_str());
        assert_eq!(stored().await.json()["data"], expected);

        latchkey
            .ask_for_code(&user.email)
            .send()
            .await
            .is_empty(201);
        let mail = latchkey
            .mail_to(&user.email, number + 1, |mail| mail.reset_token().is_some())
            .await;
        let link = format!("&lang={}", language.as_str());
        assert!(mail.link().unwrap().ends_with(&link), "{mail:?}");
    }
    // Data that has no members is left alone.
    let update = latchkey.by(&user, "PUT", "/resource/users/me");
    let answer = update.form(&[("data", "[1]")]).send().await;
    assert_eq!(answer.status, 201);
    browser.open("/accounts/settings?lang=en").await;
    browser.shows("#sessions li").await;
    let hidden = "return document.getElementById('language').hidden";
    assert_eq!(browser.evaluate(hidden).await, json!(true));
    browser.close().await;
}

#[tokio::test]
async fn a_session_that_ended_leads_to_the_sign_in_page_which_says_so() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.signed_up("browser-ended").await;
    browser.open("/accounts/sign_in?lang=en").await;
    sign_in(&browser, &user.email, PASSWORD).await;
    browser.is_at("/accounts/settings").await;
    browser.shows("#who").await;
    latchkey
        .by(&user, "DELETE", "/resource/sessions")
        .send()
        .await
        .is_empty(204);
    browser.open("/accounts/settings?lang=en").await;
    browser.is_at("/accounts/sign_in").await;
    browser.shows_message("Please sign in again.").await;
    sign_in(&browser, &user.email, PASSWORD).await;
    browser.is_at("/accounts/settings").await;
    assert_eq!(browser.shows("#who").await, user.email);
    browser.close().await;
}

#[tokio::test]
async fn sign_in_works_by_keyboard_alone() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.signed_up("browser-keyboard").await;
    browser.open("/accounts/sign_in?lang=en").await;
    // The first field is focused.
    browser.types(user.email.as_str()).await;
    browser.presses_tab().await;
    browser.types(PASSWORD).await;
    browser.types(thirtyfour::Key::Enter).await;
    browser.is_at("/accounts/settings").await;
    browser.close().await;
}

/// Returns the visible elements whose text is wider than its place.
const OVERFLOWING: &str = r"
    const shown = [document.documentElement, ...document.querySelectorAll('h1, h2, p, label, li, button, summary')];
    return shown.filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth)
        .map((one) => one.outerHTML.slice(0, 80));
";

#[tokio::test]
async fn no_text_is_wider_than_its_place_on_a_phone_in_any_language() {
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey.signed_up("browser-reading").await;
    for page in [
        "sign_in",
        "sign_up",
        "password_reset",
        "confirmation",
        "no_such_page",
        "settings",
    ] {
        if page == "settings" {
            browser.open("/accounts/sign_in?lang=en").await;
            sign_in(&browser, &user.email, PASSWORD).await;
            browser.is_at("/accounts/settings").await;
        }
        browser.resize(360, 800).await;
        for language in Language::ALL {
            let language = language.as_str();
            browser
                .open(&format!("/accounts/{page}?lang={language}"))
                .await;
            browser
                .shows(if page == "settings" {
                    "#sessions li"
                } else {
                    "h1"
                })
                .await;
            assert_eq!(
                browser.evaluate(OVERFLOWING).await,
                json!([]),
                "{page} in {language}"
            );
        }
    }
    browser.close().await;
}

/// Regenerates the screenshots in docs/images if `LATCHKEY_SCREENSHOTS` is set.
#[tokio::test]
async fn screenshots_for_the_documentation() {
    if shared::platform::environment::variable("LATCHKEY_SCREENSHOTS").is_none() {
        return;
    }
    let latchkey = stack().await;
    let Some(browser) = Browser::start(&latchkey.domain()).await else {
        return;
    };
    let user = latchkey
        .signed_up_with("-", &json!({ "email": "ada@example.com" }))
        .await;
    // Only accounts whose address is confirmed can turn on a second factor.
    latchkey.set_state(&user, "active").await;
    let folder = crate::harness::workspace().join("docs/images");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, page, scheme, width, height) in [
        (
            "pages-sign-in",
            "/accounts/sign_in?lang=en",
            "light",
            500,
            860,
        ),
        (
            "pages-reset-dark",
            "/accounts/password_reset?reset_token=t&lang=de",
            "dark",
            500,
            760,
        ),
        (
            "pages-settings",
            "/accounts/settings?lang=en",
            "light",
            640,
            3250,
        ),
        ("stack-home", "/", "light", 1000, 860),
        ("stack-mailbox", "/_local/mailbox", "dark", 1200, 900),
    ] {
        if name == "pages-settings" {
            browser.open("/accounts/sign_in?lang=en").await;
            sign_in(&browser, &user.email, PASSWORD).await;
            browser.is_at("/accounts/settings").await;
        }
        browser.prefers(scheme).await;
        browser.resize(width, height).await;
        browser.open(page).await;
        if name == "pages-settings" {
            let _authenticator = browser.authenticator().await;
            browser.shows("#passkey-add").await;
            browser.click("#passkey-add button").await;
            browser.shows_message("The passkey has been added.").await;
            browser
                .evaluate("document.getElementById('message').hidden = true")
                .await;
            browser.shows("#factor-begin button").await;
            browser.click("#factor-begin button").await;
            browser.shows("#key").await;
        }
        if name == "stack-mailbox" {
            browser.shows("#list li").await;
        }
        browser.shows("main").await;
        std::fs::write(
            folder.join(format!("{name}.png")),
            browser.screenshot().await,
        )
        .unwrap();
    }
    browser.close().await;
}

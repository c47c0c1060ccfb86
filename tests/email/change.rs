//! `POST /resource/users/email`

use serde_json::json;

use crate::harness::{
    Answer, Latchkey, Mail, PASSWORD, Request, User, all_at_once, claims, latchkey, number, otp,
    text,
};

const PATH: &str = "/resource/users/email";
const WRONG: &str = "Wrong-Horse-7-Battery";
const TAKEN: [&str; 1] = ["email.taken"];
const LIMITED: [&str; 1] = ["request.too_many_attempts"];

fn request(latchkey: &Latchkey, user: &User, fields: &[(&str, &str)]) -> Request {
    latchkey.by(user, "POST", PATH).form(fields)
}

fn with_code(latchkey: &Latchkey, user: &User, email: &str, code: &str) -> Request {
    let fields = [("email", email), ("password", PASSWORD), ("otp_code", code)];
    request(latchkey, user, &fields)
}

fn is_link(mail: &Mail) -> bool {
    mail.email_change_token().is_some()
}

#[track_caller]
fn is_limited(answer: &Answer) {
    answer.is_refused(429, &LIMITED);
    let seconds: i64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3600).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn missing_or_empty_parameters_are_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("email-absent").await;
    let no_email = "resource.user.missing_email";
    let no_password = "resource.user.missing_password";
    for (fields, keys) in [
        (&[][..], &[no_email, no_password][..]),
        (&[("lang", "en")], &[no_email, no_password]),
        (
            &[("email", " "), ("password", "\t")],
            &["resource.user.empty_email", "resource.user.empty_password"],
        ),
        (&[("email", "not an address")], &[no_password]),
        (&[("password", WRONG)], &[no_email]),
    ] {
        latchkey
            .refuses(&user, request(latchkey, &user, fields), 400, keys)
            .await;
    }
}

#[tokio::test]
async fn the_first_failed_check_determines_the_error_and_nothing_changes() {
    let latchkey = latchkey().await;
    let pending = latchkey.signed_up("email-order-pending").await;
    let user = latchkey.confirmed("email-order").await;
    let own = "EMAIL-order@Example.com";
    let new = "email-order-new@example.com";
    for (user, email, password, key) in [
        // These values would fail the later checks too.
        (&pending, "not an address", WRONG, "email.invalid"),
        (&pending, own, WRONG, "resource.user.email_not_confirmed"),
        (&user, own, WRONG, "resource.user.no_change_provided"),
        (
            &user,
            &pending.email,
            WRONG,
            "resource.user.invalid_password",
        ),
        (
            &user,
            new,
            " Correct-Horse-7-Battery",
            "resource.user.invalid_password",
        ),
    ] {
        let fields = [("email", email), ("password", password)];
        latchkey
            .refuses(user, request(latchkey, user, &fields), 422, &[key])
            .await;
    }
    let recorded = latchkey.activities(&user).await;
    let failed = "request email change failed";
    let count = recorded.iter().filter(|activity| *activity == failed);
    assert_eq!(count.count(), 3, "{recorded:?}");
    assert_eq!(latchkey.mails_to(new).await.len(), 0);
}

#[tokio::test]
async fn a_request_mails_a_link_to_the_new_address_and_a_notice_to_the_old_one() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("email-asked").await;
    let new = "Email-Asked-New@example.com";
    let before = latchkey.user_item(&user).await;
    latchkey.change_email(&user, new).send().await.is_empty(201);

    let link = latchkey.mail_to(new, 1, is_link).await;
    let token = link.email_change_token().unwrap();
    let expected = format!(
        "{}/accounts/email_change?token={token}&lang=en",
        latchkey.domain()
    );
    assert_eq!(link.link(), Some(expected.as_str()));
    for part in [&link.text, &link.html] {
        assert!(part.contains(new) && !part.contains(&user.email), "{part}");
    }
    assert_eq!(claims(token)["sub"], json!("email_change"));
    let notice = latchkey.mail_to(&user.email, 1, Mail::is_notice).await;
    assert!(
        notice.subject.contains("new email address was requested"),
        "{}",
        notice.subject
    );
    let reset = format!("{}/accounts/password_reset?lang=en", latchkey.domain());
    assert!(notice.text.contains(&reset), "{}", notice.text);
    // Neither mail contains the other address.
    assert!(!notice.text.contains(new), "{}", notice.text);

    // The old address stays in force.
    assert_eq!(latchkey.user_item(&user).await, before);
    let change = latchkey.grant(&user, "EMAIL_CHANGE").await.unwrap();
    assert_eq!(text(&change, "email"), new);
    latchkey.signed_in(&user).await;
    let activities = latchkey.activities(&user).await;
    assert!(activities.contains(&"request email change succeed".to_owned()));
}

#[tokio::test]
async fn the_link_has_the_requested_language_and_the_notice_that_of_the_user() {
    let latchkey = latchkey().await;
    let user = latchkey
        .signed_up_with("email-language", &json!({ "data": r#"{"language":"de"}"# }))
        .await;
    latchkey.set_state(&user, "active").await;
    for (number, lang, expected) in [(1, "fr-CA", "fr"), (2, "xx", "de"), (3, "", "de")] {
        let new = format!("email-language-{number}@example.com");
        let fields = [
            ("email", new.as_str()),
            ("password", PASSWORD),
            ("lang", lang),
        ];
        request(latchkey, &user, &fields).send().await.is_empty(201);
        let link = latchkey.mail_to(&new, 1, is_link).await;
        assert_eq!(link.parameter("lang"), Some(expected));
        // A thief must not choose a language that the owner cannot read.
        let notice = latchkey.mail_to(&user.email, number, Mail::is_notice).await;
        assert!(
            notice.text.contains("password_reset?lang=de"),
            "{}",
            notice.text
        );
    }
}

#[tokio::test]
async fn an_address_with_an_account_in_any_state_is_taken() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("email-wants").await;
    let other = latchkey.signed_up("email-has").await;
    for state in ["pending", "active", "banned", "deleted"] {
        latchkey.set_state(&other, state).await;
        let spelling = "Email-HAS@example.com";
        let others = latchkey.items_of(&other).await;
        latchkey
            .refuses(&user, latchkey.change_email(&user, spelling), 422, &TAKEN)
            .await;
        assert_eq!(latchkey.items_of(&other).await, others);
    }
    assert_eq!(latchkey.grant(&user, "EMAIL_CHANGE").await, None);
    assert!(
        latchkey
            .mails_to(&other.email)
            .await
            .iter()
            .all(|mail| !is_link(mail))
    );
}

#[tokio::test]
async fn an_account_makes_five_requests_an_hour_before_it_learns_what_is_taken() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("email-counted").await;
    let other = latchkey.confirmed("email-counted-other").await;
    let wrong = [("email", other.email.as_str()), ("password", WRONG)];
    let key = ["resource.user.invalid_password"];
    // Wrong passwords do not count here.
    for _ in 0..6 {
        let refused = request(latchkey, &user, &wrong).send().await;
        refused.is_refused(422, &key);
    }
    for number in 0..2 {
        let new = format!("email-counted-{number}@example.com");
        latchkey
            .change_email(&user, &new)
            .send()
            .await
            .is_empty(201);
    }
    for _ in 0..3 {
        let taken = latchkey.change_email(&user, &other.email).send().await;
        taken.is_refused(422, &TAKEN);
    }
    for email in [&other.email, "email-counted-9@example.com"] {
        let before = latchkey.items_of(&user).await;
        is_limited(&latchkey.change_email(&user, email).send().await);
        assert_eq!(latchkey.items_of(&user).await, before);
    }
    // Other accounts have their own count.
    let new = "email-counted-8@example.com";
    latchkey
        .change_email(&other, new)
        .send()
        .await
        .is_empty(201);
}

#[tokio::test]
async fn of_concurrent_requests_five_are_counted_and_one_link_is_valid() {
    let latchkey = Latchkey::start(&otp::FOR_RACES[1..]).await;
    let user = latchkey.confirmed("email-many").await;
    let addresses: Vec<String> = (0..8)
        .map(|number| format!("email-many-{number}@example.com"))
        .collect();
    let requests = addresses
        .iter()
        .map(|email| latchkey.change_email(&user, email));
    let answers = all_at_once(requests).await;
    let count = |status| {
        answers
            .iter()
            .filter(|answer| answer.status == status)
            .count()
    };
    assert_eq!((count(201), count(429)), (5, 3), "{answers:?}");
    let change = latchkey.grant(&user, "EMAIL_CHANGE").await.unwrap();
    let newest = text(&change, "email");
    let mut done = 0;
    for (email, answer) in addresses.iter().zip(&answers) {
        if answer.status == 201 {
            let mail = latchkey.mail_to(email, 1, is_link).await;
            let token = mail.email_change_token().unwrap();
            let confirmed = latchkey.confirm_email_change(&user, token).send().await;
            assert_eq!(confirmed.status == 201, email == newest, "{confirmed:?}");
            done += usize::from(confirmed.status == 201);
        }
    }
    assert_eq!(done, 1);
}

#[tokio::test]
async fn mails_to_a_mailbox_are_limited() {
    let latchkey = Latchkey::start(&[
        ("IDENTITY_MAIL_INTERVAL", "60"),
        ("IDENTITY_MAILS_PER_HOUR", "5"),
        otp::FOR_RACES[1],
    ])
    .await;
    let user = latchkey.confirmed("email-box").await;
    let other = latchkey.confirmed("email-box-other").await;
    let new = "mailbox+one@example.com";
    latchkey.change_email(&user, new).send().await.is_empty(201);
    for email in [new, "Mailbox+Two@example.com"] {
        let before = latchkey.items_of(&other).await;
        is_limited(&latchkey.change_email(&other, email).send().await);
        assert_eq!(latchkey.items_of(&other).await, before);
    }
    // A refused request does not count for the account, and other mailboxes are not affected.
    for number in 0..5 {
        let new = format!("email-box-{number}@example.com");
        latchkey
            .change_email(&other, &new)
            .send()
            .await
            .is_empty(201);
    }
    // The limits of other kinds of mail are not affected.
    latchkey.signed_up("mailbox+one").await;
}

#[tokio::test]
async fn with_a_second_factor_a_code_is_required_and_works_once() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("email-factor").await;
    let new = "email-factor-new@example.com";
    let absent = [("email", new), ("password", PASSWORD)];
    let key = ["resource.user.missing_otp_code"];
    latchkey
        .refuses(&user, request(latchkey, &user, &absent), 422, &key)
        .await;
    for (code, key) in [
        (" ", "resource.user.empty_otp_code"),
        ("12345", "resource.user.invalid_otp"),
        (&authenticator.wrong_code(), "resource.user.invalid_otp"),
    ] {
        let refused = with_code(latchkey, &user, new, code);
        latchkey.refuses(&user, refused, 422, &[key]).await;
    }
    // A wrong password is reported before a wrong code.
    let wrong = [("email", new), ("password", WRONG), ("otp_code", "12345")];
    let key = ["resource.user.invalid_password"];
    latchkey
        .refuses(&user, request(latchkey, &user, &wrong), 422, &key)
        .await;

    let code = authenticator.code();
    let accepted = with_code(latchkey, &user, new, &code).send().await;
    accepted.is_empty(201);
    with_code(latchkey, &user, new, &code)
        .send()
        .await
        .is_refused(422, &["resource.user.invalid_otp"]);
    let recovery = &authenticator.recovery_codes[0];
    let accepted = with_code(latchkey, &user, new, recovery).send().await;
    accepted.is_empty(201);
    let activities = latchkey.activities(&user).await;
    assert!(activities.contains(&"use recovery code succeed".to_owned()));
    with_code(latchkey, &user, new, recovery)
        .send()
        .await
        .is_refused(422, &["resource.user.invalid_otp"]);
    // A code is also used by a request for a taken address.
    let other = latchkey.signed_up("email-factor-other").await;
    let recovery = &authenticator.recovery_codes[1];
    for (email, key) in [
        (&other.email, "email.taken"),
        (&other.email, "resource.user.invalid_otp"),
    ] {
        let refused = with_code(latchkey, &user, email, recovery).send().await;
        refused.is_refused(422, &[key]);
    }
}

#[tokio::test]
async fn a_thief_of_a_session_cannot_guess_the_password_with_it() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("email-thief").await;
    let stolen = latchkey.with_new_session(&user).await;
    let fields = [
        ("email", "email-thief-new@example.com"),
        ("password", WRONG),
    ];
    for _ in 0..10 {
        let refused = request(latchkey, &stolen, &fields).send().await;
        refused.is_refused(422, &["resource.user.invalid_password"]);
    }
    // The session has ended, with the right password too.
    latchkey
        .change_email(&stolen, "email-thief-new@example.com")
        .send()
        .await
        .is_refused(401, &["authz.invalid_session"]);
    assert_eq!(latchkey.grant(&user, "EMAIL_CHANGE").await, None);
    // The owner's session has its own count.
    let new = "email-thief-own@example.com";
    latchkey.change_email(&user, new).send().await.is_empty(201);
}

#[tokio::test]
async fn a_user_whose_mails_bounce_can_change_the_address() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("email-bounces").await;
    let feedback = json!({
        "source": "aws.ses", "id": "event", "detail-type": "Email Bounced",
        "detail": {
            "eventType": "Bounce",
            "mail": { "destination": [user.email], "tags": { "uid": [user.uid], "mail": ["some-mail"] } },
            "bounce": {
                "bounceType": "Permanent", "bouncedRecipients": [{ "emailAddress": user.email }],
                "timestamp": shared::platform::clock::now().rfc3339(),
            },
        },
    });
    let labelled = latchkey
        .invoke("MailFeedbackFunction", feedback.clone())
        .await;
    labelled.unwrap();
    let new = "email-bounces-new@example.com";
    let token = latchkey.email_change_token(&user, new).await;
    let answer = latchkey.confirm_email_change(&user, &token).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let labels = answer.json()["labels"].clone();
    assert_eq!(
        (labels[0]["key"].as_str(), labels[0]["value"].as_str()),
        (Some("email"), Some("verified"))
    );
    // A late report about the previous address does not concern the new one.
    latchkey
        .invoke("MailFeedbackFunction", feedback)
        .await
        .unwrap();
    let moved = User {
        email: new.to_owned(),
        ..user.clone()
    };
    latchkey.reset_mail(&moved.email).await;
    assert!(
        latchkey
            .mails_to(&user.email)
            .await
            .iter()
            .all(|mail| !mail.is_notice())
    );
    assert!(number(&latchkey.user_item(&moved).await, "device_epoch") > 0);
}

//! Changes of the address of a user

use super::{
    LIFE, NOW, at_once, hash, live, new_user, opened, request_reset, session_of, sign_up,
    sign_up_at, signed_up, store, stored, succeeded,
};
use crate::{
    domain::{
        activity::Action,
        email_address::{AccountKey, AccountKeys, EmailAddress},
        email_change::EmailChange,
        language::Language,
        mail::{Kind, QueuedMail},
        one_time_code::{self, OneTimeCode},
        otp::SecondFactor,
        rate_limit::{Limits, MailLog},
        session::{Session, SessionId},
        token_id::TokenId,
        user::{Credentials, OtpSecret, State, StoredOtpSecret, User, Withheld},
    },
    platform::{clock::Timestamp, retry::Backoff},
    store::{
        Administration, Attempt, Change, EmailChangeConfirmation, EmailChangeMails,
        EmailChangeOutcome, EmailChangeRequest, EmailChangeRequestOutcome, Outcome, SignUp, Store,
        items::{number, text},
        keys::{uid_key, user_key},
    },
    tokens::signed_token::{Claims, Purpose},
};

const MONTH: i64 = 30 * 86_400;

fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).expect("an address")
}

fn mail(kind: Kind, user: &User, email: &EmailAddress, code: &OneTimeCode) -> QueuedMail {
    QueuedMail::with_code(kind, &user.uid, email, Language::En, code, NOW)
}

/// A user with a confirmed address and a session.
async fn owner(store: &Store, email: &str) -> (User, Session) {
    let user = signed_up(store, email).await;
    let activate = Change::State(State::Active);
    assert!(administer(store, &user, &activate).await.is_written());
    let user = stored(store, &user).await;
    let session = opened(store, &user).await;
    (user, session)
}

async fn administer(store: &Store, user: &User, change: &Change) -> Outcome {
    Administration::new(store.clone())
        .change_user(user, change, &succeeded(user, Action::SetState, NOW), None)
        .await
        .expect("an answer")
}

/// Requests a change of the address.
async fn request(
    store: &Store,
    user: &User,
    email: &str,
    factor: Option<&SecondFactor>,
) -> (EmailChange, EmailChangeRequestOutcome) {
    let email = address(email);
    let accounts = email.account_keys();
    let lookup = store.look_up_email_change(&user.uid, &accounts, NOW).await;
    let lookup = lookup.expect("an answer");
    let code = OneTimeCode::new(3600, NOW);
    let change = EmailChange::new(user, email.clone(), &code);
    let log = MailLog {
        asked_at: vec![NOW.milliseconds()],
    };
    let link = mail(Kind::EmailChange, user, &email, &code);
    let requests = lookup.requests.clone().unwrap_or_default();
    let request = EmailChangeRequest {
        user,
        factor,
        report: None,
        requests_before: lookup.requests.as_ref(),
        requests_after: &requests
            .with_request(&Limits::EMAIL_CHANGE_REQUESTS, NOW)
            .expect("a request"),
        activity: &succeeded(user, Action::RequestEmailChange, NOW),
        mails: (!lookup.is_taken).then_some(EmailChangeMails {
            change: &change,
            log_before: lookup.mail_log.as_ref(),
            log_after: &log,
            link: &link,
            notice: None,
        }),
    };
    let outcome = store.request_email_change(&request).await;
    (change, outcome.expect("an answer"))
}

async fn requested(store: &Store, user: &User, email: &str) -> EmailChange {
    let (change, outcome) = request(store, user, email, None).await;
    assert_eq!(outcome, EmailChangeRequestOutcome::Stored);
    change
}

/// Confirms a change like the endpoint, in one attempt. `None` if the change is void or the address
/// taken.
async fn confirm(
    store: &Store,
    user: &User,
    session: &Session,
    token_id: &TokenId,
    now: Timestamp,
) -> Option<EmailChangeOutcome> {
    let found = store.find_email_change(user, now).await.expect("an answer");
    let Some(found) = found else {
        return Some(EmailChangeOutcome::Conflict);
    };
    let change = found.change.clone();
    let change = change.filter(|change| change.is_valid(token_id, &found.user, now))?;
    let accounts = change.email.account_keys();
    let lookup = store.look_up_new_address(&user.uid, &accounts, now).await;
    let lookup = lookup.expect("an answer");
    if lookup.is_taken {
        return None;
    }
    let changed = found.user.with_email(change.email.clone(), now);
    let notice = QueuedMail::notice(Kind::EmailChanged, user, Language::En, now);
    let confirmation = EmailChangeConfirmation {
        stored: &found,
        change: &change,
        changed: &changed.expect("epochs"),
        replaced: &lookup.expired,
        session,
        notice: notice.as_ref(),
        activity: &succeeded(user, Action::ChangeEmail, now),
    };
    let outcome = store.confirm_email_change(&confirmation).await;
    Some(outcome.expect("an answer"))
}

async fn changed(store: &Store, user: &User, session: &Session, email: &str) -> User {
    let change = requested(store, user, email).await;
    let outcome = confirm(store, user, session, &change.token_id, NOW).await;
    assert_eq!(outcome, Some(EmailChangeOutcome::Done));
    let found = store.find_user(&AccountKeys::of(email), NOW).await;
    found.expect("an answer").expect("a user")
}

async fn found(store: &Store, email: &str) -> Option<User> {
    let accounts = AccountKeys::of(email);
    store.find_user(&accounts, NOW).await.expect("an answer")
}

fn claims(session_token: &TokenId, user: &User, key: AccountKey) -> Claims {
    let uid = user.uid.clone();
    Claims::new(
        Purpose::Session,
        session_token.clone(),
        uid,
        key,
        NOW,
        NOW + 60,
    )
}

#[tokio::test]
async fn a_confirmed_change_moves_both_items_and_keeps_every_attribute() {
    let store = store().await;
    let (user, session) = owner(&store, "jane@example.com").await;
    let other = opened(&store, &user).await;
    // An attribute of a later version, and a state that this version does not know.
    let edit = store.client.update_item().table_name(&store.users);
    edit.set_key(Some(user_key(&user.account_key())))
        .update_expression("SET favourite = :f")
        .expression_attribute_values(":f", text("blue"))
        .send()
        .await
        .expect("an item");
    let reset = request_reset(&store, &user).await;
    let moved = changed(&store, &user, &session, "New@Example.com").await;

    assert_eq!(moved.uid, user.uid);
    assert_eq!(moved.email.as_typed(), "New@Example.com");
    assert_eq!(moved.account_key(), AccountKey::of("new@example.com"));
    assert!(moved.has_verified_email());
    assert_eq!(moved.session_epoch, user.session_epoch + 1);
    assert_eq!(moved.device_epoch, user.device_epoch + 1);
    assert!(found(&store, "jane@example.com").await.is_none());
    let by_uid = store.find_user_by_uid::<Withheld>(&user.uid, NOW).await;
    assert_eq!(
        by_uid.expect("an answer").expect("a user").email,
        moved.email
    );
    let item = store
        .batch_get([store.users_read::<Credentials>(vec![user_key(&moved.account_key())])])
        .await
        .expect("an answer");
    let (_, item) = item.into_iter().next().expect("an item");
    assert_eq!(item.get("favourite"), Some(&text("blue")));
    assert_eq!(item.get("revision"), Some(&number(2)));

    assert!(live(&store, &user, &session).await.is_some());
    assert!(live(&store, &user, &other).await.is_none());
    let token = Claims::new(
        Purpose::Reset,
        reset.token_id,
        user.uid.clone(),
        user.account_key(),
        NOW,
        NOW + 60,
    );
    let (_, code) = store
        .find_code(&token, one_time_code::Kind::Reset, NOW)
        .await
        .expect("an answer");
    assert_eq!(code, None);
}

#[tokio::test]
async fn one_of_sixteen_concurrent_confirmations_succeeds() {
    let store = store().await;
    let (user, session) = owner(&store, "jane@example.com").await;
    let change = requested(&store, &user, "new@example.com").await;
    let outcomes = at_once(16, |_| {
        let (store, user, session) = (store.clone(), user.clone(), session.clone());
        let token_id = change.token_id.clone();
        async move { confirm(&store, &user, &session, &token_id, NOW).await }
    })
    .await;
    let done = outcomes
        .iter()
        .filter(|outcome| **outcome == Some(EmailChangeOutcome::Done));
    assert_eq!(done.count(), 1, "{outcomes:?}");
    let moved = found(&store, "new@example.com").await.expect("a user");
    assert_eq!(moved.session_epoch, user.session_epoch + 1);
}

#[tokio::test]
async fn one_of_many_users_who_change_to_one_address_gets_it() {
    let store = store().await;
    let mut owners = Vec::new();
    for number in 0..8 {
        let (user, session) = owner(&store, &format!("user{number}@example.com")).await;
        let change = requested(&store, &user, "new@example.com").await;
        owners.push((user, session, change.token_id));
    }
    let outcomes = at_once(8, |index| {
        let store = store.clone();
        let (user, session, token_id) = owners[index].clone();
        async move { confirm(&store, &user, &session, &token_id, NOW).await }
    })
    .await;
    let done = outcomes
        .iter()
        .filter(|outcome| **outcome == Some(EmailChangeOutcome::Done));
    assert_eq!(done.count(), 1, "{outcomes:?}");
    let winner = found(&store, "new@example.com").await.expect("a user");
    for (user, session, _) in &owners {
        let by_uid = store.find_user_by_uid::<Withheld>(&user.uid, NOW).await;
        let stored = by_uid.expect("an answer").expect("a user");
        let is_winner = stored.uid == winner.uid;
        assert_eq!(stored.email == winner.email, is_winner);
        assert_eq!(
            found(&store, user.email.as_typed()).await.is_none(),
            is_winner
        );
        assert!(live(&store, user, session).await.is_some());
    }
}

#[tokio::test]
async fn a_change_of_the_user_between_the_read_and_the_move_is_not_lost() {
    let store = store().await;
    let (user, session) = owner(&store, "jane@example.com").await;
    let change = requested(&store, &user, "new@example.com").await;
    let found_change = store.find_email_change(&user, NOW).await;
    let found_change = found_change.expect("an answer").expect("a user");
    let role = Change::Role("admin".to_owned(), 3);
    assert!(administer(&store, &user, &role).await.is_written());
    let changed = found_change.user.with_email(change.email.clone(), NOW);
    let outcome = store
        .confirm_email_change(&EmailChangeConfirmation {
            stored: &found_change,
            change: &change,
            changed: &changed.expect("epochs"),
            replaced: &[],
            session: &session,
            notice: None,
            activity: &succeeded(&user, Action::ChangeEmail, NOW),
        })
        .await;
    assert_eq!(outcome.expect("an answer"), EmailChangeOutcome::Conflict);
    assert!(found(&store, "new@example.com").await.is_none());
    assert_eq!(stored(&store, &user).await.role, "admin");

    // A ban ends the session, so it prevents the change.
    assert!(
        administer(&store, &user, &Change::State(State::Banned))
            .await
            .is_written()
    );
    let outcome = confirm(&store, &user, &session, &change.token_id, NOW).await;
    assert_eq!(outcome, Some(EmailChangeOutcome::Conflict));
    assert!(found(&store, "new@example.com").await.is_none());
}

#[tokio::test]
async fn a_reset_before_the_confirmation_voids_the_change() {
    let store = store().await;
    let (user, session) = owner(&store, "jane@example.com").await;
    let change = requested(&store, &user, "new@example.com").await;
    let code = request_reset(&store, &user).await;
    let notice = QueuedMail::reset_notice(Kind::PasswordChanged, &user, Language::En, NOW);
    let activity = succeeded(&user, Action::PasswordReset, NOW);
    store
        .reset_password(&user, &hash("new"), &code, &[], &notice, &activity)
        .await
        .expect("a reset");
    // The new session of the owner, after the reset.
    let user = stored(&store, &user).await;
    let new = opened(&store, &user).await;
    for session in [&session, &new] {
        let outcome = confirm(&store, &user, session, &change.token_id, NOW).await;
        assert_eq!(outcome, None);
    }
    // A request that verified the old password stores its change after the reset.
    let before = User {
        device_epoch: user.device_epoch - 1,
        ..user.clone()
    };
    let late = requested(&store, &before, "new@example.com").await;
    let outcome = confirm(&store, &user, &new, &late.token_id, NOW).await;
    assert_eq!(outcome, None);
}

#[tokio::test]
async fn an_expired_account_of_the_new_address_is_replaced_with_its_uid() {
    let store = store().await;
    let (user, session) = owner(&store, "jane@example.com").await;
    let stranger = new_user("new@example.com");
    assert_eq!(sign_up(&store, &stranger).await, SignUp::Done);
    let (_, outcome) = request(&store, &user, "new@example.com", None).await;
    assert_eq!(outcome, EmailChangeRequestOutcome::Stored);
    let before = store.find_email_change(&user, NOW).await;
    let before = before.expect("an answer").expect("a user");
    assert_eq!(before.change, None, "the address is taken");

    let later = NOW + MONTH;
    let email = address("new@example.com");
    let lookup = store
        .look_up_email_change(&user.uid, &email.account_keys(), later)
        .await
        .expect("an answer");
    assert!(!lookup.is_taken);
    let code = OneTimeCode::new(3600, later);
    let change = EmailChange::new(&user, email.clone(), &code);
    let requests = lookup.requests.clone().unwrap_or_default();
    let request = EmailChangeRequest {
        user: &user,
        factor: None,
        report: None,
        requests_before: lookup.requests.as_ref(),
        requests_after: &requests
            .with_request(&Limits::EMAIL_CHANGE_REQUESTS, later)
            .expect("a request"),
        activity: &succeeded(&user, Action::RequestEmailChange, later),
        mails: Some(EmailChangeMails {
            change: &change,
            log_before: lookup.mail_log.as_ref(),
            log_after: &MailLog::default(),
            link: &mail(Kind::EmailChange, &user, &email, &code),
            notice: None,
        }),
    };
    let outcome = store.request_email_change(&request).await;
    assert_eq!(
        outcome.expect("an answer"),
        EmailChangeRequestOutcome::Stored
    );
    let outcome = confirm(&store, &user, &session, &change.token_id, later).await;
    assert_eq!(outcome, Some(EmailChangeOutcome::Done));
    let uids = store
        .batch_get([store.users_read::<Withheld>(vec![uid_key(&stranger.uid)])])
        .await
        .expect("an answer");
    assert!(uids.is_empty());
    let moved = store.find_user(&email.account_keys(), later).await;
    assert_eq!(moved.expect("an answer").expect("a user").uid, user.uid);
    // The previous address is free again.
    let next = new_user("jane@example.com");
    assert_eq!(sign_up_at(&store, &next, later).await, SignUp::Done);
}

#[tokio::test]
async fn an_address_without_a_valid_key_can_be_changed() {
    let store = store().await;
    let user: User = serde_json::from_value({
        let mut user = serde_json::to_value(new_user("jane@example.com")).expect("JSON");
        user["email"] = "José@example.com".into();
        user["state"] = "active".into();
        user
    })
    .expect("a user");
    let key = AccountKey::stored("josé@example.com");
    let mut item: super::super::Item = serde_dynamo::to_item(&user).expect("an item");
    item.extend(user_key(&key));
    let mut pointer = uid_key(&user.uid);
    pointer.insert("user".to_owned(), text(key.as_str()));
    for item in [item, pointer] {
        let put = store.client.put_item().table_name(&store.users);
        put.set_item(Some(item)).send().await.expect("an item");
    }
    let user = found(&store, "josé@example.com").await.expect("a user");
    let session = opened(&store, &user).await;
    let moved = changed(&store, &user, &session, "jose@example.com").await;
    assert_eq!(moved.account_key(), AccountKey::of("jose@example.com"));
    assert!(found(&store, "josé@example.com").await.is_none());
}

#[tokio::test]
async fn a_session_that_names_the_previous_address_belongs_to_the_moved_user() {
    let store = store().await;
    let (user, _) = owner(&store, "jane@example.com").await;
    let token_id = TokenId::generate();
    let session = Session {
        id: SessionId::of(&token_id),
        ..session_of(&user)
    };
    let activity = succeeded(&user, Action::Login, NOW);
    store
        .open_session(&session, &Attempt::default(), &activity)
        .await
        .expect("a session");
    let claims = [claims(&token_id, &user, user.account_key())];
    changed(&store, &user, &session, "new@example.com").await;
    // Another person signs up with the previous address.
    let other = new_user("jane@example.com");
    assert_eq!(sign_up(&store, &other).await, SignUp::Done);
    let sessions = store
        .find_sessions::<Withheld>(&claims, NOW)
        .await
        .expect("an answer");
    let [(session, owner)] = sessions.as_slice() else {
        panic!("{sessions:?}");
    };
    assert_eq!(owner.uid, user.uid);
    assert_eq!(owner.email.as_typed(), "new@example.com");
    assert!(session.is_live(owner, LIFE, NOW));
}

#[tokio::test]
async fn a_session_check_at_the_moment_of_the_move_finds_the_session_live() {
    let store = store().await;
    let (mut user, session) = owner(&store, "jane0@example.com").await;
    let token_id = TokenId::generate();
    let session = Session {
        id: SessionId::of(&token_id),
        ..session
    };
    let activity = succeeded(&user, Action::Login, NOW);
    store
        .open_session(&session, &Attempt::default(), &activity)
        .await
        .expect("a session");
    let claims = [claims(&token_id, &user, user.account_key())];
    let checks = tokio::spawn({
        let (store, claims, uid) = (store.clone(), claims.clone(), user.uid.clone());
        async move {
            for _ in 0..150 {
                let found = store
                    .find_sessions::<Withheld>(&claims, NOW)
                    .await
                    .expect("an answer");
                assert!(
                    found
                        .iter()
                        .any(|(session, user)| session.is_live(user, LIFE, NOW)),
                    "{found:?}"
                );
                let by_uid = store
                    .find_user_by_uid::<Withheld>(&uid, NOW)
                    .await
                    .expect("an answer");
                assert!(by_uid.is_some(), "a user, at every moment");
            }
        }
    });
    for number in 1..6 {
        let claims = &claims;
        let found = store
            .find_sessions::<Withheld>(claims, NOW)
            .await
            .expect("an answer");
        let (session, _) = found.into_iter().next().expect("a session");
        user = changed(
            &store,
            &user,
            &session,
            &format!("jane{number}@example.com"),
        )
        .await;
    }
    checks.await.expect("every check succeeds");
}

/// The items of a batch are not read at one moment. The parts of `reload_session` are read here in
/// the order in which the move separates them.
#[tokio::test]
async fn a_session_and_a_user_that_a_move_separates_are_read_again() {
    let store = store().await;
    let (user, session) = owner(&store, "jane@example.com").await;
    let before = stored(&store, &user).await;
    changed(&store, &user, &session, "new@example.com").await;
    let after = store.find_session(&user.uid, &session.id).await;
    let after = after.expect("an answer").expect("a session");
    for (session, read) in [
        (session.clone(), None),
        (after.clone(), Some(before)),
        (after, None),
    ] {
        let found = store.with_user(session, &user.uid, read, NOW).await;
        let (session, user) = found.expect("an answer").expect("a session");
        assert!(session.is_live(&user, LIFE, NOW));
        assert_eq!(user.email.as_typed(), "new@example.com");
    }
}

#[tokio::test]
async fn of_concurrent_requests_five_an_hour_are_counted() {
    let store = store().await;
    let (user, _) = owner(&store, "jane@example.com").await;
    let counted = at_once(16, |index| {
        let (store, user) = (store.clone(), user.clone());
        async move {
            let email = address(&format!("new{index}@example.com"));
            let mut backoff = Backoff::start();
            loop {
                let accounts = email.account_keys();
                let lookup = store.look_up_email_change(&user.uid, &accounts, NOW).await;
                let lookup = lookup.expect("an answer");
                let requests = lookup.requests.clone().unwrap_or_default();
                let Ok(after) = requests.with_request(&Limits::EMAIL_CHANGE_REQUESTS, NOW) else {
                    return 0;
                };
                let request = EmailChangeRequest {
                    user: &user,
                    factor: None,
                    report: None,
                    requests_before: lookup.requests.as_ref(),
                    requests_after: &after,
                    activity: &succeeded(&user, Action::RequestEmailChange, NOW),
                    mails: None,
                };
                let outcome = store.request_email_change(&request).await;
                if outcome.expect("an answer") == EmailChangeRequestOutcome::Stored {
                    return 1;
                }
                assert!(backoff.wait().await, "no attempt succeeded");
            }
        }
    })
    .await;
    assert_eq!(counted.into_iter().sum::<u32>(), 5);
}

#[tokio::test]
async fn a_code_of_the_second_factor_requests_one_change() {
    let store = store().await;
    let (user, _) = owner(&store, "jane@example.com").await;
    let secret = OtpSecret::import("GEZDGNBVGY3TQOJQ").expect("a secret");
    let edit = store.client.update_item().table_name(&store.users);
    edit.set_key(Some(user_key(&user.account_key())))
        .update_expression("SET otp_secret = :secret")
        .expression_attribute_values(":secret", text(secret.reveal()))
        .send()
        .await
        .expect("an item");
    let user = User {
        credentials: Credentials {
            otp_secret: Some(StoredOtpSecret::Plain(secret)),
            ..user.credentials
        },
        ..user
    };
    let factor = SecondFactor::TimeStep(7.into());
    let (change, first) = request(&store, &user, "new@example.com", Some(&factor)).await;
    assert_eq!(first, EmailChangeRequestOutcome::Stored);
    let (_, second) = request(&store, &user, "new2@example.com", Some(&factor)).await;
    assert_eq!(second, EmailChangeRequestOutcome::CodeUsed);
    let found = store.find_email_change(&user, NOW).await;
    assert_eq!(
        found.expect("an answer").expect("a user").change,
        Some(change)
    );
}

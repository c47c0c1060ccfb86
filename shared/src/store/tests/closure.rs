use super::{super::writes::activity_write, *};
use crate::{
    domain::{
        otp::{AcceptedStep, SecondFactor},
        user::{Credentials, Day, State},
    },
    store::{
        AccountClosing, Administration, Change, Closure, Erasure, Erasures, Outcome, PasswordChange,
    },
};

const DAY: i64 = 86_400;

pub(super) async fn close_at(
    store: &Store,
    user: &User,
    session: &Session,
    now: Timestamp,
) -> Outcome {
    let closing = AccountClosing {
        factor: None,
        report: None,
        notice: None,
        activity: &succeeded(user, Action::CloseAccount, now),
    };
    store
        .close_account(user, session, closing)
        .await
        .expect("an answer")
}

/// A user who closed the account at [`NOW`], as stored.
async fn closed(store: &Store, email: &str) -> User {
    let user = signed_up(store, email).await;
    let session = opened(store, &user).await;
    assert_eq!(
        close_at(store, &user, &session, NOW).await,
        Outcome::Written
    );
    stored(store, &user).await
}

async fn reset(store: &Store, user: &User, code: &OneTimeCode) -> PasswordChange {
    let notice = QueuedMail::reset_notice(mail::Kind::PasswordChanged, user, Language::En, NOW);
    let activity = succeeded(user, Action::PasswordReset, NOW + 1);
    store
        .reset_password(user, &hash("new"), code, &[], &notice, &activity)
        .await
        .expect("an answer")
}

async fn closures(store: &Store) -> Vec<Closure> {
    Erasures::new(store.clone())
        .closed_on(Day::of(NOW))
        .await
        .expect("an answer")
}

async fn erase(store: &Store, closure: &Closure) -> Erasure {
    Erasures::new(store.clone())
        .erase(closure, NOW + 30 * DAY)
        .await
        .expect("an answer")
}

async fn exists(store: &Store, user: &User) -> bool {
    let by_address = store
        .find_user(&user.email.account_keys(), NOW)
        .await
        .expect("an answer");
    let by_uid: Option<User> = store
        .find_user_by_uid(&user.uid, NOW)
        .await
        .expect("an answer");
    assert_eq!(by_address.is_some(), by_uid.is_some());
    by_uid.is_some()
}

#[tokio::test]
async fn a_closed_account_has_no_live_session_and_is_listed() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let session = opened(&store, &user).await;
    assert_eq!(
        close_at(&store, &user, &session, NOW).await,
        Outcome::Written
    );
    let closed = stored(&store, &user).await;
    assert_eq!(closed.state, State::Deleted);
    assert_eq!(closed.closed_by_owner_at(), Some(NOW));
    assert_eq!(closed.state_before_closing(), Some(State::Pending));
    assert_eq!(live(&store, &user, &session).await, None);
    let expected = Closure {
        uid: user.uid.clone(),
        closed_at: NOW,
    };
    assert_eq!(closures(&store).await, [expected]);
    assert_eq!(
        close_at(&store, &user, &session, NOW).await,
        Outcome::Conflict
    );
}

#[tokio::test]
async fn an_account_is_closed_by_the_password_and_the_session_that_were_read() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let session = opened(&store, &user).await;
    let other_password = User {
        credentials: Credentials::of_password(hash("other")),
        ..user.clone()
    };
    let other_epoch = Session {
        epoch: session.epoch + 1,
        ..session.clone()
    };
    let other_state = User {
        state: State::Active,
        ..user.clone()
    };
    for (user, session) in [
        (&other_password, &session),
        (&user, &other_epoch),
        (&other_state, &session),
    ] {
        assert_eq!(
            close_at(&store, user, session, NOW).await,
            Outcome::Conflict
        );
    }
    assert_eq!(closures(&store).await, []);
    assert!(live(&store, &user, &session).await.is_some());
}

#[tokio::test]
async fn a_code_that_closes_an_account_is_used() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let session = opened(&store, &user).await;
    let factor = SecondFactor::TimeStep(AcceptedStep {
        step: 7,
        sealed_secret: None,
    });
    let activity = succeeded(&user, Action::CloseAccount, NOW);
    let closing = AccountClosing {
        factor: Some(&factor),
        report: None,
        notice: None,
        activity: &activity,
    };
    let close = async || {
        store
            .close_account(&user, &session, closing)
            .await
            .expect("an answer")
    };
    assert_eq!(close().await, Outcome::Conflict, "OTP is off");
    let enable = store.user_write(
        &user,
        "SET otp_secret = :secret",
        None,
        [(":secret", super::super::items::text(""))],
    );
    assert_eq!(
        Outcome::from(
            store
                .transact([enable.expect("a write")])
                .await
                .expect("an answer")
        ),
        Outcome::Written
    );
    assert_eq!(
        close_at(&store, &user, &session, NOW).await,
        Outcome::Conflict,
        "OTP is on"
    );
    assert_eq!(close().await, Outcome::Written);
    let closed = stored(&store, &user).await;
    assert_eq!(
        (closed.state, closed.otp_last_step),
        (State::Deleted, Some(7))
    );
}

#[tokio::test]
async fn a_reset_reopens_an_account_with_the_state_that_it_had() {
    let store = store().await;
    for (email, state) in [
        ("jane@example.com", State::Pending),
        ("ann@example.com", State::Active),
    ] {
        let user = signed_up(&store, email).await;
        let change = Change::State(state);
        let administration = Administration::new(store.clone());
        let activity = succeeded(&user, Action::SetState, NOW);
        let changed = administration
            .change_user(&user, &change, &activity, None)
            .await;
        assert_eq!(changed.expect("an answer"), Outcome::Written);
        let user = stored(&store, &user).await;
        let session = opened(&store, &user).await;
        let code = request_reset(&store, &user).await;
        assert_eq!(
            close_at(&store, &user, &session, NOW).await,
            Outcome::Written
        );
        assert_eq!(
            reset(&store, &user, &code).await,
            PasswordChange::UserChanged,
            "the user was read before the account was closed"
        );
        let closed = stored(&store, &user).await;
        assert_eq!(reset(&store, &closed, &code).await, PasswordChange::Done);
        let reopened = stored(&store, &user).await;
        assert_eq!(reopened.state, state);
        assert_eq!((reopened.closed_at, reopened.closed_state), (None, None));
        if state == State::Pending {
            assert_eq!(
                reopened.pending_since,
                Some(NOW + 1),
                "the whole time again"
            );
        }
        assert_eq!(live(&store, &user, &session).await, None);
        assert_eq!(closures(&store).await, []);
    }
}

#[tokio::test]
async fn a_state_that_an_operator_sets_is_final() {
    let store = store().await;
    let user = closed(&store, "jane@example.com").await;
    let [closure] = &closures(&store).await[..] else {
        panic!("one closure");
    };
    let activity = succeeded(&user, Action::SetState, NOW);
    let changed = Administration::new(store.clone())
        .change_user(&user, &Change::State(State::Deleted), &activity, None)
        .await;
    assert_eq!(changed.expect("an answer"), Outcome::Written);
    let deleted = stored(&store, &user).await;
    assert_eq!(
        (deleted.state, deleted.closed_by_owner_at()),
        (State::Deleted, None)
    );
    assert_eq!(erase(&store, closure).await, Erasure::Kept);
    assert!(exists(&store, &user).await);
    assert_eq!(closures(&store).await, []);
}

#[tokio::test]
async fn erasure_deletes_every_item_of_the_account_and_no_other() {
    let store = store().await;
    let user = closed(&store, "jane@example.com").await;
    let other = closed(&store, "ann@example.com").await;
    for _ in 0..30 {
        opened(&store, &user).await;
    }
    let closure = Closure {
        uid: user.uid.clone(),
        closed_at: NOW,
    };
    assert_eq!(erase(&store, &closure).await, Erasure::Erased);
    assert!(!exists(&store, &user).await);
    assert_eq!(store.sessions(&user.uid).await.expect("an answer"), []);
    assert_eq!(all_activities(&store, &user).await.total, 0);
    assert!(exists(&store, &other).await);
    assert_eq!(all_activities(&store, &other).await.total, 3);
    let rest = closures(&store).await;
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].uid, other.uid);
    // Another account can have the address.
    signed_up(&store, "jane@example.com").await;
}

#[tokio::test]
async fn an_interrupted_erasure_is_continued() {
    let store = store().await;
    let user = closed(&store, "jane@example.com").await;
    let [closure] = &closures(&store).await[..] else {
        panic!("one closure");
    };
    assert_eq!(erase(&store, closure).await, Erasure::Erased);
    // As if the run had ended after the deletion of the user.
    let activity = succeeded(&user, Action::Login, NOW);
    let leftovers = [
        activity_write(&store.grants, &activity).expect("a write"),
        closure.write(&store.grants).expect("a write"),
    ];
    store.transact(leftovers).await.expect("an answer");
    assert_eq!(erase(&store, closure).await, Erasure::Erased);
    assert_eq!(all_activities(&store, &user).await.total, 0);
    assert_eq!(closures(&store).await, []);
}

#[tokio::test]
async fn an_account_that_was_reopened_or_closed_again_is_kept() {
    let store = store().await;
    let user = closed(&store, "jane@example.com").await;
    let [first] = &closures(&store).await[..] else {
        panic!("one closure");
    };
    let code = request_reset(&store, &user).await;
    assert_eq!(reset(&store, &user, &code).await, PasswordChange::Done);
    assert_eq!(erase(&store, first).await, Erasure::Kept);
    let reopened = stored(&store, &user).await;
    let session = opened(&store, &reopened).await;
    assert_eq!(
        close_at(&store, &reopened, &session, NOW + 60).await,
        Outcome::Written
    );
    assert_eq!(erase(&store, first).await, Erasure::Kept);
    assert!(exists(&store, &user).await);
    assert_eq!(
        closures(&store).await.len(),
        1,
        "the second closing on that day is listed"
    );
}

#[tokio::test]
async fn of_a_reset_and_erasures_at_once_exactly_one_takes_effect() {
    let store = store().await;
    for round in 0..8 {
        let user = closed(&store, &format!("jane{round}@example.com")).await;
        let code = request_reset(&store, &user).await;
        let closure = Closure {
            uid: user.uid.clone(),
            closed_at: NOW,
        };
        let results = at_once(8, |index| {
            let (store, user, code, closure) =
                (store.clone(), user.clone(), code.clone(), closure.clone());
            async move {
                if index % 2 == 0 {
                    reset(&store, &user, &code).await == PasswordChange::Done
                } else {
                    let _ = erase(&store, &closure).await;
                    false
                }
            }
        })
        .await;
        let reopened = results.into_iter().filter(|&done| done).count();
        assert_eq!(usize::from(exists(&store, &user).await), reopened);
        let found: Option<User> = store
            .find_user_by_uid(&user.uid, NOW)
            .await
            .expect("an answer");
        assert_ne!(found.map(|user| user.state), Some(State::Deleted));
    }
}

#[tokio::test]
async fn progress_is_only_made_forwards() {
    let erasures = Erasures::new(store().await);
    let first = async || erasures.first_day().await.expect("an answer");
    assert_eq!(first().await, Day::FIRST);
    let day = Day::of(NOW);
    erasures.complete_day(day).await.expect("an answer");
    assert_eq!(first().await, day.next());
    erasures.complete_day(Day::FIRST).await.expect("an answer");
    assert_eq!(first().await, day.next());
}

#[tokio::test]
async fn an_operator_erases_a_closed_account_with_its_listing() {
    let store = store().await;
    let user = closed(&store, "jane@example.com").await;
    let erased = Administration::new(store.clone())
        .erase_user(&user, NOW)
        .await;
    assert_eq!(erased.expect("an answer"), Outcome::Written);
    assert!(!exists(&store, &user).await);
    assert_eq!(closures(&store).await, []);
}

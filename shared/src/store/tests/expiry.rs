//! Accounts that expired before their address was confirmed

use super::{
    LIFE, NOW, at_once, claims_of, hash, new_user, opened, request_code, request_reset, session_of,
    sign_up, sign_up_after, sign_up_at, signed_up, store, succeeded,
};
use crate::{
    domain::{
        activity::Action,
        email_address::{AccountKey, AccountKeys},
        language::Language,
        mail::{self, QueuedMail},
        one_time_code::{Kind, OneTimeCode},
        session::{Session, SessionId},
        token_id::TokenId,
        user::{PendingLifetime, State, User, Withheld},
    },
    platform::clock::Timestamp,
    store::{
        Administration, Attempt, Change, Confirmation, Creation, Item, Outcome, PasswordChange,
        SignUp, Store,
        items::{keyed, text},
        keys::{uid_key, user_key},
    },
    tokens::signed_token::{Claims, Purpose},
};

const DAY: i64 = 86_400;
/// The first moment at which an account of `NOW` has expired.
const LATER: Timestamp = Timestamp::from_seconds(NOW.seconds() + 30 * DAY);
const ADDRESS: &str = "jane@example.com";

async fn found(store: &Store, address: &str, now: Timestamp) -> Option<User> {
    store
        .find_user(&AccountKeys::of(address), now)
        .await
        .expect("an answer")
}

async fn by_uid(store: &Store, user: &User, now: Timestamp) -> Option<User> {
    store
        .find_user_by_uid(&user.uid, now)
        .await
        .expect("an answer")
}

/// The stored items of the Users table.
async fn items(store: &Store) -> Vec<Item> {
    let scan = store.client.scan().table_name(&store.users);
    let found = scan.consistent_read(true).send().await.expect("items");
    found.items.unwrap_or_default()
}

/// Asserts that the Users table contains this user and no other.
async fn is_alone(store: &Store, user: &User) {
    assert_eq!(items(store).await.len(), 2);
    let found = found(store, ADDRESS, LATER).await.expect("a user");
    assert_eq!(found.uid, user.uid);
    assert_eq!(found.account_key(), user.email.account_key());
    assert!(by_uid(store, user, LATER).await.is_some());
}

fn confirmation_claims(user: &User, code: &OneTimeCode) -> Claims {
    Claims::new(
        Purpose::Confirmation,
        code.token_id.clone(),
        user.uid.clone(),
        user.email.account_key(),
        NOW,
        LATER + DAY,
    )
}

/// Stores a confirmation code that is valid when the account has expired.
async fn confirmation_code(store: &Store, user: &User) -> OneTimeCode {
    let code = OneTimeCode::new(40 * DAY, NOW);
    let kind = mail::Kind::Confirmation;
    let mail = QueuedMail::with_code(kind, &user.uid, &user.email, Language::En, &code, NOW);
    request_code(store, user, Kind::Confirmation, &code, &mail).await;
    code
}

async fn confirm(store: &Store, user: &User, code: &OneTimeCode) -> Confirmation {
    let confirmed = user.confirmed(LATER).expect("a user");
    let activity = succeeded(user, Action::ConfirmEmail, LATER);
    store
        .confirm_email(user, &confirmed, code, None, &Attempt::default(), &activity)
        .await
        .expect("an answer")
}

/// Stores a user under another key than their account key, as earlier versions did.
async fn store_under(store: &Store, user: &User, key: &str) {
    let item = keyed(user_key(&AccountKey::stored(key)), user).expect("an item");
    let mut pointer = uid_key(&user.uid);
    pointer.insert("user".to_owned(), text(key));
    for item in [item, pointer] {
        let put = store.client.put_item().table_name(&store.users);
        put.set_item(Some(item)).send().await.expect("an item");
    }
}

#[tokio::test]
async fn an_expired_account_is_absent_to_every_read() {
    let store = store().await;
    let user = signed_up(&store, ADDRESS).await;
    let session = opened(&store, &user).await;
    let code = confirmation_code(&store, &user).await;
    let claims = confirmation_claims(&user, &code);
    let reset = claims_of(&user, &request_reset(&store, &user).await);
    let session_claims = Claims::new(
        Purpose::Session,
        TokenId::from_text("a session"),
        user.uid.clone(),
        user.account_key(),
        NOW,
        LATER + DAY,
    );
    let named = Session {
        id: SessionId::of(&session_claims.token_id),
        ..session_of(&user)
    };
    let activity = succeeded(&user, Action::Login, NOW);
    let attempt = Attempt::default();
    let stored = store.open_session(&named, &attempt, &activity).await;
    stored.expect("a session");
    let mail = QueuedMail::reset_notice(mail::Kind::PasswordChanged, &user, Language::En, NOW);
    let accounts = user.email.account_keys();
    for (now, is_present) in [(LATER + -1, true), (LATER, false)] {
        let presence = [
            found(&store, ADDRESS, now).await.is_some(),
            by_uid(&store, &user, now).await.is_some(),
            !store
                .find_sessions::<Withheld>(std::slice::from_ref(&session_claims), now)
                .await
                .expect("an answer")
                .is_empty(),
            store
                .reload_session(&session, &user, now)
                .await
                .expect("an answer")
                .is_some(),
            store
                .find_code(&reset, Kind::Reset, now)
                .await
                .expect("an answer")
                .0
                .is_some(),
            store
                .find_confirmation(&claims, &[], now)
                .await
                .expect("an answer")
                .user
                .is_some(),
            store
                .find_user_and_mail_log(&accounts, Kind::Reset, now)
                .await
                .expect("an answer")
                .0
                .is_some(),
            store
                .find_recipient(&mail, now)
                .await
                .expect("an answer")
                .is_some(),
        ];
        assert_eq!(presence, [is_present; 8], "{now:?}");
        let lookup = store
            .look_up_sign_up(Some(&accounts), Some(&user.uid), now)
            .await
            .expect("an answer");
        assert_eq!(
            (lookup.is_email_taken, lookup.has_referral),
            (is_present, is_present)
        );
        assert_eq!(lookup.expired.is_empty(), is_present);
    }
    let forever = Store {
        pending_lifetime: PendingLifetime::UNLIMITED,
        ..store.clone()
    };
    assert!(found(&forever, ADDRESS, LATER + 4000 * DAY).await.is_some());
}

#[tokio::test]
async fn a_sign_up_replaces_an_expired_account() {
    let store = store().await;
    let expired = signed_up(&store, ADDRESS).await;
    let early = sign_up_at(&store, &new_user(ADDRESS), LATER + -1).await;
    assert_eq!(early, SignUp::EmailTaken);
    let user = User {
        created_at: LATER,
        ..new_user("Jane@example.com")
    };
    assert_eq!(sign_up_at(&store, &user, LATER).await, SignUp::Done);
    is_alone(&store, &user).await;
    assert!(by_uid(&store, &expired, NOW).await.is_none());
}

#[tokio::test]
async fn what_belongs_to_the_replaced_account_does_not_work_for_the_new_one() {
    let store = store().await;
    let expired = signed_up(&store, ADDRESS).await;
    let confirmation = confirmation_code(&store, &expired).await;
    let reset = request_reset(&store, &expired).await;
    let session = opened(&store, &expired).await;
    let user = User {
        created_at: LATER,
        ..new_user(ADDRESS)
    };
    assert_eq!(sign_up_at(&store, &user, LATER).await, SignUp::Done);
    // Tokens of the old account name the same account key, and the old uid.
    let claims = confirmation_claims(&expired, &confirmation);
    let stored = store.find_confirmation(&claims, &[], LATER).await;
    assert!(stored.expect("an answer").user.is_none());
    let claims = claims_of(&expired, &reset);
    let (owner, _) = store
        .find_code(&claims, Kind::Reset, LATER)
        .await
        .expect("an answer");
    assert!(owner.is_none());
    let reloaded = store.reload_session(&session, &expired, LATER).await;
    assert!(reloaded.expect("an answer").is_none());
    assert!(!session.is_live(&user, LIFE, NOW));
    // Requests that read the old account before it was replaced change nothing either.
    assert_eq!(
        confirm(&store, &expired, &confirmation).await,
        Confirmation::NothingToConfirm
    );
    let notice = mail::Kind::PasswordChanged;
    let change = store
        .reset_password(
            &expired,
            &hash("new"),
            &reset,
            &[],
            &QueuedMail::reset_notice(notice, &expired, Language::En, LATER),
            &succeeded(&expired, Action::PasswordReset, LATER),
        )
        .await;
    assert_eq!(change.expect("an answer"), PasswordChange::UserChanged);
    let referrer = store.look_up_sign_up(None, Some(&expired.uid), LATER).await;
    assert!(!referrer.expect("an answer").has_referral);
    let mail = QueuedMail::reset_notice(notice, &expired, Language::En, NOW);
    let recipient = store.find_recipient(&mail, LATER).await;
    assert!(recipient.expect("an answer").is_none());
    is_alone(&store, &user).await;
}

#[tokio::test]
async fn one_of_sixteen_concurrent_sign_ups_replaces_an_expired_account() {
    let store = store().await;
    let expired = signed_up(&store, ADDRESS).await;
    let accounts = expired.email.account_keys();
    let lookup = store.look_up_sign_up(Some(&accounts), None, LATER).await;
    let lookup = lookup.expect("an answer");
    let outcomes = at_once(16, |_| {
        let store = store.clone();
        let lookup = lookup.clone();
        let user = User {
            created_at: LATER,
            ..new_user(ADDRESS)
        };
        async move { (sign_up_after(&store, &user, &lookup).await, user) }
    })
    .await;
    let (done, others): (Vec<_>, Vec<_>) = outcomes
        .into_iter()
        .partition(|(outcome, _)| *outcome == SignUp::Done);
    assert_eq!(done.len(), 1);
    assert!(
        others
            .iter()
            .all(|(outcome, _)| *outcome == SignUp::Conflict)
    );
    is_alone(&store, &done[0].1).await;
}

#[tokio::test]
async fn a_confirmation_and_a_replacement_have_one_winner() {
    for _ in 0..4 {
        let store = store().await;
        let expired = signed_up(&store, ADDRESS).await;
        let code = confirmation_code(&store, &expired).await;
        // Clocks differ: the confirmation was requested just before the account expired.
        let read = found(&store, ADDRESS, LATER + -1).await.expect("a user");
        let accounts = expired.email.account_keys();
        let lookup = store.look_up_sign_up(Some(&accounts), None, LATER).await;
        let lookup = lookup.expect("an answer");
        let winners = at_once(16, |index| {
            let (store, lookup, read, code) =
                (store.clone(), lookup.clone(), read.clone(), code.clone());
            async move {
                if index % 2 == 0 {
                    let won = confirm(&store, &read, &code).await == Confirmation::Done;
                    return won.then_some(read.uid);
                }
                let user = User {
                    created_at: LATER,
                    ..new_user(ADDRESS)
                };
                let outcome = sign_up_after(&store, &user, &lookup).await;
                (outcome == SignUp::Done).then_some(user.uid)
            }
        })
        .await;
        let winners: Vec<_> = winners.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1, "{winners:?}");
        let user = found(&store, ADDRESS, LATER).await.expect("a user");
        assert_eq!(user.uid, winners[0]);
        assert_eq!(items(&store).await.len(), 2);
        assert_eq!(user.has_verified_email(), user.uid == expired.uid);
    }
}

#[tokio::test]
async fn a_change_by_an_operator_prevents_the_replacement() {
    for change in [
        Change::State(State::Active),
        Change::State(State::Pending),
        Change::State(State::Banned),
        Change::Role("admin".to_owned(), 0),
    ] {
        let store = store().await;
        let expired = signed_up(&store, ADDRESS).await;
        let administration = Administration::new(store.clone());
        let accounts = expired.email.account_keys();
        let lookup = store.look_up_sign_up(Some(&accounts), None, LATER).await;
        let lookup = lookup.expect("an answer");
        let activity = succeeded(&expired, Action::SetState, LATER);
        let changed = administration
            .change_user(&expired, &change, &activity, None)
            .await;
        assert_eq!(changed.expect("an answer"), Outcome::Written);
        let user = new_user(ADDRESS);
        let outcome = sign_up_after(&store, &user, &lookup).await;
        assert_eq!(outcome, SignUp::Conflict, "{change:?}");
        assert_eq!(items(&store).await.len(), 2);
        let is_still_expired = matches!(change, Change::Role(..));
        let again = sign_up_at(&store, &user, LATER).await;
        if is_still_expired {
            assert_eq!(again, SignUp::Done);
        } else {
            assert_eq!(again, SignUp::EmailTaken);
            assert!(by_uid(&store, &expired, LATER).await.is_some());
        }
    }
}

#[tokio::test]
async fn a_replacement_leaves_no_account_under_a_key_of_an_earlier_version() {
    const TYPED: &str = "Mia@Bücher.example";
    const OLD: &str = "mia@bücher.example";
    let present = "mia@xn--bcher-kva.example";
    for under in [&[OLD][..], &[present], &[OLD, present]] {
        let store = store().await;
        for key in under {
            store_under(&store, &new_user(TYPED), key).await;
        }
        let user = User {
            created_at: LATER,
            ..new_user(TYPED)
        };
        assert_eq!(sign_up_at(&store, &user, LATER).await, SignUp::Done);
        assert_eq!(items(&store).await.len(), 2, "{under:?}");
        for spelling in [TYPED, OLD, present] {
            let found = found(&store, spelling, LATER).await.expect("a user");
            assert_eq!(found.uid, user.uid);
            assert_eq!(found.account_key(), AccountKey::stored(present));
        }
    }
}

#[tokio::test]
async fn an_expired_account_hides_no_other_account_of_the_address() {
    let store = store().await;
    let active = User {
        state: State::Active,
        ..new_user("Mia@Bücher.example")
    };
    let expired = new_user("Mia@Bücher.example");
    store_under(&store, &active, "mia@bücher.example").await;
    store_under(&store, &expired, "mia@xn--bcher-kva.example").await;
    let address = "mia@bücher.example";
    let before = found(&store, address, NOW).await.expect("a user");
    assert_eq!(before.uid, expired.uid);
    let after = found(&store, address, LATER).await.expect("a user");
    assert_eq!(after.uid, active.uid);
    let sign_up = sign_up_at(&store, &new_user(address), LATER).await;
    assert_eq!(sign_up, SignUp::EmailTaken);
    assert_eq!(items(&store).await.len(), 4);
}

#[tokio::test]
async fn users_of_the_previous_version_expire_by_their_sign_up() {
    let store = store().await;
    let old = User {
        created_at: NOW + -400 * DAY,
        ..new_user(ADDRESS)
    };
    let imported = User {
        pending_since: Some(NOW),
        ..old.clone()
    };
    store_under(&store, &old, ADDRESS).await;
    assert!(found(&store, ADDRESS, NOW).await.is_none());
    store_under(&store, &imported, ADDRESS).await;
    assert!(found(&store, ADDRESS, LATER + -1).await.is_some());
    assert!(found(&store, ADDRESS, LATER).await.is_none());
}

#[tokio::test]
async fn operators_see_expired_accounts_and_replace_them_like_a_sign_up() {
    let store = store().await;
    let expired = signed_up(&store, ADDRESS).await;
    let administration = Administration::new(store.clone());
    let accounts = expired.email.account_keys();
    let seen = administration.find_user(&accounts, LATER).await;
    assert_eq!(seen.expect("an answer").expect("a user").uid, expired.uid);
    let seen = administration.find_user_by_uid(&expired.uid, LATER).await;
    assert!(seen.expect("an answer").is_some());
    let (users, _) = administration
        .scan_users(None, 10)
        .await
        .expect("an answer");
    assert_eq!(users.len(), 1);
    let user = User {
        created_at: LATER,
        ..new_user(ADDRESS)
    };
    let same_uid = User {
        uid: expired.uid.clone(),
        ..user.clone()
    };
    let created = administration.create_user(&same_uid, "active", LATER).await;
    assert_eq!(created.expect("an answer"), Creation::EmailTaken);
    assert_eq!(sign_up_at(&store, &same_uid, LATER).await, SignUp::UidTaken);
    for (now, expected) in [
        (LATER + -1, Creation::EmailTaken),
        (LATER, Creation::Done),
        (LATER, Creation::EmailTaken),
    ] {
        let created = administration.create_user(&user, "active", now).await;
        assert_eq!(created.expect("an answer"), expected);
    }
    is_alone(&store, &user).await;
}

#[tokio::test]
async fn an_operator_who_makes_an_account_pending_starts_its_time_again() {
    let store = store().await;
    let user = signed_up(&store, ADDRESS).await;
    let administration = Administration::new(store.clone());
    let activity = succeeded(&user, Action::SetState, LATER);
    let changed = administration
        .change_user(&user, &Change::State(State::Pending), &activity, None)
        .await;
    assert_eq!(changed.expect("an answer"), Outcome::Written);
    let last = LATER + 30 * DAY;
    assert!(found(&store, ADDRESS, last + -1).await.is_some());
    assert!(found(&store, ADDRESS, last).await.is_none());
}

#[tokio::test]
async fn a_sign_up_of_another_address_keeps_the_expired_account() {
    let store = store().await;
    let expired = signed_up(&store, ADDRESS).await;
    let other = new_user("joan@example.com");
    assert_eq!(sign_up(&store, &other).await, SignUp::Done);
    assert_eq!(items(&store).await.len(), 4);
    assert!(by_uid(&store, &expired, NOW).await.is_some());
}

//! Sessions

use super::{
    LIFE, NOW, activities::put_unreadable, all_activities, at_once, live, new_user, opened,
    session_of, sign_up, signed_up, store, stored, succeeded,
};
use crate::{
    domain::{
        activity::Action,
        email_address::{AccountKey, AccountKeys},
        otp::SecondFactor,
        session::{Client, NewSession, Session, SessionId},
        token_id::TokenId,
        user::{Credentials, OtpSecret, StoredOtpSecret, Uid, User, Withheld},
    },
    store::{AcceptedCode, Attempt, SignInReport, Store},
    tokens::signed_token::{Claims, Purpose},
};

/// Whether a TOTP code of this time step opens a session.
async fn opens_with_otp(store: &Store, user: &User, step: u64) -> bool {
    let factor = SecondFactor::TimeStep(step.into());
    let activity = succeeded(user, Action::LoginWithOtp, NOW);
    store
        .open_session_with_otp(
            user,
            &session_of(user),
            AcceptedCode {
                factor: &factor,
                device: None,
            },
            &SignInReport::default(),
            &Attempt::default(),
            &activity,
        )
        .await
        .expect("an answer")
        .is_written()
}

#[tokio::test]
async fn a_session_is_found_by_its_token_and_can_be_ended_once() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let session = Session {
        id: SessionId::of(&TokenId::from_text("the-jti")),
        ..session_of(&user)
    };
    store
        .open_session(
            &session,
            &Attempt::default(),
            &succeeded(&user, Action::Login, NOW),
        )
        .await
        .expect("a session");
    let claims = Claims::new(
        Purpose::Session,
        TokenId::from_text("the-jti"),
        user.uid.clone(),
        user.email.account_key(),
        NOW,
        NOW + 60,
    );
    let (found, owner) = store
        .find_sessions::<Withheld>(std::slice::from_ref(&claims), NOW)
        .await
        .expect("an answer")
        .pop()
        .expect("a session");
    assert_eq!((found, owner.uid), (session.clone(), user.uid));
    let ended = at_once(8, |_| {
        let store = store.clone();
        let session = session.clone();
        async move {
            store
                .end_session(&session.uid, &session.id, None)
                .await
                .expect("an answer")
                .is_written()
        }
    })
    .await;
    assert_eq!(ended.iter().filter(|&&ended| ended).count(), 1);
    assert!(
        store
            .find_sessions::<Withheld>(&[claims], NOW)
            .await
            .expect("an answer")
            .is_empty()
    );
}

#[tokio::test]
async fn several_sessions_are_found_each_with_its_user_once() {
    let store = store().await;
    let mut claims = Vec::new();
    let mut expected = Vec::new();
    for email in ["jane@example.com", "jane@example.com", "joan@example.com"] {
        let accounts = AccountKeys::of(email);
        let user = match store.find_user(&accounts, NOW).await.expect("an answer") {
            Some(user) => user,
            None => signed_up(&store, email).await,
        };
        let token_id = TokenId::generate();
        let session = Session {
            id: SessionId::of(&token_id),
            ..session_of(&user)
        };
        store
            .open_session(
                &session,
                &Attempt::default(),
                &succeeded(&user, Action::Login, NOW),
            )
            .await
            .expect("a session");
        let uid = user.uid.clone();
        claims.push(Claims::new(
            Purpose::Session,
            token_id,
            uid.clone(),
            accounts.account().clone(),
            NOW,
            NOW + 60,
        ));
        expected.push((session, uid));
    }
    // A token that is sent twice, and one without a session.
    claims.push(claims[0].clone());
    claims.push(Claims::new(
        Purpose::Session,
        TokenId::generate(),
        expected[0].1.clone(),
        AccountKey::of("jane@example.com"),
        NOW,
        NOW + 60,
    ));
    let found = store
        .find_sessions::<Withheld>(&claims, NOW)
        .await
        .expect("an answer");
    let found: Vec<_> = found
        .into_iter()
        .map(|(session, user)| (session, user.uid))
        .collect();
    assert_eq!(found, expected);
    assert!(
        store
            .find_sessions::<Withheld>(&[], NOW)
            .await
            .expect("an answer")
            .is_empty()
    );
}

#[tokio::test]
async fn a_kept_session_keeps_a_use_that_was_recorded_since_it_was_read() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let session = opened(&store, &user).await;
    assert!(
        store
            .touch_session(&session, NOW + 100)
            .await
            .expect("an answer")
            .is_written()
    );
    let activity = succeeded(&user, Action::Logout, NOW);
    assert!(
        store
            .end_other_sessions(&user, &session, &activity)
            .await
            .expect("an answer")
            .is_written()
    );
    let (kept, _) = store
        .reload_session(&session, &user, NOW)
        .await
        .expect("an answer")
        .expect("a session");
    let expected = Session {
        epoch: session.epoch + 1,
        last_used_at: NOW + 100,
        ..session
    };
    assert_eq!(kept, expected);
}

#[tokio::test]
async fn a_time_step_opens_one_session_and_earlier_steps_open_none() {
    let store = store().await;
    let plain = |text| OtpSecret::import(text).map(StoredOtpSecret::Plain);
    let with = |user: &User, secret| User {
        credentials: Credentials {
            otp_secret: plain(secret),
            ..user.credentials.clone()
        },
        ..user.clone()
    };
    let user = with(&new_user("jane@example.com"), "GEZDGNBVGY3TQOJQ");
    sign_up(&store, &user).await;
    let opened = at_once(8, |_| {
        let store = store.clone();
        let user = user.clone();
        async move { opens_with_otp(&store, &user, 100).await }
    })
    .await;
    assert_eq!(opened.iter().filter(|&&opened| opened).count(), 1);
    for (step, opens) in [(99, false), (100, false), (101, true)] {
        assert_eq!(opens_with_otp(&store, &user, step).await, opens, "{step}");
    }
    let with_other_secret = with(&user, "MFRGGZDFMZTWQ2LK");
    assert!(!opens_with_otp(&store, &with_other_secret, 102).await);
}

#[tokio::test]
async fn a_list_contains_every_session_of_the_user_and_no_other() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let other = signed_up(&store, "john@example.com").await;
    let mut expected = vec![
        opened(&store, &user).await.id,
        opened(&store, &user).await.id,
    ];
    let other_session = opened(&store, &other).await;
    let mut listed: Vec<SessionId> = store
        .sessions(&user.uid)
        .await
        .expect("an answer")
        .into_iter()
        .map(|session| session.id)
        .collect();
    // The sign-up opened a session too.
    listed.retain(|id| expected.contains(id));
    expected.sort();
    listed.sort();
    assert_eq!(listed, expected);
    let sessions = store.sessions(&user.uid).await.expect("an answer");
    assert!(
        sessions.len() == 3
            && sessions
                .iter()
                .all(|session| session.uid == user.uid && session.id != other_session.id)
    );
    assert!(
        store
            .sessions(&Uid::generate("ID"))
            .await
            .expect("an answer")
            .is_empty()
    );
}

#[tokio::test]
async fn a_use_is_recorded_for_an_existing_session_and_does_not_create_one() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let session = opened(&store, &user).await;
    assert!(
        store
            .touch_session(&session, NOW + 100)
            .await
            .expect("an answer")
            .is_written()
    );
    assert_eq!(
        live(&store, &user, &session).await,
        Some(Session {
            last_used_at: NOW + 100,
            ..session.clone()
        })
    );
    assert!(
        store
            .touch_session(&session, NOW + 99)
            .await
            .expect("an answer")
            .is_written()
    );
    let stored = live(&store, &user, &session).await.expect("a session");
    assert_eq!(
        stored.last_used_at,
        NOW + 100,
        "an earlier use does not replace a later one"
    );
    assert!(
        store
            .end_session(&user.uid, &session.id, None)
            .await
            .expect("an answer")
            .is_written()
    );
    assert!(
        !store
            .touch_session(&session, NOW + 200)
            .await
            .expect("an answer")
            .is_written()
    );
    assert!(
        store
            .reload_session(&session, &user, NOW)
            .await
            .expect("an answer")
            .is_none()
    );
}

#[tokio::test]
async fn ending_all_other_sessions_includes_sessions_of_concurrent_sign_ins() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let kept = opened(&store, &user).await;
    let ended = opened(&store, &user).await;
    let end_others = async |user: &User, session: &Session| {
        store
            .end_other_sessions(user, session, &succeeded(user, Action::Logout, NOW))
            .await
            .expect("an answer")
            .is_written()
    };
    assert!(end_others(&user, &kept).await);
    // A sign-in that read the user before opens a session of the previous epoch.
    let late = opened(&store, &user).await;
    assert_eq!(
        (
            live(&store, &user, &ended).await,
            live(&store, &user, &late).await
        ),
        (None, None)
    );
    let kept_after = live(&store, &user, &kept).await.expect("a session");
    assert_eq!(
        kept_after,
        Session {
            epoch: 1,
            ..kept.clone()
        }
    );
    let user_after = stored(&store, &user).await;
    assert_eq!(
        (user_after.session_epoch, user_after.updated_at),
        (1, user.updated_at)
    );
    let recorded = all_activities(&store, &user).await.activities;
    assert!(
        recorded
            .iter()
            .any(|activity| activity.action == Action::Logout)
    );
    let new_session = opened(&store, &user_after).await;
    assert!(live(&store, &user, &new_session).await.is_some());

    // A request with the previous epoch ends nothing, and one with an ended session does not store
    // it again.
    assert!(!end_others(&user, &kept).await);
    assert!(
        store
            .end_session(&user.uid, &kept.id, None)
            .await
            .expect("an answer")
            .is_written()
    );
    assert!(!end_others(&user_after, &kept_after).await);
    assert_eq!(
        (
            live(&store, &user, &kept).await,
            stored(&store, &user).await.session_epoch
        ),
        (None, 1)
    );
    assert!(live(&store, &user, &new_session).await.is_some());
}

#[tokio::test]
async fn one_of_sixteen_concurrent_requests_to_end_all_other_sessions_succeeds_per_epoch() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let mut sessions = Vec::new();
    for _ in 0..16 {
        sessions.push(opened(&store, &user).await);
    }
    for epoch in 1..=2 {
        let before = stored(&store, &user).await;
        let outcomes = at_once(sessions.len(), |index| {
            let store = store.clone();
            let user = before.clone();
            let session = sessions[index].clone();
            async move {
                store
                    .end_other_sessions(&user, &session, &succeeded(&user, Action::Logout, NOW))
                    .await
                    .expect("an answer")
                    .is_written()
            }
        })
        .await;
        assert_eq!(
            outcomes.iter().filter(|&&won| won).count(),
            1,
            "{outcomes:?}"
        );
        assert_eq!(stored(&store, &user).await.session_epoch, epoch);
        let mut remaining = Vec::new();
        for session in &sessions {
            remaining.extend(live(&store, &user, session).await);
        }
        remaining.dedup();
        assert_eq!(remaining.len(), 1);
        // In the next epoch, the remaining session sends sixteen concurrent requests.
        sessions = vec![remaining.remove(0); 16];
    }
}

#[tokio::test]
async fn concurrent_sign_outs_record_one_activity() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let session = opened(&store, &user).await;
    let ended = at_once(16, |_| {
        let store = store.clone();
        let user = user.clone();
        let session = session.clone();
        async move {
            let activity = succeeded(&user, Action::Logout, NOW);
            store
                .end_session(&user.uid, &session.id, Some(&activity))
                .await
                .expect("an answer")
                .is_written()
        }
    })
    .await;
    assert_eq!(ended.iter().filter(|&&ended| ended).count(), 1);
    let recorded = all_activities(&store, &user).await.activities;
    assert_eq!(
        recorded
            .iter()
            .filter(|activity| activity.action == Action::Logout)
            .count(),
        1
    );
}

#[tokio::test]
async fn a_list_contains_the_newest_thousand_sessions_and_no_more_are_read() {
    let store = store().await;
    let user = new_user("jane@example.com");
    // A session of an earlier version, whose key begins with no time.
    put_unreadable(&store, &user, "SESSION#ffff").await;
    let activity = succeeded(&user, Action::Login, NOW);
    let mut expected = Vec::new();
    for number in 0..1001 {
        let client = Client {
            address: "192.0.2.1".to_owned(),
            user_agent: "test".to_owned(),
        };
        let session = NewSession::begin(&user, client, LIFE, true, NOW + number).session;
        let attempt = Attempt::default();
        let opened = store.open_session(&session, &attempt, &activity).await;
        opened.expect("a session");
        expected.push(session.id);
    }
    expected.reverse();
    let oldest = expected.pop().expect("a session");
    let listed = store.sessions(&user.uid).await.expect("an answer");
    let ids: Vec<SessionId> = listed.into_iter().map(|session| session.id).collect();
    assert_eq!(ids, expected);
    let found = store.find_session(&user.uid, &oldest).await;
    assert_eq!(found.expect("an answer").expect("a session").id, oldest);
    let other = new_user("john@example.com");
    let found = store.find_session(&other.uid, &oldest).await;
    assert_eq!(found.expect("an answer"), None);
}

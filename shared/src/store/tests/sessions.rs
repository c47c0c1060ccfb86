//! Sessions.

use super::{
    NOW, all_activities, at_once, done, live, new_user, opened, session_of, sign_up, signed_up,
    store, stored,
};
use crate::{
    domain::{activity::Action, otp::SecondFactor, session::Session, user::User},
    platform::random::sha256_hex,
    store::{Attempt, Store},
    tokens::signed_token::{Claims, Purpose},
};

/// Whether a session is opened by a time step.
async fn with_otp(store: &Store, user: &User, step: u64) -> bool {
    let factor = SecondFactor::TimeStep(step);
    let activity = done(user, Action::LoginWithOtp, NOW);
    store
        .open_session_with_otp(
            user,
            &session_of(user),
            &factor,
            &Attempt::default(),
            &activity,
        )
        .await
        .expect("an answer")
        .is_written()
}

#[tokio::test]
async fn a_session_is_found_by_its_token_and_ended_once() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let session = Session {
        id_hash: sha256_hex("the-jti"),
        ..session_of(&user)
    };
    store
        .open_session(
            &session,
            &Attempt::default(),
            &done(&user, Action::Login, NOW),
        )
        .await
        .expect("a session");
    let claims = Claims::new(
        Purpose::Session,
        "the-jti",
        &user.uid,
        &user.email.key(),
        NOW,
        NOW + 60,
    );
    let (found, owner) = store
        .find_session(&claims)
        .await
        .expect("an answer")
        .expect("a session");
    assert_eq!((found, owner.uid), (session.clone(), user.uid));
    let ended = at_once(8, |_| {
        let store = store.clone();
        let session = session.clone();
        async move {
            store
                .end_session(&session.uid, &session.id_hash, None)
                .await
                .expect("an answer")
                .is_written()
        }
    })
    .await;
    assert_eq!(ended.iter().filter(|&&ended| ended).count(), 1);
    assert!(
        store
            .find_session(&claims)
            .await
            .expect("an answer")
            .is_none()
    );
}

#[tokio::test]
async fn a_time_step_opens_one_session_and_those_below_it_none() {
    let store = store().await;
    let secret = serde_json::from_value(serde_json::json!("GEZDGNBVGY3TQOJQ")).ok();
    let user = User {
        otp_secret: secret,
        ..new_user("jane@example.com")
    };
    sign_up(&store, &user).await;
    let opened = at_once(8, |_| {
        let store = store.clone();
        let user = user.clone();
        async move { with_otp(&store, &user, 100).await }
    })
    .await;
    assert_eq!(opened.iter().filter(|&&opened| opened).count(), 1);
    for (step, opens) in [(99, false), (100, false), (101, true)] {
        assert_eq!(with_otp(&store, &user, step).await, opens, "{step}");
    }
    let secret = serde_json::from_value(serde_json::json!("MFRGGZDFMZTWQ2LK")).ok();
    let enrolled_anew = User {
        otp_secret: secret,
        ..user
    };
    assert!(!with_otp(&store, &enrolled_anew, 102).await);
}

#[tokio::test]
async fn every_session_that_is_stored_of_a_user_is_listed_and_nobody_elses() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let other = signed_up(&store, "john@example.com").await;
    let mut expected = vec![
        opened(&store, &user).await.id_hash,
        opened(&store, &user).await.id_hash,
    ];
    let others = opened(&store, &other).await;
    let mut listed: Vec<String> = store
        .sessions(&user.uid)
        .await
        .expect("an answer")
        .into_iter()
        .map(|session| session.id_hash)
        .collect();
    // The sign-up opened one, too.
    listed.retain(|hash| expected.contains(hash));
    expected.sort();
    listed.sort();
    assert_eq!(listed, expected);
    let sessions = store.sessions(&user.uid).await.expect("an answer");
    assert!(
        sessions.len() == 3
            && sessions
                .iter()
                .all(|session| session.uid == user.uid && session.id_hash != others.id_hash)
    );
    assert!(
        store
            .sessions("ID0000000000")
            .await
            .expect("an answer")
            .is_empty()
    );
}

#[tokio::test]
async fn a_use_is_noted_of_a_session_that_is_there_and_makes_none() {
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
            .end_session(&user.uid, &session.id_hash, None)
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
            .find_session_again(&session, &user)
            .await
            .expect("an answer")
            .is_none()
    );
}

#[tokio::test]
async fn to_end_the_others_leaves_one_session_and_also_ends_those_that_are_about_to_begin() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let kept = opened(&store, &user).await;
    let ended = opened(&store, &user).await;
    let end_others = async |user: &User, session: &Session| {
        store
            .end_other_sessions(user, session, &done(user, Action::Logout, NOW))
            .await
            .expect("an answer")
            .is_written()
    };
    assert!(end_others(&user, &kept).await);
    // Who read the user before signs in by what is over.
    let late = opened(&store, &user).await;
    assert_eq!(
        (
            live(&store, &user, &ended).await,
            live(&store, &user, &late).await
        ),
        (None, None)
    );
    let kept_on = live(&store, &user, &kept).await.expect("a session");
    assert_eq!(
        kept_on,
        Session {
            epoch: 1,
            ..kept.clone()
        }
    );
    let now = stored(&store, &user).await;
    assert_eq!((now.session_epoch, now.updated_at), (1, user.updated_at));
    let recorded = all_activities(&store, &user).await.activities;
    assert!(
        recorded
            .iter()
            .any(|activity| activity.action == Action::Logout)
    );
    let of_now = opened(&store, &now).await;
    assert!(live(&store, &user, &of_now).await.is_some());

    // By what it was before, the session ends nothing any more; and one that was ended does not
    // come back by it.
    assert!(!end_others(&user, &kept).await);
    assert!(
        store
            .end_session(&user.uid, &kept.id_hash, None)
            .await
            .expect("an answer")
            .is_written()
    );
    assert!(!end_others(&now, &kept_on).await);
    assert_eq!(
        (
            live(&store, &user, &kept).await,
            stored(&store, &user).await.session_epoch
        ),
        (None, 1)
    );
    assert!(live(&store, &user, &of_now).await.is_some());
}

#[tokio::test]
async fn of_sixteen_sessions_that_end_the_others_at_once_one_wins_each_epoch() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let mut sessions = Vec::new();
    for _ in 0..16 {
        sessions.push(opened(&store, &user).await);
    }
    for epoch in 1..=2 {
        let before = stored(&store, &user).await;
        let outcomes = at_once(sessions.len(), |place| {
            let store = store.clone();
            let user = before.clone();
            let session = sessions[place].clone();
            async move {
                store
                    .end_other_sessions(&user, &session, &done(&user, Action::Logout, NOW))
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
        let mut left = Vec::new();
        for session in &sessions {
            left.extend(live(&store, &user, session).await);
        }
        left.dedup();
        assert_eq!(left.len(), 1);
        // In the next epoch the one that is left asks sixteen times at once.
        sessions = vec![left.remove(0); 16];
    }
}

#[tokio::test]
async fn a_sign_out_is_recorded_by_who_ends_the_session_alone() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let session = opened(&store, &user).await;
    let ended = at_once(16, |_| {
        let store = store.clone();
        let user = user.clone();
        let session = session.clone();
        async move {
            let activity = done(&user, Action::Logout, NOW);
            store
                .end_session(&user.uid, &session.id_hash, Some(&activity))
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

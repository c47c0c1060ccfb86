//! Codes, and what they let their bearer do.

use super::{
    LIFE, NOW, all_activities, ask, at_once, claims_of, done, hash, live, new_user, opened,
    reset_asked, reset_mail, session_of, signed_up, store, stored,
};
use crate::{
    domain::{
        activity::Action,
        language::Language,
        mail::{self, QueuedMail},
        one_time_code::{Kind, OneTimeCode},
        rate_limit::MailLog,
        session::Session,
        user::{State, User},
    },
    store::{Claim, CodeRequest, CodeRequestOutcome, Confirmation, PasswordChange, Store},
};

async fn reset(store: &Store, user: &User, code: &OneTimeCode, new: &str) -> PasswordChange {
    let notice = QueuedMail::notice(
        mail::Kind::PasswordChanged,
        &user.uid,
        &user.email,
        Language::En,
        NOW,
    );
    store
        .reset_password(
            user,
            &hash(new),
            code,
            &notice,
            &done(user, Action::PasswordReset, NOW + 1),
        )
        .await
        .expect("an answer")
}

#[tokio::test]
async fn only_the_newest_code_is_kept() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let first = reset_asked(&store, &user).await;
    let second = reset_asked(&store, &user).await;
    let (_, kept) = store
        .find_code(&claims_of(&user, &first), Kind::Reset)
        .await
        .expect("an answer");
    assert_eq!(kept.as_ref(), Some(&second));
    assert!(!second.is_named_by(&first.jti, NOW));
    assert!(second.is_named_by(&second.jti, NOW) && !second.is_named_by(&second.jti, NOW + 3600));
    assert_eq!(
        reset(&store, &user, &first, "new").await,
        PasswordChange::CodeUsed
    );
    assert_eq!(stored(&store, &user).await.password_hash, hash("old"));
}

#[tokio::test]
async fn of_sixteen_resets_by_one_code_at_once_one_wins_and_ends_every_session() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let session = session_of(&user);
    let code = reset_asked(&store, &user).await;
    let outcomes = at_once(16, |place| {
        let store = store.clone();
        let user = user.clone();
        let code = code.clone();
        async move {
            (
                reset(&store, &user, &code, &format!("new {place}")).await,
                place,
            )
        }
    })
    .await;
    let winners: Vec<usize> = outcomes
        .iter()
        .filter(|(change, _)| *change == PasswordChange::Done)
        .map(|&(_, place)| place)
        .collect();
    let [winner] = winners[..] else {
        panic!("{winners:?}")
    };
    let changed = stored(&store, &user).await;
    assert_eq!(changed.password_hash, hash(&format!("new {winner}")));
    assert_eq!(
        (
            changed.session_epoch,
            changed.updated_at,
            changed.created_at
        ),
        (1, NOW + 1, NOW)
    );
    assert!(session.is_live(&user, LIFE, NOW) && !session.is_live(&changed, LIFE, NOW));
}

#[tokio::test]
async fn a_password_of_somebody_else_who_has_the_address_now_is_not_changed() {
    let store = store().await;
    let gone = new_user("jane@example.com");
    let code = reset_asked(&store, &gone).await;
    let now_hers = signed_up(&store, "jane@example.com").await;
    assert_eq!(
        reset(&store, &gone, &code, "new").await,
        PasswordChange::UserGone
    );
    assert_eq!(stored(&store, &now_hers).await.password_hash, hash("old"));
}

#[tokio::test]
async fn of_sixteen_confirmations_of_an_address_at_once_one_wins() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let claims = claims_of(&user, &OneTimeCode::new(3600, NOW));
    let code = store
        .find_code(&claims, Kind::Confirmation)
        .await
        .expect("an answer")
        .1
        .expect("the code of the sign-up");
    let outcomes = at_once(16, |_| {
        let store = store.clone();
        let user = user.clone();
        let code = code.clone();
        async move {
            store
                .confirm_email(
                    &user,
                    &user.confirmed(NOW + 1),
                    &code,
                    Some(&session_of(&user)),
                )
                .await
                .expect("an answer")
        }
    })
    .await;
    assert_eq!(
        outcomes
            .iter()
            .filter(|&&outcome| outcome == Confirmation::Done)
            .count(),
        1,
        "{outcomes:?}"
    );
    let confirmed = stored(&store, &user).await;
    assert_eq!((confirmed.state, confirmed.level), (State::Active, 1));
    assert_eq!(confirmed.labels, user.confirmed(NOW + 1).labels);
    ask(
        &store,
        &user,
        Kind::Confirmation,
        &code,
        &reset_mail(&user, &code),
    )
    .await;
    let again = store
        .confirm_email(&user, &user.confirmed(NOW + 2), &code, None)
        .await
        .expect("an answer");
    assert_eq!(again, Confirmation::NothingToConfirm);
}

#[tokio::test]
async fn a_code_that_a_newer_one_replaced_confirms_nothing() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let older = OneTimeCode::new(3600, NOW);
    let outcome = store
        .confirm_email(
            &user,
            &user.confirmed(NOW),
            &older,
            Some(&session_of(&user)),
        )
        .await
        .expect("an answer");
    assert_eq!(
        (outcome, stored(&store, &user).await.state),
        (Confirmation::CodeUsed, State::Pending)
    );
}

#[tokio::test]
async fn a_decoy_is_nobodys_code_and_no_mail() {
    let store = store().await;
    let nobody = new_user("nobody@example.com");
    let code = OneTimeCode::new(3600, NOW);
    let mail = reset_mail(&nobody, &code);
    let log_after = MailLog {
        asked_at: vec![NOW.milliseconds()],
    };
    let activity = done(&nobody, Action::RequestPasswordReset, NOW);
    let address = "nobody@example.com";
    let asking = CodeRequest {
        kind: Kind::Reset,
        address,
        log_before: None,
        log_after: &log_after,
        code: &code,
        mail: &mail,
        activity: Some(&activity),
    };
    assert_eq!(
        store.store_decoy_code(&asking).await.expect("an answer"),
        CodeRequestOutcome::Stored
    );
    assert_eq!(all_activities(&store, &nobody).await.total, 0);
    assert_eq!(
        store
            .claim_mail(&mail.uid, &mail.id, NOW)
            .await
            .expect("an answer"),
        Claim::Settled
    );
    let (user, code) = store
        .find_code(&claims_of(&nobody, &code), Kind::Reset)
        .await
        .expect("an answer");
    assert!(user.is_none() && code.is_none());
}

/// Changes the password by its owner.
async fn change(store: &Store, user: &User, session: &Session, new: &str) -> bool {
    let notice = QueuedMail::notice(
        mail::Kind::PasswordChanged,
        &user.uid,
        &user.email,
        Language::En,
        NOW,
    );
    let activity = done(user, Action::PasswordChange, NOW + 1);
    store
        .change_password(user, session, &hash(new), &notice, &activity)
        .await
        .expect("an answer")
        .is_written()
}

#[tokio::test]
async fn of_sixteen_changes_of_a_password_at_once_one_wins_ends_the_other_sessions_and_voids_a_code()
 {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let code = reset_asked(&store, &user).await;
    let mut sessions = Vec::new();
    for _ in 0..16 {
        sessions.push(opened(&store, &user).await);
    }
    let outcomes = at_once(16, |place| {
        let store = store.clone();
        let user = user.clone();
        let session = sessions[place].clone();
        async move {
            (
                change(&store, &user, &session, &format!("new {place}")).await,
                place,
            )
        }
    })
    .await;
    let winners: Vec<usize> = outcomes
        .iter()
        .filter(|(won, _)| *won)
        .map(|&(_, place)| place)
        .collect();
    let [winner] = winners[..] else {
        panic!("{winners:?}")
    };

    let changed = stored(&store, &user).await;
    assert_eq!(changed.password_hash, hash(&format!("new {winner}")));
    assert_eq!((changed.session_epoch, changed.updated_at), (1, NOW + 1));
    for (place, session) in sessions.iter().enumerate() {
        assert_eq!(
            live(&store, &user, session).await.is_some(),
            place == winner,
            "{place}"
        );
    }
    assert!(
        store
            .find_code(&claims_of(&user, &code), Kind::Reset)
            .await
            .expect("an answer")
            .1
            .is_none()
    );
    assert_eq!(
        reset(&store, &user, &code, "late").await,
        PasswordChange::CodeUsed
    );
    let recorded = all_activities(&store, &user).await.activities;
    assert_eq!(
        recorded
            .iter()
            .filter(|activity| activity.action == Action::PasswordChange)
            .count(),
        1
    );
}

#[tokio::test]
async fn a_password_is_not_changed_by_a_session_that_is_over_or_in_the_place_of_another_than_was_checked()
 {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let session = opened(&store, &user).await;
    let ended = opened(&store, &user).await;
    let code = reset_asked(&store, &user).await;
    assert!(
        store
            .end_session(&user.uid, &ended.id_hash, None)
            .await
            .expect("an answer")
            .is_written()
    );
    assert!(!change(&store, &user, &ended, "by a session that was ended").await);
    assert!(
        live(&store, &user, &ended).await.is_none(),
        "it does not come back"
    );
    store
        .replace_hash(&user, &hash("rehashed"))
        .await
        .expect("an answer");
    assert!(!change(&store, &user, &session, "by the hash of before").await);
    let now = stored(&store, &user).await;
    assert_eq!(
        (&now.password_hash, now.session_epoch),
        (&hash("rehashed"), 0)
    );
    assert!(
        store
            .find_code(&claims_of(&user, &code), Kind::Reset)
            .await
            .expect("an answer")
            .1
            .is_some()
    );
    assert_eq!(
        reset(&store, &now, &code, "reset").await,
        PasswordChange::Done
    );
    let reset = stored(&store, &user).await;
    assert!(!change(&store, &reset, &session, "by a session of before the reset").await);
    assert_eq!(stored(&store, &user).await.password_hash, hash("reset"));
}

#[tokio::test]
async fn of_sixteen_who_ask_for_a_mail_to_one_address_at_once_one_is_sent() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let address = user.email.key();
    for round in 0..2 {
        let (found, before) = store
            .find_user_and_mail_log(&address, Kind::Reset)
            .await
            .expect("an answer");
        assert_eq!(
            (found.map(|found| found.uid), before.is_some()),
            (Some(user.uid.clone()), round == 1)
        );
        let log = MailLog {
            asked_at: vec![(NOW + round).milliseconds()],
        };
        let outcomes = at_once(16, |_| {
            let store = store.clone();
            let user = user.clone();
            let address = address.clone();
            let before = before.clone();
            let log = log.clone();
            async move {
                let code = OneTimeCode::new(3600, NOW);
                let mail = reset_mail(&user, &code);
                let activity = done(&user, Action::RequestPasswordReset, NOW);
                let asking = CodeRequest {
                    kind: Kind::Reset,
                    address: &address,
                    log_before: before.as_ref(),
                    log_after: &log,
                    code: &code,
                    mail: &mail,
                    activity: Some(&activity),
                };
                let outcome = store
                    .store_code(&user.uid, &asking)
                    .await
                    .expect("an answer");
                (outcome, code, mail)
            }
        })
        .await;
        let mut stored_ones = outcomes
            .iter()
            .filter(|(outcome, ..)| *outcome == CodeRequestOutcome::Stored);
        let (Some((_, code, mail)), None) = (stored_ones.next(), stored_ones.next()) else {
            panic!("one is stored")
        };
        let (_, kept) = store
            .find_code(&claims_of(&user, code), Kind::Reset)
            .await
            .expect("an answer");
        assert_eq!(kept.as_ref(), Some(code));
        assert!(matches!(
            store
                .claim_mail(&mail.uid, &mail.id, NOW)
                .await
                .expect("an answer"),
            Claim::Claimed(_)
        ));
        for (_, _, mail) in outcomes
            .iter()
            .filter(|(outcome, ..)| *outcome == CodeRequestOutcome::Overtaken)
        {
            assert_eq!(
                store
                    .claim_mail(&mail.uid, &mail.id, NOW)
                    .await
                    .expect("an answer"),
                Claim::Settled
            );
        }
        let (_, after) = store
            .find_user_and_mail_log(&address, Kind::Reset)
            .await
            .expect("an answer");
        assert_eq!(after, Some(log));
    }
    // Mails are counted per kind.
    assert_eq!(
        store
            .find_user_and_mail_log(&address, Kind::Confirmation)
            .await
            .expect("an answer")
            .1,
        None
    );
    let recorded = all_activities(&store, &user).await.activities;
    assert_eq!(
        recorded
            .iter()
            .filter(|activity| activity.action == Action::RequestPasswordReset)
            .count(),
        2
    );
}

#[tokio::test]
async fn mails_to_an_address_without_an_account_are_counted_alike() {
    let store = store().await;
    let nobody = new_user("nobody@example.com");
    let address = nobody.email.key();
    for (kind, is_decoy) in [(Kind::Reset, true), (Kind::Confirmation, false)] {
        let code = OneTimeCode::new(3600, NOW);
        let log = MailLog {
            asked_at: vec![NOW.milliseconds()],
        };
        let mail = reset_mail(&nobody, &code);
        let outcomes = at_once(16, |_| {
            let store = store.clone();
            let address = address.clone();
            let code = code.clone();
            let mail = mail.clone();
            let log = log.clone();
            async move {
                let asking = CodeRequest {
                    kind,
                    address: &address,
                    log_before: None,
                    log_after: &log,
                    code: &code,
                    mail: &mail,
                    activity: None,
                };
                if is_decoy {
                    store.store_decoy_code(&asking).await
                } else {
                    store.store_mail_log(&asking).await
                }
                .expect("an answer")
            }
        })
        .await;
        assert_eq!(
            outcomes
                .iter()
                .filter(|&&outcome| outcome == CodeRequestOutcome::Stored)
                .count(),
            1
        );
        let (user, after) = store
            .find_user_and_mail_log(&address, kind)
            .await
            .expect("an answer");
        assert_eq!((user.is_none(), after), (true, Some(log)));
        assert_eq!(
            store
                .claim_mail(&mail.uid, &mail.id, NOW)
                .await
                .expect("an answer"),
            Claim::Settled
        );
    }
}

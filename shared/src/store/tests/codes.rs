//! One-time codes, and the changes that they authorise

use super::{
    LIFE, NOW, all_activities, at_once, claims_of, hash, live, new_user, opened,
    password_change_log, request_code, request_reset, reset_mail, session_of, signed_up, store,
    stored, succeeded,
};
use crate::{
    domain::{
        activity::Action,
        email_address::AccountKey,
        language::Language,
        mail::{self, QueuedMail},
        one_time_code::{Kind, OneTimeCode},
        rate_limit::MailLog,
        session::Session,
        user::{COMPLAINT_RESET_INTERVAL, MailProblem, State, Uid, User},
    },
    platform::clock::Timestamp,
    store::{
        Attempt, Claim, CodeRequest, CodeRequestOutcome, Confirmation, PasswordChange,
        SessionReplacement, Store,
    },
};

async fn reset(store: &Store, user: &User, code: &OneTimeCode, new: &str) -> PasswordChange {
    let notice = QueuedMail::reset_notice(mail::Kind::PasswordChanged, user, Language::En, NOW);
    store
        .reset_password(
            user,
            &hash(new),
            code,
            &[],
            &notice,
            &succeeded(user, Action::PasswordReset, NOW + 1),
        )
        .await
        .expect("an answer")
}

#[tokio::test]
async fn a_new_code_replaces_the_previous_one() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let first = request_reset(&store, &user).await;
    let second = request_reset(&store, &user).await;
    let (_, kept) = store
        .find_code(&claims_of(&user, &first), Kind::Reset, NOW)
        .await
        .expect("an answer");
    assert_eq!(kept.as_ref(), Some(&second));
    assert!(!second.is_valid(&first.token_id, NOW));
    assert!(
        second.is_valid(&second.token_id, NOW) && !second.is_valid(&second.token_id, NOW + 3600)
    );
    assert_eq!(
        reset(&store, &user, &first, "new").await,
        PasswordChange::CodeUsed
    );
    assert_eq!(
        stored(&store, &user).await.credentials.password_hash,
        hash("old")
    );
}

#[tokio::test]
async fn one_of_sixteen_concurrent_resets_with_a_code_succeeds_and_ends_every_session() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let session = session_of(&user);
    let code = request_reset(&store, &user).await;
    let outcomes = at_once(16, |index| {
        let store = store.clone();
        let user = user.clone();
        let code = code.clone();
        async move {
            (
                reset(&store, &user, &code, &format!("new {index}")).await,
                index,
            )
        }
    })
    .await;
    let winners: Vec<usize> = outcomes
        .iter()
        .filter(|(change, _)| *change == PasswordChange::Done)
        .map(|&(_, index)| index)
        .collect();
    let [winner] = winners[..] else {
        panic!("{winners:?}")
    };
    let changed = stored(&store, &user).await;
    assert_eq!(
        changed.credentials.password_hash,
        hash(&format!("new {winner}"))
    );
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
async fn a_code_does_not_reset_the_password_of_a_later_user_of_the_address() {
    let store = store().await;
    let erased = new_user("jane@example.com");
    let code = request_reset(&store, &erased).await;
    let later = signed_up(&store, "jane@example.com").await;
    assert_eq!(
        reset(&store, &erased, &code, "new").await,
        PasswordChange::UserChanged
    );
    assert_eq!(
        stored(&store, &later).await.credentials.password_hash,
        hash("old")
    );
}

/// Confirms the address with a session that replaces an older one.
async fn confirm(store: &Store, user: &User, code: &OneTimeCode, now: Timestamp) -> Confirmation {
    let confirmed = user.confirmed(now).expect("an epoch");
    let session = SessionReplacement {
        old: &session_of(user),
        new: &session_of(&confirmed),
    };
    let activity = succeeded(user, Action::ConfirmEmail, now);
    store
        .confirm_email(
            user,
            &confirmed,
            code,
            Some(session),
            &Attempt::default(),
            &activity,
        )
        .await
        .expect("an answer")
}

#[tokio::test]
async fn one_of_sixteen_concurrent_confirmations_of_an_address_succeeds() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let claims = claims_of(&user, &OneTimeCode::new(3600, NOW));
    let code = store
        .find_code(&claims, Kind::Confirmation, NOW)
        .await
        .expect("an answer")
        .1
        .expect("the code of the sign-up");
    let outcomes = at_once(16, |_| {
        let store = store.clone();
        let user = user.clone();
        let code = code.clone();
        async move { confirm(&store, &user, &code, NOW + 1).await }
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
    let expected = user.confirmed(NOW + 1).expect("an epoch");
    assert_eq!(confirmed.labels, expected.labels);
    assert_eq!(confirmed.session_epoch, user.session_epoch + 1);
    request_code(
        &store,
        &user,
        Kind::Confirmation,
        &code,
        &reset_mail(&user, &code),
    )
    .await;
    let again = confirm(&store, &user, &code, NOW + 2).await;
    assert_eq!(again, Confirmation::NothingToConfirm);
    let activities = all_activities(&store, &user).await.activities;
    let confirmed = activities
        .iter()
        .filter(|activity| activity.action == Action::ConfirmEmail);
    assert_eq!(confirmed.count(), 1);
}

#[tokio::test]
async fn a_replaced_code_does_not_confirm_the_address() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let older = OneTimeCode::new(3600, NOW);
    let outcome = confirm(&store, &user, &older, NOW).await;
    assert_eq!(
        (outcome, stored(&store, &user).await.state),
        (Confirmation::CodeUsed, State::Pending)
    );
}

#[tokio::test]
async fn a_decoy_cannot_be_found_as_a_code_an_activity_or_a_mail() {
    let store = store().await;
    let account = &AccountKey::of("unknown@example.com");
    let unknown = new_user("unknown@example.com");
    let decoy = User {
        uid: Uid::decoy(account),
        ..unknown.clone()
    };
    let code = OneTimeCode::new(3600, NOW);
    let mail = reset_mail(&unknown, &code);
    let log_after = MailLog {
        asked_at: vec![NOW.milliseconds()],
    };
    let activity = succeeded(&decoy, Action::RequestPasswordReset, NOW);
    let request = CodeRequest {
        kind: Kind::Reset,
        account,
        log_before: None,
        log_after: &log_after,
        code: &code,
        mail: &mail,
        activity: Some(&activity),
    };
    assert_eq!(
        store.store_decoy_code(&request).await.expect("an answer"),
        CodeRequestOutcome::Stored
    );
    assert_eq!(all_activities(&store, &decoy).await.total, 0);
    let claim = store.claim_mail(&mail.uid, &mail.id, NOW).await;
    assert_eq!(claim.expect("an answer"), Claim::Settled);
    let (user, code) = store
        .find_code(&claims_of(&unknown, &code), Kind::Reset, NOW)
        .await
        .expect("an answer");
    assert!(user.is_none() && code.is_none());
}

/// Whether the user changes the password with this session.
async fn change(store: &Store, user: &User, session: &Session, new: &str) -> bool {
    let notice = QueuedMail::reset_notice(mail::Kind::PasswordChanged, user, Language::En, NOW);
    let activity = succeeded(user, Action::PasswordChange, NOW + 1);
    let logged = store.password_changes(&user.uid).await.expect("an answer");
    let log = password_change_log(logged.as_ref());
    store
        .change_password(user, session, &hash(new), log, Some(&notice), &activity)
        .await
        .expect("an answer")
        .is_written()
}

#[tokio::test]
async fn one_of_sixteen_concurrent_password_changes_succeeds_and_ends_other_sessions_and_codes() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let code = request_reset(&store, &user).await;
    let mut sessions = Vec::new();
    for _ in 0..16 {
        sessions.push(opened(&store, &user).await);
    }
    let outcomes = at_once(16, |index| {
        let store = store.clone();
        let user = user.clone();
        let session = sessions[index].clone();
        async move {
            (
                change(&store, &user, &session, &format!("new {index}")).await,
                index,
            )
        }
    })
    .await;
    let winners: Vec<usize> = outcomes
        .iter()
        .filter(|(won, _)| *won)
        .map(|&(_, index)| index)
        .collect();
    let [winner] = winners[..] else {
        panic!("{winners:?}")
    };

    let changed = stored(&store, &user).await;
    assert_eq!(
        changed.credentials.password_hash,
        hash(&format!("new {winner}"))
    );
    assert_eq!((changed.session_epoch, changed.updated_at), (1, NOW + 1));
    for (index, session) in sessions.iter().enumerate() {
        assert_eq!(
            live(&store, &user, session).await.is_some(),
            index == winner,
            "{index}"
        );
    }
    assert!(
        store
            .find_code(&claims_of(&user, &code), Kind::Reset, NOW)
            .await
            .expect("an answer")
            .1
            .is_none()
    );
    assert_eq!(
        reset(&store, &user, &code, "late").await,
        PasswordChange::UserChanged,
        "the device epoch was raised"
    );
    assert_eq!(
        reset(&store, &changed, &code, "late").await,
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
async fn a_password_change_requires_a_live_session_and_the_verified_hash() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let session = opened(&store, &user).await;
    let ended = opened(&store, &user).await;
    let code = request_reset(&store, &user).await;
    assert!(
        store
            .end_session(&user.uid, &ended.id, None)
            .await
            .expect("an answer")
            .is_written()
    );
    assert!(!change(&store, &user, &ended, "with an ended session").await);
    assert!(
        live(&store, &user, &ended).await.is_none(),
        "the session is not stored again"
    );
    store
        .replace_hash(&user, &hash("rehashed"))
        .await
        .expect("an answer");
    assert!(!change(&store, &user, &session, "with the previous hash").await);
    let rehashed = stored(&store, &user).await;
    assert_eq!(
        (&rehashed.credentials.password_hash, rehashed.session_epoch),
        (&hash("rehashed"), 0)
    );
    assert!(
        store
            .find_code(&claims_of(&user, &code), Kind::Reset, NOW)
            .await
            .expect("an answer")
            .1
            .is_some()
    );
    assert_eq!(
        reset(&store, &rehashed, &code, "reset").await,
        PasswordChange::Done
    );
    let reset = stored(&store, &user).await;
    assert!(!change(&store, &reset, &session, "with an old session").await);
    assert_eq!(
        stored(&store, &user).await.credentials.password_hash,
        hash("reset")
    );
}

#[tokio::test]
async fn one_of_sixteen_concurrent_requests_for_a_mail_is_stored() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let account = user.email.account_key();
    for round in 0..2 {
        let (found, before) = store
            .find_user_and_mail_log(&user.email.account_keys(), Kind::Reset, NOW)
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
            let account = account.clone();
            let before = before.clone();
            let log = log.clone();
            async move {
                let code = OneTimeCode::new(3600, NOW);
                let mail = reset_mail(&user, &code);
                let activity = succeeded(&user, Action::RequestPasswordReset, NOW);
                let request = CodeRequest {
                    kind: Kind::Reset,
                    account: &account,
                    log_before: before.as_ref(),
                    log_after: &log,
                    code: &code,
                    mail: &mail,
                    activity: Some(&activity),
                };
                let outcome = store
                    .store_code(&user.uid, &request)
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
            .find_code(&claims_of(&user, code), Kind::Reset, NOW)
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
            .filter(|(outcome, ..)| *outcome == CodeRequestOutcome::Conflict)
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
            .find_user_and_mail_log(&user.email.account_keys(), Kind::Reset, NOW)
            .await
            .expect("an answer");
        assert_eq!(after, Some(log));
    }
    // Mails are counted per kind.
    assert_eq!(
        store
            .find_user_and_mail_log(&user.email.account_keys(), Kind::Confirmation, NOW)
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
async fn requests_for_an_address_without_an_account_are_counted_in_the_same_way() {
    let store = store().await;
    let unknown = new_user("unknown@example.com");
    let account = unknown.email.account_key();
    for (kind, is_decoy) in [(Kind::Reset, true), (Kind::Confirmation, false)] {
        let code = OneTimeCode::new(3600, NOW);
        let log = MailLog {
            asked_at: vec![NOW.milliseconds()],
        };
        let mail = reset_mail(&unknown, &code);
        let outcomes = at_once(16, |_| {
            let store = store.clone();
            let account = account.clone();
            let code = code.clone();
            let mail = mail.clone();
            let log = log.clone();
            async move {
                let request = CodeRequest {
                    kind,
                    account: &account,
                    log_before: None,
                    log_after: &log,
                    code: &code,
                    mail: &mail,
                    activity: None,
                };
                if is_decoy {
                    store.store_decoy_code(&request).await
                } else {
                    store.store_mail_log(&request).await
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
            .find_user_and_mail_log(&unknown.email.account_keys(), kind, NOW)
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

/// Requests a reset mail of a user who complained, under a separate mail log, so that only the
/// condition on the user decides.
async fn request_after_complaint(
    store: &Store,
    user: &User,
    log: usize,
    now: Timestamp,
) -> (CodeRequestOutcome, QueuedMail) {
    let code = OneTimeCode::new(3600, now);
    let mail = QueuedMail {
        queued_at: now,
        ..reset_mail(user, &code)
    };
    let request = CodeRequest {
        kind: Kind::Reset,
        account: &AccountKey::of(&format!("log{log}@example.com")),
        log_before: None,
        log_after: &MailLog {
            asked_at: vec![now.milliseconds()],
        },
        code: &code,
        mail: &mail,
        activity: Some(&succeeded(user, Action::RequestPasswordReset, now)),
    };
    let outcome = store.store_code_after_complaint(user, &request).await;
    (outcome.expect("an answer"), mail)
}

#[tokio::test]
async fn one_of_sixteen_concurrent_reset_mails_after_a_complaint_is_stored_a_day() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let complained = user
        .with_problem(MailProblem::Complaint, NOW, NOW)
        .expect("a new label");
    let labelled = store.set_labels(&user, &complained).await;
    assert!(labelled.expect("an answer").is_written());
    for (day, now) in [(0, NOW), (1, NOW + COMPLAINT_RESET_INTERVAL)] {
        let outcomes = at_once(16, |index| {
            let store = store.clone();
            let user = complained.clone();
            async move { request_after_complaint(&store, &user, day * 100 + index, now).await }
        })
        .await;
        let user = stored(&store, &user).await;
        let mut permitted = 0;
        for (outcome, mail) in &outcomes {
            let is_stored = *outcome == CodeRequestOutcome::Stored;
            let claim = store.claim_mail(&mail.uid, &mail.id, now).await;
            let is_queued = matches!(claim.expect("an answer"), Claim::Claimed(_));
            assert_eq!(is_queued, is_stored);
            assert_eq!(mail.check_recipient(&user).is_ok(), is_stored);
            permitted += usize::from(is_stored);
        }
        assert_eq!(permitted, 1, "{outcomes:?}");
        let early = now + (COMPLAINT_RESET_INTERVAL - 1);
        let (outcome, _) = request_after_complaint(&store, &user, day * 100 + 50, early).await;
        assert_eq!(outcome, CodeRequestOutcome::Conflict);
    }
    let notice = QueuedMail {
        kind: mail::Kind::PasswordChanged,
        ..reset_mail(&complained, &OneTimeCode::new(3600, NOW))
    };
    let complained = stored(&store, &user).await;
    let refused = Err(MailProblem::Complaint);
    assert_eq!(notice.check_recipient(&complained), refused);
}

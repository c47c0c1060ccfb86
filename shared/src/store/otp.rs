//! Storage of the second factor: its secret, the used codes, the recovery codes.

use super::{
    Outcome, Store,
    items::{number, text},
    writes::{
        FailureAttributes, UNUSED_STEP, activity_write, notice_write, otp_secret_as_read,
        recovery_report_writes, recovery_set, session_kept_write, step_change, unnotified, unused,
    },
};
use crate::{
    Error,
    domain::{
        activity::Activity,
        mail::QueuedMail,
        otp::{AcceptedStep, CodeFailures, CodeKind, RecoveryCodeReport, SecondFactor},
        password::PasswordHash,
        session::Session,
        user::{StoredOtpSecret, User},
    },
    platform::sealing::Sealed,
};

/// Removes the second factor from a user.
pub(super) const REMOVE_OTP: &str = "REMOVE otp_secret, otp_last_step, otp_pending_secret, otp_recovery_codes, otp_enabled_at, \
                                     totp_failures, totp_retry_at, recovery_failures, recovery_retry_at";

/// The data to store when the second factor is enabled.
pub struct OtpActivation<'a> {
    /// The pending secret, as stored, with which the user's code was verified.
    pub pending: &'a StoredOtpSecret,
    /// The same secret, sealed for its new field.
    pub secret: &'a Sealed,
    /// The time step of that code, which becomes used.
    pub step: u64,
    /// Hashes of the recovery codes.
    pub recovery_codes: &'a [PasswordHash],
    /// The notice to the user, if they may receive notices.
    pub notice: Option<&'a QueuedMail>,
    /// The activity.
    pub activity: &'a Activity,
}

/// The data to store when new recovery codes replace the old ones.
pub struct RecoveryCodeReplacement<'a> {
    /// Hashes of the new codes.
    pub recovery_codes: &'a [PasswordHash],
    /// The notice to the user, if they may receive notices.
    pub notice: Option<&'a QueuedMail>,
    /// The activity.
    pub activity: &'a Activity,
}

impl Store {
    /// Stores a pending secret, which replaces an earlier one. Returns [`Outcome::Conflict`],
    /// without writing, if the second factor is enabled.
    pub async fn store_pending_otp_secret(
        &self,
        user: &User,
        secret: &Sealed,
        activity: &Activity,
    ) -> Result<Outcome, Error> {
        let store_secret = self.user_write(
            user,
            "SET otp_pending_secret = :secret",
            Some("attribute_not_exists(otp_secret)"),
            [(":secret", text(secret.as_str()))],
        )?;
        Ok(self
            .transact([store_secret, activity_write(&self.grants, activity)?])
            .await?
            .into())
    }

    /// In one transaction, enables the second factor, ends every other session and adds the notice
    /// to the outbox. Returns [`Outcome::Conflict`], without writing, if the second factor is
    /// enabled, the pending secret was replaced, or the session ended since they were read.
    pub async fn enable_otp(
        &self,
        user: &User,
        session: &Session,
        activation: &OtpActivation<'_>,
    ) -> Result<Outcome, Error> {
        let OtpActivation {
            pending,
            secret,
            step,
            recovery_codes,
            notice,
            activity,
        } = *activation;
        let enable = self.user_write(
            user,
            "SET otp_secret = :secret, otp_last_step = :step, otp_recovery_codes = :codes, otp_enabled_at = :now, \
             session_epoch = :next, updated_at = :now \
             REMOVE otp_pending_secret, totp_failures, totp_retry_at, recovery_failures, recovery_retry_at",
            Some("attribute_not_exists(otp_secret) AND otp_pending_secret = :pending AND session_epoch = :epoch"),
            [
                (":pending", text(pending.as_stored())),
                (":secret", text(secret.as_str())),
                (":step", number(step)),
                (":codes", recovery_set(recovery_codes)),
                (":epoch", number(session.epoch)),
                (":next", number(session.next_epoch()?)),
                (":now", number(activity.created_at.seconds())),
            ],
        )?;
        let writes = [
            enable,
            session_kept_write(&self.grants, session)?,
            activity_write(&self.grants, activity)?,
        ];
        let notice = notice_write(&self.grants, notice)?;
        Ok(self
            .transact(writes.into_iter().chain(notice))
            .await?
            .into())
    }

    /// Counts a wrong code at a sign-in and records it, with the notice that the password is known
    /// if one is due. Returns [`Outcome::Conflict`], without writing, if another code was counted or
    /// accepted since the user was read.
    pub async fn count_wrong_code(
        &self,
        user: &User,
        kind: CodeKind,
        activity: &Activity,
        notice: Option<&QueuedMail>,
    ) -> Result<Outcome, Error> {
        let now = activity.created_at;
        let attributes = FailureAttributes::of(kind);
        let after = CodeFailures::of(user, kind).with_failure(now);
        let (unchanged, before) = attributes.unchanged(user);
        let (unnotified, notified_at) = unnotified(user);
        let mut change = format!("SET {} = :after", attributes.count);
        if after.retry_at.is_some() {
            change = format!("{change}, {} = :retry_at", attributes.retry_at);
        }
        let mut condition = format!("otp_secret = :secret AND {unchanged}");
        if notice.is_some() {
            change += ", password_known_at = :now";
            condition = format!("{condition} AND {unnotified}");
        }
        let values = [otp_secret_as_read(user), (":after", number(after.count))];
        let count = self.user_write(
            user,
            &change,
            Some(&condition),
            values
                .into_iter()
                .chain(before)
                .chain(after.retry_at.map(|at| (":retry_at", number(at.seconds()))))
                .chain(notified_at.filter(|_| notice.is_some()))
                .chain(notice.map(|_| (":now", number(now.seconds())))),
        )?;
        let notice = notice_write(&self.grants, notice)?;
        let writes = [count, activity_write(&self.grants, activity)?];
        Ok(self
            .transact(writes.into_iter().chain(notice))
            .await?
            .into())
    }

    /// Marks a code of the second factor as used. Returns [`Outcome::Conflict`], without writing,
    /// if it was used, or if the secret changed since the user was read.
    pub async fn use_otp_code(&self, user: &User, factor: &SecondFactor) -> Result<Outcome, Error> {
        Ok(self
            .transact([self.factor_write(user, factor)?])
            .await?
            .into())
    }

    /// In one transaction, disables the second factor, ends every other session and adds the notice
    /// to the outbox. Returns [`Outcome::Conflict`], without writing, if the code was used, the
    /// secret changed or the session ended since they were read.
    pub async fn disable_otp(
        &self,
        user: &User,
        session: &Session,
        factor: &SecondFactor,
        report: Option<&RecoveryCodeReport>,
        notice: Option<&QueuedMail>,
        activity: &Activity,
    ) -> Result<Outcome, Error> {
        let (unused, code) = unused(factor);
        let disable = self.user_write(
            user,
            &format!("SET session_epoch = :next, updated_at = :now {REMOVE_OTP}"),
            Some(&format!(
                "otp_secret = :secret AND session_epoch = :epoch AND {unused}"
            )),
            [
                otp_secret_as_read(user),
                (":code", code),
                (":epoch", number(session.epoch)),
                (":next", number(session.next_epoch()?)),
                (":now", number(activity.created_at.seconds())),
            ],
        )?;
        let writes = [
            disable,
            session_kept_write(&self.grants, session)?,
            activity_write(&self.grants, activity)?,
        ];
        let notice = notice_write(&self.grants, notice)?;
        let report = recovery_report_writes(&self.grants, report)?;
        Ok(self
            .transact(writes.into_iter().chain(notice).chain(report))
            .await?
            .into())
    }

    /// In one transaction, replaces the recovery codes, marks the TOTP code as used and adds the
    /// notice to the outbox. Returns [`Outcome::Conflict`], without writing, if the code was used,
    /// or the secret changed since the user was read.
    pub async fn replace_recovery_codes(
        &self,
        user: &User,
        step: &AcceptedStep,
        replacement: &RecoveryCodeReplacement<'_>,
    ) -> Result<Outcome, Error> {
        let RecoveryCodeReplacement {
            recovery_codes,
            notice,
            activity,
        } = *replacement;
        let (change, code, sealed) = step_change(step);
        let replace = self.user_write(
            user,
            &format!(
                "{change}, otp_recovery_codes = :codes, updated_at = :now \
                 REMOVE recovery_failures, recovery_retry_at"
            ),
            Some(&format!("otp_secret = :secret AND {UNUSED_STEP}")),
            [
                otp_secret_as_read(user),
                (":code", code),
                (":codes", recovery_set(recovery_codes)),
                (":now", number(activity.created_at.seconds())),
            ]
            .into_iter()
            .chain(sealed),
        )?;
        let writes = [replace, activity_write(&self.grants, activity)?];
        let notice = notice_write(&self.grants, notice)?;
        Ok(self
            .transact(writes.into_iter().chain(notice))
            .await?
            .into())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            AcceptedCode, Attempt, SignInReport,
            tests::{NOW, at_once, new_user, session_of, sign_up, store, stored, succeeded},
        },
        *,
    };
    use crate::{
        domain::{
            activity::Action,
            language::Language,
            mail::Kind,
            session::{SessionId, SessionLifetime},
            token_id::TokenId,
            user::Withheld,
        },
        platform::random,
        store::Claim,
        tokens::signed_token::{Claims, Purpose},
    };

    const LIFE: SessionLifetime = SessionLifetime {
        idle: 1800,
        absolute: 86_400,
    };

    fn hashes(names: &[&str]) -> Vec<PasswordHash> {
        serde_json::from_value(serde_json::json!(names)).expect("hashes")
    }

    fn notice(user: &User, kind: Kind) -> QueuedMail {
        QueuedMail::notice(kind, &user.verified(NOW), Language::En, NOW).expect("a notice")
    }

    /// A user with a pending secret and a session whose jti is `own`.
    async fn user_with_pending_secret(store: &Store) -> (User, Session) {
        let user = new_user("jane@example.com");
        sign_up(store, &user).await;
        let session = Session {
            id: SessionId::of(&TokenId::from_text("own")),
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
        assert!(store_new_secret(store, &user).await);
        (stored(store, &user).await, session)
    }

    /// A value that differs from all others.
    fn new_sealed() -> Sealed {
        Sealed::stored(format!("v1.1.{}", random::identifier()))
    }

    async fn store_new_secret(store: &Store, user: &User) -> bool {
        let activity = succeeded(user, Action::RequestQrCode, NOW);
        store
            .store_pending_otp_secret(user, &new_sealed(), &activity)
            .await
            .expect("an answer")
            .is_written()
    }

    async fn enable(store: &Store, user: &User, session: &Session, codes: &[&str]) -> bool {
        let notice = notice(user, Kind::OtpEnabled);
        let activity = succeeded(user, Action::EnableOtp, NOW + 1);
        let activation = OtpActivation {
            pending: user
                .credentials
                .otp_pending_secret
                .as_ref()
                .expect("a secret"),
            secret: &new_sealed(),
            step: 100,
            recovery_codes: &hashes(codes),
            notice: Some(&notice),
            activity: &activity,
        };
        store
            .enable_otp(user, session, &activation)
            .await
            .expect("an answer")
            .is_written()
    }

    async fn user_with_otp(store: &Store, codes: &[&str]) -> User {
        let (user, session) = user_with_pending_secret(store).await;
        assert!(enable(store, &user, &session, codes).await);
        stored(store, &user).await
    }

    async fn new_session(store: &Store, user: &User) -> Session {
        let session = session_of(user);
        let activity = succeeded(user, Action::Login, NOW);
        store
            .open_session(&session, &Attempt::default(), &activity)
            .await
            .expect("a session");
        session
    }

    async fn disable(store: &Store, user: &User, factor: &SecondFactor) -> bool {
        let notice = notice(user, Kind::OtpDisabled);
        let activity = succeeded(user, Action::DisableOtp, NOW + 2);
        let session = new_session(store, user).await;
        store
            .disable_otp(user, &session, factor, None, Some(&notice), &activity)
            .await
            .expect("an answer")
            .is_written()
    }

    async fn signs_in(store: &Store, user: &User, factor: &SecondFactor) -> bool {
        let activity = succeeded(user, Action::LoginWithOtp, NOW);
        store
            .open_session_with_otp(
                user,
                &session_of(user),
                AcceptedCode {
                    factor,
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

    fn recovery(name: &str) -> SecondFactor {
        SecondFactor::RecoveryCode(hashes(&[name]).remove(0))
    }

    fn unused_codes(user: &User) -> Vec<&str> {
        let mut codes: Vec<&str> = user
            .credentials
            .otp_recovery_codes
            .iter()
            .map(PasswordHash::as_str)
            .collect();
        codes.sort_unstable();
        codes
    }

    #[tokio::test]
    async fn a_new_secret_replaces_the_pending_one_and_does_not_enable_the_second_factor() {
        let store = store().await;
        let (first, session) = user_with_pending_secret(&store).await;
        assert!(store_new_secret(&store, &first).await);
        let second = stored(&store, &first).await;
        assert!(
            second.credentials.otp_pending_secret.is_some()
                && second.credentials.otp_pending_secret != first.credentials.otp_pending_secret
        );
        assert_eq!(
            (&second.credentials.otp_secret, second.session_epoch),
            (&None, 0)
        );
        assert!(
            !enable(&store, &first, &session, &["a"]).await,
            "the code is of the replaced secret"
        );
        assert_eq!(stored(&store, &first).await.credentials.otp_secret, None);
    }

    #[tokio::test]
    async fn one_of_sixteen_concurrent_activations_succeeds_and_ends_all_other_sessions() {
        let store = store().await;
        let (user, session) = user_with_pending_secret(&store).await;
        let other = session_of(&user);
        let won = at_once(16, |index| {
            let store = store.clone();
            let user = user.clone();
            let session = session.clone();
            async move { enable(&store, &user, &session, &[&format!("{index:02}")]).await }
        })
        .await;
        assert_eq!(won.iter().filter(|&&won| won).count(), 1);
        let enabled = stored(&store, &user).await;
        assert!(
            enabled.credentials.otp_secret.is_some()
                && enabled.credentials.otp_secret != user.credentials.otp_pending_secret
        );
        assert_eq!(enabled.otp_last_step, Some(100));
        assert_eq!(
            (
                &enabled.credentials.otp_pending_secret,
                unused_codes(&enabled).len(),
                enabled.updated_at
            ),
            (&None, 1, NOW + 1)
        );
        let claims = Claims::new(
            Purpose::Session,
            TokenId::from_text("own"),
            user.uid.clone(),
            user.email.account_key(),
            NOW,
            NOW + 60,
        );
        let (kept, _) = store
            .find_sessions::<Withheld>(std::slice::from_ref(&claims), NOW)
            .await
            .expect("an answer")
            .pop()
            .expect("a session");
        assert!(kept.is_live(&enabled, LIFE, NOW) && !other.is_live(&enabled, LIFE, NOW));
        assert!(
            !store_new_secret(&store, &enabled).await,
            "the second factor is enabled"
        );
    }

    #[tokio::test]
    async fn an_ended_session_cannot_enable_the_second_factor() {
        let store = store().await;
        let (user, session) = user_with_pending_secret(&store).await;
        assert!(
            store
                .end_session(&session.uid, &session.id, None)
                .await
                .expect("an answer")
                .is_written()
        );
        assert!(!enable(&store, &user, &session, &["a"]).await);
        assert_eq!(stored(&store, &user).await.credentials.otp_secret, None);
    }

    #[tokio::test]
    async fn one_of_sixteen_concurrent_uses_of_a_recovery_code_succeeds() {
        let store = store().await;
        let user = user_with_otp(&store, &["a", "b"]).await;
        let won = at_once(16, |_| {
            let store = store.clone();
            let user = user.clone();
            async move { signs_in(&store, &user, &recovery("a")).await }
        })
        .await;
        assert_eq!(won.iter().filter(|&&won| won).count(), 1);
        assert_eq!(unused_codes(&stored(&store, &user).await), ["b"]);
    }

    #[tokio::test]
    async fn concurrent_uses_of_different_recovery_codes_all_succeed() {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        let store = store().await;
        let user = user_with_otp(&store, &names).await;
        let won = at_once(10, |index| {
            let store = store.clone();
            let user = user.clone();
            async move { signs_in(&store, &user, &recovery(names[index])).await }
        })
        .await;
        assert_eq!(won, [true; 10]);
        let after = stored(&store, &user).await;
        assert!(unused_codes(&after).is_empty() && after.credentials.otp_secret.is_some());
        assert!(!signs_in(&store, &user, &recovery("a")).await);
        assert!(signs_in(&store, &user, &SecondFactor::TimeStep(101.into())).await);
    }

    #[tokio::test]
    async fn a_time_step_works_once_over_all_operations() {
        let store = store().await;
        let user = user_with_otp(&store, &["a"]).await;
        let verify = async |step| {
            store
                .use_otp_code(&user, &SecondFactor::TimeStep(AcceptedStep::from(step)))
                .await
                .expect("an answer")
                .is_written()
        };
        assert!(
            !verify(100).await,
            "the step was used to enable the second factor"
        );
        assert!(verify(102).await);
        for used in [101, 102] {
            let factor = SecondFactor::TimeStep(used.into());
            assert!(
                !verify(used).await
                    && !signs_in(&store, &user, &factor).await
                    && !disable(&store, &user, &factor).await
            );
        }
        assert_eq!(stored(&store, &user).await.otp_last_step, Some(102));
    }

    #[tokio::test]
    async fn disabling_deletes_secret_and_recovery_codes_and_queues_a_notice() {
        for factor in [SecondFactor::TimeStep(101.into()), recovery("a")] {
            let store = store().await;
            let user = user_with_otp(&store, &["a", "b"]).await;
            let notice = notice(&user, Kind::OtpDisabled);
            let activity = succeeded(&user, Action::DisableOtp, NOW + 2);
            let session = new_session(&store, &user).await;
            assert!(
                store
                    .disable_otp(&user, &session, &factor, None, Some(&notice), &activity)
                    .await
                    .expect("an answer")
                    .is_written()
            );
            let disabled = stored(&store, &user).await;
            assert_eq!(
                (
                    &disabled.credentials.otp_secret,
                    disabled.otp_last_step,
                    unused_codes(&disabled).len()
                ),
                (&None, None, 0)
            );
            assert_eq!(
                (disabled.session_epoch, disabled.updated_at),
                (user.session_epoch + 1, NOW + 2)
            );
            let claim = store
                .claim_mail(&user.uid, &notice.id, NOW)
                .await
                .expect("an answer");
            assert_eq!(claim, Claim::Claimed(notice));
            assert!(
                !signs_in(&store, &user, &recovery("b")).await
                    && !disable(&store, &user, &recovery("b")).await
            );
        }
    }

    #[tokio::test]
    async fn one_of_sixteen_concurrent_requests_disables_the_second_factor() {
        let store = store().await;
        let user = user_with_otp(&store, &["a"]).await;
        let won = at_once(16, |index| {
            let store = store.clone();
            let user = user.clone();
            let factor = if index % 2 == 0 {
                recovery("a")
            } else {
                SecondFactor::TimeStep(101.into())
            };
            async move { disable(&store, &user, &factor).await }
        })
        .await;
        assert_eq!(won.iter().filter(|&&won| won).count(), 1);
    }
}

//! The second factor of users: drawn, turned on, used, turned off.

use super::{
    Outcome, Store,
    items::{number, text},
    keys::user_key,
    writes::{activity_write, mail_write, recovery_set, session_kept_write, unused},
};
use crate::{
    Error,
    domain::{
        activity::Activity,
        mail::QueuedMail,
        otp::SecondFactor,
        password::PasswordHash,
        session::Session,
        user::{OtpSecret, User},
    },
};

/// What is stored when the second factor is turned on.
pub struct Enabling<'a> {
    /// The secret whose code was given.
    pub secret: &'a OtpSecret,
    /// The time step of that code, which is used up by it.
    pub step: u64,
    /// The recovery codes.
    pub recovery_codes: &'a [PasswordHash],
    /// The mail that tells of it.
    pub notice: &'a QueuedMail,
    /// What was done.
    pub activity: &'a Activity,
}

impl Store {
    /// Keeps a secret that was drawn for the user's authenticator, in the place of one that was
    /// there. `false`, and nothing is stored, when a second factor is on.
    pub async fn draw_otp_secret(
        &self,
        user: &User,
        secret: &OtpSecret,
        activity: &Activity,
    ) -> Result<Outcome, Error> {
        let draw = Self::update(
            &self.users,
            user_key(&user.email.key()),
            "SET otp_pending_secret = :secret",
            "uid = :uid AND attribute_not_exists(otp_secret)",
            [
                (":uid", text(&user.uid)),
                (":secret", text(secret.reveal())),
            ],
        )?;
        Ok(self
            .transact([draw, activity_write(&self.grants, activity)?])
            .await?
            .into())
    }

    /// Turns the second factor on, ends every other session and queues the notice, all or nothing.
    /// `false`, and nothing is changed, when one is on meanwhile, another secret was drawn, or the
    /// session is over.
    pub async fn enable_otp(
        &self,
        user: &User,
        session: &Session,
        enabling: &Enabling<'_>,
    ) -> Result<Outcome, Error> {
        let Enabling {
            secret,
            step,
            recovery_codes,
            notice,
            activity,
        } = *enabling;
        let enable = Self::update(
            &self.users,
            user_key(&user.email.key()),
            "SET otp_secret = :secret, otp_last_step = :step, otp_recovery_codes = :codes, session_epoch = :next, updated_at = :now \
             REMOVE otp_pending_secret",
            "uid = :uid AND attribute_not_exists(otp_secret) AND otp_pending_secret = :secret AND session_epoch = :epoch",
            [
                (":uid", text(&user.uid)),
                (":secret", text(secret.reveal())),
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
            mail_write(&self.grants, notice)?,
            activity_write(&self.grants, activity)?,
        ];
        Ok(self.transact(writes).await?.into())
    }

    /// Uses a code of the second factor up; `false` when somebody did before, or the secret is
    /// another now.
    pub async fn use_up_code(&self, user: &User, factor: &SecondFactor) -> Result<Outcome, Error> {
        Ok(self.transact([self.use_up(user, factor)?]).await?.into())
    }

    /// Turns the second factor off by a code of it, and queues the notice, all or nothing. `false`,
    /// and nothing is changed, when somebody used the code up before, or the secret is another now.
    pub async fn disable_otp(
        &self,
        user: &User,
        factor: &SecondFactor,
        notice: &QueuedMail,
        activity: &Activity,
    ) -> Result<Outcome, Error> {
        let secret = user.otp_secret.as_ref().map_or("", OtpSecret::reveal);
        let (unused, code) = unused(factor);
        let disable = Self::update(
            &self.users,
            user_key(&user.email.key()),
            "SET updated_at = :now REMOVE otp_secret, otp_last_step, otp_recovery_codes",
            &format!("uid = :uid AND otp_secret = :secret AND {unused}"),
            [
                (":uid", text(&user.uid)),
                (":secret", text(secret)),
                (":code", code),
                (":now", number(activity.created_at.seconds())),
            ],
        )?;
        let notice = mail_write(&self.grants, notice)?;
        Ok(self
            .transact([disable, notice, activity_write(&self.grants, activity)?])
            .await?
            .into())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Attempt,
            tests::{NOW, at_once, done, new_user, session_of, sign_up, store, stored},
        },
        *,
    };
    use crate::{
        domain::{activity::Action, language::Language, mail::Kind, session::SessionLifetime},
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
        QueuedMail::notice(kind, &user.uid, &user.email, Language::En, NOW)
    }

    /// Somebody with a drawn secret and a session whose jti is `own`.
    async fn drawn(store: &Store) -> (User, Session) {
        let user = new_user("jane@example.com");
        sign_up(store, &user).await;
        let session = Session {
            id_hash: crate::platform::random::sha256_hex("own"),
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
        assert!(draw(store, &user).await);
        (stored(store, &user).await, session)
    }

    async fn draw(store: &Store, user: &User) -> bool {
        let activity = done(user, Action::RequestQrCode, NOW);
        store
            .draw_otp_secret(user, &OtpSecret::draw(), &activity)
            .await
            .expect("an answer")
            .is_written()
    }

    async fn enable(store: &Store, user: &User, session: &Session, codes: &[&str]) -> bool {
        let notice = notice(user, Kind::OtpEnabled);
        let activity = done(user, Action::EnableOtp, NOW + 1);
        let secret = user.otp_pending_secret.as_ref().expect("a secret");
        let enabling = Enabling {
            secret,
            step: 100,
            recovery_codes: &hashes(codes),
            notice: &notice,
            activity: &activity,
        };
        store
            .enable_otp(user, session, &enabling)
            .await
            .expect("an answer")
            .is_written()
    }

    /// Somebody with the second factor on.
    async fn enabled(store: &Store, codes: &[&str]) -> User {
        let (user, session) = drawn(store).await;
        assert!(enable(store, &user, &session, codes).await);
        stored(store, &user).await
    }

    async fn disable(store: &Store, user: &User, factor: &SecondFactor) -> bool {
        let notice = notice(user, Kind::OtpDisabled);
        let activity = done(user, Action::DisableOtp, NOW + 2);
        store
            .disable_otp(user, factor, &notice, &activity)
            .await
            .expect("an answer")
            .is_written()
    }

    async fn signs_in(store: &Store, user: &User, factor: &SecondFactor) -> bool {
        let activity = done(user, Action::LoginWithOtp, NOW);
        store
            .open_session_with_otp(
                user,
                &session_of(user),
                factor,
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

    fn left(user: &User) -> Vec<&str> {
        let mut left: Vec<&str> = user
            .otp_recovery_codes
            .iter()
            .map(PasswordHash::as_str)
            .collect();
        left.sort_unstable();
        left
    }

    #[tokio::test]
    async fn a_secret_that_is_drawn_replaces_the_one_before_and_counts_for_nothing_yet() {
        let store = store().await;
        let (first, session) = drawn(&store).await;
        assert!(draw(&store, &first).await);
        let second = stored(&store, &first).await;
        assert!(
            second.otp_pending_secret.is_some()
                && second.otp_pending_secret != first.otp_pending_secret
        );
        assert_eq!((&second.otp_secret, second.session_epoch), (&None, 0));
        assert!(
            !enable(&store, &first, &session, &["a"]).await,
            "by a code of the secret before"
        );
        assert_eq!(stored(&store, &first).await.otp_secret, None);
    }

    #[tokio::test]
    async fn of_sixteen_that_enable_at_once_one_wins_and_its_session_alone_goes_on() {
        let store = store().await;
        let (user, session) = drawn(&store).await;
        let other = session_of(&user);
        let won = at_once(16, |place| {
            let store = store.clone();
            let user = user.clone();
            let session = session.clone();
            async move { enable(&store, &user, &session, &[&format!("{place:02}")]).await }
        })
        .await;
        assert_eq!(won.iter().filter(|&&won| won).count(), 1);
        let on = stored(&store, &user).await;
        assert_eq!(
            (&on.otp_secret, on.otp_last_step),
            (&user.otp_pending_secret, Some(100))
        );
        assert_eq!(
            (&on.otp_pending_secret, left(&on).len(), on.updated_at),
            (&None, 1, NOW + 1)
        );
        let claims = Claims::new(
            Purpose::Session,
            "own",
            &user.uid,
            &user.email.key(),
            NOW,
            NOW + 60,
        );
        let (kept, _) = store
            .find_session(&claims)
            .await
            .expect("an answer")
            .expect("a session");
        assert!(kept.is_live(&on, LIFE, NOW) && !other.is_live(&on, LIFE, NOW));
        assert!(!draw(&store, &on).await, "while it is on");
    }

    #[tokio::test]
    async fn a_session_that_was_ended_meanwhile_enables_nothing() {
        let store = store().await;
        let (user, session) = drawn(&store).await;
        assert!(
            store
                .end_session(&session.uid, &session.id_hash, None)
                .await
                .expect("an answer")
                .is_written()
        );
        assert!(!enable(&store, &user, &session, &["a"]).await);
        assert_eq!(stored(&store, &user).await.otp_secret, None);
    }

    #[tokio::test]
    async fn of_one_recovery_code_sixteen_times_at_once_one_signs_in() {
        let store = store().await;
        let user = enabled(&store, &["a", "b"]).await;
        let won = at_once(16, |_| {
            let store = store.clone();
            let user = user.clone();
            async move { signs_in(&store, &user, &recovery("a")).await }
        })
        .await;
        assert_eq!(won.iter().filter(|&&won| won).count(), 1);
        assert_eq!(left(&stored(&store, &user).await), ["b"]);
    }

    #[tokio::test]
    async fn ten_recovery_codes_at_once_all_sign_in_and_none_is_left() {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        let store = store().await;
        let user = enabled(&store, &names).await;
        let won = at_once(10, |place| {
            let store = store.clone();
            let user = user.clone();
            async move { signs_in(&store, &user, &recovery(names[place])).await }
        })
        .await;
        assert_eq!(won, [true; 10]);
        let spent = stored(&store, &user).await;
        assert!(left(&spent).is_empty() && spent.otp_secret.is_some());
        assert!(!signs_in(&store, &user, &recovery("a")).await);
        assert!(signs_in(&store, &user, &SecondFactor::TimeStep(101)).await);
    }

    #[tokio::test]
    async fn a_time_step_is_used_once_whatever_for() {
        let store = store().await;
        let user = enabled(&store, &["a"]).await;
        let verify = async |step| {
            store
                .use_up_code(&user, &SecondFactor::TimeStep(step))
                .await
                .expect("an answer")
                .is_written()
        };
        assert!(!verify(100).await, "the one that enabled it");
        assert!(verify(102).await);
        for spent in [101, 102] {
            let factor = SecondFactor::TimeStep(spent);
            assert!(
                !verify(spent).await
                    && !signs_in(&store, &user, &factor).await
                    && !disable(&store, &user, &factor).await
            );
        }
        assert_eq!(stored(&store, &user).await.otp_last_step, Some(102));
    }

    #[tokio::test]
    async fn disabling_leaves_nothing_of_it_and_mails_a_notice() {
        for factor in [SecondFactor::TimeStep(101), recovery("a")] {
            let store = store().await;
            let user = enabled(&store, &["a", "b"]).await;
            let notice = notice(&user, Kind::OtpDisabled);
            let activity = done(&user, Action::DisableOtp, NOW + 2);
            assert!(
                store
                    .disable_otp(&user, &factor, &notice, &activity)
                    .await
                    .expect("an answer")
                    .is_written()
            );
            let off = stored(&store, &user).await;
            assert_eq!(
                (&off.otp_secret, off.otp_last_step, left(&off).len()),
                (&None, None, 0)
            );
            assert_eq!(
                (off.session_epoch, off.updated_at),
                (user.session_epoch, NOW + 2)
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
    async fn of_sixteen_that_disable_by_one_code_at_once_one_wins() {
        let store = store().await;
        let user = enabled(&store, &["a"]).await;
        let won = at_once(16, |place| {
            let store = store.clone();
            let user = user.clone();
            let factor = if place % 2 == 0 {
                recovery("a")
            } else {
                SecondFactor::TimeStep(101)
            };
            async move { disable(&store, &user, &factor).await }
        })
        .await;
        assert_eq!(won.iter().filter(|&&won| won).count(), 1);
    }
}

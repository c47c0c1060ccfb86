//! Counters by device, and device epochs

use super::{
    NOW, at_once, hash, password_change_log, request_reset, reset_mail, session_of, signed_up,
    store, stored, succeeded,
};
use crate::{
    domain::{
        activity::Action,
        device::{DEVICE_LIFETIME, Device, DeviceCodes},
        email_address::AccountKeys,
        language::Language,
        mail::{Kind, QueuedMail},
        otp::SecondFactor,
        rate_limit::{Failures, Limits},
        user::{OtpSecret, User},
    },
    platform::clock::Timestamp,
    store::{
        AcceptedCode, Attempt, Item, Outcome, PasswordChange, SignInReport, Store,
        items::{number, read, text},
        keys::{device_codes_key, device_failures_key, failures_key},
    },
};

const LIMITS: Limits = Limits {
    sign_in_free_attempts: 5,
    requests_per_minute: 60,
    mail_interval: 60,
    mails_per_hour: 5,
};

/// A user with a device.
struct Owner {
    store: Store,
    user: User,
    device: Device,
}

impl Owner {
    async fn new() -> Self {
        let store = store().await;
        let user = signed_up(&store, "jane@example.com").await;
        let device = Device::begin(&user, 0, true, NOW);
        Self {
            store,
            user,
            device,
        }
    }

    fn accounts(&self) -> AccountKeys {
        self.user.email.account_keys()
    }

    /// A counted attempt on the device, or the seconds of the back-off.
    async fn attempt(&self, limits: &Limits, now: Timestamp) -> Result<Attempt, i64> {
        self.store
            .count_attempt(&self.accounts(), Some(&self.device), limits, now)
            .await
            .map_err(|error| error.retry_after().expect("a wait"))
    }

    async fn counted(&self, key: Item) -> Option<Failures> {
        let request = self
            .store
            .client
            .get_item()
            .table_name(&self.store.grants)
            .set_key(Some(key));
        let item = request
            .consistent_read(true)
            .send()
            .await
            .expect("an answer")
            .item;
        item.map(|item| read(item).expect("a counter"))
    }

    async fn on_device(&self) -> Option<u32> {
        let key = device_failures_key(&self.device.id);
        self.counted(key).await.map(|failures| failures.count)
    }

    async fn on_address(&self) -> Option<u32> {
        let key = failures_key(self.accounts().account());
        self.counted(key).await.map(|failures| failures.count)
    }

    async fn wrong_codes(&self) -> u32 {
        self.store
            .device_codes(&self.device)
            .await
            .expect("an answer")
            .failures
    }

    /// Counts a wrong code that was read as the next one after `before`.
    async fn counts_wrong_code(&self, before: u32, notice: Option<&QueuedMail>) -> bool {
        let codes = DeviceCodes {
            device: self.device.clone(),
            failures: before,
        };
        let activity = succeeded(&self.user, Action::LoginWithOtp, NOW);
        self.store
            .count_wrong_device_code(&self.user, &codes, &activity, notice)
            .await
            .expect("an answer")
            .is_written()
    }
}

#[tokio::test]
async fn an_attempt_on_a_device_ignores_the_back_off_of_the_address() {
    let owner = Owner::new().await;
    for _ in 0..6 {
        let _wrong = owner
            .store
            .count_attempt(&owner.accounts(), None, &LIMITS, NOW)
            .await
            .expect("an attempt");
    }
    let attempt = owner.attempt(&LIMITS, NOW).await.expect("an attempt");
    assert!(!attempt.is_of_address());
    owner
        .store
        .open_session(
            &session_of(&owner.user),
            &attempt,
            &succeeded(&owner.user, Action::Login, NOW),
        )
        .await
        .expect("a session");
    assert_eq!(
        (owner.on_device().await, owner.on_address().await),
        (Some(1), Some(6))
    );
}

#[tokio::test]
async fn a_device_has_the_back_off_of_an_address_and_after_ten_failures_the_address_counts() {
    let owner = Owner::new().await;
    let mut now = NOW;
    for wait in [0, 0, 0, 0, 0, 1, 2, 4, 8, 16] {
        let wrong = owner.attempt(&LIMITS, now).await.expect("an attempt");
        assert!(!wrong.is_of_address());
        if (1..16).contains(&wait) {
            assert_eq!(owner.attempt(&LIMITS, now).await.err(), Some(wait));
        }
        now = now + if wait < 16 { wait } else { 0 };
    }
    // Neither the back-off of the device nor time matters any more.
    for later in [0, 16, 901, 86_400, DEVICE_LIFETIME - 100] {
        let attempt = owner
            .attempt(&LIMITS, now + later)
            .await
            .expect("an attempt");
        assert!(attempt.is_of_address());
        owner.store.refund(&attempt).await.expect("an answer");
    }
    assert_eq!(
        (owner.on_device().await, owner.on_address().await),
        (Some(10), Some(0))
    );
}

#[tokio::test]
async fn failures_on_a_device_are_kept_as_long_as_its_token_is_valid() {
    let owner = Owner::new().await;
    for day in 0..9 {
        let _wrong = owner
            .attempt(&LIMITS, NOW + day * 86_400)
            .await
            .expect("an attempt");
    }
    let key = device_failures_key(&owner.device.id);
    let counted = owner.counted(key).await.expect("a counter");
    assert_eq!(
        (counted.count, counted.expires_at),
        (9, owner.device.expires_at)
    );
    // A success clears them.
    let right = owner
        .attempt(&LIMITS, NOW + 9 * 86_400)
        .await
        .expect("an attempt");
    let activity = succeeded(&owner.user, Action::Login, NOW);
    owner
        .store
        .open_session(&session_of(&owner.user), &right, &activity)
        .await
        .expect("a session");
    assert_eq!(owner.on_device().await, None);
}

#[tokio::test]
async fn a_refunded_attempt_on_a_device_does_not_count() {
    let owner = Owner::new().await;
    for failures in 0..8 {
        let now = NOW + failures * 3600;
        let right = owner.attempt(&LIMITS, now).await.expect("an attempt");
        owner.store.refund(&right).await.expect("an answer");
        let _wrong = owner.attempt(&LIMITS, now).await.expect("an attempt");
    }
    assert_eq!(owner.on_device().await, Some(8));
    assert_eq!(owner.on_address().await, None);
}

#[tokio::test]
async fn a_sole_success_on_a_device_does_not_count_later() {
    let owner = Owner::new().await;
    let right = owner.attempt(&LIMITS, NOW).await.expect("an attempt");
    let activity = succeeded(&owner.user, Action::Login, NOW);
    owner
        .store
        .open_session(&session_of(&owner.user), &right, &activity)
        .await
        .expect("a session");
    assert_eq!(owner.on_device().await, Some(1), "one write less");
    for _ in 0..6 {
        let _wrong = owner.attempt(&LIMITS, NOW).await.expect("an attempt");
    }
    assert_eq!(owner.on_device().await, Some(6));
}

#[tokio::test]
async fn of_sixteen_concurrent_attempts_ten_at_most_are_on_the_device() {
    for free in [5, 100] {
        let limits = Limits {
            sign_in_free_attempts: free,
            ..LIMITS
        };
        let owner = std::sync::Arc::new(Owner::new().await);
        let outcomes = at_once(16, |_| {
            let owner = owner.clone();
            async move {
                let attempt = owner.attempt(&limits, NOW).await;
                attempt.map(|attempt| attempt.is_of_address())
            }
        })
        .await;
        let on_device = outcomes
            .iter()
            .filter(|outcome| **outcome == Ok(false))
            .count();
        let on_address = outcomes
            .iter()
            .filter(|outcome| **outcome == Ok(true))
            .count();
        // With five free attempts, the sixth begins a back-off.
        let expected = if free == 5 { (6, 0) } else { (10, 6) };
        assert_eq!((on_device, on_address), expected, "{outcomes:?}");
    }
}

#[tokio::test]
async fn without_a_limit_nothing_is_counted_on_a_device() {
    let owner = Owner::new().await;
    let off = Limits {
        sign_in_free_attempts: 0,
        ..LIMITS
    };
    for _ in 0..12 {
        let attempt = owner.attempt(&off, NOW).await.expect("an attempt");
        assert!(!attempt.is_of_address());
    }
    assert_eq!(
        (owner.on_device().await, owner.on_address().await),
        (None, None)
    );
}

#[tokio::test]
async fn one_of_sixteen_concurrent_wrong_codes_is_counted_on_a_device() {
    let owner = std::sync::Arc::new(Owner::new().await);
    for before in [0, 1, 9] {
        while owner.wrong_codes().await < before {
            let count = owner.wrong_codes().await;
            assert!(owner.counts_wrong_code(count, None).await);
        }
        let outcomes = at_once(16, |_| {
            let owner = owner.clone();
            async move { owner.counts_wrong_code(before, None).await }
        })
        .await;
        assert_eq!(outcomes.iter().filter(|counted| **counted).count(), 1);
        assert_eq!(owner.wrong_codes().await, before + 1);
    }
    let request = owner
        .store
        .client
        .get_item()
        .table_name(&owner.store.grants)
        .set_key(Some(device_codes_key(&owner.device.id)));
    let item = request
        .send()
        .await
        .expect("an answer")
        .item
        .expect("a counter");
    assert_eq!(
        item["expires_at"],
        number(owner.device.expires_at.seconds())
    );
}

#[tokio::test]
async fn a_notice_after_a_wrong_code_on_a_device_is_sent_once() {
    let owner = Owner::new().await;
    let confirmed = owner.user.verified(NOW);
    let notice =
        QueuedMail::notice(Kind::PasswordKnown, &confirmed, Language::En, NOW).expect("a notice");
    assert!(owner.counts_wrong_code(0, Some(&notice)).await);
    let user = stored(&owner.store, &owner.user).await;
    assert_eq!(user.password_known_at, Some(NOW));
    // The user was read before the notice.
    assert!(!owner.counts_wrong_code(1, Some(&notice)).await);
    assert_eq!(owner.wrong_codes().await, 1);
}

#[tokio::test]
async fn a_right_code_on_a_device_clears_its_wrong_codes_and_those_of_the_account_stay() {
    let owner = Owner::new().await;
    let secret = OtpSecret::import("GEZDGNBVGY3TQOJQ").expect("a secret");
    let enable = owner
        .store
        .update_user(
            &owner.user,
            "SET otp_secret = :secret, totp_failures = :seven",
            None,
            [(":secret", text(secret.reveal())), (":seven", number(7))],
        )
        .await;
    assert_eq!(enable.expect("an answer"), Outcome::Written);
    let user = stored(&owner.store, &owner.user).await;
    let opens = async |step: u64, failures: u32| {
        let codes = DeviceCodes {
            device: owner.device.clone(),
            failures,
        };
        let factor = SecondFactor::TimeStep(step.into());
        let code = AcceptedCode {
            factor: &factor,
            device: Some(&codes),
        };
        let activity = succeeded(&user, Action::LoginWithOtp, NOW);
        owner
            .store
            .open_session_with_otp(
                &user,
                &session_of(&user),
                code,
                &SignInReport::default(),
                &Attempt::default(),
                &activity,
            )
            .await
            .expect("an answer")
            .is_written()
    };
    assert!(opens(1, 0).await);
    assert!(owner.counts_wrong_code(0, None).await);
    assert!(!opens(2, 0).await, "a wrong code was counted meanwhile");
    assert!(!opens(2, 2).await);
    assert_eq!(owner.wrong_codes().await, 1);
    assert!(opens(2, 1).await);
    assert_eq!(owner.wrong_codes().await, 0);
    assert_eq!(stored(&owner.store, &user).await.totp_failures, 7);
}

#[tokio::test]
async fn a_reset_and_a_change_raise_the_device_epoch_that_was_read() {
    let owner = Owner::new().await;
    let Owner { store, user, .. } = &owner;
    let reset = async |user: &User| {
        let code = request_reset(store, user).await;
        let activity = succeeded(user, Action::PasswordReset, NOW);
        store
            .reset_password(
                user,
                &hash("new"),
                &code,
                &[],
                &reset_mail(user, &code),
                &activity,
            )
            .await
            .expect("an answer")
    };
    assert_eq!(reset(user).await, PasswordChange::Done);
    assert_eq!(stored(store, user).await.device_epoch, 1);
    // The token of the answer would name the wrong epoch.
    assert_eq!(reset(user).await, PasswordChange::UserChanged);
    let user = stored(store, user).await;
    let session = session_of(&user);
    let activity = succeeded(&user, Action::PasswordChange, NOW);
    store
        .open_session(&session, &Attempt::default(), &activity)
        .await
        .expect("a session");
    let change = async |user: &User| {
        let logged = store.password_changes(&user.uid).await.expect("an answer");
        let log = password_change_log(logged.as_ref());
        store
            .change_password(user, &session, &hash("newer"), log, None, &activity)
            .await
            .expect("an answer")
    };
    let outdated = User {
        device_epoch: 0,
        ..user.clone()
    };
    assert_eq!(change(&outdated).await, Outcome::Conflict);
    assert_eq!(change(&user).await, Outcome::Written);
    assert_eq!(stored(store, &user).await.device_epoch, 2);
}

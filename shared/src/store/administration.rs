//! Operations on users that only operators may perform.

use super::{
    Item, Outcome, Store, failure,
    items::{number, text, text_of},
    keys::{PK, USER},
    otp::REMOVE_OTP,
    passkey_list::PasskeyListChange,
    presence::{ExpiredAccount, any_user},
    transaction::{Transaction, Write},
    writes::{activity_write, notice_write},
};
use crate::{
    Error,
    domain::{
        activity::{Action, Activity},
        email_address::AccountKeys,
        mail::QueuedMail,
        user::{Label, PendingLifetime, State, Uid, User},
    },
    platform::{clock::Timestamp, retry::Backoff},
};

/// The outcome of the creation of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// The user was stored.
    Done,
    /// Another user has the address.
    EmailTaken,
    /// Another user has the uid.
    UidTaken,
}

/// A change of a user by an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Sets the state. `Banned` and `Deleted` end every session of the user. `Pending` starts the
    /// time in which the address must be confirmed again, and removes every passkey, on condition
    /// that none was added or removed since the user was read. An account that its owner closed is no
    /// longer reopened by a password reset, nor erased.
    State(State),
    /// Sets role and level, on condition that both are unchanged since the user was read.
    Role(String, u32),
    /// Ends every session of the user.
    EndSessions,
    /// Disables the second factor, on condition that it is enabled.
    DisableOtp,
    /// Replaces the labels, on condition that they are unchanged since the user was read.
    Labels {
        /// The new labels.
        labels: Vec<Label>,
        /// The action that is recorded.
        action: Action,
    },
}

/// A user with the state as stored, which may be one that [`State`] does not know.
#[derive(Clone, Debug)]
pub struct StoredUser {
    /// The user.
    pub user: User,
    /// The state as stored.
    pub state: String,
    /// The key after which [`Administration::scan_users`] continues.
    pub key: String,
}

/// Creates users with any attributes, changes and erases them, and reads all of them. Endpoints of
/// the API have a [`Store`], which has none of these methods. Operators see expired accounts until
/// another account replaces them.
#[derive(Clone, Debug)]
pub struct Administration {
    /// The store in which no account is expired.
    pub(super) store: Store,
    pending_lifetime: PendingLifetime,
}

impl Administration {
    /// Administration of the users of a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self {
            pending_lifetime: store.pending_lifetime,
            store: Store {
                pending_lifetime: PendingLifetime::UNLIMITED,
                ..store
            },
        }
    }

    /// The user of an address, expired or not.
    pub async fn find_user(
        &self,
        accounts: &AccountKeys,
        now: Timestamp,
    ) -> Result<Option<User>, Error> {
        self.store.find_user(accounts, now).await
    }

    /// The user with this uid, expired or not.
    pub async fn find_user_by_uid(&self, uid: &Uid, now: Timestamp) -> Result<Option<User>, Error> {
        self.store.find_user_by_uid(uid, now).await
    }

    /// As [`Store::set_labels`].
    pub async fn set_labels(&self, user: &User, changed: &User) -> Result<Outcome, Error> {
        self.store.set_labels(user, changed).await
    }

    /// Stores a user with the given state, unless the address or the uid is taken. As at a sign-up,
    /// the user replaces an expired account of the address, unless both have the same uid.
    pub async fn create_user(
        &self,
        user: &User,
        state: &str,
        now: Timestamp,
    ) -> Result<Creation, Error> {
        let endpoints = Store {
            pending_lifetime: self.pending_lifetime,
            ..self.store.clone()
        };
        let mut expired = Vec::new();
        let mut backoff = Backoff::start();
        loop {
            let writes = endpoints.new_user_writes(user, Some(state), &expired)?;
            let count = writes.len();
            match endpoints.transact(writes).await? {
                Transaction::Written => return Ok(Creation::Done),
                // The last write stores the uid, the others concern the address.
                Transaction::ConditionFailed(index) if index + 1 == count => {
                    return Ok(Creation::UidTaken);
                }
                Transaction::ConditionFailed(_) => {}
            }
            let accounts = user.email.account_keys();
            let lookup = endpoints.look_up_address(&accounts, now).await?;
            let is_same = |expired: &ExpiredAccount| expired.has_uid(&user.uid);
            // A concurrent request may change the expired account each time.
            if lookup.is_email_taken || lookup.expired.iter().any(is_same) || !backoff.wait().await
            {
                return Ok(Creation::EmailTaken);
            }
            expired = lookup.expired;
        }
    }

    /// In one transaction, changes a user, records the activity, and adds the notice to the outbox if
    /// there is one. Returns [`Outcome::Conflict`], without writing, if the user is gone or the
    /// condition of the change does not hold.
    pub async fn change_user(
        &self,
        user: &User,
        change: &Change,
        activity: &Activity,
        notice: Option<&QueuedMail>,
    ) -> Result<Outcome, Error> {
        let grants = &self.store.grants;
        let notice = notice_write(grants, notice)?;
        let writes = [
            self.change_write(user, change, activity.created_at)?,
            activity_write(grants, activity)?,
        ];
        let passkeys = match change {
            Change::State(State::Pending) => {
                self.store.passkey_deletions(&user.uid, &user.passkeys)?
            }
            Change::State(_)
            | Change::Role(..)
            | Change::EndSessions
            | Change::DisableOtp
            | Change::Labels { .. } => Vec::new(),
        };
        let writes = writes.into_iter().chain(notice).chain(passkeys);
        Ok(self.store.transact(writes).await?.into())
    }

    fn change_write(&self, user: &User, change: &Change, at: Timestamp) -> Result<Write, Error> {
        let now = (":now", number(at.seconds()));
        let store = &self.store;
        match change {
            Change::State(State::Pending) => {
                let passkeys = PasskeyListChange::of(user, &[]);
                let change = format!(
                    "SET #state = :state, updated_at = :now, pending_since = :now \
                     REMOVE closed_at, closed_state{}",
                    passkeys.removed
                );
                let values = [now, (":state", text("pending"))];
                let values = values.into_iter().chain(passkeys.values);
                store.user_write(user, &change, Some(passkeys.condition), values)
            }
            Change::State(state) => {
                let increment = number(i32::from(matches!(state, State::Banned | State::Deleted)));
                let state = serde_dynamo::to_attribute_value(state).map_err(Error::internal)?;
                let set = "SET #state = :state, updated_at = :now, \
                           session_epoch = session_epoch + :increment \
                           REMOVE closed_at, closed_state";
                let values = [now, (":state", state), (":increment", increment)];
                store.user_write(user, set, None, values)
            }
            Change::Role(role, level) => store.user_write(
                user,
                "SET #role = :role, #level = :level, updated_at = :now",
                Some("#role = :was_role AND #level = :was_level"),
                [
                    now,
                    (":role", text(role)),
                    (":level", number(*level)),
                    (":was_role", text(&user.role)),
                    (":was_level", number(user.level)),
                ],
            ),
            Change::EndSessions => {
                let set = "SET updated_at = :now, session_epoch = session_epoch + :one";
                store.user_write(user, set, None, [now])
            }
            Change::DisableOtp => store.user_write(
                user,
                &format!("SET updated_at = :now {REMOVE_OTP}"),
                Some("attribute_exists(otp_secret)"),
                [now],
            ),
            Change::Labels { labels, .. } => {
                let changed = User {
                    labels: labels.clone(),
                    updated_at: at,
                    ..user.clone()
                };
                store.labels_write(user, &changed)
            }
        }
    }

    /// Sets the state `deleted`.
    pub(super) fn deletion_write(&self, user: &User, now: Timestamp) -> Result<Write, Error> {
        self.change_write(user, &Change::State(State::Deleted), now)
    }

    /// A page of the users, in no defined order, and the key after which the next page begins;
    /// `None` on the last page. `after` is that key or the key of a [`StoredUser`]. `limit` counts
    /// all items of the table, so a page may contain fewer users, or none.
    pub async fn scan_users(
        &self,
        after: Option<&str>,
        limit: i32,
    ) -> Result<(Vec<StoredUser>, Option<String>), Error> {
        self.scan_users_with("", after, limit).await
    }

    /// As [`Administration::scan_users`], for the users whose account key begins with the text.
    pub async fn scan_users_with(
        &self,
        beginning: &str,
        after: Option<&str>,
        limit: i32,
    ) -> Result<(Vec<StoredUser>, Option<String>), Error> {
        let start: Option<Item> = after.map(|key| [(PK.to_owned(), text(key))].into());
        let request = self
            .store
            .client
            .scan()
            .table_name(&self.store.users)
            .consistent_read(true)
            .limit(limit)
            .set_exclusive_start_key(start)
            .filter_expression("begins_with(pk, :user)")
            .expression_attribute_values(":user", text(format!("{USER}{beginning}")));
        let output = request.send().await.map_err(failure)?;
        let users = output
            .items
            .unwrap_or_default()
            .into_iter()
            .map(stored)
            .collect::<Result<_, _>>()?;
        let next = output
            .last_evaluated_key
            .map(|key| text_of(&key, PK).map(str::to_owned))
            .transpose()?;
        Ok((users, next))
    }
}

fn stored(item: Item) -> Result<StoredUser, Error> {
    let key = text_of(&item, PK)?.to_owned();
    let state = text_of(&item, "state")?.to_owned();
    Ok(StoredUser {
        user: any_user(item)?,
        state,
        key,
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{NOW, all_activities, new_user, store, succeeded},
        *,
    };
    use crate::domain::{email_address::AccountKeys, user::MailProblem};

    fn administration(store: &Store) -> Administration {
        Administration::new(store.clone())
    }

    async fn created(store: &Store, email: &str) -> User {
        let user = new_user(email);
        assert_eq!(
            administration(store)
                .create_user(&user, "active", NOW)
                .await
                .expect("an answer"),
            Creation::Done
        );
        user
    }

    async fn stored(store: &Store, user: &User) -> User {
        store
            .find_user_by_uid(&user.uid, NOW)
            .await
            .expect("an answer")
            .expect("a user")
    }

    #[tokio::test]
    async fn an_address_and_a_uid_belong_to_one_user() {
        let store = store().await;
        let user = created(&store, "jane@example.com").await;
        let other = new_user("jane@example.com");
        let same = User {
            uid: user.uid.clone(),
            ..new_user("joan@example.com")
        };
        assert_eq!(
            administration(&store)
                .create_user(&other, "active", NOW)
                .await
                .expect("an answer"),
            Creation::EmailTaken
        );
        assert_eq!(
            administration(&store)
                .create_user(&same, "active", NOW)
                .await
                .expect("an answer"),
            Creation::UidTaken
        );
        assert!(
            store
                .find_user(&AccountKeys::of("joan@example.com"), NOW)
                .await
                .expect("an answer")
                .is_none()
        );
        assert_eq!(stored(&store, &user).await.state, State::Active);
    }

    #[tokio::test]
    async fn a_change_of_an_outdated_user_is_a_conflict_and_writes_nothing() {
        let store = store().await;
        let user = created(&store, "jane@example.com").await;
        let change = async |change: Change| {
            administration(&store)
                .change_user(
                    &user,
                    &change,
                    &succeeded(&user, Action::SetState, NOW),
                    None,
                )
                .await
                .expect("an answer")
                .is_written()
        };
        assert!(change(Change::Role("admin".to_owned(), 1)).await);
        assert!(
            !change(Change::Role("member".to_owned(), 2)).await,
            "the role was read as member"
        );
        assert!(
            !change(Change::DisableOtp).await,
            "no second factor is enabled"
        );
        assert!(
            store
                .set_labels(&user, &user.verified(NOW))
                .await
                .expect("an answer")
                .is_written()
        );
        let bounced = user
            .with_problem(MailProblem::Bounce, NOW, NOW)
            .expect("a new label");
        assert!(
            !store
                .set_labels(&user, &bounced)
                .await
                .expect("an answer")
                .is_written(),
            "the user was read without labels"
        );
        let now = stored(&store, &user).await;
        assert_eq!(
            (
                now.role.as_str(),
                now.level,
                now.mail_problem(),
                now.labels.len()
            ),
            ("admin", 1, None, 1)
        );
    }

    #[tokio::test]
    async fn a_change_does_not_affect_another_user_with_the_same_address() {
        let store = store().await;
        created(&store, "jane@example.com").await;
        let erased = new_user("jane@example.com");
        for change in [
            Change::State(State::Banned),
            Change::Role("member".to_owned(), 0),
            Change::EndSessions,
        ] {
            assert!(
                !administration(&store)
                    .change_user(
                        &erased,
                        &change,
                        &succeeded(&erased, Action::SetState, NOW),
                        None
                    )
                    .await
                    .expect("an answer")
                    .is_written(),
                "{change:?}"
            );
        }
        assert!(
            !administration(&store)
                .erase_user(&erased, NOW)
                .await
                .expect("an answer")
                .is_written()
        );
        assert!(
            !store
                .set_labels(&erased, &erased.verified(NOW))
                .await
                .expect("an answer")
                .is_written()
        );
    }

    #[tokio::test]
    async fn a_scan_can_continue_after_any_user() {
        let store = store().await;
        for number in 0..9 {
            created(&store, &format!("user{number}@example.com")).await;
        }
        let (all, next) = administration(&store)
            .scan_users(None, 100)
            .await
            .expect("an answer");
        assert_eq!((all.len(), next), (9, None));
        for (index, stored) in all.iter().enumerate() {
            let (rest, _) = administration(&store)
                .scan_users(Some(&stored.key), 100)
                .await
                .expect("an answer");
            let uids = |users: &[StoredUser]| {
                users
                    .iter()
                    .map(|stored| stored.user.uid.clone())
                    .collect::<Vec<_>>()
            };
            assert_eq!(uids(&rest), uids(&all[index + 1..]));
        }
    }

    #[tokio::test]
    async fn a_change_and_its_activity_are_both_written_or_neither() {
        let store = store().await;
        let user = created(&store, "jane@example.com").await;
        for (change, outcome) in [
            (Change::EndSessions, Outcome::Written),
            (Change::DisableOtp, Outcome::Conflict),
        ] {
            let activity = succeeded(&user, Action::EndSessions, NOW);
            let actual = administration(&store)
                .change_user(&user, &change, &activity, None)
                .await;
            assert_eq!(actual.expect("an answer"), outcome);
        }
        assert_eq!(all_activities(&store, &user).await.total, 1);
    }
}

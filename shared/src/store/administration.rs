//! What only an operator does to users.

use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};

use super::{
    Item, Outcome, SignUp, Store, failure,
    items::{number, read, text, text_of},
    keys::{PK, SK, USER, uid_key, user_key},
};
use crate::{
    Error,
    domain::user::{State, User},
    platform::clock::Timestamp,
};

/// Items that one batch can write.
const BATCH: usize = 25;

/// What an operator changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The state. Who is banned or deleted by it loses every session.
    State(State),
    /// Role and level, if nobody changed them meanwhile.
    Role(String, u32),
    /// Every session ends.
    EndSessions,
    /// The second factor goes, if it is on.
    DisableOtp,
}

/// A user with her state as it is stored, which may be one that this service has no name for.
#[derive(Clone, Debug)]
pub struct StoredUser {
    /// The user.
    pub user: User,
    /// Her state.
    pub state: String,
    /// What to go on after, see [`Administration::scan_users`].
    pub key: String,
}

/// What only an operator may do: creating users whole, changing and erasing them, and reading all
/// of them. Endpoints have a [`Store`], which offers none of this.
#[derive(Clone, Debug)]
pub struct Administration {
    store: Store,
}

impl Administration {
    /// Administration of the users in a store.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// Stores a user, whole, unless the address or the uid is taken.
    pub async fn create_user(&self, user: &User, state: &str) -> Result<SignUp, Error> {
        Ok(SignUp::of(
            &self
                .store
                .transact(self.store.new_user_writes(user, Some(state))?)
                .await?,
        ))
    }

    /// Changes a user; `false`, and nothing is changed, when what the change relies on is another
    /// meanwhile.
    pub async fn change_user(
        &self,
        user: &User,
        change: &Change,
        now: Timestamp,
    ) -> Result<Outcome, Error> {
        let key = user_key(&user.email.key());
        let uid = (":uid", text(&user.uid));
        let now = (":now", number(now.seconds()));
        let write = match change {
            Change::State(state) => {
                let ends = number(i32::from(matches!(state, State::Banned | State::Deleted)));
                let state = serde_dynamo::to_attribute_value(state).map_err(Error::internal)?;
                let set = "SET #state = :state, updated_at = :now ADD session_epoch :ends";
                Store::update(
                    &self.store.users,
                    key,
                    set,
                    "uid = :uid",
                    [uid, now, (":state", state), (":ends", ends)],
                )
            }
            Change::Role(role, level) => Store::update(
                &self.store.users,
                key,
                "SET #role = :role, #level = :level, updated_at = :now",
                "uid = :uid AND #role = :was_role AND #level = :was_level",
                [
                    uid,
                    now,
                    (":role", text(role)),
                    (":level", number(*level)),
                    (":was_role", text(&user.role)),
                    (":was_level", number(user.level)),
                ],
            ),
            Change::EndSessions => {
                let set = "SET updated_at = :now ADD session_epoch :one";
                Store::update(
                    &self.store.users,
                    key,
                    set,
                    "uid = :uid",
                    [uid, now, (":one", number(1))],
                )
            }
            Change::DisableOtp => Store::update(
                &self.store.users,
                key,
                "SET updated_at = :now REMOVE otp_secret, otp_last_step, otp_pending_secret, otp_recovery_codes",
                "uid = :uid AND attribute_exists(otp_secret)",
                [uid, now],
            ),
        };
        Ok(self.store.transact([write?]).await?.into())
    }

    /// Erases a user and everything under the uid; [`Outcome::Conflict`] if the user is gone. The
    /// user is shut out first, so that nothing new comes to be; who is half erased because a call
    /// failed can be erased again.
    pub async fn erase_user(&self, user: &User, now: Timestamp) -> Result<Outcome, Error> {
        let shut_out = self
            .change_user(user, &Change::State(State::Deleted), now)
            .await?;
        if shut_out == Outcome::Conflict {
            return Ok(shut_out);
        }
        self.erase_grants(&user.uid).await?;
        let key = user_key(&user.email.key());
        let writes = [
            Store::delete(
                &self.store.users,
                key,
                Some("uid = :uid"),
                [(":uid", text(&user.uid))],
            )?,
            Store::delete(&self.store.users, uid_key(&user.uid), None, [])?,
        ];
        let erased = self.store.transact(writes).await?.into();
        // What was on its way while she was shut out.
        self.erase_grants(&user.uid).await?;
        Ok(erased)
    }

    async fn erase_grants(&self, uid: &str) -> Result<(), Error> {
        let mut keys = self
            .store
            .client
            .query()
            .table_name(&self.store.grants)
            .consistent_read(true)
            .key_condition_expression("pk = :uid")
            .expression_attribute_values(":uid", text(uid))
            .projection_expression(format!("{PK}, {SK}"))
            .into_paginator()
            .items()
            .send();
        let mut batch = Vec::new();
        while let Some(key) = keys.next().await {
            let delete = DeleteRequest::builder()
                .set_key(Some(key.map_err(failure)?))
                .build()
                .map_err(Error::internal)?;
            batch.push(WriteRequest::builder().delete_request(delete).build());
            if batch.len() == BATCH {
                self.store.write_grants(std::mem::take(&mut batch)).await?;
            }
        }
        if batch.is_empty() {
            Ok(())
        } else {
            self.store.write_grants(batch).await
        }
    }

    /// A page of the users, in no order, after a key that was read before, and what to go on after;
    /// `None` where nothing follows. Of at most `limit` items, so there may be fewer users in it,
    /// or none.
    pub async fn scan_users(
        &self,
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
            .expression_attribute_values(":user", text(USER));
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
        user: read(item)?,
        state,
        key,
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{NOW, new_user, store},
        *,
    };

    fn administration(store: &Store) -> Administration {
        Administration::new(store.clone())
    }

    async fn created(store: &Store, email: &str) -> User {
        let user = new_user(email);
        assert_eq!(
            administration(store)
                .create_user(&user, "active")
                .await
                .expect("an answer"),
            SignUp::Done
        );
        user
    }

    async fn stored(store: &Store, user: &User) -> User {
        store
            .find_user_by_uid(&user.uid)
            .await
            .expect("an answer")
            .expect("a user")
    }

    #[tokio::test]
    async fn an_address_and_a_uid_are_taken_once() {
        let store = store().await;
        let user = created(&store, "jane@example.com").await;
        let other = new_user("jane@example.com");
        let same = User {
            uid: user.uid.clone(),
            ..new_user("joan@example.com")
        };
        assert_eq!(
            administration(&store)
                .create_user(&other, "active")
                .await
                .expect("an answer"),
            SignUp::EmailTaken
        );
        assert_eq!(
            administration(&store)
                .create_user(&same, "active")
                .await
                .expect("an answer"),
            SignUp::UidTaken
        );
        assert!(
            store
                .find_user("joan@example.com")
                .await
                .expect("an answer")
                .is_none()
        );
        assert_eq!(stored(&store, &user).await.state, State::Active);
    }

    #[tokio::test]
    async fn what_relies_on_what_others_changed_changes_nothing() {
        let store = store().await;
        let user = created(&store, "jane@example.com").await;
        let change = async |change: Change| {
            administration(&store)
                .change_user(&user, &change, NOW)
                .await
                .expect("an answer")
                .is_written()
        };
        assert!(change(Change::Role("admin".to_owned(), 1)).await);
        assert!(
            !change(Change::Role("member".to_owned(), 2)).await,
            "the role was read as member"
        );
        assert!(!change(Change::DisableOtp).await, "it is off");
        assert!(
            store
                .set_labels(&user, &user.verified(NOW))
                .await
                .expect("an answer")
                .is_written()
        );
        let bounced = user.bounced(NOW, NOW).expect("news");
        assert!(
            !store
                .set_labels(&user, &bounced)
                .await
                .expect("an answer")
                .is_written(),
            "the labels were read as none"
        );
        let now = stored(&store, &user).await;
        assert_eq!(
            (
                now.role.as_str(),
                now.level,
                now.has_bounced(),
                now.labels.len()
            ),
            ("admin", 1, false, 1)
        );
    }

    #[tokio::test]
    async fn a_change_of_somebody_who_has_the_address_of_another_changes_nothing() {
        let store = store().await;
        created(&store, "jane@example.com").await;
        let gone = new_user("jane@example.com");
        for change in [
            Change::State(State::Banned),
            Change::Role("member".to_owned(), 0),
            Change::EndSessions,
        ] {
            assert!(
                !administration(&store)
                    .change_user(&gone, &change, NOW)
                    .await
                    .expect("an answer")
                    .is_written(),
                "{change:?}"
            );
        }
        assert!(
            !administration(&store)
                .erase_user(&gone, NOW)
                .await
                .expect("an answer")
                .is_written()
        );
        assert!(
            !store
                .set_labels(&gone, &gone.verified(NOW))
                .await
                .expect("an answer")
                .is_written()
        );
    }

    #[tokio::test]
    async fn a_scan_goes_on_after_any_user_that_it_told_of() {
        let store = store().await;
        for number in 0..9 {
            created(&store, &format!("user{number}@example.com")).await;
        }
        let (all, next) = administration(&store)
            .scan_users(None, 100)
            .await
            .expect("an answer");
        assert_eq!((all.len(), next), (9, None));
        for (place, stored) in all.iter().enumerate() {
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
            assert_eq!(uids(&rest), uids(&all[place + 1..]));
        }
    }
}

//! Moves users from a key of an earlier version to their account key.

use super::{
    Administration, Item, Outcome, Store,
    items::{number, text},
    keys::{uid_key, user_key},
    presence::any_user,
};
use crate::{
    Error,
    domain::{
        email_address::AccountKey,
        user::{Credentials, Uid, User, Withheld},
    },
    platform::retry::Backoff,
};

/// The result of [`Administration::rekey_user`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rekey {
    /// No user is stored under the key, or it is their account key.
    Unnecessary,
    /// The user can be moved; nothing was written.
    Movable,
    /// The user is stored under their account key now.
    Moved,
    /// The address violates the rules, so it has no account key. The user keeps the earlier key.
    Invalid,
    /// This user is stored under the account key. The other one keeps the earlier key.
    Taken(Uid),
    /// The user was changed by other requests at every attempt. Nothing was written.
    Conflict,
}

/// What to do with a stored user.
enum Plan {
    Done(Rekey),
    Move(Move),
}

/// A user as stored, with all attributes, and the key to which it moves.
struct Move {
    uid: Uid,
    from: AccountKey,
    to: AccountKey,
    item: Item,
}

impl Administration {
    /// Moves the user under this key to their account key, if `apply` is set; otherwise only
    /// reports whether that is possible. One transaction per user, so that they are stored under
    /// one key at any time.
    pub async fn rekey_user(&self, key: &AccountKey, apply: bool) -> Result<Rekey, Error> {
        let mut backoff = Backoff::start();
        loop {
            let user = match self.plan(key).await? {
                Plan::Done(result) => return Ok(result),
                Plan::Move(_) if !apply => return Ok(Rekey::Movable),
                Plan::Move(user) => user,
            };
            if self.carry_out(user).await? == Outcome::Written {
                return Ok(Rekey::Moved);
            }
            if !backoff.wait().await {
                return Ok(Rekey::Conflict);
            }
        }
    }

    async fn plan(&self, from: &AccountKey) -> Result<Plan, Error> {
        let Some(item) = self.item_under(from).await? else {
            return Ok(Plan::Done(Rekey::Unnecessary));
        };
        let user: User = any_user(item.clone())?;
        let Some(to) = user.email.valid_key() else {
            return Ok(Plan::Done(Rekey::Invalid));
        };
        if to == *from {
            return Ok(Plan::Done(Rekey::Unnecessary));
        }
        Ok(match self.item_under(&to).await? {
            Some(other) => Plan::Done(Rekey::Taken(any_user::<Withheld>(other)?.uid)),
            None => Plan::Move(Move {
                uid: user.uid,
                from: from.clone(),
                to,
                item,
            }),
        })
    }

    async fn item_under(&self, account: &AccountKey) -> Result<Option<Item>, Error> {
        let user = self
            .store
            .users_read::<Credentials>(vec![user_key(account)]);
        let found = self.store.batch_get([user]).await?;
        Ok(found.into_iter().next().map(|(_, item)| item))
    }

    /// Stores the user under the new key, deletes the old item and redirects the uid. Returns
    /// [`Outcome::Conflict`], without writing, if the user was changed or moved, or another user
    /// was stored under the new key, since the plan was made.
    async fn carry_out(&self, user: Move) -> Result<Outcome, Error> {
        const REVISION: &str = "revision";
        let Move {
            uid,
            from,
            to,
            mut item,
        } = user;
        let table = &self.store.users;
        let revision = item.get(REVISION).and_then(|value| value.as_n().ok());
        let unchanged =
            revision.map_or("attribute_not_exists(revision)", |_| "revision = :revision");
        let condition = format!("uid = :uid AND {unchanged}");
        let next = match revision {
            None => 1,
            Some(revision) => revision.parse::<i64>().map_err(Error::internal)? + 1,
        };
        let read = item.insert(REVISION.to_owned(), number(next));
        item.extend(user_key(&to));
        let uid_value = (":uid", text(uid.as_str()));
        let delete = match read {
            None => Store::delete(table, user_key(&from), Some(&condition), [uid_value])?,
            Some(read) => Store::delete(
                table,
                user_key(&from),
                Some(&condition),
                [uid_value, (":revision", read)],
            )?,
        };
        let mut pointer = uid_key(&uid);
        pointer.insert("user".to_owned(), text(to.as_str()));
        let writes = [
            Store::put(table, item, Some("attribute_not_exists(pk)"), [])?,
            delete,
            // The uid leads to no other user: the old item, which has it, is deleted.
            Store::put(table, pointer, None, [])?,
        ];
        Ok(self.store.transact(writes).await?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Attempt, Change, SignUp,
            tests::{NOW, at_once, new_user, session_of, sign_up, store, succeeded},
        },
        *,
    };
    use crate::{
        domain::{
            activity::Action,
            email_address::AccountKeys,
            session::{Session, SessionId},
            token_id::TokenId,
            user::State,
        },
        tokens::signed_token::{Claims, Purpose},
    };

    const ADDRESS: &str = "Mia@Bücher.example";
    const OLD: &str = "mia@bücher.example";
    const NEW: &str = "mia@xn--bcher-kva.example";

    fn key(text: &str) -> AccountKey {
        AccountKey::stored(text)
    }

    /// Stores a user as earlier versions did: under the address in lower case, without a revision.
    async fn of_earlier_version(store: &Store, email: &str, key: &str) -> User {
        let user: User = serde_json::from_value({
            let mut user = serde_json::to_value(new_user("jane@example.com")).expect("JSON");
            user["email"] = email.into();
            user
        })
        .expect("a user");
        let mut item: Item = serde_dynamo::to_item(&user).expect("an item");
        item.extend(user_key(&AccountKey::stored(key)));
        let mut pointer = uid_key(&user.uid);
        pointer.insert("user".to_owned(), text(key));
        for item in [item, pointer] {
            let put = store.client.put_item().table_name(&store.users);
            put.set_item(Some(item)).send().await.expect("an item");
        }
        user
    }

    async fn found(store: &Store, address: &str) -> Option<User> {
        store
            .find_user(&AccountKeys::of(address), NOW)
            .await
            .expect("an answer")
    }

    async fn change(administration: &Administration, user: &User, change: &Change) -> Outcome {
        let activity = succeeded(user, Action::SetState, NOW);
        administration
            .change_user(user, change, &activity, None)
            .await
            .expect("an answer")
    }

    async fn rekey(store: &Store, text: &str) -> Rekey {
        Administration::new(store.clone())
            .rekey_user(&key(text), true)
            .await
            .expect("an answer")
    }

    #[tokio::test]
    async fn a_user_of_an_earlier_version_is_found_by_every_spelling_and_keeps_all_attributes() {
        let store = store().await;
        let user = of_earlier_version(&store, ADDRESS, OLD).await;
        for _ in 0..2 {
            for spelling in [ADDRESS, NEW, "mia@BÜCHER。example"] {
                let found = found(&store, spelling).await.expect("a user");
                assert_eq!(
                    serde_json::to_value(&found).expect("JSON"),
                    serde_json::to_value(&user).expect("JSON")
                );
            }
            let by_uid = store
                .find_user_by_uid::<Withheld>(&user.uid, NOW)
                .await
                .expect("an answer");
            assert_eq!(by_uid.expect("a user").email, user.email);
            rekey(&store, OLD).await;
        }
        let moved = found(&store, NEW).await.expect("a user");
        assert_eq!(moved.account_key(), key(NEW));
        assert_eq!(rekey(&store, OLD).await, Rekey::Unnecessary);
        assert_eq!(rekey(&store, NEW).await, Rekey::Unnecessary);
    }

    #[tokio::test]
    async fn a_sign_up_cannot_claim_the_account_key_of_a_user_of_an_earlier_version() {
        let store = store().await;
        let user = of_earlier_version(&store, ADDRESS, OLD).await;
        for spelling in [ADDRESS, NEW, "mia@ｂücher.example"] {
            assert_eq!(
                sign_up(&store, &new_user(spelling)).await,
                SignUp::EmailTaken
            );
            let accounts = AccountKeys::of(spelling);
            let lookup = store.look_up_sign_up(Some(&accounts), None, NOW).await;
            assert!(lookup.expect("an answer").is_email_taken, "{spelling}");
        }
        assert_eq!(found(&store, NEW).await.expect("a user").uid, user.uid);
    }

    #[tokio::test]
    async fn a_dry_run_writes_nothing() {
        let store = store().await;
        of_earlier_version(&store, ADDRESS, OLD).await;
        let administration = Administration::new(store.clone());
        let planned = administration.rekey_user(&key(OLD), false).await;
        assert_eq!(planned.expect("an answer"), Rekey::Movable);
        let user = found(&store, NEW).await.expect("a user");
        assert_eq!(user.account_key(), key(OLD));
    }

    #[tokio::test]
    async fn one_of_sixteen_concurrent_moves_of_a_user_moves_it() {
        let store = store().await;
        let user = of_earlier_version(&store, ADDRESS, OLD).await;
        let results = at_once(16, |_| {
            let store = store.clone();
            async move { rekey(&store, OLD).await }
        })
        .await;
        let moved = results.iter().filter(|result| **result == Rekey::Moved);
        assert_eq!(moved.count(), 1, "{results:?}");
        assert!(results.iter().all(|result| {
            [Rekey::Moved, Rekey::Unnecessary, Rekey::Conflict].contains(result)
        }));
        assert_eq!(found(&store, NEW).await.expect("a user").uid, user.uid);
    }

    #[tokio::test]
    async fn a_change_between_the_read_and_the_move_is_not_lost() {
        let store = store().await;
        let administration = Administration::new(store.clone());
        let user = of_earlier_version(&store, ADDRESS, OLD).await;
        // The first change gives the item its first revision, the second one another.
        for next in [Change::State(State::Banned), Change::EndSessions] {
            let Plan::Move(plan) = administration.plan(&key(OLD)).await.expect("a plan") else {
                panic!("the user can be moved")
            };
            let user = found(&store, ADDRESS).await.expect("a user");
            assert!(change(&administration, &user, &next).await.is_written());
            let moved = administration.carry_out(plan).await.expect("an answer");
            assert_eq!(moved, Outcome::Conflict);
        }
        assert_eq!(rekey(&store, OLD).await, Rekey::Moved);
        let moved = found(&store, NEW).await.expect("a user");
        assert_eq!(moved.state, State::Banned);
        assert_eq!(moved.session_epoch, user.session_epoch + 2);
    }

    #[tokio::test]
    async fn a_change_after_the_move_by_a_request_that_read_before_it_is_a_conflict() {
        let store = store().await;
        of_earlier_version(&store, ADDRESS, OLD).await;
        let before = found(&store, ADDRESS).await.expect("a user");
        assert_eq!(rekey(&store, OLD).await, Rekey::Moved);
        let administration = Administration::new(store.clone());
        let ban = Change::State(State::Banned);
        assert!(!change(&administration, &before, &ban).await.is_written());
        let now = found(&store, ADDRESS).await.expect("a user");
        assert!(change(&administration, &now, &ban).await.is_written());
        assert_eq!(
            found(&store, NEW).await.expect("a user").state,
            State::Banned
        );
    }

    #[tokio::test]
    async fn changes_concurrent_with_the_move_all_take_effect() {
        let store = store().await;
        let user = of_earlier_version(&store, ADDRESS, OLD).await;
        let written = at_once(16, |index| {
            let store = store.clone();
            let uid = user.uid.clone();
            async move {
                if index % 4 == 0 {
                    rekey(&store, OLD).await;
                    return 0;
                }
                let administration = Administration::new(store.clone());
                let mut backoff = Backoff::start();
                loop {
                    let user = store.find_user_by_uid(&uid, NOW).await.expect("an answer");
                    let user = user.expect("a user, at every moment");
                    let ended = change(&administration, &user, &Change::EndSessions).await;
                    if ended.is_written() {
                        return 1;
                    }
                    assert!(backoff.wait().await, "no attempt succeeded");
                }
            }
        })
        .await;
        rekey(&store, OLD).await;
        let moved = found(&store, NEW).await.expect("a user");
        assert_eq!(moved.session_epoch, written.into_iter().sum::<u64>());
        assert_eq!(moved.account_key(), key(NEW));
    }

    #[tokio::test]
    async fn tokens_that_name_the_earlier_key_lead_to_the_moved_user() {
        let store = store().await;
        let user = of_earlier_version(&store, ADDRESS, OLD).await;
        let other = new_user("jane@example.com");
        let claims = |uid: &Uid, key| {
            let id = TokenId::generate();
            Claims::new(Purpose::Session, id, uid.clone(), key, NOW, NOW + 60)
        };
        assert_eq!(sign_up(&store, &other).await, SignUp::Done);
        let tokens = [
            claims(&user.uid, key(OLD)),
            claims(&user.uid, key(OLD)),
            claims(&other.uid, other.account_key()),
        ];
        for (owner, claims) in [&user, &user, &other].into_iter().zip(&tokens) {
            let session = Session {
                id: SessionId::of(&claims.token_id),
                ..session_of(owner)
            };
            let activity = succeeded(owner, Action::Login, NOW);
            let attempt = Attempt::default();
            let opened = store.open_session(&session, &attempt, &activity).await;
            opened.expect("a session");
        }
        for account in [key(OLD), key(NEW)] {
            let found = store
                .find_sessions::<Withheld>(&tokens, NOW)
                .await
                .expect("an answer");
            let owners = found.iter().map(|(session, user)| {
                assert_eq!(session.uid, user.uid);
                user.account_key()
            });
            let expected = [account.clone(), account.clone(), other.account_key()];
            assert_eq!(owners.collect::<Vec<_>>(), expected);
            let stored = store.find_confirmation(&tokens[0], &tokens, NOW).await;
            let stored = stored.expect("an answer");
            assert_eq!(stored.user.expect("a user").account_key(), account);
            assert_eq!(stored.sessions.len(), 2);
            rekey(&store, OLD).await;
        }
    }

    #[tokio::test]
    async fn the_user_under_the_account_key_wins_a_collision() {
        let store = store().await;
        let winner = of_earlier_version(&store, NEW, NEW).await;
        let other = of_earlier_version(&store, ADDRESS, OLD).await;
        assert_eq!(rekey(&store, OLD).await, Rekey::Taken(winner.uid.clone()));
        assert_eq!(
            found(&store, ADDRESS).await.expect("a user").uid,
            winner.uid
        );
        let waiting = store
            .find_user_by_uid::<Withheld>(&other.uid, NOW)
            .await
            .expect("an answer");
        assert_eq!(waiting.expect("a user").account_key(), key(OLD));
    }

    #[tokio::test]
    async fn a_user_whose_address_has_no_valid_key_keeps_the_earlier_one() {
        let store = store().await;
        let user = of_earlier_version(&store, "José@example.com", "josé@example.com").await;
        assert_eq!(rekey(&store, "josé@example.com").await, Rekey::Invalid);
        let found = found(&store, "JOSÉ@example.com").await.expect("a user");
        assert_eq!(found.uid, user.uid);
        let administration = Administration::new(store.clone());
        let role = Change::Role("admin".to_owned(), 1);
        assert!(change(&administration, &found, &role).await.is_written());
    }

    #[tokio::test]
    async fn every_change_raises_the_revision() {
        let store = store().await;
        let user = new_user("jane@example.com");
        assert_eq!(sign_up(&store, &user).await, SignUp::Done);
        let administration = Administration::new(store.clone());
        for revision in 1..=3 {
            let ended = change(&administration, &user, &Change::EndSessions).await;
            assert!(ended.is_written());
            let item = administration.item_under(&user.account_key()).await;
            let item = item.expect("an answer").expect("an item");
            assert_eq!(item.get("revision"), Some(&number(revision)));
        }
    }
}

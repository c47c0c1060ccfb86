//! Sessions of users.

use super::{
    Store, failure,
    items::{grant_key, keyed, number, text, user_key},
    transaction::{Outcome, Write},
};
use crate::{Error, random::sha256_hex, session::Session, token::Claims, user::User};

/// Key of a session. Its id is a secret, so the hash stands for it.
fn session_key(uid: &str, id_hash: &str) -> super::Item {
    grant_key(uid, format!("SESSION#{id_hash}"))
}

/// Stores a session. Its id is new, so no condition is needed.
pub(super) fn session_write(table: &str, session: &Session) -> Result<Write, Error> {
    Store::put(table, keyed(session_key(&session.uid, &session.id_hash), session)?, None, [])
}

impl Store {
    /// Stores a session.
    pub async fn open_session(&self, session: &Session) -> Result<(), Error> {
        let item = keyed(session_key(&session.uid, &session.id_hash), session)?;
        self.client.put_item().table_name(&self.grants).set_item(Some(item)).send().await.map_err(failure)?;
        Ok(())
    }

    /// Stores a session and uses a time step of the user's second factor up. `None`, and nothing is stored, when somebody used the
    /// step up meanwhile, or the secret is another now.
    pub async fn open_session_with_otp(&self, user: &User, session: &Session, step: u64) -> Result<Option<()>, Error> {
        let secret = user.otp_secret.as_ref().map_or("", |secret| secret.reveal());
        let use_step_up = Self::update(
            &self.users,
            user_key(&user.email.key()),
            "SET otp_last_step = :step",
            "uid = :uid AND otp_secret = :secret AND (attribute_not_exists(otp_last_step) OR otp_last_step < :step)",
            [(":uid", text(&user.uid)), (":secret", text(secret)), (":step", number(step))],
        )?;
        Ok(match self.transact([use_step_up, session_write(&self.grants, session)?]).await? {
            Outcome::Written => Some(()),
            Outcome::Refused(_) => None,
        })
    }

    /// The session that a genuine token names, and its user. Whether it is live is for [`Session::is_live`] to say.
    pub async fn find_session(&self, claims: &Claims) -> Result<Option<(Session, User)>, Error> {
        let key = session_key(&claims.uid, &sha256_hex(&claims.jti));
        let (user, session) = self.user_and_grant(&claims.user, key).await?;
        Ok(session.zip(user))
    }

    /// Deletes a session; `false` when somebody else did before. A transaction, so that a success whose answer was lost on the way
    /// stays one when it is tried again.
    pub async fn end_session(&self, session: &Session) -> Result<bool, Error> {
        let key = session_key(&session.uid, &session.id_hash);
        let outcome = self.transact([Self::delete(&self.grants, key, "attribute_exists(pk)", [])?]).await?;
        Ok(outcome == Outcome::Written)
    }
}

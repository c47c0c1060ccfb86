//! The passkeys of a user.

use super::{State, User};
use crate::{Error, domain::passkey::PASSKEY_LIMIT};

impl<C> User<C> {
    /// Checks that the user may add a passkey.
    ///
    /// # Errors
    /// [`Error::PasskeyEmailNotConfirmed`] or [`Error::PasskeyLimit`].
    pub fn may_add_passkey(&self) -> Result<(), Error> {
        if self.state == State::Pending {
            return Err(Error::PasskeyEmailNotConfirmed);
        }
        if self.passkeys.len() >= PASSKEY_LIMIT {
            return Err(Error::PasskeyLimit);
        }
        Ok(())
    }
}

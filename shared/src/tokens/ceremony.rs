//! The state of a WebAuthn ceremony, which the client returns with its response: a signed token
//! whose id is the challenge. So the service stores nothing until a ceremony succeeds.

use data_encoding::BASE64URL_NOPAD;

use crate::{
    BoxError, Error,
    domain::{
        email_address::AccountKey,
        passkey::CEREMONY_LIFETIME,
        token_id::TokenId,
        user::{CredentialAccess, Uid, User},
        webauthn::Challenge,
    },
    platform::clock::Timestamp,
    tokens::signed_token::{Claims, Purpose, SigningKeys},
};

/// A ceremony that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ceremony {
    /// The id of the token, which is the challenge in base64url. It is used once.
    pub id: TokenId,
    /// The time at which the ceremony expires.
    pub expires_at: Timestamp,
}

/// What the options of a ceremony return to the client.
pub struct CeremonyOptions {
    /// The challenge, in base64url.
    pub challenge: String,
    /// The signed state.
    pub state: String,
}

impl CeremonyOptions {
    /// Begins a ceremony in which any user signs in or re-authenticates.
    ///
    /// # Errors
    /// [`Error::Internal`] if the state cannot be signed.
    pub fn of_sign_in(keys: &SigningKeys, now: Timestamp) -> Result<Self, Error> {
        let account = AccountKey::stored("");
        Self::begin(
            Purpose::PasskeySignIn,
            Uid::decoy(&account),
            account,
            keys,
            now,
        )
    }

    /// Begins a ceremony in which this user adds a passkey.
    ///
    /// # Errors
    /// [`Error::Internal`] if the state cannot be signed.
    pub fn of_registration<C: CredentialAccess>(
        user: &User<C>,
        keys: &SigningKeys,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let purpose = Purpose::PasskeyRegistration;
        Self::begin(purpose, user.uid.clone(), user.account_key(), keys, now)
    }

    fn begin(
        purpose: Purpose,
        uid: Uid,
        account: AccountKey,
        keys: &SigningKeys,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let id = TokenId::generate();
        let challenge = id.reveal().to_owned();
        let claims = Claims::new(purpose, id, uid, account, now, now + CEREMONY_LIFETIME);
        let state = keys.sign(&claims).map_err(Error::internal)?;
        Ok(Self { challenge, state })
    }
}

impl Ceremony {
    /// The ceremony of verified claims.
    #[must_use]
    pub fn of(claims: Claims) -> Self {
        Self {
            expires_at: claims.expires_at(),
            id: claims.token_id,
        }
    }

    /// The challenge.
    ///
    /// # Errors
    /// [`Error::Internal`] if the id is not 32 bytes, which a signed state never contains.
    pub fn challenge(&self) -> Result<Challenge, Error> {
        let bytes = BASE64URL_NOPAD
            .decode(self.id.reveal().as_bytes())
            .map_err(Error::internal)?;
        let bytes = bytes
            .try_into()
            .map_err(|_| BoxError::from("a challenge does not have 32 bytes"))
            .map_err(Error::internal)?;
        Ok(Challenge::from_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn keys() -> SigningKeys {
        SigningKeys::from_secrets("secret", None).expect("keys")
    }

    #[test]
    fn the_state_carries_the_challenge_for_five_minutes() {
        let options = CeremonyOptions::of_sign_in(&keys(), NOW).expect("options");
        let verify = |now| keys().verify(Purpose::PasskeySignIn, &options.state, now);
        let ceremony = Ceremony::of(verify(NOW + 299).expect("valid"));
        assert_eq!(ceremony.expires_at, NOW + 300);
        let challenge = ceremony.challenge().expect("a challenge");
        assert_eq!(
            BASE64URL_NOPAD.encode(challenge.as_bytes()),
            options.challenge
        );
        assert!(verify(NOW + 300).is_err());
    }

    #[test]
    fn the_state_of_one_ceremony_is_not_valid_for_another() {
        let options = CeremonyOptions::of_sign_in(&keys(), NOW).expect("options");
        for purpose in [
            Purpose::PasskeyRegistration,
            Purpose::Session,
            Purpose::Reset,
        ] {
            assert!(keys().verify(purpose, &options.state, NOW).is_err());
        }
    }
}

//! Tokens: JWTs signed with Ed25519 (RFC 7519, RFC 8037), by keys that come from one secret.

use std::fmt;

use aws_lc_rs::{
    hkdf::{HKDF_SHA256, KeyType, Salt},
    signature::{Ed25519KeyPair, KeyPair},
};
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{BoxError, platform::clock::Timestamp};

/// Who issues tokens and who accepts them. Two stacks are kept apart by their keys, not by this
/// name.
const ISSUER: &str = "latchkey";
const SEED_BYTES: usize = 32;
/// Names the key of these tokens among those that come from the secret.
const KEY: &[u8] = b"ed25519 token key";

/// What a token is for. A token of one purpose is nothing to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Proves a session: the cookie's value.
    Session,
    /// Lets its bearer set a new password.
    Reset,
    /// Proves that its bearer reads the mail of an address.
    Confirmation,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Reset => "reset",
            Self::Confirmation => "confirmation",
        }
    }
}

/// What a token says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    aud: String,
    sub: Purpose,
    iat: Timestamp,
    exp: Timestamp,
    /// Names what is stored of the token: the session, or the code.
    pub jti: String,
    /// The user's uid.
    pub uid: String,
    /// What the user is looked up by, see [`crate::domain::email_address::lookup_key`].
    pub user: String,
}

impl Claims {
    /// Claims of a token that is made at `iat` and is good until before `exp`.
    #[must_use]
    pub fn new(
        purpose: Purpose,
        jti: &str,
        uid: &str,
        user: &str,
        iat: Timestamp,
        exp: Timestamp,
    ) -> Self {
        let jti = jti.to_owned();
        let uid = uid.to_owned();
        let user = user.to_owned();
        Self {
            iss: ISSUER.to_owned(),
            aud: ISSUER.to_owned(),
            sub: purpose,
            iat,
            exp,
            jti,
            uid,
            user,
        }
    }
}

/// Claims name a session or a code, which are secrets.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claims({:?} of {})", self.sub, self.uid)
    }
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// Malformed, forged, expired, or made for another purpose.
    Invalid,
    /// Signed by a key that is not on the ring: forged, or made after the secret was rotated.
    UnknownKey,
}

/// The keys of a stack: the current one signs, the previous one still verifies.
pub struct SigningKeys {
    signing: EncodingKey,
    header: Header,
    verifying: Vec<(String, DecodingKey)>,
}

impl SigningKeys {
    /// Derives the keys from the current secret and, during a rotation, the one before it.
    pub fn from_secrets(current: &str, previous: Option<&str>) -> Result<Self, BoxError> {
        let key = key_pair(current, KEY)?;
        let mut header = Header::new(Algorithm::EdDSA);
        let mut verifying = vec![verifier(&key)];
        header.kid = verifying.first().map(|(kid, _)| kid.clone());
        if let Some(previous) = previous {
            verifying.push(verifier(&key_pair(previous, KEY)?));
        }
        let signing = EncodingKey::from_ed_der(
            key.to_pkcs8()
                .map_err(|_| "PKCS#8 encoding failed")?
                .as_ref(),
        );
        Ok(Self {
            signing,
            header,
            verifying,
        })
    }

    /// Signs claims.
    pub fn sign(&self, claims: &Claims) -> Result<String, BoxError> {
        Ok(jsonwebtoken::encode(&self.header, claims, &self.signing)?)
    }

    /// The claims of a token that is genuine, of this purpose and not expired.
    pub fn verify(
        &self,
        purpose: Purpose,
        token: &str,
        now: Timestamp,
    ) -> Result<Claims, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        let kid = header.kid.ok_or(TokenError::Invalid)?;
        let (_, key) = self
            .verifying
            .iter()
            .find(|(known, _)| *known == kid)
            .ok_or(TokenError::UnknownKey)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[ISSUER]);
        validation.sub = Some(purpose.as_str().to_owned());
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Compared below, with the clock that is passed in and without leeway.
        validation.validate_exp = false;
        let claims: Claims = jsonwebtoken::decode(token, key, &validation)
            .map_err(|_| TokenError::Invalid)?
            .claims;
        if now < claims.exp {
            Ok(claims)
        } else {
            Err(TokenError::Invalid)
        }
    }
}

struct SeedLength;

impl KeyType for SeedLength {
    fn len(&self) -> usize {
        SEED_BYTES
    }
}

/// HKDF (RFC 5869) stretches the secret to the seed of a key that serves nothing but what it is
/// named for.
pub(crate) fn key_pair(secret: &str, name: &[u8]) -> Result<Ed25519KeyPair, BoxError> {
    let mut seed = Zeroizing::new([0; SEED_BYTES]);
    Salt::new(HKDF_SHA256, b"latchkey")
        .extract(secret.as_bytes())
        .expand(&[name], SeedLength)
        .and_then(|okm| okm.fill(seed.as_mut()))
        .map_err(|_| "HKDF failed")?;
    Ok(Ed25519KeyPair::from_seed_unchecked(seed.as_ref())?)
}

fn verifier(key: &Ed25519KeyPair) -> (String, DecodingKey) {
    (
        key_id(key),
        DecodingKey::from_ed_der(key.public_key().as_ref()),
    )
}

/// The key's id, the start of the public half's SHA-256.
pub(crate) fn key_id(key: &Ed25519KeyPair) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.public_key().as_ref());
    let kid = digest.as_ref().iter().copied().take(9).collect::<Vec<_>>();
    BASE64URL_NOPAD.encode(&kid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn ring(current: &str, previous: Option<&str>) -> SigningKeys {
        SigningKeys::from_secrets(current, previous).expect("a ring")
    }

    fn claims(purpose: Purpose) -> Claims {
        Claims::new(
            purpose,
            "the-jti",
            "ID0123456789",
            "john@example.com",
            NOW,
            NOW + 60,
        )
    }

    #[test]
    fn a_token_says_what_it_was_made_to_say() {
        let ring = ring("secret", None);
        let token = ring.sign(&claims(Purpose::Reset)).expect("a token");
        assert_eq!(
            ring.verify(Purpose::Reset, &token, NOW),
            Ok(claims(Purpose::Reset))
        );
    }

    #[test]
    fn a_token_is_good_until_it_expires_to_the_second() {
        let ring = ring("secret", None);
        let token = ring.sign(&claims(Purpose::Session)).expect("a token");
        assert!(ring.verify(Purpose::Session, &token, NOW + 59).is_ok());
        assert_eq!(
            ring.verify(Purpose::Session, &token, NOW + 60),
            Err(TokenError::Invalid)
        );
    }

    #[test]
    fn a_token_of_one_purpose_is_nothing_to_another() {
        let ring = ring("secret", None);
        let all = [Purpose::Session, Purpose::Reset, Purpose::Confirmation];
        for made in all {
            let token = ring.sign(&claims(made)).expect("a token");
            for asked in all {
                assert_eq!(
                    ring.verify(asked, &token, NOW).is_ok(),
                    made == asked,
                    "{made:?} as {asked:?}"
                );
            }
        }
    }

    #[test]
    fn the_previous_secret_still_verifies_and_one_before_does_not() {
        let token = ring("first", None)
            .sign(&claims(Purpose::Session))
            .expect("a token");
        assert!(
            ring("second", Some("first"))
                .verify(Purpose::Session, &token, NOW)
                .is_ok()
        );
        assert_eq!(
            ring("third", Some("second")).verify(Purpose::Session, &token, NOW),
            Err(TokenError::UnknownKey)
        );
    }

    #[test]
    fn a_forged_token_is_refused() {
        let ring = ring("secret", None);
        let token = ring.sign(&claims(Purpose::Session)).expect("a token");
        let parts: Vec<&str> = token.split('.').collect();
        let header = parts[0];
        let payload = parts[1];
        let signature = parts[2];
        let kid = ring.header.kid.clone().expect("a kid");
        let head = |alg: &str| {
            BASE64URL_NOPAD
                .encode(format!(r#"{{"alg":"{alg}","typ":"JWT","kid":"{kid}"}}"#).as_bytes())
        };
        let hs256 = {
            let mut header = Header::new(Algorithm::HS256);
            header.kid = Some(kid.clone());
            let public = key_pair("secret", KEY).expect("a key");
            jsonwebtoken::encode(
                &header,
                &claims(Purpose::Session),
                &EncodingKey::from_secret(public.public_key().as_ref()),
            )
            .expect("a token")
        };
        let other = claims(Purpose::Session);
        let changed = BASE64URL_NOPAD.encode(
            &serde_json::to_vec(&Claims {
                uid: "ID9999999999".to_owned(),
                ..other
            })
            .expect("JSON"),
        );
        for forged in [
            format!("{}.{payload}.", head("none")),
            format!("{}.{payload}.{signature}", head("none")),
            format!("{}.{payload}.{signature}", head("HS256")),
            format!("{}.{payload}.{signature}", head("ES256")),
            hs256,
            format!("{header}.{changed}.{signature}"),
            format!("{header}.{payload}.{}", "A".repeat(signature.len())),
            format!("{header}.{payload}."),
            format!("{header}.{payload}"),
            format!("{token}.x"),
            token[1..].to_owned(),
            String::new(),
            "..".to_owned(),
            "\u{0}\u{1}".to_owned(),
        ] {
            assert_eq!(
                ring.verify(Purpose::Session, &forged, NOW),
                Err(TokenError::Invalid),
                "{forged}"
            );
        }
        let foreign = SigningKeys {
            header: ring.header.clone(),
            ..self::ring("another", None)
        };
        assert_eq!(
            ring.verify(
                Purpose::Session,
                &foreign.sign(&claims(Purpose::Session)).expect("a token"),
                NOW
            ),
            Err(TokenError::Invalid)
        );
    }

    #[test]
    fn debugging_output_does_not_name_the_session() {
        assert_eq!(
            format!("{:?}", claims(Purpose::Session)),
            "Claims(Session of ID0123456789)"
        );
    }
}

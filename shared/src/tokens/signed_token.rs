//! Session tokens, device tokens and mailed tokens: JWTs (RFC 7519) signed with Ed25519 (RFC 8037), by keys that
//! are derived from the token secret.

use std::fmt;

use aws_lc_rs::{
    hkdf::{HKDF_SHA256, KeyType, Salt},
    signature::{Ed25519KeyPair, KeyPair},
};
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    BoxError,
    domain::{device::Device, email_address::AccountKey, token_id::TokenId, user::Uid},
    platform::clock::Timestamp,
};

/// Issuer and audience of the tokens. It is the same for all stacks: their keys differ.
const ISSUER: &str = "latchkey";
const SEED_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;
/// Limits of unverified claims, so that they make no key of an item that DynamoDB rejects.
const MAX_UID_BYTES: usize = 64;
const MAX_ACCOUNT_KEY_BYTES: usize = 1024;
/// The HKDF label of the key of these tokens.
const KEY: &[u8] = b"ed25519 token key";

/// The purpose of a token. A token is rejected for every other purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Authenticates a session: the value of the session cookie.
    Session,
    /// Sets a new password.
    Reset,
    /// Confirms an address.
    Confirmation,
    /// Names a device of an account: a part of the device cookie.
    Device,
    /// Confirms a new address of an account.
    #[serde(rename = "email_change")]
    EmailChange,
    /// The state of a ceremony in which a user signs in or re-authenticates with a passkey.
    #[serde(rename = "passkey_sign_in")]
    PasskeySignIn,
    /// The state of a ceremony in which a user adds a passkey.
    #[serde(rename = "passkey_registration")]
    PasskeyRegistration,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Reset => "reset",
            Self::Confirmation => "confirmation",
            Self::Device => "device",
            Self::EmailChange => "email_change",
            Self::PasskeySignIn => "passkey_sign_in",
            Self::PasskeyRegistration => "passkey_registration",
        }
    }
}

/// The claims of a token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    aud: String,
    sub: Purpose,
    iat: Timestamp,
    exp: Timestamp,
    /// The id of the session, of the one-time code, of the device or of the ceremony.
    #[serde(rename = "jti")]
    pub token_id: TokenId,
    /// The uid of the user.
    pub uid: Uid,
    /// The account key of the user; in a device token, its hash.
    #[serde(rename = "user")]
    pub account_key: AccountKey,
    /// Present in device tokens only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<DeviceClaims>,
}

/// The claims that only a device token has.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct DeviceClaims {
    epoch: u64,
    #[serde(rename = "otp")]
    second_factor: bool,
}

impl Claims {
    /// The claims of a token that is issued at `iat` and expires at `exp`.
    #[must_use]
    pub fn new(
        purpose: Purpose,
        token_id: TokenId,
        uid: Uid,
        account_key: AccountKey,
        iat: Timestamp,
        exp: Timestamp,
    ) -> Self {
        Self {
            iss: ISSUER.to_owned(),
            aud: ISSUER.to_owned(),
            sub: purpose,
            iat,
            exp,
            token_id,
            uid,
            account_key,
            device: None,
        }
    }

    /// The time from which the token is rejected.
    #[must_use]
    pub const fn expires_at(&self) -> Timestamp {
        self.exp
    }

    /// The claims of the token of a device.
    #[must_use]
    pub fn of_device(device: &Device) -> Self {
        let claims = Self::new(
            Purpose::Device,
            device.id.clone(),
            device.uid.clone(),
            AccountKey::stored(&device.account_hash),
            device.issued_at,
            device.expires_at,
        );
        Self {
            device: Some(DeviceClaims {
                epoch: device.epoch,
                second_factor: device.second_factor,
            }),
            ..claims
        }
    }

    /// The device that a token of [`Purpose::Device`] names.
    #[must_use]
    pub fn into_device(self) -> Option<Device> {
        let DeviceClaims {
            epoch,
            second_factor,
        } = self.device?;
        Some(Device {
            id: self.token_id,
            account_hash: self.account_key.as_str().to_owned(),
            uid: self.uid,
            epoch,
            second_factor,
            issued_at: self.iat,
            expires_at: self.exp,
        })
    }
}

/// Without the token id, which is a secret.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claims({:?} of {})", self.sub, self.uid)
    }
}

/// The reason why a token is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// The token is malformed, forged, expired, or issued for another purpose.
    Invalid,
    /// The key id is unknown: the token is forged, or the secret was rotated.
    UnknownKey,
}

/// A token that may be genuine: well-formed, unexpired and of the right purpose. Its signature is
/// not verified.
pub struct PresentedToken {
    token: String,
    purpose: Purpose,
    key_id: String,
    claims: Claims,
}

impl PresentedToken {
    /// Reads a token; `None` if no key would make it genuine.
    #[must_use]
    pub fn read(purpose: Purpose, token: &str, now: Timestamp) -> Option<Self> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        let mut parts = token.split('.').skip(1);
        let payload = BASE64URL_NOPAD.decode(parts.next()?.as_bytes()).ok()?;
        let signature = BASE64URL_NOPAD.decode(parts.next()?.as_bytes()).ok()?;
        let claims: Claims = serde_json::from_slice(&payload).ok()?;
        let is_plausible = header.alg == Algorithm::EdDSA
            && signature.len() == SIGNATURE_BYTES
            && (claims.iss.as_str(), claims.aud.as_str()) == (ISSUER, ISSUER)
            && claims.sub == purpose
            && now < claims.exp
            && (1..=MAX_UID_BYTES).contains(&claims.uid.as_str().len())
            && claims.account_key.as_str().len() <= MAX_ACCOUNT_KEY_BYTES;
        is_plausible.then_some(Self {
            token: token.to_owned(),
            purpose,
            key_id: header.kid?,
            claims,
        })
    }

    /// The id of the key that the token names.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// What the token claims. Nothing may be decided by it before [`PresentedToken::verified`].
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The claims, if this Ed25519 public key verifies the token.
    #[must_use]
    pub fn verified(&self, public_key: &[u8], now: Timestamp) -> Option<Claims> {
        let key = DecodingKey::from_ed_der(public_key);
        verify_with(&key, self.purpose, &self.token, now).ok()
    }
}

/// The keys of a stack. The current key signs; the current and the previous key verify.
pub struct SigningKeys {
    signing: EncodingKey,
    header: Header,
    verifying: Vec<Verifier>,
}

struct Verifier {
    key_id: String,
    public_key: Vec<u8>,
    key: DecodingKey,
}

impl SigningKeys {
    /// Derives the keys from the current and the previous value of the token secret.
    pub fn from_secrets(current: &str, previous: Option<&str>) -> Result<Self, BoxError> {
        let key = key_pair(current, KEY)?;
        let mut header = Header::new(Algorithm::EdDSA);
        let mut verifying = vec![verifier(&key)];
        header.kid = verifying.first().map(|verifier| verifier.key_id.clone());
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

    /// Signs a token.
    pub fn sign(&self, claims: &Claims) -> Result<String, BoxError> {
        Ok(jsonwebtoken::encode(&self.header, claims, &self.signing)?)
    }

    /// The key ids and Ed25519 public keys: the current key, then the previous one.
    pub fn public_keys(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.verifying
            .iter()
            .map(|verifier| (verifier.key_id.as_str(), verifier.public_key.as_slice()))
    }

    /// Verifies a token and returns its claims.
    ///
    /// # Errors
    /// [`TokenError::UnknownKey`] if the keys may be outdated, else [`TokenError::Invalid`].
    pub fn verify(
        &self,
        purpose: Purpose,
        token: &str,
        now: Timestamp,
    ) -> Result<Claims, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        let kid = header.kid.ok_or(TokenError::Invalid)?;
        let verifier = self
            .verifying
            .iter()
            .find(|verifier| verifier.key_id == kid)
            .ok_or(TokenError::UnknownKey)?;
        verify_with(&verifier.key, purpose, token, now)
    }
}

fn verify_with(
    key: &DecodingKey,
    purpose: Purpose,
    token: &str,
    now: Timestamp,
) -> Result<Claims, TokenError> {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[ISSUER]);
    validation.sub = Some(purpose.as_str().to_owned());
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    // Checked below against `now`, without leeway.
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

struct SeedLength;

impl KeyType for SeedLength {
    fn len(&self) -> usize {
        SEED_BYTES
    }
}

/// Derives a key pair from the secret with HKDF-SHA-256 (RFC 5869). The label makes it independent
/// of the keys for other purposes.
pub(crate) fn key_pair(secret: &str, label: &[u8]) -> Result<Ed25519KeyPair, BoxError> {
    let mut seed = Zeroizing::new([0; SEED_BYTES]);
    Salt::new(HKDF_SHA256, b"latchkey")
        .extract(secret.as_bytes())
        .expand(&[label], SeedLength)
        .and_then(|okm| okm.fill(seed.as_mut()))
        .map_err(|_| "HKDF failed")?;
    Ok(Ed25519KeyPair::from_seed_unchecked(seed.as_ref())?)
}

fn verifier(key: &Ed25519KeyPair) -> Verifier {
    let public_key = key.public_key().as_ref();
    Verifier {
        key_id: public_key_id(public_key),
        public_key: public_key.to_vec(),
        key: DecodingKey::from_ed_der(public_key),
    }
}

/// The key id: the first 9 bytes of the SHA-256 of the public key.
pub(crate) fn public_key_id(public_key: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, public_key);
    let kid = digest.as_ref().iter().copied().take(9).collect::<Vec<_>>();
    BASE64URL_NOPAD.encode(&kid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn signing_keys(current: &str, previous: Option<&str>) -> SigningKeys {
        SigningKeys::from_secrets(current, previous).expect("keys")
    }

    fn claims(purpose: Purpose) -> Claims {
        Claims::new(
            purpose,
            TokenId::from_text("the-jti"),
            Uid::parse("ID0123456789").expect("a uid"),
            AccountKey::of("john@example.com"),
            NOW,
            NOW + 60,
        )
    }

    #[test]
    fn a_token_contains_its_claims() {
        let keys = signing_keys("secret", None);
        let token = keys.sign(&claims(Purpose::Reset)).expect("a token");
        assert_eq!(
            keys.verify(Purpose::Reset, &token, NOW),
            Ok(claims(Purpose::Reset))
        );
    }

    #[test]
    fn a_device_token_contains_its_device_and_no_address() {
        let device = Device {
            id: TokenId::from_text("the-jti"),
            account_hash: "the-hash".to_owned(),
            uid: Uid::parse("ID0123456789").expect("a uid"),
            epoch: 7,
            second_factor: true,
            issued_at: NOW,
            expires_at: NOW + 60,
        };
        let keys = signing_keys("secret", None);
        let token = keys.sign(&Claims::of_device(&device)).expect("a token");
        let verified = keys.verify(Purpose::Device, &token, NOW).expect("claims");
        assert_eq!(verified.into_device(), Some(device));
        // A token without the claims of a device names none.
        assert_eq!(claims(Purpose::Device).into_device(), None);
        let session = serde_json::to_string(&claims(Purpose::Session)).expect("JSON");
        assert!(!session.contains("device"), "{session}");
    }

    #[test]
    fn a_token_is_rejected_from_the_second_of_its_expiry() {
        let keys = signing_keys("secret", None);
        let token = keys.sign(&claims(Purpose::Session)).expect("a token");
        assert!(keys.verify(Purpose::Session, &token, NOW + 59).is_ok());
        assert_eq!(
            keys.verify(Purpose::Session, &token, NOW + 60),
            Err(TokenError::Invalid)
        );
    }

    #[test]
    fn a_token_is_rejected_for_every_other_purpose() {
        let keys = signing_keys("secret", None);
        let all = [
            Purpose::Session,
            Purpose::Reset,
            Purpose::Confirmation,
            Purpose::Device,
            Purpose::EmailChange,
        ];
        for issued in all {
            let token = keys.sign(&claims(issued)).expect("a token");
            for presented in all {
                assert_eq!(
                    keys.verify(presented, &token, NOW).is_ok(),
                    issued == presented,
                    "{issued:?} as {presented:?}"
                );
            }
        }
    }

    #[test]
    fn a_token_of_the_previous_secret_is_accepted_and_an_older_one_is_not() {
        let token = signing_keys("first", None)
            .sign(&claims(Purpose::Session))
            .expect("a token");
        assert!(
            signing_keys("second", Some("first"))
                .verify(Purpose::Session, &token, NOW)
                .is_ok()
        );
        assert_eq!(
            signing_keys("third", Some("second")).verify(Purpose::Session, &token, NOW),
            Err(TokenError::UnknownKey)
        );
    }

    #[test]
    fn a_forged_token_is_rejected() {
        let keys = signing_keys("secret", None);
        let token = keys.sign(&claims(Purpose::Session)).expect("a token");
        let parts: Vec<&str> = token.split('.').collect();
        let header = parts[0];
        let payload = parts[1];
        let signature = parts[2];
        let kid = keys.header.kid.clone().expect("a kid");
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
                uid: Uid::parse("ID9999999999").expect("a uid"),
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
                keys.verify(Purpose::Session, &forged, NOW),
                Err(TokenError::Invalid),
                "{forged}"
            );
        }
        let foreign = SigningKeys {
            header: keys.header.clone(),
            ..signing_keys("another", None)
        };
        assert_eq!(
            keys.verify(
                Purpose::Session,
                &foreign.sign(&claims(Purpose::Session)).expect("a token"),
                NOW
            ),
            Err(TokenError::Invalid)
        );
    }

    #[test]
    fn debug_output_does_not_reveal_the_token_id() {
        assert_eq!(
            format!("{:?}", claims(Purpose::Session)),
            "Claims(Session of ID0123456789)"
        );
    }

    fn public_keys(keys: &SigningKeys) -> Vec<(String, Vec<u8>)> {
        keys.public_keys()
            .map(|(id, key)| (id.to_owned(), key.to_vec()))
            .collect()
    }

    #[test]
    fn a_presented_token_is_verified_by_the_key_that_it_names_alone() {
        let keys = signing_keys("second", Some("first"));
        let token = keys.sign(&claims(Purpose::Session)).expect("a token");
        let presented = PresentedToken::read(Purpose::Session, &token, NOW).expect("a token");
        let [(id, current), (_, previous)] = public_keys(&keys).try_into().expect("two keys");
        assert_eq!(presented.key_id(), id);
        assert_eq!(
            presented.verified(&current, NOW),
            Some(claims(Purpose::Session))
        );
        assert_eq!(presented.verified(&previous, NOW), None);
        assert_eq!(presented.verified(b"no key", NOW), None);
        assert_eq!(presented.verified(&current, NOW + 60), None);
    }

    #[test]
    fn an_expired_malformed_or_oversized_token_is_not_presented() {
        let keys = signing_keys("secret", None);
        let signed = |claims: &Claims| keys.sign(claims).expect("a token");
        let token = signed(&claims(Purpose::Session));
        let read = |token: &str, now| PresentedToken::read(Purpose::Session, token, now);
        assert!(read(&token, NOW + 59).is_some());
        assert!(read(&token, NOW + 60).is_none());
        let foreign = |iss: &str, aud: &str| {
            signed(&Claims {
                iss: iss.to_owned(),
                aud: aud.to_owned(),
                ..claims(Purpose::Session)
            })
        };
        let account = |length: usize| {
            signed(&Claims {
                account_key: AccountKey::stored(&"a".repeat(length)),
                ..claims(Purpose::Session)
            })
        };
        let uid = |uid: &str| {
            signed(&Claims {
                uid: serde_json::from_value(uid.into()).expect("a uid"),
                ..claims(Purpose::Session)
            })
        };
        assert!(read(&account(1024), NOW).is_some() && read(&uid(&"a".repeat(64)), NOW).is_some());
        for rejected in [
            signed(&claims(Purpose::Reset)),
            foreign("other", ISSUER),
            foreign(ISSUER, "other"),
            account(1025),
            uid(""),
            uid(&"a".repeat(65)),
            token.rsplit_once('.').expect("a signature").0.to_owned(),
            token[..token.len() - 4].to_owned(),
            format!("{token}AAAA"),
            String::new(),
            "..".to_owned(),
        ] {
            assert!(read(&rejected, NOW).is_none(), "{rejected}");
        }
    }
}

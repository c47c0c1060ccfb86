//! Access tokens, which describe the user of a session to other services (JWT, RFC 7519), and the
//! public keys with which these verify them (JWK Set, RFC 7517).
//!
//! No key of [`crate::tokens::signed_token`] signs access tokens, so neither verifies a token of the
//! other kind.

use std::sync::Arc;

use serde::Serialize;
use zeroize::Zeroizing;

use crate::{
    BoxError,
    domain::user::{CredentialAccess, State, Uid, User},
    platform::{clock::Timestamp, random},
    tokens::{
        access_key::{AccessKey, Jwk},
        published_keys::Publishable,
    },
};

/// Seconds until an access token expires. It stays valid when its session ends, so its lifetime is
/// short.
pub const LIFE: i64 = 300;

/// Seconds for which a new derived key is published before it signs, so that no service receives a
/// token whose key it cannot find. The key set is refreshed within a minute, and caches keep it for
/// another; the third minute is a margin.
pub const LEAD: i64 = 180;

/// The versions of the token secret.
pub struct Secrets {
    /// The current value.
    pub current: Zeroizing<String>,
    /// The previous value; `None` before the first rotation.
    pub previous: Option<Zeroizing<String>>,
    /// The time at which the current value was created, if it is known.
    pub since: Option<Timestamp>,
}

/// The public keys, as a JWK Set (RFC 7517, section 5).
#[derive(Debug, Serialize)]
pub struct Jwks {
    keys: Vec<Jwk>,
}

/// The keys of access tokens.
#[derive(Clone)]
pub struct AccessTokenKeys {
    current: Arc<AccessKey>,
    /// Published as well. The first of them signs until `current_from`.
    others: Vec<Arc<AccessKey>>,
    /// The time from which the current key signs; `None` means that it already does.
    current_from: Option<Timestamp>,
}

/// The claims of an access token, with Barong's names.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a Audience,
    sub: &'static str,
    iat: Timestamp,
    exp: Timestamp,
    jti: String,
    uid: &'a Uid,
    email: &'a str,
    email_verified: bool,
    role: &'a str,
    level: u32,
    state: State,
    referral_id: Option<&'a Uid>,
    referral_uid: Option<&'a Uid>,
}

/// The issuer and the audience of access tokens (RFC 7519, section 4.1).
#[derive(Clone, Debug)]
pub struct Names {
    /// The claim `iss`.
    pub issuer: String,
    /// The claim `aud`.
    pub audience: Audience,
}

/// The claim `aud`: text if there is one audience, otherwise an array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Audience {
    /// One audience.
    One(String),
    /// Several audiences.
    Several(Vec<String>),
}

impl From<Vec<String>> for Audience {
    fn from(mut names: Vec<String>) -> Self {
        match names.pop() {
            Some(name) if names.is_empty() => Self::One(name),
            last => {
                names.extend(last);
                Self::Several(names)
            }
        }
    }
}

impl AccessTokenKeys {
    /// These keys. The first of the others signs until `current_from`.
    #[must_use]
    pub const fn new(
        current: Arc<AccessKey>,
        others: Vec<Arc<AccessKey>>,
        current_from: Option<Timestamp>,
    ) -> Self {
        Self {
            current,
            others,
            current_from,
        }
    }

    /// Derives the keys from the token secret. The current key signs once its secret is three
    /// minutes old; until then, the previous key signs.
    pub fn from_secrets(secrets: &Secrets) -> Result<Self, BoxError> {
        let previous = secrets.previous.as_ref();
        let others = previous
            .map(|secret| AccessKey::derive(secret).map(Arc::new))
            .transpose()?;
        Ok(Self {
            current: Arc::new(AccessKey::derive(&secrets.current)?),
            others: others.into_iter().collect(),
            current_from: secrets.since.map(|since| since + LEAD),
        })
    }

    /// Signs an access token for the user, which expires after [`LIFE`] seconds.
    pub fn sign<C: CredentialAccess>(
        &self,
        user: &User<C>,
        names: &Names,
        now: Timestamp,
    ) -> Result<String, BoxError> {
        let referral_uid = user.referral_uid.as_ref();
        let claims = Claims {
            iss: &names.issuer,
            aud: &names.audience,
            sub: "session",
            iat: now,
            exp: now + LIFE,
            jti: random::identifier(),
            uid: &user.uid,
            email: user.email.as_typed(),
            email_verified: user.has_verified_email(),
            role: &user.role,
            level: user.level,
            state: user.state,
            referral_id: referral_uid,
            referral_uid,
        };
        self.signer(now).sign(&claims)
    }

    /// The public keys: the current one, then the others.
    #[must_use]
    pub fn jwks(&self) -> Jwks {
        Jwks {
            keys: self.all().map(|key| key.jwk().clone()).collect(),
        }
    }

    /// The keys in the order of the key set.
    pub fn all(&self) -> impl Iterator<Item = &Arc<AccessKey>> {
        std::iter::once(&self.current).chain(&self.others)
    }

    /// The key that signs.
    pub(crate) fn signer(&self, now: Timestamp) -> &AccessKey {
        let is_early = self.current_from.is_some_and(|from| now < from);
        self.others
            .first()
            .filter(|_| is_early)
            .unwrap_or(&self.current)
    }
}

impl Publishable for AccessTokenKeys {
    /// API Gateway's JWT authorizer caches a key set for two hours. Three minutes more, because
    /// instances and caches in between refresh the set within two, and clocks differ.
    const LEAD: i64 = 2 * 3600 + 180;

    fn key_set(&self) -> Vec<(&str, &[u8])> {
        self.all().map(|key| (key.id(), key.public_key())).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use data_encoding::BASE64URL_NOPAD;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        domain::{
            email_address::{AccountKey, EmailAddress},
            token_id::TokenId,
            user::NewUser,
        },
        tokens::signed_token::{Purpose, SigningKeys},
    };

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn names() -> Names {
        Names {
            issuer: "https://id.example".to_owned(),
            audience: Audience::One("shop".to_owned()),
        }
    }

    fn user() -> User {
        let new = NewUser {
            email: EmailAddress::parse("John@Example.com").expect("an address"),
            password_hash: serde_json::from_value(json!(
                "$argon2id$v=19$m=8192,t=1,p=1$c2FsdHNhbHQ$aGFzaA"
            ))
            .expect("a hash"),
            referral_uid: Uid::parse("ID0000000001"),
            data: Some("{\"language\":\"de\"}".to_owned()),
            language: None,
        };
        User {
            level: 3,
            ..User::new(new, "ID", NOW)
        }
    }

    fn access_keys(
        current: &str,
        previous: Option<&str>,
        since: Option<Timestamp>,
    ) -> AccessTokenKeys {
        let secret = |text: &str| Zeroizing::new(text.to_owned());
        let secrets = Secrets {
            current: secret(current),
            previous: previous.map(secret),
            since,
        };
        AccessTokenKeys::from_secrets(&secrets).expect("keys")
    }

    fn sign(keys: &AccessTokenKeys, now: Timestamp) -> String {
        keys.sign(&user(), &names(), now).expect("a token")
    }

    /// The claims of a token, verified with the published keys only.
    fn verify(keys: &AccessTokenKeys, token: &str) -> Option<Value> {
        let published: JwkSet = serde_json::from_value(json!(keys.jwks())).expect("a JWK Set");
        let kid = jsonwebtoken::decode_header(token)
            .expect("a header")
            .kid
            .expect("a kid");
        let key = DecodingKey::from_jwk(published.find(&kid)?).expect("a key");
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.validate_exp = false;
        validation.set_issuer(&["https://id.example"]);
        validation.set_audience(&["shop"]);
        jsonwebtoken::decode(token, &key, &validation)
            .ok()
            .map(|token| token.claims)
    }

    #[test]
    fn a_token_describes_its_user_and_expires_after_five_minutes() {
        let keys = access_keys("secret", None, None);
        let mut claims = verify(&keys, &sign(&keys, NOW)).expect("claims");
        assert_eq!(claims["jti"].take().as_str().map(str::len), Some(43));
        assert_eq!(
            claims,
            json!({
                "iss": "https://id.example", "aud": "shop", "sub": "session", "iat": 1_800_000_000, "exp": 1_800_000_300, "jti": null,
                "uid": user_uid(&claims), "email": "John@Example.com", "email_verified": false, "role": "member", "level": 3,
                "state": "pending", "referral_id": "ID0000000001", "referral_uid": "ID0000000001",
            })
        );
    }

    #[test]
    fn a_token_contains_whether_the_address_is_confirmed() {
        let keys = access_keys("secret", None, None);
        let token = keys.sign(&user().verified(NOW), &names(), NOW);
        let claims = verify(&keys, &token.expect("a token")).expect("claims");
        assert_eq!(claims["email_verified"], true);
    }

    #[test]
    fn one_audience_is_text_and_several_are_an_array() {
        let audience = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            json!(Audience::from(names))
        };
        assert_eq!(audience(&["shop"]), json!("shop"));
        assert_eq!(audience(&["peatio", "shop"]), json!(["peatio", "shop"]));
    }

    fn user_uid(claims: &Value) -> String {
        let uid = claims["uid"].as_str().expect("a uid");
        assert!(uid.starts_with("ID"), "{uid}");
        uid.to_owned()
    }

    #[test]
    fn neither_a_session_token_nor_an_access_token_is_accepted_as_the_other() {
        let signing_keys = SigningKeys::from_secrets("secret", None).expect("keys");
        let access_keys = access_keys("secret", None, None);
        let claims = crate::tokens::signed_token::Claims::new(
            Purpose::Session,
            TokenId::generate(),
            Uid::generate("ID"),
            AccountKey::of("john@example.com"),
            NOW,
            NOW + 60,
        );
        let session = signing_keys.sign(&claims).expect("a token");
        assert_eq!(verify(&access_keys, &session), None);
        let access = sign(&access_keys, NOW);
        for purpose in [
            Purpose::Session,
            Purpose::Reset,
            Purpose::Confirmation,
            Purpose::EmailChange,
        ] {
            assert!(signing_keys.verify(purpose, &access, NOW).is_err());
        }
        // Nor with the key id of the other kind.
        let payload = |token: &str| token.split_once('.').expect("parts").1.to_owned();
        let header = |token: &str| token.split_once('.').expect("parts").0.to_owned();
        assert_eq!(
            verify(
                &access_keys,
                &format!("{}.{}", header(&access), payload(&session))
            ),
            None
        );
        let forged = format!("{}.{}", header(&session), payload(&access));
        assert!(signing_keys.verify(Purpose::Session, &forged, NOW).is_err());
    }

    #[test]
    fn the_published_keys_are_a_jwk_set_without_private_keys() {
        let published = json!(access_keys("second", Some("first"), None).jwks());
        let keys = published["keys"].as_array().expect("keys");
        assert_eq!(keys.len(), 2);
        for key in keys {
            let names: BTreeSet<&str> = key
                .as_object()
                .expect("a key")
                .keys()
                .map(String::as_str)
                .collect();
            assert_eq!(
                names,
                BTreeSet::from(["alg", "crv", "kid", "kty", "use", "x"]),
                "{key}"
            );
            assert_eq!(
                (&key["kty"], &key["crv"], &key["use"], &key["alg"]),
                (
                    &json!("OKP"),
                    &json!("Ed25519"),
                    &json!("sig"),
                    &json!("EdDSA")
                )
            );
            assert_eq!(
                BASE64URL_NOPAD
                    .decode(key["x"].as_str().expect("x").as_bytes())
                    .map(|x| x.len()),
                Ok(32)
            );
        }
        assert_eq!(
            json!(access_keys("first", None, None).jwks())["keys"][0],
            keys[1]
        );
    }

    #[test]
    fn every_instance_can_verify_every_token_while_a_rotation_spreads() {
        // The keys of an instance that read the secret before the rotation, and of one after it.
        let before = access_keys("first", None, None);
        let after = access_keys("second", Some("first"), Some(NOW));
        // The first signs with the previous key, which both have.
        let old = sign(&before, NOW + 60);
        assert!(verify(&before, &old).is_some() && verify(&after, &old).is_some());
        // So does the second, until no instance has the old secret.
        for seconds in [0, 120, LEAD - 1] {
            let early = sign(&after, NOW + seconds);
            assert!(
                verify(&before, &early).is_some() && verify(&after, &early).is_some(),
                "{seconds}"
            );
        }
        let new = sign(&after, NOW + LEAD);
        assert!(verify(&before, &new).is_none() && verify(&after, &new).is_some());
    }

    #[test]
    fn a_new_key_signs_at_once_if_there_is_no_other_or_its_age_is_unknown() {
        let first = access_keys("first", None, Some(NOW));
        assert!(verify(&first, &sign(&first, NOW)).is_some());
        let unknown_age = access_keys("second", Some("first"), None);
        assert!(verify(&access_keys("second", None, None), &sign(&unknown_age, NOW)).is_some());
    }
}

//! Access tokens, which describe the user of a session to other services (JWT, RFC 7519), and the
//! public keys with which these verify them (JWK Set, RFC 7517; Ed25519, RFC 8037).
//!
//! The keys of access tokens and of [`crate::tokens::signed_token`] are derived from the same
//! secret with different labels, so neither verifies a token of the other kind.

use aws_lc_rs::signature::KeyPair;
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{
    BoxError,
    domain::user::{CredentialAccess, State, Uid, User},
    platform::{clock::Timestamp, random},
    tokens::signed_token::{key_id, key_pair},
};

/// Seconds until an access token expires. It stays valid when its session ends, so its lifetime is
/// short.
pub const LIFE: i64 = 300;

/// Seconds for which a new key is published before it signs, so that no service receives a token
/// whose key it cannot find. The key set is refreshed within a minute, and caches keep it for
/// another; the third minute is a margin.
const LEAD: i64 = 180;

/// The HKDF label of the key of access tokens.
const KEY: &[u8] = b"ed25519 access token key";

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

#[derive(Debug, Serialize)]
struct Jwk {
    kty: &'static str,
    crv: &'static str,
    x: String,
    kid: String,
    #[serde(rename = "use")]
    usage: &'static str,
    alg: &'static str,
}

/// The keys of access tokens. The current key signs once its secret is three minutes old;
/// until then, the previous key signs.
pub struct AccessTokenKeys {
    current: Signer,
    previous: Option<Signer>,
    since: Option<Timestamp>,
    jwks: Jwks,
}

struct Signer {
    key: EncodingKey,
    header: Header,
}

/// The claims of an access token, with Barong's names.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'static str,
    iat: Timestamp,
    exp: Timestamp,
    jti: String,
    uid: &'a Uid,
    email: &'a str,
    role: &'a str,
    level: u32,
    state: State,
    referral_uid: Option<&'a Uid>,
}

/// The issuer and the audience of access tokens (RFC 7519, section 4.1).
#[derive(Clone, Debug)]
pub struct Names {
    /// The claim `iss`.
    pub issuer: String,
    /// The claim `aud`.
    pub audience: String,
}

impl AccessTokenKeys {
    /// Derives the keys from the token secret.
    pub fn from_secrets(secrets: &Secrets) -> Result<Self, BoxError> {
        let (current, jwk) = derive(&secrets.current)?;
        let mut jwks = Jwks { keys: vec![jwk] };
        let mut previous = None;
        if let Some(secret) = &secrets.previous {
            let (signer, jwk) = derive(secret)?;
            previous = Some(signer);
            jwks.keys.push(jwk);
        }
        Ok(Self {
            current,
            previous,
            since: secrets.since,
            jwks,
        })
    }

    /// Signs an access token for the user, which expires after [`LIFE`] seconds.
    pub fn sign<C: CredentialAccess>(
        &self,
        user: &User<C>,
        names: &Names,
        now: Timestamp,
    ) -> Result<String, BoxError> {
        let claims = Claims {
            iss: &names.issuer,
            aud: &names.audience,
            sub: "session",
            iat: now,
            exp: now + LIFE,
            jti: random::identifier(),
            uid: &user.uid,
            email: user.email.as_typed(),
            role: &user.role,
            level: user.level,
            state: user.state,
            referral_uid: user.referral_uid.as_ref(),
        };
        let signer = self.signer(now);
        Ok(jsonwebtoken::encode(&signer.header, &claims, &signer.key)?)
    }

    /// The public keys: the current one, then the previous one.
    #[must_use]
    pub const fn jwks(&self) -> &Jwks {
        &self.jwks
    }

    fn signer(&self, now: Timestamp) -> &Signer {
        let is_new = self.since.is_some_and(|since| now < since + LEAD);
        self.previous
            .as_ref()
            .filter(|_| is_new)
            .unwrap_or(&self.current)
    }
}

fn derive(secret: &str) -> Result<(Signer, Jwk), BoxError> {
    let pair = key_pair(secret, KEY)?;
    let kid = key_id(&pair);
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some(kid.clone());
    let key = EncodingKey::from_ed_der(
        pair.to_pkcs8()
            .map_err(|_| "PKCS#8 encoding failed")?
            .as_ref(),
    );
    let x = BASE64URL_NOPAD.encode(pair.public_key().as_ref());
    Ok((
        Signer { key, header },
        Jwk {
            kty: "OKP",
            crv: "Ed25519",
            x,
            kid,
            usage: "sig",
            alg: "EdDSA",
        },
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jsonwebtoken::{DecodingKey, Validation, jwk::JwkSet};
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
            audience: "shop".to_owned(),
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
                "uid": user_uid(&claims), "email": "John@Example.com", "role": "member", "level": 3, "state": "pending",
                "referral_uid": "ID0000000001",
            })
        );
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
        for purpose in [Purpose::Session, Purpose::Reset, Purpose::Confirmation] {
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

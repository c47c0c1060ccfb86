//! Access tokens: what other services are told of who is signed in, signed so that they need not
//! ask (RFC 7519), and the public keys that they verify it by (RFC 7517, RFC 8037).
//!
//! Their key comes from the same secret as the key of [`crate::tokens::signed_token`] and is
//! another, so neither kind stands for the other.

use aws_lc_rs::signature::KeyPair;
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{
    BoxError,
    domain::user::{State, User},
    platform::{clock::Timestamp, random},
    tokens::signed_token::{key_id, key_pair},
};

/// Seconds that an access token is good for. It is not asked for again whether its session still
/// lives, so it lives shortly.
pub const LIFE: i64 = 300;

/// Seconds for which a new key is only published. Whoever publishes looks for a new secret once a
/// minute, caches keep the answer for another, and one is to spare; so no token is signed by a key
/// that somebody could not find.
const LEAD: i64 = 180;

/// Names the key of these tokens among those that come from the secret.
const KEY: &[u8] = b"ed25519 access token key";

/// The stack's secret.
pub struct Secrets {
    /// Its value.
    pub current: Zeroizing<String>,
    /// The value before that, if there was one.
    pub previous: Option<Zeroizing<String>>,
    /// When the value was set, as far as that is known.
    pub since: Option<Timestamp>,
}

/// The public halves of the keys: a JWK Set.
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

/// The keys of access tokens. The newest signs as soon as everybody can know it.
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

/// What an access token says, by Barong's names.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'static str,
    iat: Timestamp,
    exp: Timestamp,
    jti: String,
    uid: &'a str,
    email: &'a str,
    role: &'a str,
    level: u32,
    state: State,
    referral_uid: Option<&'a str>,
}

/// Names in access tokens.
#[derive(Clone, Debug)]
pub struct Names {
    /// The claim `iss`.
    pub issuer: String,
    /// The claim `aud`.
    pub audience: String,
}

impl AccessTokenKeys {
    /// Derives the keys.
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

    /// A token that tells of the user until [`LIFE`] is over.
    pub fn sign(&self, user: &User, names: &Names, now: Timestamp) -> Result<String, BoxError> {
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
            referral_uid: user.referral_uid.as_deref(),
        };
        let signer = self.signer(now);
        Ok(jsonwebtoken::encode(&signer.header, &claims, &signer.key)?)
    }

    /// What is published: the current key first, then the one before it.
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
        domain::{email_address::EmailAddress, user::NewUser},
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
            referral_uid: Some("ID0000000001".to_owned()),
            data: Some("{\"language\":\"de\"}".to_owned()),
        };
        User {
            level: 3,
            ..User::new(new, "ID", NOW)
        }
    }

    fn ring(current: &str, previous: Option<&str>, since: Option<Timestamp>) -> AccessTokenKeys {
        let secret = |text: &str| Zeroizing::new(text.to_owned());
        let secrets = Secrets {
            current: secret(current),
            previous: previous.map(secret),
            since,
        };
        AccessTokenKeys::from_secrets(&secrets).expect("a ring")
    }

    fn sign(ring: &AccessTokenKeys, now: Timestamp) -> String {
        ring.sign(&user(), &names(), now).expect("a token")
    }

    /// The claims, as somebody sees them who has nothing but what is published.
    fn verify(ring: &AccessTokenKeys, token: &str) -> Option<Value> {
        let published: JwkSet = serde_json::from_value(json!(ring.jwks())).expect("a JWK Set");
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
    fn a_token_tells_of_its_user_for_five_minutes() {
        let ring = ring("secret", None, None);
        let mut claims = verify(&ring, &sign(&ring, NOW)).expect("claims");
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
    fn a_session_token_is_no_access_token_and_an_access_token_no_session() {
        let session_ring = SigningKeys::from_secrets("secret", None).expect("a ring");
        let access_ring = ring("secret", None, None);
        let claims = crate::tokens::signed_token::Claims::new(
            Purpose::Session,
            "jti",
            "ID0123456789",
            "john@example.com",
            NOW,
            NOW + 60,
        );
        let session = session_ring.sign(&claims).expect("a token");
        assert_eq!(verify(&access_ring, &session), None);
        let access = sign(&access_ring, NOW);
        for purpose in [Purpose::Session, Purpose::Reset, Purpose::Confirmation] {
            assert!(session_ring.verify(purpose, &access, NOW).is_err());
        }
        // Not even under the other's key id.
        let payload = |token: &str| token.split_once('.').expect("parts").1.to_owned();
        let header = |token: &str| token.split_once('.').expect("parts").0.to_owned();
        assert_eq!(
            verify(
                &access_ring,
                &format!("{}.{}", header(&access), payload(&session))
            ),
            None
        );
        let forged = format!("{}.{}", header(&session), payload(&access));
        assert!(session_ring.verify(Purpose::Session, &forged, NOW).is_err());
    }

    #[test]
    fn what_is_published_is_a_jwk_set_of_public_keys() {
        let published = json!(ring("second", Some("first"), None).jwks());
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
        assert_eq!(json!(ring("first", None, None).jwks())["keys"][0], keys[1]);
    }

    #[test]
    fn what_any_instance_signs_everybody_can_verify_while_they_notice_a_new_secret() {
        // Whoever looked before the rotation, and whoever looks after it.
        let before = ring("first", None, None);
        let after = ring("second", Some("first"), Some(NOW));
        // Until an instance looks again, it signs by the old key, which both know.
        let old = sign(&before, NOW + 60);
        assert!(verify(&before, &old).is_some() && verify(&after, &old).is_some());
        // One that has looked does so too, until nobody knows less.
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
    fn without_another_key_the_current_one_signs_however_new() {
        let first = ring("first", None, Some(NOW));
        assert!(verify(&first, &sign(&first, NOW)).is_some());
        let unknown_age = ring("second", Some("first"), None);
        assert!(verify(&ring("second", None, None), &sign(&unknown_age, NOW)).is_some());
    }
}

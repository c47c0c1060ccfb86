//! Verification of tokens with the published keys, which an instance caches.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{
    Error,
    platform::clock::Timestamp,
    tokens::{
        published_keys::PublishedKeys,
        signed_token::{Claims, PresentedToken, Purpose},
    },
};

/// Seconds for which the published keys are cached. They are then read together with what the next
/// token names, so that their age costs no round trip.
const AGE: i64 = 60;

/// Maximum number of tokens of a request whose items are read. API Gateway accepts 10 KiB of
/// headers, which hold fewer. With the published keys, the items are fewer than the 100 of a
/// `BatchGetItem`.
const MAX_TOKENS: usize = 40;

/// The published keys as this instance last read them.
///
/// While they are recent, a token of any other key is rejected without a read: a new key signs only
/// when every instance has read it. So forged key ids cause no reads, and fill no memory.
#[derive(Debug, Default)]
pub struct KeyCache(Mutex<Option<Cached>>);

#[derive(Debug)]
struct Cached {
    keys: PublishedKeys,
    read_at: Timestamp,
}

/// The tokens of a request that may be genuine.
pub enum Candidates {
    /// The claims of genuine tokens.
    Verified(Vec<Claims>),
    /// Tokens that [`KeyCache::genuine`] verifies, after the published keys and the items that the
    /// tokens name are read.
    Unverified(Vec<PresentedToken>),
}

impl KeyCache {
    /// The tokens for this purpose that may be genuine. A token that a cached key disproves is left
    /// out even if the cache is outdated, because a key id stands for one key.
    pub fn candidates(&self, purpose: Purpose, tokens: &[String], now: Timestamp) -> Candidates {
        let cached = self.lock();
        let presented = tokens
            .iter()
            .filter_map(|token| PresentedToken::read(purpose, token, now));
        match cached.as_ref() {
            Some(cached) if now < cached.read_at + AGE => Candidates::Verified(
                presented
                    .filter_map(|token| verified(&cached.keys, &token, now))
                    .take(MAX_TOKENS)
                    .collect(),
            ),
            cached => {
                let is_possible = |token: &PresentedToken| {
                    cached
                        .and_then(|cached| cached.keys.public_key(token.key_id()))
                        .is_none_or(|key| token.verified(&key, now).is_some())
                };
                Candidates::Unverified(presented.filter(is_possible).take(MAX_TOKENS).collect())
            }
        }
    }

    /// The claims of a further token of a request that was authenticated at `now`; `None` if it is
    /// not genuine. The authentication left recent keys in the cache.
    pub fn claims(&self, purpose: Purpose, token: &str, now: Timestamp) -> Option<Claims> {
        let token = PresentedToken::read(purpose, token, now)?;
        verified(&self.lock().as_ref()?.keys, &token, now)
    }

    /// Caches the keys that were read, and returns the claims of the genuine tokens.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if no keys are published. Then a token may be genuine: an earlier
    /// version signed it, and no signing function of this version has started yet.
    pub fn genuine(
        &self,
        tokens: &[PresentedToken],
        published: Option<PublishedKeys>,
        now: Timestamp,
    ) -> Result<Vec<Claims>, Error> {
        let mut cached = self.lock();
        *cached = published.map(|keys| Cached { keys, read_at: now });
        let Some(Cached { keys, .. }) = cached.as_ref() else {
            return Err(Error::Unavailable(
                "no public keys are published: request /.well-known/jwks.json to publish them"
                    .into(),
            ));
        };
        Ok(tokens
            .iter()
            .filter_map(|token| verified(keys, token, now))
            .collect())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Cached>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn verified(keys: &PublishedKeys, token: &PresentedToken, now: Timestamp) -> Option<Claims> {
    token.verified(&keys.public_key(token.key_id())?, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{email_address::AccountKey, token_id::TokenId, user::Uid},
        tokens::signed_token::SigningKeys,
    };

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn keys(current: &str, previous: Option<&str>) -> SigningKeys {
        SigningKeys::from_secrets(current, previous).expect("keys")
    }

    fn published(current: &str, previous: Option<&str>) -> PublishedKeys {
        PublishedKeys::replacing(None, &keys(current, previous), NOW)
    }

    fn token_for(purpose: Purpose, secret: &str) -> String {
        let claims = Claims::new(
            purpose,
            TokenId::generate(),
            Uid::generate("ID"),
            AccountKey::of("john@example.com"),
            NOW,
            NOW + 86_400,
        );
        keys(secret, None).sign(&claims).expect("a token")
    }

    fn token(secret: &str) -> String {
        token_for(Purpose::Session, secret)
    }

    /// A token of one key that names another.
    fn forged(secret: &str, named: &str) -> String {
        let [genuine, named] = [token(secret), token(named)];
        let (_, rest) = genuine.split_once('.').expect("parts");
        let (header, _) = named.split_once('.').expect("parts");
        format!("{header}.{rest}")
    }

    /// What a request does whose batch reads these keys: the number of genuine tokens, and whether
    /// the keys were read.
    fn request(
        cache: &KeyCache,
        tokens: &[String],
        stored: Option<&PublishedKeys>,
        now: Timestamp,
    ) -> Result<(usize, bool), Error> {
        match cache.candidates(Purpose::Session, tokens, now) {
            Candidates::Verified(claims) => Ok((claims.len(), false)),
            Candidates::Unverified(tokens) if tokens.is_empty() => Ok((0, false)),
            Candidates::Unverified(tokens) => cache
                .genuine(&tokens, stored.cloned(), now)
                .map(|claims| (claims.len(), true)),
        }
    }

    #[test]
    fn the_keys_are_read_once_a_minute() {
        let cache = KeyCache::default();
        let stored = published("first", None);
        let tokens = [token("first")];
        for (after, reads) in [(0, true), (1, false), (59, false), (60, true), (119, false)] {
            let outcome = request(&cache, &tokens, Some(&stored), NOW + after);
            assert_eq!(outcome.expect("claims"), (1, reads), "{after}");
        }
    }

    #[test]
    fn forged_key_ids_are_rejected_without_a_read_while_the_keys_are_recent() {
        let cache = KeyCache::default();
        let stored = published("first", None);
        let genuine = token("first");
        request(&cache, std::slice::from_ref(&genuine), Some(&stored), NOW).expect("claims");
        for number in 0..1000 {
            let forged = token(&format!("forger {number}"));
            let outcome = request(&cache, &[forged], Some(&stored), NOW + 1);
            assert_eq!(outcome.expect("claims"), (0, false));
        }
        let outcome = request(&cache, &[genuine], Some(&stored), NOW + 1);
        assert_eq!(outcome.expect("claims"), (1, false));
    }

    #[test]
    fn a_signature_that_a_cached_key_disproves_never_causes_a_read() {
        let cache = KeyCache::default();
        let stored = published("first", None);
        request(&cache, &[token("first")], Some(&stored), NOW).expect("claims");
        for after in [1, 60, 10_000] {
            let tokens = [forged("forger", "first")];
            let outcome = request(&cache, &tokens, Some(&stored), NOW + after);
            assert_eq!(outcome.expect("claims"), (0, false), "{after}");
        }
    }

    #[test]
    fn forged_and_foreign_tokens_are_rejected_when_the_keys_are_read() {
        let stored = published("first", None);
        for rejected in [
            token("other"),
            forged("other", "first"),
            token_for(Purpose::Reset, "first"),
            token_for(Purpose::Confirmation, "first"),
            "no token".to_owned(),
        ] {
            let tokens = [rejected, token("first")];
            let outcome = request(&KeyCache::default(), &tokens, Some(&stored), NOW);
            assert_eq!(outcome.expect("claims"), (1, true), "{}", tokens[0]);
        }
    }

    #[test]
    fn a_key_that_is_no_longer_published_is_rejected_within_a_minute() {
        let cache = KeyCache::default();
        let tokens = [token("first")];
        let before = published("second", Some("first"));
        let after = published("third", Some("second"));
        assert_eq!(
            request(&cache, &tokens, Some(&before), NOW)
                .expect("claims")
                .0,
            1
        );
        assert_eq!(
            request(&cache, &tokens, Some(&after), NOW + 59)
                .expect("claims")
                .0,
            1
        );
        assert_eq!(
            request(&cache, &tokens, Some(&after), NOW + 60)
                .expect("claims")
                .0,
            0
        );
        let newer = [token("second"), token("third")];
        assert_eq!(
            request(&cache, &newer, Some(&after), NOW + 61)
                .expect("claims")
                .0,
            2
        );
    }

    #[test]
    fn a_new_key_is_known_to_every_verifier_before_it_signs() {
        let before = published("first", None);
        let now = NOW + 1000;
        let rotated = keys("second", Some("first"));
        let after = PublishedKeys::replacing(Some(&before), &rotated, now);
        let (id, _) = rotated.public_keys().next().expect("a key");
        let first_use = after.signs_from(id).expect("a published key");
        // The verifier read the keys in the last moment before the publication, by a clock that is
        // half a minute behind.
        let cache = KeyCache::default();
        request(&cache, &[token("first")], Some(&before), now + -30).expect("claims");
        let outcome = request(&cache, &[token("second")], Some(&after), first_use + -30);
        assert_eq!(outcome.expect("claims"), (1, true));
    }

    #[test]
    fn without_published_keys_a_token_that_may_be_genuine_is_not_rejected() {
        let cache = KeyCache::default();
        for _ in 0..2 {
            assert!(matches!(
                request(&cache, &[token("first")], None, NOW),
                Err(Error::Unavailable(_))
            ));
        }
        let outcome = request(&cache, &["no token".to_owned()], None, NOW);
        assert_eq!(outcome.expect("claims"), (0, false));
        // The first publication takes effect at once.
        let stored = published("first", None);
        let outcome = request(&cache, &[token("first")], Some(&stored), NOW);
        assert_eq!(outcome.expect("claims"), (1, true));
    }

    #[test]
    fn a_request_reads_the_items_of_at_most_forty_tokens() {
        let cache = KeyCache::default();
        let tokens: Vec<String> = (0..50).map(|_| token("first")).collect();
        let count = |now| match cache.candidates(Purpose::Session, &tokens, now) {
            Candidates::Verified(claims) => claims.len(),
            Candidates::Unverified(tokens) => tokens.len(),
        };
        assert_eq!(count(NOW), MAX_TOKENS);
        request(&cache, &tokens, Some(&published("first", None)), NOW).expect("claims");
        assert_eq!((count(NOW), count(NOW + 60)), (MAX_TOKENS, MAX_TOKENS));
    }
}

//! Sessions: their secrets, and the rules for when a session is live.

use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::{
    Error,
    domain::{
        token_id::TokenId,
        user::{State, Uid, User},
    },
    platform::{clock::Timestamp, random},
};

/// Maximum seconds between two records of the use of a session. Recording each use would cost a
/// write at every request.
const MAX_TOUCH_INTERVAL: i64 = 60;
/// Maximum lifetime of a session that is not remembered, in seconds: 12 hours.
const UNREMEMBERED_LIFETIME: i64 = 12 * 3600;
/// Consecutive wrong secrets that end a session.
pub const FAILURE_LIMIT: u32 = 10;

/// The timeouts of sessions (OWASP Session Management Cheat Sheet, session expiration).
#[derive(Clone, Copy, Debug)]
pub struct SessionLifetime {
    /// The idle timeout: seconds after the last use.
    pub idle: i64,
    /// The absolute timeout: seconds after the start, regardless of use.
    pub absolute: i64,
}

impl SessionLifetime {
    /// Seconds after a recorded use in which further uses are not recorded. A session may have been
    /// used until they have passed, so the idle timeout begins after them.
    const fn touch_interval(self) -> i64 {
        let tenth = self.idle / 10;
        if tenth < MAX_TOUCH_INTERVAL {
            tenth
        } else {
            MAX_TOUCH_INTERVAL
        }
    }

    /// The absolute timeout of a new session.
    fn absolute_if(self, remember: bool) -> i64 {
        if remember {
            self.absolute
        } else {
            self.absolute.min(UNREMEMBERED_LIFETIME)
        }
    }
}

/// Sessions of earlier versions are remembered.
const fn remembered() -> bool {
    true
}

/// The public id of a session: SHA-256 of the id of its token, after the time of the token. It is
/// part of the session's key in the Grants table, so that a query returns the newest sessions first,
/// and the session list returns it. Ids of sessions that earlier versions opened are the hash alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(String);

impl SessionId {
    /// The id of the session of a token.
    #[must_use]
    pub fn of(token_id: &TokenId) -> Self {
        let hash = random::sha256_hex(token_id.reveal());
        Self(match token_id.time() {
            // After a hash in the order of keys.
            Some(time) => format!("t{time}-{hash}"),
            None => hash,
        })
    }

    /// Parses an id that a client sends. `None` if no session can have it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hash = match text.strip_prefix('t') {
            None => text,
            Some(rest) => {
                let (time, hash) = rest.split_once('-')?;
                let is_time = time.len() == 13 && time.bytes().all(|byte| byte.is_ascii_digit());
                is_time.then_some(hash)?
            }
        };
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (hash.len() == 64 && hash.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A session as stored, with hashes of its secrets only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The uid of the user.
    pub uid: Uid,
    /// The public id.
    #[serde(rename = "id_hash")]
    pub id: SessionId,
    /// SHA-256 of the CSRF token.
    pub csrf_hash: String,
    /// The client address at the start of the session.
    pub user_ip: String,
    /// The client's `User-Agent` header at the start of the session.
    pub user_agent: String,
    /// The user's `session_epoch`, as read before the user was authenticated.
    pub epoch: u64,
    /// The start of the session.
    pub began_at: Timestamp,
    /// The time of the last recorded use.
    pub last_used_at: Timestamp,
    /// The absolute timeout, as configured at the start; see [`Session::ends_at`].
    pub expires_at: Timestamp,
    /// Whether browsers keep the session after they were closed. Sessions that are not remembered
    /// also end after 12 hours.
    #[serde(default = "remembered")]
    pub remember: bool,
    /// When the user last proved to know the password or to hold a passkey; `None` if that was when
    /// it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticated_at: Option<Timestamp>,
    /// Consecutive wrong passwords in the session.
    #[serde(default)]
    pub failures: u32,
    /// Consecutive wrong codes of the second factor in the session.
    #[serde(default)]
    pub code_failures: u32,
    /// Consecutive refused passkeys in the session.
    #[serde(default)]
    pub passkey_failures: u32,
    /// The calendar minute, since the Unix epoch, whose state-changing requests are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_minute: Option<i64>,
    /// State-changing requests in that minute.
    #[serde(default)]
    pub requests: u32,
}

/// A kind of secret that is verified in a session. Each has its own count: a right password must
/// not clear wrong codes, or its holder could guess codes without end, nor a code wrong passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionSecret {
    /// The password of the user.
    Password,
    /// A code of the second factor.
    Code,
    /// The signature of a passkey.
    Passkey,
}

impl Session {
    /// Wrong secrets of every kind, each since the last right one of its kind.
    #[must_use]
    pub const fn wrong_secrets(&self) -> u32 {
        self.failures
            .saturating_add(self.code_failures)
            .saturating_add(self.passkey_failures)
    }
}

/// The client that sent a request.
#[derive(Clone, Debug)]
pub struct Client {
    /// The client's IP address; empty if it is unknown.
    pub address: String,
    /// The `User-Agent` header.
    pub user_agent: String,
}

impl Client {
    /// The client network, for rate limits: the IPv4 address, or the /64 network of an IPv6
    /// address, because a client can choose among all addresses of its /64 network.
    #[must_use]
    pub fn network(&self) -> String {
        match self
            .address
            .parse::<IpAddr>()
            .map(|address| address.to_canonical())
        {
            Ok(IpAddr::V6(address)) => {
                Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).to_string()
            }
            _ => self.address.clone(),
        }
    }
}

/// A new session, with the secrets that only its client may know.
pub struct NewSession {
    /// The session to store.
    pub session: Session,
    /// The CSRF token. Only the response that opens the session contains it.
    pub csrf_token: String,
    /// The id of the session's token.
    pub token_id: TokenId,
}

impl NewSession {
    /// Begins a session of the user. Its secrets are always new, which prevents session fixation.
    #[must_use]
    pub fn begin<C>(
        user: &User<C>,
        client: Client,
        life: SessionLifetime,
        remember: bool,
        now: Timestamp,
    ) -> Self {
        let token_id = TokenId::generate_at(now);
        let csrf_token = random::identifier();
        let session = Session {
            uid: user.uid.clone(),
            id: SessionId::of(&token_id),
            csrf_hash: random::sha256_hex(&csrf_token),
            user_ip: client.address,
            user_agent: client.user_agent,
            epoch: user.session_epoch,
            began_at: now,
            last_used_at: now,
            expires_at: now + life.absolute_if(remember),
            remember,
            authenticated_at: None,
            failures: 0,
            code_failures: 0,
            passkey_failures: 0,
            requests_minute: None,
            requests: 0,
        };
        Self {
            session,
            csrf_token,
            token_id,
        }
    }
}

impl NewSession {
    /// A session that continues another one after a re-authentication: new secrets, the same end.
    #[must_use]
    pub fn renew(session: &Session, client: Client, now: Timestamp) -> Self {
        let token_id = TokenId::generate_at(now);
        let csrf_token = random::identifier();
        let session = Session {
            id: SessionId::of(&token_id),
            csrf_hash: random::sha256_hex(&csrf_token),
            user_ip: client.address,
            user_agent: client.user_agent,
            last_used_at: now,
            authenticated_at: Some(now),
            failures: 0,
            code_failures: 0,
            passkey_failures: 0,
            ..session.clone()
        };
        Self {
            session,
            csrf_token,
            token_id,
        }
    }
}

impl Session {
    /// Whether the user was authenticated within the last `time` seconds; always if `time` is 0.
    #[must_use]
    pub fn is_recently_authenticated(&self, time: i64, now: Timestamp) -> bool {
        time == 0 || now < self.authenticated_at.unwrap_or(self.began_at) + time
    }

    /// The epoch after the current one. Storing it in the user ends all sessions.
    ///
    /// # Errors
    /// [`Error::Internal`] if the epoch is `u64::MAX`.
    pub fn next_epoch(&self) -> Result<u64, Error> {
        self.epoch.checked_add(1).ok_or_else(|| {
            Error::internal("the epoch of a stored session cannot be incremented: it is u64::MAX")
        })
    }

    /// Whether the session is live: it belongs to the user and their current epoch, and neither
    /// timeout has passed.
    #[must_use]
    pub fn is_live<C>(&self, user: &User<C>, life: SessionLifetime, now: Timestamp) -> bool {
        self.epoch == user.session_epoch && self.is_unexpired(user, life, now)
    }

    /// Whether the session would be live if the account were still open: its epoch has passed, as
    /// after a ban or a deletion, and the account is neither active nor pending.
    #[must_use]
    pub fn ended_with_account<C>(
        &self,
        user: &User<C>,
        life: SessionLifetime,
        now: Timestamp,
    ) -> bool {
        let is_closed = !matches!(user.state, State::Active | State::Pending);
        is_closed && self.epoch < user.session_epoch && self.is_unexpired(user, life, now)
    }

    /// Whether the session belongs to the user and neither timeout has passed. The idle timeout is
    /// never early: it follows the last use that may not have been recorded.
    fn is_unexpired<C>(&self, user: &User<C>, life: SessionLifetime, now: Timestamp) -> bool {
        let idle_until = self.last_used_at + life.touch_interval() + life.idle;
        self.uid == user.uid && now < self.ends_at(life) && now < idle_until
    }

    /// The time at which the session ends, regardless of use. An absolute timeout that was reduced
    /// after the start applies.
    #[must_use]
    pub fn ends_at(&self, life: SessionLifetime) -> Timestamp {
        self.expires_at.min(self.began_at + life.absolute)
    }

    /// Whether a use at `now` must be recorded.
    #[must_use]
    pub fn needs_touch(&self, life: SessionLifetime, now: Timestamp) -> bool {
        now >= self.last_used_at + life.touch_interval()
    }

    /// Whether this is the CSRF token of the session.
    #[must_use]
    pub fn has_csrf_token(&self, csrf_token: &str) -> bool {
        // The comparison is of hashes, so its duration reveals nothing about the token.
        self.csrf_hash == random::sha256_hex(csrf_token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const LIFE: SessionLifetime = SessionLifetime {
        idle: 1800,
        absolute: 86_400,
    };

    #[test]
    fn ids_sort_by_time_after_those_of_earlier_versions() {
        let at = |seconds| SessionId::of(&TokenId::generate_at(NOW + seconds));
        let of_earlier_version = SessionId::of(&TokenId::from_text("a token id"));
        let ids = [of_earlier_version, at(0), at(1), at(100_000)];
        assert!(ids.is_sorted(), "{ids:?}");
        for id in &ids {
            assert_eq!(SessionId::parse(id.as_str()).as_ref(), Some(id));
        }
        let id = ids[1].as_str();
        for other in [
            "",
            "t",
            &id[1..],
            &id[..id.len() - 1],
            &id.replace('-', ""),
            &id.to_uppercase(),
            &format!("{id}0"),
            &format!("t{id}"),
            &ids[0].as_str()[1..],
        ] {
            assert_eq!(SessionId::parse(other), None, "{other}");
        }
    }

    fn user() -> User {
        serde_json::from_value(serde_json::json!({
            "uid": "ID0123456789", "email": "a@b.c", "password_hash": "x", "state": "active", "role": "member", "level": 0,
            "session_epoch": 3, "created_at": 0, "updated_at": 0,
        }))
        .expect("a user")
    }

    fn session() -> Session {
        NewSession::begin(
            &user(),
            Client {
                address: "192.0.2.1".to_owned(),
                user_agent: "test".to_owned(),
            },
            LIFE,
            true,
            NOW,
        )
        .session
    }

    #[test]
    fn a_session_that_is_not_remembered_lives_12_hours_at_most_and_stays_so() {
        let end = |absolute, remember| {
            let life = SessionLifetime { absolute, ..LIFE };
            let client = Client {
                address: String::new(),
                user_agent: String::new(),
            };
            let new = NewSession::begin(&user(), client.clone(), life, remember, NOW).session;
            let renewed = NewSession::renew(&new, client, NOW + 60).session;
            assert_eq!(renewed.remember, remember);
            assert_eq!(renewed.expires_at, new.expires_at);
            new.ends_at(life).seconds() - NOW.seconds()
        };
        assert_eq!(
            (end(7_776_000, true), end(7_776_000, false)),
            (7_776_000, 43_200)
        );
        assert_eq!((end(3600, true), end(3600, false)), (3600, 3600));
    }

    #[test]
    fn a_session_of_an_earlier_version_is_remembered() {
        let session = session();
        let mut stored = serde_json::to_value(&session).expect("JSON");
        stored
            .as_object_mut()
            .expect("an object")
            .remove("remember");
        let read: Session = serde_json::from_value(stored).expect("a session");
        assert_eq!(read, session);
    }

    #[test]
    fn a_session_is_live_until_its_idle_timeout() {
        assert!(session().is_live(&user(), LIFE, NOW));
        assert!(session().is_live(&user(), LIFE, NOW + 1859));
        assert!(!session().is_live(&user(), LIFE, NOW + 1860));
    }

    #[test]
    fn a_session_lives_for_its_idle_timeout_after_any_use() {
        for idle in [60, 61, 599, 600, 601, 1800, 80_000] {
            let life = SessionLifetime { idle, ..LIFE };
            for last_use in (0..=MAX_TOUCH_INTERVAL).map(|seconds| NOW + seconds) {
                if !session().needs_touch(life, last_use) {
                    assert!(session().is_live(&user(), life, last_use + idle), "{idle}");
                }
            }
        }
    }

    #[test]
    fn use_extends_the_idle_timeout_but_not_the_absolute_one() {
        let used = Session {
            last_used_at: NOW + 86_000,
            ..session()
        };
        assert!(used.is_live(&user(), LIFE, NOW + 86_399));
        assert!(!used.is_live(&user(), LIFE, NOW + 86_400));
    }

    #[test]
    fn reduced_timeouts_apply_to_existing_sessions() {
        let shorter = SessionLifetime {
            idle: 60,
            absolute: 120,
        };
        assert!(!session().is_live(&user(), shorter, NOW + 66));
        assert!(
            !Session {
                last_used_at: NOW + 100,
                ..session()
            }
            .is_live(&user(), shorter, NOW + 120)
        );
    }

    #[test]
    fn a_session_of_another_epoch_or_user_is_not_live() {
        assert!(!session().is_live(
            &User {
                session_epoch: 4,
                ..user()
            },
            LIFE,
            NOW
        ));
        assert!(!session().is_live(
            &User {
                uid: Uid::parse("ID9999999999").expect("a uid"),
                ..user()
            },
            LIFE,
            NOW
        ));
    }

    #[test]
    fn a_session_that_ended_with_its_account_is_recognised_until_it_expires() {
        let closed = |state, session_epoch| User {
            state,
            session_epoch,
            ..user()
        };
        let ended = |user: &User, now| session().ended_with_account(user, LIFE, now);
        for state in [State::Banned, State::Deleted, State::Other] {
            assert!(ended(&closed(state, 4), NOW + 1859));
            assert!(!ended(&closed(state, 4), NOW + 1860));
            assert!(!ended(&closed(state, 3), NOW), "it is still live");
        }
        for state in [State::Active, State::Pending] {
            assert!(!ended(&closed(state, 4), NOW));
        }
    }

    #[test]
    fn a_use_is_recorded_at_most_once_a_minute_and_ten_times_in_the_idle_timeout() {
        for (idle, interval) in [(60, 6), (300, 30), (600, 60), (7_776_000, 60)] {
            let life = SessionLifetime { idle, ..LIFE };
            assert!(!session().needs_touch(life, NOW + (interval - 1)), "{idle}");
            assert!(session().needs_touch(life, NOW + interval), "{idle}");
        }
    }

    #[test]
    fn a_client_network_is_an_ipv4_address_or_an_ipv6_network_of_64_bits() {
        let network = |address: &str| {
            Client {
                address: address.to_owned(),
                user_agent: String::new(),
            }
            .network()
        };
        assert_eq!(network("192.0.2.1"), "192.0.2.1");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(
            (network("::ffff:192.0.2.1").as_str(), network("").as_str()),
            ("::ffff:192.0.2.1", "")
        );
    }

    #[test]
    fn stored_numbers_at_the_limits_of_their_range_do_not_overflow() {
        let first = Timestamp::from_milliseconds(i64::MIN);
        let last = Timestamp::from_milliseconds(i64::MAX);
        for (began_at, last_used_at, expires_at) in [
            (first, first, first),
            (last, last, last),
            (first, last, last),
        ] {
            let session = Session {
                began_at,
                last_used_at,
                expires_at,
                epoch: u64::MAX,
                ..session()
            };
            assert!(!session.is_live(&user(), LIFE, NOW));
            let _ = (session.needs_touch(LIFE, NOW), session.ends_at(LIFE));
            assert!(
                session.next_epoch().is_err(),
                "otherwise an old session would be live again"
            );
        }
        assert_eq!(session().next_epoch().ok(), Some(4));
    }

    #[test]
    fn a_stored_session_contains_no_secret() {
        let new = NewSession::begin(
            &user(),
            Client {
                address: String::new(),
                user_agent: String::new(),
            },
            LIFE,
            true,
            NOW,
        );
        let stored = serde_json::to_string(&new.session).expect("JSON");
        assert!(!stored.contains(new.token_id.reveal()) && !stored.contains(&new.csrf_token));
    }
}

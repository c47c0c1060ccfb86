//! Sessions: when one is live, and the cookie that carries it.

use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::{
    Error,
    domain::{ip_network::is_near, user::User},
    platform::{clock::Timestamp, random},
};

/// Seconds after which the next use of a session is noted. Noting each would cost a write at every
/// request.
const TOUCH_INTERVAL: i64 = 60;

/// How long sessions live.
#[derive(Clone, Copy, Debug)]
pub struct SessionLifetime {
    /// Seconds after its last use until a session ends.
    pub idle: i64,
    /// Seconds after its beginning until a session ends, whatever.
    pub absolute: i64,
}

/// A session as stored. Neither its token nor its csrf token can be made from this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The user's uid.
    pub uid: String,
    /// SHA-256 of the session's id.
    pub id_hash: String,
    /// SHA-256 of the csrf token.
    pub csrf_hash: String,
    /// The client's address at sign-in.
    pub user_ip: String,
    /// The client's User-Agent at sign-in.
    pub user_agent: String,
    /// The user's `session_epoch` as it was when the password was checked.
    pub epoch: u64,
    /// When it began.
    pub began_at: Timestamp,
    /// When it was last used.
    pub last_used_at: Timestamp,
    /// When it ends, whatever.
    pub expires_at: Timestamp,
}

/// Where a session is begun from.
#[derive(Clone, Debug)]
pub struct Client {
    /// The address that API Gateway reports.
    pub address: String,
    /// The User-Agent header.
    pub user_agent: String,
}

impl Client {
    /// What the client's requests are counted by: its address; of an IPv6 address the first 64
    /// bits, which is what a client gets, the rest being its own to choose.
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

/// A session that has just begun, with what only its client may know.
pub struct NewSession {
    /// What is stored.
    pub session: Session,
    /// The csrf token, told once.
    pub csrf_token: String,
    id: String,
}

impl NewSession {
    /// Begins a session of the user, always with new secrets: nothing that the client presents is
    /// adopted.
    #[must_use]
    pub fn begin(user: &User, client: Client, life: SessionLifetime, now: Timestamp) -> Self {
        let id = random::identifier();
        let csrf_token = random::identifier();
        let session = Session {
            uid: user.uid.clone(),
            id_hash: random::sha256_hex(&id),
            csrf_hash: random::sha256_hex(&csrf_token),
            user_ip: client.address,
            user_agent: client.user_agent,
            epoch: user.session_epoch,
            began_at: now,
            last_used_at: now,
            expires_at: now + life.absolute,
        };
        Self {
            session,
            csrf_token,
            id,
        }
    }

    /// The secret id that the session's token carries.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

impl Session {
    /// The epoch that a change of the user begins, in which no other session is live.
    pub fn next_epoch(&self) -> Result<u64, Error> {
        self.epoch
            .checked_add(1)
            .ok_or_else(|| Error::internal("a stored session has the last epoch there is"))
    }

    /// Whether the session is live: begun in the user's current epoch, not left idle, not over.
    #[must_use]
    pub fn is_live(&self, user: &User, life: SessionLifetime, now: Timestamp) -> bool {
        let same_user = self.uid == user.uid && self.epoch == user.session_epoch;
        same_user && now < self.ends_at(life) && now < self.last_used_at + life.idle
    }

    /// When the session ends, whatever its use. A life that was made shorter since it began counts.
    #[must_use]
    pub fn ends_at(&self, life: SessionLifetime) -> Timestamp {
        self.expires_at.min(self.began_at + life.absolute)
    }

    /// Whether a use now is to be noted, so that the session does not idle out.
    #[must_use]
    pub fn is_to_be_touched(&self, now: Timestamp) -> bool {
        now >= self.last_used_at + TOUCH_INTERVAL
    }

    /// Whether the client is the one that signed in: the same User-Agent, at an address near the
    /// one it had.
    #[must_use]
    pub fn is_of(&self, client: &Client) -> bool {
        self.user_agent == client.user_agent && is_near(&self.user_ip, &client.address)
    }

    /// Whether this is the csrf token that was told when the session began.
    #[must_use]
    pub fn has_csrf_token(&self, csrf_token: &str) -> bool {
        // Hashes are compared, so the time that this takes tells nothing of the token.
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
            NOW,
        )
        .session
    }

    #[test]
    fn a_session_is_live_until_it_idles_out() {
        assert!(session().is_live(&user(), LIFE, NOW));
        assert!(session().is_live(&user(), LIFE, NOW + 1799));
        assert!(!session().is_live(&user(), LIFE, NOW + 1800));
    }

    #[test]
    fn use_moves_the_idle_end_on_but_not_the_absolute_one() {
        let used = Session {
            last_used_at: NOW + 86_000,
            ..session()
        };
        assert!(used.is_live(&user(), LIFE, NOW + 86_399));
        assert!(!used.is_live(&user(), LIFE, NOW + 86_400));
    }

    #[test]
    fn a_shorter_life_holds_for_sessions_begun_before() {
        let shorter = SessionLifetime {
            idle: 60,
            absolute: 120,
        };
        assert!(!session().is_live(&user(), shorter, NOW + 60));
        assert!(
            !Session {
                last_used_at: NOW + 100,
                ..session()
            }
            .is_live(&user(), shorter, NOW + 120)
        );
    }

    #[test]
    fn a_session_of_another_epoch_or_user_is_over() {
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
                uid: "ID9999999999".to_owned(),
                ..user()
            },
            LIFE,
            NOW
        ));
    }

    #[test]
    fn a_client_is_the_user_agent_that_signed_in_at_an_address_near_the_one_it_had() {
        let client = |address: &str, user_agent: &str| Client {
            address: address.to_owned(),
            user_agent: user_agent.to_owned(),
        };
        assert!(session().is_of(&client("192.0.200.1", "test")));
        assert!(!session().is_of(&client("192.1.2.1", "test")));
        assert!(!session().is_of(&client("192.0.2.1", "Test")));
    }

    #[test]
    fn a_use_is_noted_once_a_minute() {
        assert!(!session().is_to_be_touched(NOW + 59) && session().is_to_be_touched(NOW + 60));
    }

    #[test]
    fn requests_are_counted_by_address_or_by_the_network_of_an_ipv6_client() {
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
    fn stored_numbers_at_the_end_of_their_range_overflow_nothing() {
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
            let _ = (session.is_to_be_touched(NOW), session.ends_at(LIFE));
            assert!(
                session.next_epoch().is_err(),
                "or an old session would be live once more"
            );
        }
        assert_eq!(session().next_epoch().ok(), Some(4));
    }

    #[test]
    fn what_is_stored_holds_no_secret() {
        let new = NewSession::begin(
            &user(),
            Client {
                address: String::new(),
                user_agent: String::new(),
            },
            LIFE,
            NOW,
        );
        let stored = serde_json::to_string(&new.session).expect("JSON");
        assert!(!stored.contains(&new.id) && !stored.contains(&new.csrf_token));
    }
}

//! The binding of a session to the client that opened it.

use std::net::IpAddr;

use crate::domain::{
    ip_network::is_near,
    session::{Client, Session},
};

/// What the client of a session must keep for as long as the session lives. It makes a stolen token
/// harder to use, and is no proof: a thief can imitate all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionBinding {
    /// The `User-Agent` apart from its version numbers. The network may change.
    Agent,
    /// The whole `User-Agent`, and an address that [is near](is_near) the one at the start.
    Client,
    /// Nothing.
    None,
}

/// The result of comparing the client of a request with the one that opened the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientMatch {
    /// The client has what the binding requires.
    Same,
    /// The client lacks what the binding requires.
    Different,
    /// The binding requires an address, and the address of the client is unknown.
    Unknown,
}

impl SessionBinding {
    /// Compares the client of a request with the one that opened the session.
    #[must_use]
    pub fn compare(self, session: &Session, client: &Client) -> ClientMatch {
        let is_same = match self {
            Self::None => true,
            Self::Agent => {
                without_versions(&session.user_agent).eq(without_versions(&client.user_agent))
            }
            Self::Client => session.user_agent == client.user_agent,
        };
        match self {
            _ if !is_same => ClientMatch::Different,
            Self::Agent | Self::None => ClientMatch::Same,
            Self::Client if client.address.parse::<IpAddr>().is_err() => ClientMatch::Unknown,
            Self::Client if is_near(&session.user_ip, &client.address) => ClientMatch::Same,
            Self::Client => ClientMatch::Different,
        }
    }
}

/// Removes what an update of a browser or a system changes. macOS separates numbers by underscores.
fn without_versions(user_agent: &str) -> impl Iterator<Item = char> {
    user_agent
        .chars()
        .filter(|c| !c.is_ascii_digit() && !matches!(c, '.' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{
            session::{NewSession, SessionLifetime},
            user::User,
        },
        platform::clock::Timestamp,
    };

    const BROWSER: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Chrome/99.0.4844.51";

    fn client(address: &str, user_agent: &str) -> Client {
        Client {
            address: address.to_owned(),
            user_agent: user_agent.to_owned(),
        }
    }

    fn compare(binding: SessionBinding, address: &str, user_agent: &str) -> ClientMatch {
        let user: User = serde_json::from_value(serde_json::json!({
            "uid": "ID0123456789", "email": "a@b.c", "password_hash": "x", "state": "active", "role": "member", "level": 0,
            "session_epoch": 3, "created_at": 0, "updated_at": 0,
        }))
        .expect("a user");
        let life = SessionLifetime {
            idle: 1800,
            absolute: 86_400,
        };
        let now = Timestamp::from_seconds(1_800_000_000);
        let session =
            NewSession::begin(&user, client("192.0.2.1", BROWSER), life, true, now).session;
        binding.compare(&session, &client(address, user_agent))
    }

    #[test]
    fn an_agent_is_the_same_after_an_update_and_in_any_network() {
        let updated = "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_0) Chrome/100.0.1.2";
        for (address, user_agent, expected) in [
            ("192.0.2.1", BROWSER, ClientMatch::Same),
            ("2001:db8::1", updated, ClientMatch::Same),
            ("", updated, ClientMatch::Same),
            ("192.0.2.1", "curl/8.0", ClientMatch::Different),
            ("192.0.2.1", &BROWSER.to_lowercase(), ClientMatch::Different),
            ("192.0.2.1", "", ClientMatch::Different),
        ] {
            assert_eq!(
                compare(SessionBinding::Agent, address, user_agent),
                expected,
                "{address} {user_agent}"
            );
        }
    }

    #[test]
    fn a_client_keeps_its_user_agent_and_its_network() {
        for (address, user_agent, expected) in [
            ("192.0.200.1", BROWSER, ClientMatch::Same),
            ("192.1.2.1", BROWSER, ClientMatch::Different),
            ("192.0.2.1", "curl/8.0", ClientMatch::Different),
            (
                "192.0.2.1",
                &BROWSER.replace("99", "100"),
                ClientMatch::Different,
            ),
            ("", BROWSER, ClientMatch::Unknown),
            ("unknown", BROWSER, ClientMatch::Unknown),
            ("", "curl/8.0", ClientMatch::Different),
        ] {
            assert_eq!(
                compare(SessionBinding::Client, address, user_agent),
                expected,
                "{address} {user_agent}"
            );
        }
    }

    #[test]
    fn without_a_binding_every_client_is_the_same() {
        assert_eq!(
            compare(SessionBinding::None, "", "curl/8.0"),
            ClientMatch::Same
        );
    }
}

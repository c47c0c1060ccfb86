//! The session tokens that a request presents.

use std::slice;

use lambda_http::http::{HeaderMap, header::AUTHORIZATION};

use super::cookies::cookie_values;
use crate::{
    Error,
    domain::{
        session::Session,
        user::{CredentialAccess, User},
    },
    platform::clock::Timestamp,
    store::Store,
    tokens::{
        key_cache::{Candidates, KeyCache},
        signed_token::Purpose,
    },
};

/// The unverified session tokens of a request, and the header that carried them.
pub enum Credential {
    /// From `Authorization: Bearer` (RFC 6750, section 2.1). Other sites cannot make a browser send
    /// it, so it requires no CSRF token.
    Bearer(String),
    /// From one or more session cookies (RFC 6265), which other sites can make a browser send. A
    /// browser sends several if they were set for different paths or domains.
    Cookies(Vec<String>),
}

impl Credential {
    /// The credential in the headers of a request. Cookies are ignored if there is a bearer token.
    #[must_use]
    pub fn of(headers: &HeaderMap, cookie_name: &str) -> Option<Self> {
        if let Some(token) = bearer(headers) {
            return Some(Self::Bearer(token));
        }
        let tokens: Vec<String> = cookie_values(headers, cookie_name)
            .filter(|value| !value.is_empty())
            .collect();
        (!tokens.is_empty()).then_some(Self::Cookies(tokens))
    }

    /// The tokens, in the order of the request. None is empty.
    #[must_use]
    pub const fn tokens(&self) -> &[String] {
        match self {
            Self::Bearer(token) => slice::from_ref(token),
            Self::Cookies(tokens) => tokens.as_slice(),
        }
    }

    /// The stored sessions of the genuine, unexpired tokens, each with its user. A session may have
    /// ended (see [`Session::is_live`]). All sessions are read in one round trip. The signatures are
    /// verified before it; once a minute after it, because it reads the published keys too.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the sessions cannot be read, or if no keys are published.
    pub async fn sessions<C: CredentialAccess>(
        &self,
        keys: &KeyCache,
        store: &Store,
        now: Timestamp,
    ) -> Result<Vec<(Session, User<C>)>, Error> {
        match keys.candidates(Purpose::Session, self.tokens(), now) {
            Candidates::Verified(claims) => store.find_sessions(&claims, now).await,
            Candidates::Unverified(tokens) => {
                store.find_sessions_and_keys(&tokens, keys, now).await
            }
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?;
    let text = String::from_utf8_lossy(value.as_bytes());
    let (scheme, token) = text.trim().split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use lambda_http::http::HeaderValue;

    use super::*;

    fn tokens(headers: &[(&'static str, &str)]) -> Vec<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value");
            map.append(*name, value);
        }
        Credential::of(&map, "_barong_session")
            .map(|credential| credential.tokens().to_vec())
            .unwrap_or_default()
    }

    #[test]
    fn the_token_is_read_from_the_cookie_or_the_authorization_header() {
        for headers in [
            [("cookie", "a=b; _barong_session=token; c=d")],
            [("authorization", "Bearer token")],
            [("authorization", "bEARER   token ")],
        ] {
            assert_eq!(tokens(&headers), ["token"], "{headers:?}");
        }
        assert_eq!(
            tokens(&[("cookie", "_barong_session=token==")]),
            ["token=="]
        );
    }

    #[test]
    fn every_cookie_of_the_session_name_is_considered() {
        assert_eq!(
            tokens(&[
                ("cookie", "_barong_session=one; city=Köln; _barong_session="),
                ("cookie", "_barong_session=two"),
            ]),
            ["one", "two"]
        );
    }

    #[test]
    fn a_bearer_token_is_considered_alone() {
        for bearer in ["bearer", "tök"] {
            assert_eq!(
                tokens(&[
                    ("cookie", "_barong_session=cookie"),
                    ("authorization", &format!("Bearer {bearer}"))
                ]),
                [bearer]
            );
        }
    }

    #[test]
    fn other_schemes_and_other_cookies_are_ignored() {
        for headers in [
            &[("authorization", "Basic dXNlcjpwYXNz")][..],
            &[("authorization", "Bearer")],
            &[("authorization", "token")],
            &[("cookie", "_barong_session2=x; x_barong_session=y")],
            &[("cookie", "_barong_session=")],
            &[("cookie", "_barong_session")],
            &[],
        ] {
            assert!(tokens(headers).is_empty(), "{headers:?}");
        }
        assert_eq!(
            tokens(&[
                ("authorization", "Basic eDp5"),
                ("cookie", "_barong_session=token")
            ]),
            ["token"]
        );
    }
}

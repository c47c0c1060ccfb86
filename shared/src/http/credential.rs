//! The session that a request presents.

use lambda_http::http::{
    HeaderMap,
    header::{AUTHORIZATION, COOKIE},
};

/// A session's token, and how it came.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// By the header `Authorization` (RFC 6750), which no other site can make a browser send.
    Bearer(&'a str),
    /// By the session cookie (RFC 6265), which browsers add by themselves.
    Cookie(&'a str),
}

impl<'a> Credential<'a> {
    /// What a request presents. Where both come, the bearer counts.
    #[must_use]
    pub fn of(headers: &'a HeaderMap, cookie_name: &str) -> Option<Self> {
        let bearer = bearer(headers).map(Self::Bearer);
        bearer
            .or_else(|| cookie(headers, cookie_name).map(Self::Cookie))
            .filter(|presented| !presented.token().is_empty())
    }

    /// The token.
    #[must_use]
    pub const fn token(self) -> &'a str {
        match self {
            Self::Bearer(token) | Self::Cookie(token) => token,
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(AUTHORIZATION)?
        .to_str()
        .ok()?
        .trim()
        .split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers
        .get_all(COOKIE)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    let mut values = pairs
        .filter_map(|pair| pair.split_once('='))
        .filter(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim());
    values.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presented(headers: &[(&'static str, &str)]) -> Option<String> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (
                    name.parse().expect("a name"),
                    value.parse().expect("a value"),
                )
            })
            .collect();
        Credential::of(&headers, "_barong_session").map(|presented| presented.token().to_owned())
    }

    #[test]
    fn the_session_is_the_cookie_or_the_bearer() {
        assert_eq!(
            presented(&[("cookie", "a=b; _barong_session=token; c=d")]).as_deref(),
            Some("token")
        );
        assert_eq!(
            presented(&[("cookie", "_barong_session=token==")]).as_deref(),
            Some("token==")
        );
        assert_eq!(
            presented(&[("authorization", "Bearer token")]).as_deref(),
            Some("token")
        );
        assert_eq!(
            presented(&[("authorization", "bEARER   token ")]).as_deref(),
            Some("token")
        );
    }

    #[test]
    fn where_both_come_the_bearer_counts() {
        assert_eq!(
            presented(&[
                ("cookie", "_barong_session=cookie"),
                ("authorization", "Bearer bearer")
            ])
            .as_deref(),
            Some("bearer")
        );
    }

    #[test]
    fn other_schemes_and_other_cookies_present_nothing() {
        for headers in [
            &[("authorization", "Basic dXNlcjpwYXNz")][..],
            &[("authorization", "Bearer")],
            &[("authorization", "token")],
            &[("cookie", "_barong_session2=x; x_barong_session=y")],
            &[("cookie", "_barong_session=")],
            &[("cookie", "_barong_session")],
            &[],
        ] {
            assert_eq!(presented(headers), None, "{headers:?}");
        }
        assert_eq!(
            presented(&[
                ("authorization", "Basic eDp5"),
                ("cookie", "_barong_session=token")
            ])
            .as_deref(),
            Some("token")
        );
    }
}

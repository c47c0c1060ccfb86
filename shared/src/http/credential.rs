//! The session token that a request presents.

use lambda_http::http::{
    HeaderMap,
    header::{AUTHORIZATION, COOKIE},
};

/// A session token and the header that carried it.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// From `Authorization: Bearer` (RFC 6750, section 2.1). Other sites cannot make a browser send
    /// it, so it requires no csrf token.
    Bearer(&'a str),
    /// From the session cookie (RFC 6265), which browsers also send with requests of other sites.
    Cookie(&'a str),
}

impl<'a> Credential<'a> {
    /// The credential in the headers of a request. A bearer token has precedence over a cookie.
    #[must_use]
    pub fn of(headers: &'a HeaderMap, cookie_name: &str) -> Option<Self> {
        let bearer = bearer(headers).map(Self::Bearer);
        bearer
            .or_else(|| cookie(headers, cookie_name).map(Self::Cookie))
            .filter(|credential| !credential.token().is_empty())
    }

    /// The session token, not verified.
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

    fn token(headers: &[(&'static str, &str)]) -> Option<String> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (
                    name.parse().expect("a name"),
                    value.parse().expect("a value"),
                )
            })
            .collect();
        Credential::of(&headers, "_barong_session").map(|credential| credential.token().to_owned())
    }

    #[test]
    fn the_token_is_read_from_the_cookie_or_the_authorization_header() {
        assert_eq!(
            token(&[("cookie", "a=b; _barong_session=token; c=d")]).as_deref(),
            Some("token")
        );
        assert_eq!(
            token(&[("cookie", "_barong_session=token==")]).as_deref(),
            Some("token==")
        );
        assert_eq!(
            token(&[("authorization", "Bearer token")]).as_deref(),
            Some("token")
        );
        assert_eq!(
            token(&[("authorization", "bEARER   token ")]).as_deref(),
            Some("token")
        );
    }

    #[test]
    fn a_bearer_token_has_precedence_over_a_cookie() {
        assert_eq!(
            token(&[
                ("cookie", "_barong_session=cookie"),
                ("authorization", "Bearer bearer")
            ])
            .as_deref(),
            Some("bearer")
        );
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
            assert_eq!(token(headers), None, "{headers:?}");
        }
        assert_eq!(
            token(&[
                ("authorization", "Basic eDp5"),
                ("cookie", "_barong_session=token")
            ])
            .as_deref(),
            Some("token")
        );
    }
}

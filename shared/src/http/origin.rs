//! Protection of operations that set a cookie without a CSRF token from requests that another site
//! makes a browser send (login CSRF: OWASP Cross-Site Request Forgery Prevention Cheat Sheet).

use std::net::IpAddr;

use lambda_http::{
    Request,
    http::{HeaderMap, HeaderValue, header::ORIGIN, uri::Authority},
};

use crate::{
    Error,
    platform::telemetry::metrics::{self, SecurityEvent},
};

/// How a browser relates the page that causes a request to its target (W3C Fetch Metadata).
const FETCH_SITE: &str = "sec-fetch-site";

/// The domain name under which API Gateway received a request, with a port if it is not the default
/// one. An extension of the request.
#[derive(Clone)]
pub(super) struct ApiDomain(pub(super) Option<String>);

/// The URL of the API under which this request was received, without a path; `None` if it is
/// unknown.
#[must_use]
pub fn api_url(request: &Request) -> Option<String> {
    let ApiDomain(domain) = request.extensions().get()?;
    own_origin(domain.as_deref()?)
}

/// Refuses requests that a page of another site makes a browser send.
pub struct OriginCheck {
    allowed: Vec<String>,
}

impl OriginCheck {
    /// Allows the pages of these origins, besides those of the API's own origin.
    #[must_use]
    pub const fn new(allowed: Vec<String>) -> Self {
        Self { allowed }
    }

    /// Checks a request, before anything else about it. Clients other than browsers send neither
    /// header, and are not affected.
    ///
    /// # Errors
    /// [`Error::CrossSiteRequest`] if a page of another site caused the request.
    pub fn check(&self, request: &Request) -> Result<(), Error> {
        let own = api_url(request);
        if is_cross_site(request.headers(), own.as_deref(), &self.allowed) {
            metrics::security_event(SecurityEvent::CrossSite);
            return Err(Error::CrossSiteRequest);
        }
        Ok(())
    }
}

fn is_cross_site(headers: &HeaderMap, own: Option<&str>, allowed: &[String]) -> bool {
    let site = headers.get(FETCH_SITE).map(HeaderValue::as_bytes);
    if matches!(site, Some(b"same-origin" | b"none")) {
        return false;
    }
    let is_allowed = |origin: &[u8]| {
        allowed
            .iter()
            .map(String::as_str)
            .chain(own)
            .any(|known| origin.eq_ignore_ascii_case(known.as_bytes()))
    };
    let mut origins = headers.get_all(ORIGIN).iter().peekable();
    if origins.peek().is_some() {
        return !origins.all(|origin| is_allowed(origin.as_bytes()));
    }
    site == Some(b"cross-site")
}

/// The origin of the API's own pages. API Gateway serves https under a DNS name; under an IP
/// address or `localhost` only the development stack is reached, over http.
fn own_origin(domain: &str) -> Option<String> {
    let authority: Authority = domain.parse().ok()?;
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_local =
        address.parse::<IpAddr>().is_ok() || host == "localhost" || host.ends_with(".localhost");
    let scheme = if is_local { "http" } else { "https" };
    Some(format!("{scheme}://{domain}"))
}

#[cfg(test)]
mod tests {
    use lambda_http::http::HeaderName;

    use super::*;

    fn is_refused(headers: &[(&'static str, &'static str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        let allowed = ["https://app.example".to_owned()];
        is_cross_site(&map, Some("https://api.example"), &allowed)
    }

    #[test]
    fn a_request_of_the_same_origin_or_of_the_user_is_accepted() {
        for site in ["same-origin", "none"] {
            assert!(!is_refused(&[("sec-fetch-site", site)]));
            let with_origin = [("sec-fetch-site", site), ("origin", "https://evil.example")];
            assert!(!is_refused(&with_origin));
        }
    }

    #[test]
    fn an_origin_must_be_allowed_or_that_of_the_api() {
        for origin in [
            "https://app.example",
            "https://api.example",
            "https://APP.example",
        ] {
            assert!(!is_refused(&[("origin", origin)]), "{origin}");
            for site in ["same-site", "cross-site", "other"] {
                assert!(!is_refused(&[("origin", origin), ("sec-fetch-site", site)]));
            }
        }
        for origin in [
            "null",
            "",
            "*",
            "https://evil.example",
            "http://app.example",
            "https://app.example:8443",
            "https://app.example.evil.example",
            "https://app.example, https://evil.example",
        ] {
            assert!(is_refused(&[("origin", origin)]), "{origin}");
            for site in ["same-site", "cross-site", "other"] {
                assert!(is_refused(&[("origin", origin), ("sec-fetch-site", site)]));
            }
        }
        let two = [
            ("origin", "https://app.example"),
            ("origin", "https://evil.example"),
        ];
        assert!(is_refused(&two));
    }

    #[test]
    fn without_an_origin_only_a_cross_site_request_is_refused() {
        assert!(is_refused(&[("sec-fetch-site", "cross-site")]));
        assert!(!is_refused(&[("sec-fetch-site", "same-site")]));
        assert!(!is_refused(&[]));
    }

    #[test]
    fn the_own_origin_is_https_except_on_the_development_stack() {
        for (domain, origin) in [
            ("api.example", "https://api.example"),
            ("localhost.example", "https://localhost.example"),
            ("localhost:3000", "http://localhost:3000"),
            ("id.localhost:3000", "http://id.localhost:3000"),
            ("127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("[::1]:3000", "http://[::1]:3000"),
        ] {
            assert_eq!(own_origin(domain).as_deref(), Some(origin));
        }
        assert_eq!(own_origin("a b"), None);
        assert_eq!(own_origin(""), None);
    }
}

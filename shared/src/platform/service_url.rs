//! URLs of services outside AWS.

use lambda_http::http::Uri;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Where a service is: an https URL, or an http one of this machine. It has no query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceUrl(String);

impl ServiceUrl {
    /// Reads what an operator wrote, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        const PROBLEM: &str =
            "is not a URL as https://example.com/path (http only for localhost), without a query";
        let uri: Uri = text.parse().map_err(|_| PROBLEM)?;
        let (scheme, host) = uri.scheme_str().zip(uri.host()).ok_or(PROBLEM)?;
        let safe = !text.contains(['?', '#', '@', '\\']) && is_confidential(scheme, host);
        if safe {
            Ok(Self(text.to_owned()))
        } else {
            Err(PROBLEM.to_owned())
        }
    }

    /// The URL as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is below it.
    #[must_use]
    pub fn join(&self, rest: &str) -> Self {
        Self(format!("{}/{rest}", self.0.trim_end_matches('/')))
    }

    /// It, with a query.
    #[must_use]
    pub fn with_query(&self, fields: &[(&str, &str)]) -> Self {
        Self(format!("{}?{}", self.0, form(fields)))
    }
}

/// <https://url.spec.whatwg.org/#urlencoded-serializing>, but that more is encoded than need be.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    fields
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}

/// Whether what is sent there stays secret: it is encrypted, or does not leave this machine.
#[must_use]
pub fn is_confidential(scheme: &str, host: &str) -> bool {
    !host.is_empty()
        && (scheme == "https"
            || (scheme == "http" && ["localhost", "127.0.0.1", "[::1]"].contains(&host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_reached_by_https_or_on_this_machine() {
        for good in [
            "https://example.com",
            "https://example.com:8443/a/b/",
            "http://localhost:1/a",
            "http://127.0.0.1",
            "http://[::1]:80/",
        ] {
            assert!(ServiceUrl::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/path",
            "example.com",
            "http://example.com",
            "http://localhost.example.com",
            "ftp://example.com",
            "https://",
            "https://user@example.com",
            "https://example.com/?a=b",
            "https://example.com/#a",
            "https://exam ple.com",
            "https://example.com\n",
        ] {
            assert!(ServiceUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_url_goes_on_after_one_slash_and_values_are_encoded() {
        for base in ["https://example.com/range/", "https://example.com/range"] {
            let url = ServiceUrl::parse(base)
                .expect("a URL")
                .join("ABCDE")
                .with_query(&[("a", "b&c d"), ("e", "ä+")]);
            assert_eq!(
                url.0,
                "https://example.com/range/ABCDE?a=b%26c%20d&e=%C3%A4%2B"
            );
        }
    }
}

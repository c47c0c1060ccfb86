//! URLs of services outside AWS.

use lambda_http::http::Uri;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// The URL of a service: https, or http on this machine, without credentials, query and fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceUrl(String);

impl ServiceUrl {
    /// Parses the value of a setting.
    ///
    /// # Errors
    /// What is wrong, as the end of a sentence that begins with the name of the setting.
    pub fn parse(text: &str) -> Result<Self, String> {
        const PROBLEM: &str = "is not an https URL (http only for localhost) without a query";
        let uri: Uri = text.parse().map_err(|_| PROBLEM)?;
        let (scheme, host) = uri.scheme_str().zip(uri.host()).ok_or(PROBLEM)?;
        let is_valid = !text.contains(['?', '#', '@', '\\']) && is_confidential(scheme, host);
        if is_valid {
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

    /// The URL with another path segment, after exactly one slash.
    #[must_use]
    pub fn join(&self, segment: &str) -> Self {
        Self(format!("{}/{segment}", self.0.trim_end_matches('/')))
    }

    /// The URL with these fields as its query.
    #[must_use]
    pub fn with_query(&self, fields: &[(&str, &str)]) -> Self {
        Self(format!("{}?{}", self.0, form(fields)))
    }
}

/// Serializes fields as `application/x-www-form-urlencoded`. Encodes more characters than
/// <https://url.spec.whatwg.org/#urlencoded-serializing> requires.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    fields
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}

/// Whether data sent to a host stays confidential: it is encrypted or does not leave this machine.
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
    fn a_service_url_is_https_or_on_this_machine() {
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
    fn a_url_is_joined_with_one_slash_and_query_values_are_encoded() {
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

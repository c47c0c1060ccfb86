//! Breached passwords, looked up at Have I Been Pwned or a copy of it (NIST SP 800-63B, section
//! 5.1.1.2).
//!
//! <https://haveibeenpwned.com/API/v3#SearchingPwnedPasswordsByRange>

use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use data_encoding::HEXUPPER;
use zeroize::Zeroizing;

use crate::{
    domain::{
        email_address::EmailAddress,
        password::{Password, PasswordFault, PasswordPolicy},
    },
    platform::{http_client::HttpClient, service_url::ServiceUrl, telemetry::metrics},
};

/// Timeout of a lookup. If the service does not answer in time, the password is accepted, because
/// the rule and the minimum strength still apply.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum size of a response, in bytes. A response has about 80 KiB.
const MAX_RESPONSE_SIZE: usize = 512 * 1024;
/// Hexadecimal digits of the hash that are sent to the service. Every prefix of five digits is
/// shared by more than a thousand known hashes, so it does not identify the password.
const PREFIX: usize = 5;
/// Requests padding with made-up entries, so that the length of the response does not reveal the
/// prefix.
const PADDING: (&str, &str) = ("add-padding", "true");

/// The checks of a new password: first the policy, then the lookup of breached passwords.
pub struct PasswordCheck {
    policy: PasswordPolicy,
    breached: BreachedPasswords,
}

impl PasswordCheck {
    /// Combines a policy and a lookup.
    #[must_use]
    pub const fn new(policy: PasswordPolicy, breached: BreachedPasswords) -> Self {
        Self { policy, breached }
    }

    /// Checks a new password of the user with this address; `None` if the address is invalid. Only a
    /// password that the policy accepts is looked up.
    pub async fn accept(
        &self,
        password: &Password,
        address: Option<&EmailAddress>,
    ) -> Result<(), PasswordFault> {
        self.policy.check(password, address)?;
        if self.breached.contains(password).await {
            Err(PasswordFault::Breached)
        } else {
            Ok(())
        }
    }
}

/// The lookup of breached passwords; `None` if it is off.
pub struct BreachedPasswords(Option<Service>);

struct Service {
    http_client: HttpClient,
    url: ServiceUrl,
}

impl BreachedPasswords {
    /// A lookup at this base URL. Without a URL, no password is known.
    #[must_use]
    pub fn new(url: Option<ServiceUrl>) -> Self {
        Self(url.map(|url| Service {
            http_client: HttpClient::new(TIMEOUT, MAX_RESPONSE_SIZE),
            url,
        }))
    }

    /// Whether the password is known from a breach; `false` if the service does not answer. Only
    /// the prefix of the hash is sent, and nothing of the password or its hash is logged.
    pub async fn contains(&self, password: &Password) -> bool {
        let Some(Service { http_client, url }) = &self.0 else {
            return false;
        };
        let hash = hash(password.reveal());
        let (prefix, suffix) = hash.split_at(PREFIX);
        let cause = match http_client.get(&url.join(prefix), Some(PADDING)).await {
            Ok(response) => match contains(&response, suffix) {
                Some(known) => return known,
                None => "the response has an unexpected format".to_owned(),
            },
            Err(error) => error.to_string(),
        };
        metrics::breached_passwords_unavailable();
        tracing::warn!(
            event = "breached_passwords_unavailable",
            cause,
            "the password was accepted without a lookup of breached passwords"
        );
        false
    }
}

fn hash(password: &str) -> Zeroizing<String> {
    Zeroizing::new(HEXUPPER.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes()).as_ref()))
}

/// Whether a list of `<suffix of a hash>:<count>` contains the suffix. Padding entries have the
/// count 0 and are ignored. Returns `None` if the text is not such a list.
fn contains(list: &str, suffix: &str) -> Option<bool> {
    let mut found = false;
    for line in list.lines().filter(|line| !line.is_empty()) {
        let (entry, count) = line.split_once(':')?;
        let count: u64 = count.trim().parse().ok()?;
        if entry.len() != suffix.len() {
            return None;
        }
        found |= count > 0 && entry.eq_ignore_ascii_case(suffix);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The SHA-1 of "password" is 5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8.
    const SUFFIX: &str = "1E4C9B93F3F0682250B6CF8331B7EE68FD8";

    #[test]
    fn a_hash_is_sha_1_in_upper_case_hexadecimal_digits() {
        assert_eq!(*hash("password"), format!("5BAA6{SUFFIX}"));
    }

    #[test]
    fn a_password_is_known_if_its_hash_is_listed_with_a_positive_count() {
        let other = "0018A45C4D1DEF81644B54AB7F969B88D65:3";
        for (list, known) in [
            (format!("{other}\r\n{SUFFIX}:52256179\r\n"), true),
            (format!("{SUFFIX}:1"), true),
            (format!("{}:1\n{other}", SUFFIX.to_lowercase()), true),
            (format!("{other}\r\n{SUFFIX}:0\r\n"), false),
            (other.to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(contains(&list, SUFFIX), Some(known), "{list}");
        }
    }

    #[test]
    fn a_text_that_is_not_a_list_is_not_evaluated() {
        for list in [
            "<html>",
            "a:b",
            "{\"a\": 1}",
            "1E4C9:1",
            &format!("{SUFFIX}:1\nmore"),
            &format!("{SUFFIX}:many"),
        ] {
            assert_eq!(contains(list, SUFFIX), None, "{list}");
        }
    }
}

//! Whether a password is known from a breach of another service, asked at Have I Been Pwned or a
//! copy of it:
//! <https://haveibeenpwned.com/API/v3#SearchingPwnedPasswordsByRange>

use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use data_encoding::HEXUPPER;
use zeroize::Zeroizing;

use crate::{
    domain::password::{Password, PasswordFault, PasswordPolicy},
    platform::{http_client::HttpClient, service_url::ServiceUrl, telemetry::metrics},
};

/// Nobody waits longer for it. Where it does not answer, passwords pass: the rule and the strength
/// still hold.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes of an answer at the most; there are some 80 KiB in one.
const ANSWER_LIMIT: usize = 512 * 1024;
/// Characters of a hash that the service gets to see. More than a thousand known hashes begin with
/// any five.
const PREFIX: usize = 5;
/// Has the service add made-up entries, so that the length of an answer does not tell which one it
/// is.
const PADDING: (&str, &str) = ("add-padding", "true");

/// Which new passwords are accepted: by the policy first, and only what it accepts is looked up
/// elsewhere.
pub struct PasswordCheck {
    policy: PasswordPolicy,
    breached: BreachedPasswords,
}

impl PasswordCheck {
    /// A check by a policy and a list of breached passwords.
    #[must_use]
    pub const fn new(policy: PasswordPolicy, breached: BreachedPasswords) -> Self {
        Self { policy, breached }
    }

    /// Accepts a new password or returns its fault.
    pub async fn accept(&self, password: &Password) -> Result<(), PasswordFault> {
        self.policy.check(password)?;
        if self.breached.contains(password).await {
            Err(PasswordFault::Breached)
        } else {
            Ok(())
        }
    }
}

/// Knows passwords; where it is off, none.
pub struct BreachedPasswords(Option<Service>);

struct Service {
    outbound: HttpClient,
    url: ServiceUrl,
}

impl BreachedPasswords {
    /// Asks at a URL; without one every password passes.
    #[must_use]
    pub fn new(url: Option<ServiceUrl>) -> Self {
        Self(url.map(|url| Service {
            outbound: HttpClient::new(TIMEOUT, ANSWER_LIMIT),
            url,
        }))
    }

    /// Whether the password is known. No more than a piece of its hash is sent, and none of it is
    /// logged.
    pub async fn contains(&self, password: &Password) -> bool {
        let Some(Service { outbound, url }) = &self.0 else {
            return false;
        };
        let hash = hash(password.reveal());
        let (prefix, suffix) = hash.split_at(PREFIX);
        let cause = match outbound.get(&url.join(prefix), Some(PADDING)).await {
            Ok(answer) => match holds(&answer, suffix) {
                Some(known) => return known,
                None => "an answer that is not understood".to_owned(),
            },
            Err(error) => error.to_string(),
        };
        metrics::breached_passwords_unavailable();
        tracing::warn!(
            event = "breached_passwords_unavailable",
            cause,
            "a password was accepted without asking whether it is known"
        );
        false
    }
}

fn hash(password: &str) -> Zeroizing<String> {
    Zeroizing::new(HEXUPPER.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes()).as_ref()))
}

/// Whether a list of `<rest of a hash>:<count>` holds the rest of a hash; entries that were made up
/// count nothing. `None` where it is no such list.
fn holds(list: &str, suffix: &str) -> Option<bool> {
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

    // SHA-1 of "password" is 5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8.
    const SUFFIX: &str = "1E4C9B93F3F0682250B6CF8331B7EE68FD8";

    #[test]
    fn a_hash_is_sha_1_in_upper_case() {
        assert_eq!(*hash("password"), format!("5BAA6{SUFFIX}"));
    }

    #[test]
    fn a_password_is_known_whose_hash_is_listed_with_a_count() {
        let other = "0018A45C4D1DEF81644B54AB7F969B88D65:3";
        for (list, known) in [
            (format!("{other}\r\n{SUFFIX}:52256179\r\n"), true),
            (format!("{SUFFIX}:1"), true),
            (format!("{}:1\n{other}", SUFFIX.to_lowercase()), true),
            (format!("{other}\r\n{SUFFIX}:0\r\n"), false),
            (other.to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(holds(&list, SUFFIX), Some(known), "{list}");
        }
    }

    #[test]
    fn what_is_no_list_says_nothing() {
        for list in [
            "<html>",
            "a:b",
            "{\"a\": 1}",
            "1E4C9:1",
            &format!("{SUFFIX}:1\nmore"),
            &format!("{SUFFIX}:many"),
        ] {
            assert_eq!(holds(list, SUFFIX), None, "{list}");
        }
    }
}

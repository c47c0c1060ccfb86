//! Device cookies (OWASP, "Slow Down Online Guessing Attacks with Device Cookies").
//!
//! A browser in which a user signed in, or set the password, holds a signed token that names a
//! device of the account. Failed attempts with the token are counted on the device, so failures of
//! strangers do not delay the user in this browser. The token does not authenticate.

use std::cmp::Reverse;

use crate::{
    domain::{
        email_address::{AccountKey, AccountKeys},
        token_id::TokenId,
        user::{Uid, User},
    },
    platform::{clock::Timestamp, random::sha256_hex},
};

/// Seconds for which a device token is valid: 90 days.
pub const DEVICE_LIFETIME: i64 = 7_776_000;
/// Consecutive failures after which the token of a device is treated as absent. Time does not
/// forget them: otherwise each token would permit ten more guesses every quarter of an hour.
pub const DEVICE_FAILURE_LIMIT: u32 = 10;
/// Maximum number of devices in the cookie of a browser, one per account.
const MAX_DEVICES: usize = 4;

/// A device of an account, as a token names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The random id, whose hash is the key of the device's counters.
    pub id: TokenId,
    /// SHA-256 of the account key.
    pub account_hash: String,
    /// The uid of the user.
    pub uid: Uid,
    /// The user's `device_epoch` when the token was issued.
    pub epoch: u64,
    /// Whether the user presented a second factor when the token was issued.
    pub second_factor: bool,
    /// The time at which the token was issued.
    pub issued_at: Timestamp,
    /// The time at which the token expires.
    pub expires_at: Timestamp,
}

impl Device {
    /// A new device of the user. The id is always new, so a copy of an earlier token keeps its own
    /// failures. `epoch` is the device epoch that the user has once the request is answered.
    #[must_use]
    pub fn begin<C>(user: &User<C>, epoch: u64, second_factor: bool, now: Timestamp) -> Self {
        Self {
            id: TokenId::generate(),
            account_hash: account_hash(&user.email.account_key()),
            uid: user.uid.clone(),
            epoch,
            second_factor,
            issued_at: now,
            expires_at: now + DEVICE_LIFETIME,
        }
    }

    /// Whether this is a device of the account of an address.
    #[must_use]
    pub fn is_of_account(&self, accounts: &AccountKeys) -> bool {
        self.account_hash == account_hash(accounts.account())
    }

    /// Whether the token is valid for the user: it names their uid and their current device epoch.
    #[must_use]
    pub fn belongs_to<C>(&self, user: &User<C>) -> bool {
        self.uid == user.uid && self.epoch == user.device_epoch
    }

    fn has_account_of(&self, other: &Self) -> bool {
        self.account_hash == other.account_hash || self.uid == other.uid
    }
}

fn account_hash(account: &AccountKey) -> String {
    sha256_hex(account.as_str())
}

/// A device, and the token that names it.
pub struct KnownDevice {
    /// The device.
    pub device: Device,
    /// The verified token.
    pub token: String,
}

/// The newest device of the account of an address.
#[must_use]
pub fn newest_of<'a>(known: &'a [KnownDevice], accounts: &AccountKeys) -> Option<&'a Device> {
    known
        .iter()
        .map(|known| &known.device)
        .filter(|device| device.is_of_account(accounts))
        .max_by_key(|device| device.issued_at)
}

/// The devices that stay in a cookie to which `new` is added, in ascending order of the time of
/// issue: the newest of each other account, without the oldest if there are too many.
#[must_use]
pub fn kept_with<'a>(known: &'a [KnownDevice], new: &Device) -> Vec<&'a KnownDevice> {
    // Of devices of the same second, the last one in the cookie is the newest.
    let mut newest_first: Vec<&KnownDevice> = known.iter().rev().collect();
    newest_first.sort_by_key(|known| Reverse(known.device.issued_at));
    let mut kept: Vec<&KnownDevice> = Vec::new();
    for known in newest_first {
        let is_named = known.device.has_account_of(new)
            || kept
                .iter()
                .any(|kept| kept.device.has_account_of(&known.device));
        if !is_named && kept.len() + 1 < MAX_DEVICES {
            kept.push(known);
        }
    }
    kept.reverse();
    kept
}

/// The wrong codes of the second factor that were entered on a device, as read before a code is
/// verified. They never cause a back-off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceCodes {
    /// The device.
    pub device: Device,
    /// The number of consecutive wrong codes.
    pub failures: u32,
}

impl DeviceCodes {
    /// Whether one more code may be verified.
    #[must_use]
    pub const fn permit_another(&self) -> bool {
        self.failures < DEVICE_FAILURE_LIMIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{email_address::EmailAddress, password::PasswordHash, user::NewUser};

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn hash() -> PasswordHash {
        serde_json::from_value(serde_json::json!("x")).expect("a hash")
    }

    fn user(name: &str) -> User {
        let new = NewUser {
            email: EmailAddress::parse(&format!("{name}@example.com")).expect("an address"),
            password_hash: hash(),
            referral_uid: None,
            data: None,
            language: None,
        };
        User::new(new, "ID", NOW)
    }

    fn known(name: &str, seconds: i64) -> KnownDevice {
        KnownDevice {
            device: Device::begin(&user(name), 0, false, NOW + seconds),
            token: format!("{name}{seconds}"),
        }
    }

    fn kept(known: &[KnownDevice], new: &str) -> Vec<String> {
        kept_with(known, &Device::begin(&user(new), 0, false, NOW))
            .into_iter()
            .map(|known| known.token.clone())
            .collect()
    }

    #[test]
    fn a_device_belongs_to_the_uid_and_the_epoch_that_its_token_names() {
        let ada = user("ada");
        let device = Device::begin(&ada, 3, true, NOW);
        let with_epoch = |device_epoch| User {
            device_epoch,
            ..ada.clone()
        };
        assert!(device.belongs_to(&with_epoch(3)));
        assert!(!device.belongs_to(&with_epoch(2)) && !device.belongs_to(&with_epoch(4)));
        let successor = User {
            device_epoch: 3,
            ..user("ada")
        };
        assert!(!device.belongs_to(&successor), "another uid");
        assert_eq!(device.expires_at, NOW + 7_776_000);
    }

    #[test]
    fn a_device_is_of_one_account_in_any_spelling_of_its_address() {
        let device = Device::begin(&user("ada"), 0, false, NOW);
        assert!(device.is_of_account(&AccountKeys::of(" ADA@Example.com")));
        assert!(!device.is_of_account(&AccountKeys::of("bob@example.com")));
        assert!(!device.account_hash.contains("ada"));
    }

    #[test]
    fn the_newest_device_of_an_account_counts() {
        let all = [known("a", 5), known("b", 9), known("a", 7), known("a", 1)];
        let accounts = AccountKeys::of("a@example.com");
        let newest = newest_of(&all, &accounts).map(|device| device.issued_at);
        assert_eq!(newest, Some(NOW + 7));
        assert_eq!(newest_of(&all, &AccountKeys::of("c@example.com")), None);
    }

    #[test]
    fn a_cookie_holds_four_accounts_and_the_one_set_longest_ago_goes_first() {
        let three = [known("a", 1), known("b", 2), known("c", 3)];
        assert_eq!(kept(&three, "d"), ["a1", "b2", "c3"]);
        let four = [known("b", 2), known("d", 4), known("a", 1), known("c", 3)];
        assert_eq!(kept(&four, "e"), ["b2", "c3", "d4"]);
        let of_one_second = [known("a", 1), known("b", 1), known("c", 1), known("d", 1)];
        assert_eq!(kept(&of_one_second, "e"), ["b1", "c1", "d1"]);
        assert_eq!(kept(&[], "a"), [""; 0]);
    }

    #[test]
    fn a_cookie_holds_one_device_per_account() {
        let four = [known("a", 1), known("b", 2), known("c", 3), known("d", 4)];
        assert_eq!(kept(&four, "b"), ["a1", "c3", "d4"]);
        // As when a sibling domain sets a cookie of the same name.
        let twice = [known("a", 1), known("b", 2), known("a", 3), known("b", 1)];
        assert_eq!(kept(&twice, "c"), ["b2", "a3"]);
        // A user whose address changed has one device.
        let moved = user("new");
        let old = KnownDevice {
            device: Device {
                uid: moved.uid.clone(),
                ..Device::begin(&user("old"), 0, false, NOW)
            },
            token: "old".to_owned(),
        };
        let new = Device::begin(&moved, 1, false, NOW);
        assert!(kept_with(&[old], &new).is_empty());
    }

    #[test]
    fn ten_wrong_codes_are_verified_on_a_device() {
        let after = |failures| DeviceCodes {
            device: known("a", 0).device,
            failures,
        };
        assert!(after(0).permit_another() && after(9).permit_another());
        assert!(!after(10).permit_another() && !after(u32::MAX).permit_another());
    }
}

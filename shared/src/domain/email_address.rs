//! E-mail addresses and account keys.

use std::{borrow::Cow, fmt};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::platform::random::sha256_hex;

/// Maximum octets of a local part (RFC 5321, section 4.5.3.1.1).
const LOCAL_LIMIT: usize = 64;
/// The characters that a local part may contain besides letters and digits (HTML's
/// `input type=email`, which follows `atext` of RFC 5322).
const LOCAL_CHARACTERS: &str = ".!#$%&'*+/=?^_`{|}~-";

/// An address that is valid for HTML's `input type=email` after its domain is converted to ASCII,
/// and whose domain contains a dot. The local part must be a dot-atom (RFC 5322), because SES
/// delivers to no other form.
///
/// A stored address of an earlier version may violate these rules.
///
/// <https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address>
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EmailAddress(String);

/// Text that is not an e-mail address.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidEmail;

impl EmailAddress {
    /// Parses an address and removes the white space around it.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        let text = text.trim();
        AsciiAddress::of(text)
            .map(|_| Self(text.to_owned()))
            .ok_or(InvalidEmail)
    }

    /// The address as the user typed it.
    #[must_use]
    pub fn as_typed(&self) -> &str {
        &self.0
    }

    /// The address with its domain in ASCII, as SES requires it. An address of an earlier version
    /// that has no ASCII form is returned as typed.
    #[must_use]
    pub fn ascii(&self) -> String {
        AsciiAddress::of(&self.0).map_or_else(
            || self.0.clone(),
            |AsciiAddress { local, domain }| format!("{local}@{domain}"),
        )
    }

    /// The account key of the address (see [`AccountKeys::account`]).
    #[must_use]
    pub fn account_key(&self) -> AccountKey {
        self.account_keys().account
    }

    /// The keys under which the user of the address may be stored.
    #[must_use]
    pub fn account_keys(&self) -> AccountKeys {
        AccountKeys::of(&self.0)
    }

    /// The account key, or `None` for an address of an earlier version that violates the rules.
    #[must_use]
    pub fn valid_key(&self) -> Option<AccountKey> {
        AsciiAddress::of(&self.0).map(|address| address.key())
    }
}

/// The masked address for logs: `j***@example.com`.
impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (local, domain) = self.0.split_once('@').unwrap_or_default();
        write!(
            f,
            "{}***@{domain}",
            local.chars().next().unwrap_or_default()
        )
    }
}

/// The key that identifies an account: the local part in lower case, and the domain in ASCII. All
/// spellings of one address have the same account key. A key that an earlier version stored is the
/// whole address in lower case and in Unicode normalisation form C.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountKey(String);

impl AccountKey {
    /// The account key of any text (see [`AccountKeys::account`]).
    #[must_use]
    pub fn of(text: &str) -> Self {
        AccountKeys::of(text).account
    }

    /// The key of a stored user.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key under which mails to the address are counted. All addresses `name+tag@domain` of a
    /// mailbox share the key `name+@domain`; every other address has its own key.
    #[must_use]
    pub fn mail_allowance(&self) -> Self {
        match self.0.split_once('@').map(|(local, domain)| {
            let name = local.split_once('+').map_or("", |(name, _)| name);
            (name, domain)
        }) {
            None | Some(("", _)) => self.clone(),
            Some((name, domain)) => Self(format!("{name}+@{domain}")),
        }
    }

    /// The key under which earlier versions stored the user of this text: in lower case and in
    /// normalisation form C. `None` if they did not accept the text, or if lower case turns the
    /// local part into ASCII (as with U+212A, the Kelvin sign), because that key belongs to the
    /// ASCII address.
    fn earlier(text: &str) -> Option<Self> {
        let is_permitted =
            |c: char| c.is_alphanumeric() || c == '@' || LOCAL_CHARACTERS.contains(c);
        let (local, _) = text.split_once('@')?;
        let key: String = text.chars().flat_map(char::to_lowercase).nfc().collect();
        let becomes_ascii = !local.is_ascii() && key.split('@').next().is_some_and(str::is_ascii);
        (text.nfc().all(is_permitted) && !becomes_ascii).then_some(Self(key))
    }
}

/// The keys under which the user of an address may be stored: the account key, and the keys of
/// earlier versions, which did not convert the domain to ASCII. Nearly every address has one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountKeys {
    account: AccountKey,
    earlier: Vec<AccountKey>,
}

impl AccountKeys {
    /// The keys of any text. Text that is not an address gets a key that no address has, so that a
    /// sign-in with it does the same work as one with an unknown address.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let text = text.trim();
        let address = AsciiAddress::of(text);
        let unicode = address.as_ref().and_then(AsciiAddress::in_unicode);
        let mut keys: Vec<AccountKey> = address.map(|address| address.key()).into_iter().collect();
        for spelling in [Some(text), unicode.as_deref()].into_iter().flatten() {
            if let Some(key) = AccountKey::earlier(spelling).filter(|key| !keys.contains(key)) {
                keys.push(key);
            }
        }
        if keys.is_empty() {
            keys.push(AccountKey(sha256_hex(text)));
        }
        Self {
            account: keys.remove(0),
            earlier: keys,
        }
    }

    /// The account key, which identifies the account in limits and decoys. For an address that only
    /// earlier versions accepted, it is the key of those versions.
    #[must_use]
    pub const fn account(&self) -> &AccountKey {
        &self.account
    }

    /// The keys of earlier versions that differ from the account key.
    #[must_use]
    pub fn earlier(&self) -> &[AccountKey] {
        &self.earlier
    }

    /// All keys, the account key first. If several of them have a user, the address belongs to the
    /// user of the first such key.
    pub fn iter(&self) -> impl Iterator<Item = &AccountKey> {
        std::iter::once(&self.account).chain(&self.earlier)
    }
}

/// A valid address with its domain in ASCII.
struct AsciiAddress<'a> {
    local: &'a str,
    domain: Cow<'a, str>,
}

impl<'a> AsciiAddress<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let (local, domain) = text.split_once('@')?;
        let is_dot_atom = !local.split('.').any(str::is_empty)
            && local
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || LOCAL_CHARACTERS.contains(c));
        // UTS 46, non-transitional. Labels and their lengths are checked after the conversion.
        let domain = Uts46::new()
            .to_ascii(
                domain.as_bytes(),
                AsciiDenyList::STD3,
                Hyphens::Allow,
                DnsLength::Verify,
            )
            .ok()?;
        let has_html_labels = domain
            .split('.')
            .all(|label| !label.starts_with('-') && !label.ends_with('-'));
        let is_valid =
            is_dot_atom && local.len() <= LOCAL_LIMIT && has_html_labels && domain.contains('.');
        is_valid.then_some(Self { local, domain })
    }

    fn key(&self) -> AccountKey {
        AccountKey(format!(
            "{}@{}",
            self.local.to_ascii_lowercase(),
            self.domain
        ))
    }

    /// The address with its domain in Unicode, the form in which earlier versions stored most
    /// addresses.
    fn in_unicode(&self) -> Option<String> {
        let (domain, valid) = idna::domain_to_unicode(&self.domain);
        valid.ok().map(|()| format!("{}@{domain}", self.local))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<String> {
        AccountKeys::of(text)
            .iter()
            .map(|key| key.as_str().to_owned())
            .collect()
    }

    #[test]
    fn an_address_that_html_accepts_is_parsed() {
        for text in [
            "a@b.co",
            "John.Doe+tag@Example.COM",
            "!#$%&'*+/=?^_`{|}~-@x.y",
            "1@2.3",
            "a@x-y.z-9.com",
            "a@r3---sn.example.com",
            "  padded@example.com\t",
        ] {
            assert!(EmailAddress::parse(text).is_ok(), "{text}");
        }
        assert!(EmailAddress::parse(&format!("a@{}.co", "x".repeat(63))).is_ok());
        assert!(EmailAddress::parse(&format!("{}@b.co", "x".repeat(64))).is_ok());
    }

    #[test]
    fn a_domain_may_be_of_any_script() {
        for text in [
            "a@пошта.укр",
            "a@例子.中国",
            "a@例子。中国",
            "a@उदाहरण.परीक्षा",
            "a@ตัวอย่าง.ไทย",
            "a@straße.example",
            "a@ｅｘａｍｐｌｅ.com",
            "a@𝐞𝐱𝐚𝐦𝐩𝐥𝐞.com",
        ] {
            assert!(EmailAddress::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn an_address_that_html_rejects_or_without_a_dot_in_its_domain_is_an_error() {
        for text in [
            "",
            " ",
            "a",
            "@",
            "a@",
            "@b.co",
            "a@b",
            "a@localhost",
            "a@b@c.co",
            "a@b＠c.co",
            "a@.co",
            "a@b.",
            "a@b..co",
            "a@-b.co",
            "a@b-.co",
            "a b@c.co",
            "a@b c.co",
            "\"a b\"@c.co",
            "a@[127.0.0.1]",
            "a,b@c.co",
            "a<b>@c.co",
            "a@b_c.co",
            "a@b＜c.co",
            "a\0@b.co",
            "a\n@b.co",
            "a\u{200b}@b.co",
            "a\u{202e}@b.co",
            "a@b\u{202e}.co",
            "a@b\u{2028}.co",
            "a\u{a0}b@c.co",
            "a\u{2028}@b.co",
            "😀@b.co",
            "a@xn--a.co",
            "a@xn--0.co",
        ] {
            assert_eq!(EmailAddress::parse(text), Err(InvalidEmail), "{text:?}");
        }
    }

    #[test]
    fn a_local_part_is_ascii_of_at_most_64_characters_with_single_dots_inside() {
        for text in [
            "josé@example.com",
            "jose\u{301}@example.com",
            "жанна@example.com",
            "\u{212a}im@example.com",
            "\u{17f}am@example.com",
            "ｍia@example.com",
            ".a@x.yz",
            "a.@x.yz",
            "a..b@x.yz",
        ] {
            assert_eq!(EmailAddress::parse(text), Err(InvalidEmail), "{text:?}");
        }
        let long = format!("{}@b.co", "x".repeat(65));
        assert_eq!(EmailAddress::parse(&long), Err(InvalidEmail));
    }

    #[test]
    fn lengths_are_those_of_the_ascii_form() {
        let too_long = |label: &str| EmailAddress::parse(&format!("a@{label}.co")).is_err();
        assert!(too_long(&"x".repeat(64)));
        // 31 letters of two octets have 62 octets in UTF-8, but 36 in ASCII.
        assert!(!too_long(&"ü".repeat(31)));
        assert!(!too_long(&"中".repeat(25)));
        assert!(too_long(&format!("{}ü", "x".repeat(60))));
        let label = "x".repeat(63);
        let domain = format!("{label}.{label}.{label}.{}", "x".repeat(61));
        assert!(EmailAddress::parse(&format!("a@{domain}")).is_ok());
        assert!(EmailAddress::parse(&format!("a@{domain}x")).is_err());
    }

    #[test]
    fn all_spellings_of_an_address_have_one_account_key() {
        let key = AccountKey::of;
        assert_eq!(key(" John@Example.COM ").as_str(), "john@example.com");
        for spelling in [
            "mia@bücher.example",
            "MIA@BÜCHER.example",
            "mia@bu\u{308}cher.example",
            "mia@XN--BCHER-KVA.example",
            "mia@ｂücher.ｅxample",
            "mia@bücher。example",
            "mia@bü\u{ad}cher.example",
        ] {
            assert_eq!(key(spelling).as_str(), "mia@xn--bcher-kva.example");
        }
        assert_eq!(key("a@𝐞𝐱𝐚𝐦𝐩𝐥𝐞.com").as_str(), "a@example.com");
        assert_eq!(key("a@straße.example").as_str(), "a@xn--strae-oqa.example");
        assert!(!key("no address").as_str().contains('@'));
    }

    #[test]
    fn the_user_of_an_address_may_be_stored_under_a_key_of_an_earlier_version() {
        assert_eq!(keys("Jane+Tag@Example.com"), ["jane+tag@example.com"]);
        assert_eq!(
            keys("Mia@Bücher.example"),
            ["mia@xn--bcher-kva.example", "mia@bücher.example"]
        );
        assert_eq!(
            keys("mia@xn--bcher-kva.example"),
            ["mia@xn--bcher-kva.example", "mia@bücher.example"],
            "otherwise a stranger could claim the account key of a stored account"
        );
        assert_eq!(
            keys("mia@ｂücher.example"),
            [
                "mia@xn--bcher-kva.example",
                "mia@ｂücher.example",
                "mia@bücher.example"
            ]
        );
        assert_eq!(keys("JOSE\u{301}@x.yz"), ["josé@x.yz"]);
        assert_eq!(keys("a..b@x.yz"), ["a..b@x.yz"]);
    }

    #[test]
    fn a_letter_whose_lower_case_is_ascii_does_not_lead_to_the_ascii_address() {
        for text in ["\u{212a}im@example.com", "\u{212a}@example.com"] {
            assert!(keys(text).iter().all(|key| !key.contains('@')), "{text}");
        }
    }

    #[test]
    fn tagged_addresses_of_a_mailbox_share_one_mail_allowance() {
        let allowance = |text| AccountKey::of(text).mail_allowance();
        assert_eq!(allowance("mia@x.yz").as_str(), "mia@x.yz");
        for tagged in ["mia+shop@x.yz", "Mia+@x.yz", "mia+a+b@X.yz"] {
            assert_eq!(allowance(tagged).as_str(), "mia+@x.yz", "{tagged}");
        }
        assert_eq!(allowance("+mia@x.yz").as_str(), "+mia@x.yz");
        assert_eq!(allowance("no address"), AccountKey::of("no address"));
    }

    #[test]
    fn a_mail_is_sent_to_the_ascii_form() {
        let ascii = |text: &str| EmailAddress(text.to_owned()).ascii();
        assert_eq!(ascii("a@пошта.укр"), "a@xn--80a1acn3a.xn--j1amh");
        assert_eq!(ascii("John@Example.com"), "John@example.com");
        assert_eq!(ascii("josé@example.com"), "josé@example.com");
    }

    #[test]
    fn debug_output_masks_the_address() {
        assert_eq!(
            format!("{:?}", EmailAddress::parse("jane@example.com")),
            "Ok(j***@example.com)"
        );
    }
}

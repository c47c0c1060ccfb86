//! The device cookie, which holds the tokens of at most four [devices](Device), one per account.
//!
//! The tokens are JWTs separated by `~`, the separator of SD-JWTs (RFC 9901, section 4), which a
//! cookie may contain and a JWT does not.

use lambda_http::http::HeaderMap;

use super::cookies::{cookie, cookie_values};
use crate::{
    Error,
    domain::{
        device::{DEVICE_LIFETIME, Device, KnownDevice, kept_with, newest_of},
        email_address::AccountKeys,
    },
    platform::clock::Timestamp,
    tokens::{
        key_provider::KeyProvider,
        signed_token::{Claims, Purpose, SigningKeys},
    },
};

const SEPARATOR: char = '~';
/// The prefix of cookie names that makes browsers reject the cookie from other hosts and for other
/// paths (RFC 6265bis, section 4.1.3.2).
const HOST_PREFIX: &str = "__Host-";

/// The unverified device tokens of a request.
pub struct DeviceTokens {
    cookie_name: &'static str,
    tokens: Vec<String>,
}

impl DeviceTokens {
    /// The tokens in the headers of a request. Like the session cookie, the cookie may be sent
    /// several times, for different paths or domains.
    #[must_use]
    pub fn of(headers: &HeaderMap, session_cookie_name: &str) -> Self {
        let cookie_name = cookie_name(session_cookie_name);
        let mut tokens = Vec::new();
        for value in cookie_values(headers, cookie_name) {
            let named = value.split(SEPARATOR).filter(|token| !token.is_empty());
            tokens.extend(named.map(str::to_owned));
        }
        Self {
            cookie_name,
            tokens,
        }
    }

    /// Verifies signature and expiry of the tokens. Others are ignored.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the keys cannot be read.
    pub async fn verify(self, keys: &KeyProvider, now: Timestamp) -> Result<KnownDevices, Error> {
        let mut devices = Vec::new();
        for token in self.tokens {
            let claims = keys.verify(Purpose::Device, &token, now).await?;
            let device = claims.and_then(Claims::into_device);
            devices.extend(device.map(|device| KnownDevice { device, token }));
        }
        Ok(KnownDevices {
            cookie_name: self.cookie_name,
            devices,
        })
    }
}

/// The devices that the genuine, unexpired tokens of a request name. Whether a token is
/// [valid](Device::belongs_to) is known once the user is read.
pub struct KnownDevices {
    cookie_name: &'static str,
    devices: Vec<KnownDevice>,
}

impl KnownDevices {
    /// The newest device of the account of an address.
    #[must_use]
    pub fn of_account(&self, accounts: &AccountKeys) -> Option<&Device> {
        newest_of(&self.devices, accounts)
    }

    /// The `Set-Cookie` value with the token of a new device, and the tokens of the devices that
    /// [stay](kept_with) in the cookie.
    ///
    /// # Errors
    /// [`Error::Internal`] if the token cannot be signed.
    pub fn cookie_with(
        &self,
        device: &Device,
        signing_keys: &SigningKeys,
    ) -> Result<String, Error> {
        let token = signing_keys
            .sign(&Claims::of_device(device))
            .map_err(Error::internal)?;
        let mut value = String::new();
        for known in kept_with(&self.devices, device) {
            value += &known.token;
            value.push(SEPARATOR);
        }
        value += &token;
        Ok(cookie(self.cookie_name, &value, Some(DEVICE_LIFETIME)))
    }
}

/// The name has the prefix `__Host-` if the name of the session cookie has it. Browsers compare the
/// prefix without regard to case.
fn cookie_name(session_cookie_name: &str) -> &'static str {
    let prefix = session_cookie_name.get(..HOST_PREFIX.len());
    if prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(HOST_PREFIX)) {
        "__Host-latchkey_device"
    } else {
        "_latchkey_device"
    }
}

#[cfg(test)]
mod tests {
    use lambda_http::http::{HeaderValue, header::COOKIE};

    use super::*;
    use crate::{
        domain::{
            email_address::{AccountKey, EmailAddress},
            password::PasswordHash,
            user::{NewUser, User},
        },
        platform::{clock, secrets_manager::Manager},
    };

    /// Signs and verifies cookies at a time.
    struct Browser {
        keys: KeyProvider,
        now: Timestamp,
    }

    impl Browser {
        fn new() -> Self {
            Self::of(&Manager::with(&["secret"]))
        }

        fn of(manager: &Manager) -> Self {
            Self {
                keys: KeyProvider::new(manager.client(), "TokenSecret"),
                now: clock::now(),
            }
        }

        async fn known(&self, cookies: &[&str]) -> KnownDevices {
            DeviceTokens::of(&headers(cookies), "_barong_session")
                .verify(&self.keys, self.now)
                .await
                .expect("keys")
        }

        /// The value of the cookie after a device of this user is added.
        async fn with(&self, cookies: &[&str], user: &User) -> String {
            let device = Device::begin(user, u64::MAX, true, self.now);
            let keys = self.keys.for_signing(self.now).await.expect("keys");
            let known = self.known(cookies).await;
            let cookie = known
                .cookie_with(&device, &keys.signing_keys)
                .expect("a cookie");
            value(&cookie).to_owned()
        }
    }

    fn value(cookie: &str) -> &str {
        let pair = cookie.split(';').next().expect("a pair");
        pair.split_once('=').expect("a value").1
    }

    fn headers(cookies: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            let pair = format!("_latchkey_device={cookie}");
            headers.append(COOKIE, HeaderValue::from_str(&pair).expect("a header"));
        }
        headers
    }

    fn user(email: &str) -> User {
        let hash: PasswordHash = serde_json::from_value(serde_json::json!("x")).expect("a hash");
        let new = NewUser {
            email: EmailAddress::parse(email).expect("an address"),
            password_hash: hash,
            referral_uid: None,
            data: None,
            language: None,
        };
        User::new(new, "ABCDEF", Timestamp::from_seconds(0))
    }

    fn accounts(known: &KnownDevices) -> Vec<&str> {
        let devices = known.devices.iter();
        devices.map(|known| known.device.uid.as_str()).collect()
    }

    #[tokio::test]
    async fn a_cookie_with_four_devices_is_read_back_and_fits_a_browser() {
        let browser = Browser::new();
        let users: Vec<User> = (0..5)
            .map(|number| user(&format!("user{number}@example.com")))
            .collect();
        let mut cookie = String::new();
        for user in &users {
            cookie = browser.with(&[&cookie], user).await;
        }
        let known = browser.known(&[&cookie]).await;
        let kept: Vec<&str> = users[1..].iter().map(|user| user.uid.as_str()).collect();
        assert_eq!(accounts(&known), kept);
        let accounts = AccountKeys::of("USER4@example.com");
        let device = known.of_account(&accounts).expect("a device");
        assert_eq!((&device.uid, device.epoch), (&users[4].uid, u64::MAX));
        // RFC 6265, section 6.1: name, value and attributes.
        let longest = super::cookie("__Host-latchkey_device", &cookie, Some(DEVICE_LIFETIME));
        assert!(longest.len() < 4096, "{}", longest.len());
        let is_cookie_octet = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c);
        assert!(cookie.chars().all(is_cookie_octet), "{cookie}");
    }

    #[tokio::test]
    async fn cookies_of_the_same_name_are_merged_and_invalid_tokens_are_dropped() {
        let browser = Browser::new();
        let (ada, bob, eve) = (user("ada@e.com"), user("bob@e.com"), user("eve@e.com"));
        let first = browser.with(&[], &ada).await;
        let second = browser.with(&[], &bob).await;
        let foreign = Browser::of(&Manager::with(&["another"]))
            .with(&[], &eve)
            .await;
        let forged = format!("{}x", &first[..first.len() - 1]);
        let merged = browser
            .with(
                &[
                    "",
                    "~",
                    &format!("~{forged}~{first}~~x.y.z"),
                    &foreign,
                    &second,
                ],
                &eve,
            )
            .await;
        assert_eq!(merged.matches('~').count(), 2, "{merged}");
        assert!(merged.starts_with(&format!("{first}~{second}~")));
        let known = browser.known(&[&merged]).await;
        assert_eq!(
            accounts(&known),
            [ada.uid.as_str(), bob.uid.as_str(), eve.uid.as_str()]
        );
    }

    #[tokio::test]
    async fn a_token_is_ignored_from_its_expiry() {
        let browser = Browser::new();
        let cookie = browser.with(&[], &user("ada@e.com")).await;
        let at = async |seconds| {
            let later = Browser {
                keys: browser.keys.clone(),
                now: browser.now + seconds,
            };
            later.known(&[&cookie]).await.devices.len()
        };
        assert_eq!(
            (at(DEVICE_LIFETIME - 1).await, at(DEVICE_LIFETIME).await),
            (1, 0)
        );
    }

    #[tokio::test]
    async fn a_token_outlives_one_rotation_of_the_token_secret() {
        let manager = Manager::with(&["first"]);
        let cookie = Browser::of(&manager).with(&[], &user("ada@e.com")).await;
        let mut count = Vec::new();
        for versions in [&["second", "first"], &["third", "second"]] {
            manager.set_versions(versions);
            count.push(Browser::of(&manager).known(&[&cookie]).await.devices.len());
        }
        assert_eq!(count, [1, 0]);
    }

    #[test]
    fn the_name_has_the_prefix_of_the_session_cookie() {
        for (session, device) in [
            ("_barong_session", "_latchkey_device"),
            ("__Host-latchkey", "__Host-latchkey_device"),
            ("__host-x", "__Host-latchkey_device"),
            ("__Secure-x", "_latchkey_device"),
            ("sid", "_latchkey_device"),
        ] {
            assert_eq!(cookie_name(session), device);
        }
    }

    #[tokio::test]
    async fn a_session_token_is_no_device_token() {
        let browser = Browser::new();
        let device = Device::begin(&user("ada@e.com"), 0, false, browser.now);
        let claims = Claims::new(
            Purpose::Session,
            device.id.clone(),
            device.uid.clone(),
            AccountKey::stored(&device.account_hash),
            browser.now,
            browser.now + 60,
        );
        let keys = browser.keys.for_signing(browser.now).await.expect("keys");
        let token = keys.signing_keys.sign(&claims).expect("a token");
        assert!(browser.known(&[&token]).await.devices.is_empty());
    }
}

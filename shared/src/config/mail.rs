//! Outgoing mail.

use lambda_http::http::Uri;

use super::{Application, ConfigError, Variables, variables::is_one_line};
use crate::domain::email_address::EmailAddress;

const SUPPORT_URL: &str = "IDENTITY_SUPPORT_URL";

/// Settings of outgoing mail.
#[derive(Debug)]
pub struct Mail {
    /// The `From` header (RFC 5322) of mails.
    pub sender: Sender,
    /// `IDENTITY_MAIL_CONFIGURATION_SET`: name of the SES configuration set, if there is one.
    pub configuration_set: Option<String>,
    /// `IDENTITY_SUPPORT_URL`: where users reach the support, if it is set.
    pub support: Option<SupportUrl>,
}

/// The sender of mails.
#[derive(Debug)]
pub struct Sender {
    /// `IDENTITY_SENDER_NAME`: display name.
    pub name: String,
    /// `IDENTITY_SENDER_EMAIL`: address.
    pub email: EmailAddress,
}

/// An `https` URL, or a `mailto` URL with one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupportUrl(String);

impl SupportUrl {
    /// Parses the value of a setting.
    ///
    /// # Errors
    /// What is wrong, as the end of a sentence that begins with the name of the setting.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_graphic = text.bytes().all(|byte| byte.is_ascii_graphic());
        let is_valid = match text.split_once(':') {
            // A header such as `?bcc=` or an encoded character would change the recipients.
            Some(("mailto", address)) => {
                !address.contains(['?', '%', '#', '&']) && EmailAddress::parse(address).is_ok()
            }
            Some(("https", rest)) if rest.starts_with("//") => {
                text.parse().is_ok_and(|uri: Uri| {
                    uri.authority().is_some_and(|authority| {
                        !authority.host().is_empty() && !authority.as_str().contains('@')
                    })
                })
            }
            _ => false,
        };
        if is_graphic && is_valid {
            Ok(Self(text.to_owned()))
        } else {
            Err("is not an https URL or a mailto URL with one address".to_owned())
        }
    }

    /// The URL, as the target of a link.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL as users read it: without `mailto:`.
    #[must_use]
    pub fn label(&self) -> &str {
        self.0.strip_prefix("mailto:").unwrap_or(&self.0)
    }
}

impl Mail {
    /// Reads the settings of outgoing mail. The default of the sender's name is the name of the
    /// application.
    pub fn read(variables: &Variables, application: &Application) -> Result<Self, ConfigError> {
        Ok(Self {
            sender: Sender {
                name: variables.text("IDENTITY_SENDER_NAME", &application.name, is_one_line)?,
                email: variables.required("IDENTITY_SENDER_EMAIL", |text| {
                    EmailAddress::parse(text).map_err(|_| "is not an e-mail address".to_owned())
                })?,
            },
            configuration_set: variables.optional("IDENTITY_MAIL_CONFIGURATION_SET")?,
            support: variables
                .optional(SUPPORT_URL)?
                .map(|text| SupportUrl::parse(&text))
                .transpose()
                .map_err(|problem| ConfigError::new(SUPPORT_URL, problem))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_support_is_reached_at_an_https_url_or_an_address() {
        for (good, label) in [
            ("https://help.example", "https://help.example"),
            (
                "https://help.example:8443/a?b=c&d=e#f",
                "https://help.example:8443/a?b=c&d=e#f",
            ),
            ("mailto:support@id.example", "support@id.example"),
        ] {
            let url = SupportUrl::parse(good).expect("a URL");
            assert_eq!((url.as_str(), url.label()), (good, label));
        }
        for bad in [
            "help.example",
            "http://help.example",
            "https://",
            "https:help",
            "https://user@help.example",
            "https://help.example/a b",
            "https://help.example/\u{200b}",
            "javascript:alert(1)",
            "mailto:",
            "mailto:support",
            "mailto:a@b.co,c@d.co",
            "mailto:a@b.co?bcc=c@d.co",
            "mailto:%0Aa@b.co",
            "mailto:a@b.co\nBcc: c@d.co",
        ] {
            assert!(SupportUrl::parse(bad).is_err(), "{bad}");
        }
    }
}

//! Outgoing mail.

use super::{Application, ConfigError, Variables, variables::is_one_line};
use crate::domain::email_address::EmailAddress;

/// How mails are sent.
#[derive(Debug)]
pub struct Mail {
    /// `IDENTITY_SENDER_EMAIL`, `IDENTITY_SENDER_NAME`.
    pub sender: Sender,
    /// `IDENTITY_MAIL_CONFIGURATION_SET`: the configuration set of SES, if there is one.
    pub configuration_set: Option<String>,
}

/// The sender of mails.
#[derive(Debug)]
pub struct Sender {
    /// The name shown.
    pub name: String,
    /// The address.
    pub email: EmailAddress,
}

impl Mail {
    /// Reads the section. The sender is named after the application unless a name is given.
    pub fn read(variables: &Variables, application: &Application) -> Result<Self, ConfigError> {
        Ok(Self {
            sender: Sender {
                name: variables.text("IDENTITY_SENDER_NAME", &application.name, is_one_line)?,
                email: variables.required("IDENTITY_SENDER_EMAIL", |text| {
                    EmailAddress::parse(text).map_err(|_| "is not an e-mail address".to_owned())
                })?,
            },
            configuration_set: variables.optional("IDENTITY_MAIL_CONFIGURATION_SET")?,
        })
    }
}

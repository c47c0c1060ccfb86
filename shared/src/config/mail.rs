//! Outgoing mail.

use super::{Application, ConfigError, Variables, variables::is_one_line};
use crate::domain::email_address::EmailAddress;

/// Settings of outgoing mail.
#[derive(Debug)]
pub struct Mail {
    /// The `From` header (RFC 5322) of mails.
    pub sender: Sender,
    /// `IDENTITY_MAIL_CONFIGURATION_SET`: name of the SES configuration set, if there is one.
    pub configuration_set: Option<String>,
}

/// The sender of mails.
#[derive(Debug)]
pub struct Sender {
    /// `IDENTITY_SENDER_NAME`: display name.
    pub name: String,
    /// `IDENTITY_SENDER_EMAIL`: address.
    pub email: EmailAddress,
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
        })
    }
}

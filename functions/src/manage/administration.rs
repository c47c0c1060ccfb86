//! Shared parts of the actions of `manage-users`: dependencies, selection of a user, response.

use serde_json::{Value, json};
use shared::{
    Error,
    config::Accounts,
    domain::{
        email_address::AccountKeys,
        language::Language,
        password::Hasher,
        user::{Uid, User},
    },
    platform::clock::Timestamp,
    providers::breached_passwords::PasswordCheck,
    store::Administration,
    tokens::otp_secrets::OtpSecrets,
};

use super::fields::{Failure, Fields, Refusal};

pub struct Users {
    pub administration: Administration,
    pub otp_secrets: OtpSecrets,
    pub accounts: Accounts,
    pub default_language: Language,
    pub passwords: PasswordCheck,
    pub hasher: Hasher,
}

impl Users {
    pub(super) async fn find(
        &self,
        selector: &UserSelector,
        now: Timestamp,
    ) -> Result<User, Failure> {
        let administration = &self.administration;
        let user = match selector {
            UserSelector::Email(accounts) => administration.find_user(accounts, now).await?,
            UserSelector::Uid(Some(uid)) => administration.find_user_by_uid(uid, now).await?,
            UserSelector::Uid(None) => None,
        };
        user.ok_or_else(|| selector.not_found().into())
    }
}

/// The user that an action selects.
pub(super) enum UserSelector {
    Email(AccountKeys),
    /// `None` if the text is not a uid, so that no user is found.
    Uid(Option<Uid>),
}

impl UserSelector {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Refusal> {
        match (fields.text("email")?, fields.text("uid")?) {
            (Some(email), None) => {
                // Includes addresses that only earlier versions accepted.
                let accounts = AccountKeys::of(&email);
                if accounts.account().as_str().contains('@') {
                    Ok(Self::Email(accounts))
                } else {
                    Err(Refusal::invalid("email", "must be an e-mail address"))
                }
            }
            (None, Some(uid)) => Ok(Self::Uid(Uid::parse(&uid))),
            (None, None) => Err(Refusal::of(
                "email",
                "missing",
                "required, unless uid is given",
            )),
            (Some(_), Some(_)) => Err(Refusal::invalid("uid", "cannot be combined with email")),
        }
    }

    pub(super) fn not_found(&self) -> Refusal {
        match self {
            Self::Email(_) => Refusal::of("email", "not_found", "no user has this e-mail address"),
            Self::Uid(_) => Refusal::of("uid", "not_found", "no user has this uid"),
        }
    }
}

/// The response with a user: their profile, as in responses of the API.
pub(super) fn profile_response(user: &User) -> Result<Value, Failure> {
    let profile = serde_json::to_value(user.profile(None)).map_err(Error::internal)?;
    Ok(json!({ "user": profile }))
}

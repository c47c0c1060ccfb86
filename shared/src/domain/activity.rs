//! Activities: who did what to an account, from where, and whether it succeeded. Names and values
//! are Barong's.

use serde::{Deserialize, Serialize};

use crate::{
    Error,
    domain::session::Client,
    platform::{clock::Timestamp, random},
};

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// An account was made.
    #[serde(rename = "signup")]
    SignUp,
    /// A password was presented.
    #[serde(rename = "login")]
    Login,
    /// A password and the code of a second factor were presented.
    #[serde(rename = "login::2fa")]
    LoginWithOtp,
    /// A session was ended by its user.
    #[serde(rename = "logout")]
    Logout,
    /// A mail was asked for that lets one set a new password.
    #[serde(rename = "request password reset")]
    RequestPasswordReset,
    /// A new password was set by the token of such a mail.
    #[serde(rename = "password reset")]
    PasswordReset,
    /// The password was changed by who knew it.
    #[serde(rename = "password change")]
    PasswordChange,
    /// A secret for an authenticator was drawn.
    #[serde(rename = "request QR code for 2FA")]
    RequestQrCode,
    /// The second factor was turned on.
    #[serde(rename = "enable 2FA")]
    EnableOtp,
    /// The second factor was turned off.
    #[serde(rename = "disable 2FA")]
    DisableOtp,
}

/// What activities are listed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// Signing in and out.
    Session,
    /// The second factor.
    Otp,
    /// The password.
    Password,
    /// The account as a whole.
    Account,
}

/// Whether it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActivityResult {
    /// It was.
    Succeed,
    /// It was refused.
    Failed,
}

/// Something that was done to an account, or tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// Orders a user's activities by time, and tells apart those of one moment.
    pub id: String,
    /// Whose account.
    pub uid: String,
    /// What was done.
    pub action: Action,
    /// Whether it was.
    pub result: ActivityResult,
    /// The client's address.
    pub user_ip: String,
    /// The client's User-Agent.
    pub user_agent: String,
    /// A JSON text with the key of the refusal, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// When.
    pub created_at: Timestamp,
    /// When it is forgotten.
    pub expires_at: Timestamp,
}

/// Writes down what one client does at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Recorder<'a> {
    /// Who does it.
    pub client: &'a Client,
    /// Seconds for which it is kept.
    pub life: i64,
    /// When.
    pub now: Timestamp,
}

/// A new id of an activity.
pub(crate) fn activity_id(now: Timestamp) -> String {
    format!(
        "{:013}-{:016x}",
        now.milliseconds(),
        u64::from_be_bytes(random::bytes())
    )
}

impl Recorder<'_> {
    /// Something was done.
    #[must_use]
    pub fn succeeded(&self, uid: &str, action: Action) -> Activity {
        self.activity(uid, action, ActivityResult::Succeed, None)
    }

    /// Something was refused.
    #[must_use]
    pub fn failed(&self, uid: &str, action: Action, why: &Error) -> Activity {
        let reason = serde_json::json!({ "reason": why.keys().join(",") });
        self.activity(
            uid,
            action,
            ActivityResult::Failed,
            Some(reason.to_string()),
        )
    }

    fn activity(
        &self,
        uid: &str,
        action: Action,
        result: ActivityResult,
        data: Option<String>,
    ) -> Activity {
        Activity {
            id: activity_id(self.now),
            uid: uid.to_owned(),
            action,
            result,
            user_ip: self.client.address.clone(),
            user_agent: self.client.user_agent.clone(),
            data,
            created_at: self.now,
            expires_at: self.now + self.life,
        }
    }
}

impl Action {
    /// What it is listed under.
    #[must_use]
    pub const fn topic(self) -> Topic {
        match self {
            Self::SignUp => Topic::Account,
            Self::Login | Self::LoginWithOtp | Self::Logout => Topic::Session,
            Self::RequestPasswordReset | Self::PasswordReset | Self::PasswordChange => {
                Topic::Password
            }
            Self::RequestQrCode | Self::EnableOtp | Self::DisableOtp => Topic::Otp,
        }
    }
}

impl Activity {
    /// What is told of it.
    #[must_use]
    pub fn view(&self) -> ActivityView<'_> {
        ActivityView {
            id: &self.id,
            category: "user",
            topic: self.action.topic(),
            action: self.action,
            result: self.result,
            user_ip: &self.user_ip,
            user_agent: &self.user_agent,
            data: self.data.as_deref(),
            created_at: self.created_at.rfc3339(),
        }
    }
}

/// What is told of an activity, in Barong's order.
#[derive(Serialize)]
pub struct ActivityView<'a> {
    id: &'a str,
    category: &'static str,
    topic: Topic,
    action: Action,
    result: ActivityResult,
    user_ip: &'a str,
    user_agent: &'a str,
    data: Option<&'a str>,
    created_at: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client {
            address: "192.0.2.1".to_owned(),
            user_agent: "browser".to_owned(),
        }
    }

    fn recorder(client: &Client, milliseconds: i64) -> Recorder<'_> {
        Recorder {
            client,
            life: 60,
            now: Timestamp::from_milliseconds(milliseconds),
        }
    }

    #[test]
    fn an_activity_is_told_by_barongs_names_in_barongs_order() {
        let client = client();
        let activity = recorder(&client, 1500).failed(
            "ID0123456789",
            Action::LoginWithOtp,
            &Error::OtpInvalid,
        );
        let expected = format!(
            concat!(
                r#"{{"id":"{}","category":"user","topic":"session","action":"login::2fa","result":"failed","user_ip":"192.0.2.1","#,
                r#""user_agent":"browser","data":"{{\"reason\":\"identity.session.invalid_otp\"}}","created_at":"1970-01-01T00:00:01Z"}}"#
            ),
            activity.id
        );
        assert_eq!(
            serde_json::to_string(&activity.view()).expect("JSON"),
            expected
        );
    }

    #[test]
    fn ids_are_ordered_by_time_and_differ_within_a_moment() {
        let client = client();
        let id = |milliseconds| {
            recorder(&client, milliseconds)
                .succeeded("ID0123456789", Action::Login)
                .id
        };
        let early = id(1_799_999_999_999);
        let late = id(1_800_000_000_000);
        assert!(early < late && id(7) != id(7), "{early} {late}");
    }

    #[test]
    fn a_success_has_no_reason_and_is_kept_for_its_life() {
        let client = client();
        let activity = recorder(&client, 0).succeeded("ID0123456789", Action::SignUp);
        assert_eq!(
            (activity.data, activity.expires_at),
            (None, Timestamp::from_seconds(60))
        );
    }
}

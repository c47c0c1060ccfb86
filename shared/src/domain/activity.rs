//! Activities: the actions on an account, each with its client and result. Names and values are
//! Barong's.

use serde::{Deserialize, Serialize};

use crate::{
    Error,
    domain::{session::Client, user::Uid},
    platform::{clock::Timestamp, random},
};

/// An action on an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Sign-up.
    #[serde(rename = "signup")]
    SignUp,
    /// A sign-in with a password alone.
    #[serde(rename = "login")]
    Login,
    /// A sign-in with a password and a TOTP or recovery code.
    #[serde(rename = "login::2fa")]
    LoginWithOtp,
    /// A sign-in with a passkey.
    #[serde(rename = "login::passkey")]
    LoginWithPasskey,
    /// Sign-out.
    #[serde(rename = "logout")]
    Logout,
    /// The address was confirmed.
    #[serde(rename = "confirm email")]
    ConfirmEmail,
    /// A request to change the address.
    #[serde(rename = "request email change")]
    RequestEmailChange,
    /// The address was changed.
    #[serde(rename = "change email")]
    ChangeEmail,
    /// The user replaced their data.
    #[serde(rename = "update data")]
    UpdateData,
    /// A label was created.
    #[serde(rename = "create label")]
    CreateLabel,
    /// A label got another value.
    #[serde(rename = "update label")]
    UpdateLabel,
    /// A label was deleted.
    #[serde(rename = "delete label")]
    DeleteLabel,
    /// A request for a password reset mail.
    #[serde(rename = "request password reset")]
    RequestPasswordReset,
    /// A new password, set with the one-time code of a reset mail.
    #[serde(rename = "password reset")]
    PasswordReset,
    /// A password change in a session, with the current password.
    #[serde(rename = "password change")]
    PasswordChange,
    /// A new TOTP secret was generated and shown as a QR code.
    #[serde(rename = "request QR code for 2FA")]
    RequestQrCode,
    /// OTP was enabled.
    #[serde(rename = "enable 2FA")]
    EnableOtp,
    /// OTP was disabled.
    #[serde(rename = "disable 2FA")]
    DisableOtp,
    /// A TOTP code was verified for a front end. Only refusals are recorded.
    #[serde(rename = "verify 2FA code")]
    VerifyOtp,
    /// New recovery codes replaced the old ones.
    #[serde(rename = "recovery codes")]
    ReplaceRecoveryCodes,
    /// A recovery code was used.
    #[serde(rename = "use recovery code")]
    UseRecoveryCode,
    /// A passkey was added.
    #[serde(rename = "add passkey")]
    AddPasskey,
    /// A passkey was removed.
    #[serde(rename = "remove passkey")]
    RemovePasskey,
    /// The password, and a code if OTP is on, were entered again in a session, or a passkey used.
    #[serde(rename = "reauthenticate")]
    Reauthenticate,
    /// The owner closed the account.
    #[serde(rename = "close account")]
    CloseAccount,
    /// An operator set the state of the account.
    #[serde(rename = "set state")]
    SetState,
    /// An operator set the role or the level of the user.
    #[serde(rename = "set role")]
    SetRole,
    /// An operator ended every session of the user.
    #[serde(rename = "end sessions")]
    EndSessions,
}

/// The topic under which the API lists an activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// Sign-in, sign-out and the end of sessions.
    Session,
    /// The second factor.
    Otp,
    /// Passkeys that were added and removed.
    Passkey,
    /// Password reset and password change.
    Password,
    /// Sign-up, confirmation, change of the address, data, labels, state and role.
    Account,
}

/// The result of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActivityResult {
    /// The action was performed.
    Succeed,
    /// The action was rejected.
    Failed,
}

/// An action on an account, performed or rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// The time in milliseconds and 64 random bits. Ids of a user sort by time.
    pub id: String,
    /// The uid of the user.
    pub uid: Uid,
    /// The action.
    pub action: Action,
    /// The result.
    pub result: ActivityResult,
    /// The client address.
    pub user_ip: String,
    /// The client's `User-Agent` header.
    pub user_agent: String,
    /// JSON text with the error keys; `None` if the action succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The time of the action.
    pub created_at: Timestamp,
    /// The time at which the activity expires.
    pub expires_at: Timestamp,
}

/// Creates the activities of one request.
#[derive(Clone, Copy, Debug)]
pub struct Recorder<'a> {
    /// The client that sent the request.
    pub client: &'a Client,
    /// Retention of the activities, in seconds.
    pub life: i64,
    /// The time of the request.
    pub now: Timestamp,
}

/// A new activity id.
pub(crate) fn activity_id(now: Timestamp) -> String {
    format!(
        "{:013}-{:016x}",
        now.milliseconds(),
        u64::from_be_bytes(random::bytes())
    )
}

impl Recorder<'_> {
    /// The activity of a performed action.
    #[must_use]
    pub fn succeeded(&self, uid: &Uid, action: Action) -> Activity {
        self.activity(uid, action, ActivityResult::Succeed, None)
    }

    /// The activity of a rejected action, with the keys of its error.
    #[must_use]
    pub fn failed(&self, uid: &Uid, action: Action, why: &Error) -> Activity {
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
        uid: &Uid,
        action: Action,
        result: ActivityResult,
        data: Option<String>,
    ) -> Activity {
        Activity {
            id: activity_id(self.now),
            uid: uid.clone(),
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
    /// The topic of the action.
    #[must_use]
    pub const fn topic(self) -> Topic {
        match self {
            Self::SignUp
            | Self::ConfirmEmail
            | Self::RequestEmailChange
            | Self::ChangeEmail
            | Self::CloseAccount
            | Self::UpdateData
            | Self::CreateLabel
            | Self::UpdateLabel
            | Self::DeleteLabel
            | Self::SetState
            | Self::SetRole => Topic::Account,
            Self::Login
            | Self::LoginWithOtp
            | Self::LoginWithPasskey
            | Self::Logout
            | Self::Reauthenticate
            | Self::EndSessions => Topic::Session,
            Self::RequestPasswordReset | Self::PasswordReset | Self::PasswordChange => {
                Topic::Password
            }
            Self::AddPasskey | Self::RemovePasskey => Topic::Passkey,
            Self::RequestQrCode
            | Self::EnableOtp
            | Self::DisableOtp
            | Self::VerifyOtp
            | Self::ReplaceRecoveryCodes
            | Self::UseRecoveryCode => Topic::Otp,
        }
    }
}

impl Activity {
    /// The activity as the API returns it.
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

/// An activity as the API returns it, with Barong's members in Barong's order.
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
    fn an_activity_has_barongs_members_in_barongs_order() {
        let client = client();
        let activity = recorder(&client, 1500).failed(
            &Uid::generate("ID"),
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
    fn ids_sort_by_time_and_are_unique_within_a_millisecond() {
        let client = client();
        let id = |milliseconds| {
            recorder(&client, milliseconds)
                .succeeded(&Uid::generate("ID"), Action::Login)
                .id
        };
        let early = id(1_799_999_999_999);
        let late = id(1_800_000_000_000);
        assert!(early < late && id(7) != id(7), "{early} {late}");
    }

    #[test]
    fn a_success_has_no_reason_and_expires_after_the_retention() {
        let client = client();
        let activity = recorder(&client, 0).succeeded(&Uid::generate("ID"), Action::SignUp);
        assert_eq!(
            (activity.data, activity.expires_at),
            (None, Timestamp::from_seconds(60))
        );
    }
}

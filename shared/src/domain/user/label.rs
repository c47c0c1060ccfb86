//! Labels: facts about users. The label `email` states whether mails reach the address. The label
//! `otp` is not stored, but derived when the user is returned, so that it cannot contradict the
//! second factor.

use serde::{Deserialize, Serialize};

use super::{CredentialAccess, User};
use crate::platform::clock::Timestamp;

/// A fact about a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// The subject of the fact, such as `email`.
    pub key: String,
    /// The fact, such as `verified`.
    pub value: String,
    /// The scope, `private` or `public`.
    pub scope: String,
    /// The time at which a label with this key was first set.
    pub created_at: Timestamp,
    /// The time at which the value was last set.
    pub updated_at: Timestamp,
}

impl Label {
    /// Whether the API derives the label with this key. A stored one, which an import may contain,
    /// is ignored.
    #[must_use]
    pub fn is_derived(&self) -> bool {
        self.key == OTP
    }
}

/// The key of the label for the address.
const EMAIL: &str = "email";
/// The key of the label for the second factor.
const OTP: &str = "otp";
/// OTP is on.
const ENABLED: &str = "enabled";
/// The user confirmed the address.
const VERIFIED: &str = "verified";
/// A mail to the address bounced permanently. Earlier versions set it for complaints too, so an old
/// label may stand for either; no mail is the reading that does no harm.
const BOUNCED: &str = "bounced";
/// A recipient of the address reported a mail as spam.
const COMPLAINED: &str = "complained";
/// Scope of labels that the user cannot change.
pub(super) const PRIVATE: &str = "private";
/// Scope of labels that the user can change.
pub(super) const PUBLIC: &str = "public";

/// A report of SES that mails to an address are undeliverable or unwanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailProblem {
    /// A mail bounced permanently. No further mail is sent.
    Bounce,
    /// The recipient reported a mail as spam. One reset mail a day is sent, and no other mail.
    Complaint,
}

impl<C: CredentialAccess> User<C> {
    /// The user with the label `email: verified`; state and level are unchanged.
    #[must_use]
    pub fn verified(&self, now: Timestamp) -> Self {
        Self {
            labels: self.labels_with_email(VERIFIED, now),
            updated_at: now,
            ..self.clone()
        }
    }

    /// The user with the label of a problem that was reported at the time `at`. A bounce replaces a
    /// complaint. `None` if the user has this label or that of a bounce already, or confirmed the
    /// address after `at`.
    #[must_use]
    pub fn with_problem(
        &self,
        problem: MailProblem,
        at: Timestamp,
        now: Timestamp,
    ) -> Option<Self> {
        let is_outdated = self
            .email_label()
            .is_some_and(|label| label.value == VERIFIED && label.updated_at > at);
        let is_known = match self.mail_problem() {
            None => false,
            Some(MailProblem::Bounce) => true,
            Some(MailProblem::Complaint) => problem == MailProblem::Complaint,
        };
        let value = match problem {
            MailProblem::Bounce => BOUNCED,
            MailProblem::Complaint => COMPLAINED,
        };
        (!is_known && !is_outdated).then(|| Self {
            labels: self.labels_with_email(value, now),
            updated_at: now,
            ..self.clone()
        })
    }

    /// Whether the user has confirmed the address.
    #[must_use]
    pub fn has_verified_email(&self) -> bool {
        self.email_label()
            .is_some_and(|label| label.value == VERIFIED)
    }

    /// The problem with mails to the address, if one was reported since it was confirmed.
    #[must_use]
    pub fn mail_problem(&self) -> Option<MailProblem> {
        match self.email_label()?.value.as_str() {
            BOUNCED => Some(MailProblem::Bounce),
            COMPLAINED => Some(MailProblem::Complaint),
            _ => None,
        }
    }

    /// The labels as the API returns them: the stored ones and, while OTP is on, `otp: enabled`.
    #[must_use]
    pub fn label_views(&self) -> Vec<LabelView<'_>> {
        let enabled_at = self.otp_enabled_at.unwrap_or(self.updated_at).rfc3339();
        let otp = self.has_otp().then(|| LabelView {
            key: OTP,
            value: ENABLED,
            scope: PRIVATE,
            created_at: enabled_at.clone(),
            updated_at: enabled_at,
        });
        let stored = self.labels.iter().filter(|label| !label.is_derived());
        stored.map(LabelView::from).chain(otp).collect()
    }

    fn email_label(&self) -> Option<&Label> {
        self.labels
            .iter()
            .find(|label| label.key == EMAIL && label.scope == PRIVATE)
    }

    /// The labels, with this value as the only label with the key `email`.
    fn labels_with_email(&self, value: &str, now: Timestamp) -> Vec<Label> {
        let (of_email, mut labels): (Vec<Label>, Vec<Label>) = self
            .labels
            .iter()
            .cloned()
            .partition(|label| label.key == EMAIL);
        let created_at = of_email.first().map_or(now, |label| label.created_at);
        let key = EMAIL.to_owned();
        let value = value.to_owned();
        let scope = PRIVATE.to_owned();
        labels.push(Label {
            key,
            value,
            scope,
            created_at,
            updated_at: now,
        });
        labels
    }
}

/// A label as the API returns it.
#[derive(Serialize)]
pub struct LabelView<'a> {
    pub(super) key: &'a str,
    value: &'a str,
    pub(super) scope: &'a str,
    created_at: String,
    updated_at: String,
}

impl<'a> From<&'a Label> for LabelView<'a> {
    fn from(label: &'a Label) -> Self {
        Self {
            key: &label.key,
            value: &label.value,
            scope: &label.scope,
            created_at: label.created_at.rfc3339(),
            updated_at: label.updated_at.rfc3339(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::user::{Credentials, OtpSecret, State, StoredOtpSecret};

    fn user() -> User {
        serde_json::from_value(serde_json::json!({
            "uid": "ID0123456789", "email": "John@Example.com", "password_hash": "x", "state": "active", "role": "member",
            "level": 0, "session_epoch": 0, "created_at": 0, "updated_at": 60,
            "labels": [{"key": "email", "value": "verified", "scope": "private", "created_at": 1, "updated_at": 2}],
        }))
        .expect("a user")
    }

    #[test]
    fn an_address_has_one_label_and_its_newest_value_counts() {
        let at = Timestamp::from_seconds;
        let bounce = |user: &User, reported, now| {
            user.with_problem(MailProblem::Bounce, at(reported), at(now))
        };
        let bounced = bounce(&user(), 5, 9).expect("a new label");
        assert_eq!(bounced.mail_problem(), Some(MailProblem::Bounce));
        assert_eq!(user().mail_problem(), None);
        let labels = |user: &User| {
            user.labels
                .iter()
                .map(|label| format!("{}: {}", label.key, label.value))
                .collect::<Vec<_>>()
        };
        assert_eq!(labels(&bounced), ["email: bounced"]);
        assert_eq!(
            (
                bounced.labels[0].created_at,
                bounced.labels[0].updated_at,
                bounced.updated_at
            ),
            (at(1), at(9), at(9))
        );
        assert_eq!((bounced.state, bounced.level), (State::Active, 0));
        assert!(
            bounce(&bounced, 9, 10).is_none(),
            "the label exists already"
        );
        assert!(
            bounce(&user(), 1, 9).is_none(),
            "the address was confirmed at 2, after the bounce"
        );
        assert!(bounce(&user(), 2, 9).is_some());
        let confirmed = bounced.confirmed(at(12)).expect("an epoch");
        assert_eq!(labels(&confirmed), ["email: verified"]);
        assert!(confirmed.mail_problem().is_none() && bounce(&confirmed, 9, 13).is_none());
        assert_eq!(
            labels(
                &bounce(
                    &User {
                        labels: Vec::new(),
                        ..user()
                    },
                    1,
                    1
                )
                .expect("a new label")
            ),
            ["email: bounced"]
        );
    }

    #[test]
    fn the_label_otp_is_returned_once_while_otp_is_on() {
        let at = Timestamp::from_seconds;
        let label = |key: &str, value: &str, scope: &str| Label {
            key: key.to_owned(),
            value: value.to_owned(),
            scope: scope.to_owned(),
            created_at: at(3),
            updated_at: at(4),
        };
        let off = User {
            labels: vec![
                label("otp", "enabled", "private"),
                label("otp", "disabled", "public"),
                label("tier", "gold", "public"),
            ],
            ..user()
        };
        let on = User {
            credentials: Credentials {
                otp_secret: OtpSecret::import("GEZDGNBVGY3TQOJQ").map(StoredOtpSecret::Plain),
                ..off.credentials.clone()
            },
            otp_enabled_at: Some(at(30)),
            ..off.clone()
        };
        let labels = |user: &User| serde_json::to_value(user.label_views()).expect("JSON");
        let tier = json!({
            "key": "tier", "value": "gold", "scope": "public",
            "created_at": at(3).rfc3339(), "updated_at": at(4).rfc3339(),
        });
        let otp = |since: i64| {
            json!({
                "key": "otp", "value": "enabled", "scope": "private",
                "created_at": at(since).rfc3339(), "updated_at": at(since).rfc3339(),
            })
        };
        assert_eq!(labels(&off), json!([tier]));
        assert_eq!(labels(&on), json!([tier, otp(30)]));
        let since_unknown = User {
            otp_enabled_at: None,
            ..on
        };
        // The user was updated at 60.
        assert_eq!(labels(&since_unknown), json!([tier, otp(60)]));
    }

    #[test]
    fn a_bounce_replaces_a_complaint_and_not_the_reverse() {
        let at = Timestamp::from_seconds;
        let problem =
            |user: &User, problem, reported| user.with_problem(problem, at(reported), at(9));
        let complained = problem(&user(), MailProblem::Complaint, 5).expect("a new label");
        assert_eq!(complained.labels[0].value, "complained");
        assert_eq!(complained.mail_problem(), Some(MailProblem::Complaint));
        assert!(problem(&complained, MailProblem::Complaint, 9).is_none());
        // The bounce was reported before the complaint was stored.
        let bounced = problem(&complained, MailProblem::Bounce, 6).expect("a new label");
        assert_eq!(bounced.mail_problem(), Some(MailProblem::Bounce));
        assert!(problem(&bounced, MailProblem::Complaint, 9).is_none());
    }
}

//! Labels: facts about users. Those of the address say whether mails reach it.

use serde::{Deserialize, Serialize};

use super::User;
use crate::platform::clock::Timestamp;

/// A fact about a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// What the fact is about, as `email`.
    pub key: String,
    /// What it says, as `verified`.
    pub value: String,
    /// `private` or `public`.
    pub scope: String,
    /// When it was first stated.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Key of the label that says what is known of the address.
const EMAIL: &str = "email";
/// Its owner has shown that mails to the address reach her.
const VERIFIED: &str = "verified";
/// Mails to the address come back, or are complained of.
const BOUNCED: &str = "bounced";
/// Scope of labels that the user cannot change.
const PRIVATE: &str = "private";

impl User {
    /// The user with the label that says that mails reach her, and otherwise as she was.
    #[must_use]
    pub fn verified(&self, now: Timestamp) -> Self {
        Self {
            labels: self.labels_with_email(VERIFIED, now),
            updated_at: now,
            ..self.clone()
        }
    }

    /// The user once a mail to her came back for good, or she complained of one, at that time: with
    /// the label that says so, and otherwise as she was. `None` where that is known already, or
    /// where she has confirmed the address since.
    #[must_use]
    pub fn bounced(&self, at: Timestamp, now: Timestamp) -> Option<Self> {
        let is_outdated = self
            .email_label()
            .is_some_and(|label| label.updated_at > at);
        let news = !self.has_bounced() && !is_outdated;
        news.then(|| Self {
            labels: self.labels_with_email(BOUNCED, now),
            updated_at: now,
            ..self.clone()
        })
    }

    /// Whether mails to the address come back, or are complained of: it gets no more.
    #[must_use]
    pub fn has_bounced(&self) -> bool {
        self.email_label()
            .is_some_and(|label| label.value == BOUNCED)
    }

    fn email_label(&self) -> Option<&Label> {
        self.labels
            .iter()
            .find(|label| label.key == EMAIL && label.scope == PRIVATE)
    }

    /// The labels, with one of the address alone, which says this.
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

/// What is told of a label.
#[derive(Serialize)]
pub(super) struct LabelView<'a> {
    key: &'a str,
    value: &'a str,
    scope: &'a str,
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
    use super::*;
    use crate::domain::user::State;

    fn user() -> User {
        serde_json::from_value(serde_json::json!({
            "uid": "ID0123456789", "email": "John@Example.com", "password_hash": "x", "state": "active", "role": "member",
            "level": 0, "session_epoch": 0, "created_at": 0, "updated_at": 60,
            "labels": [{"key": "email", "value": "verified", "scope": "private", "created_at": 1, "updated_at": 2}],
        }))
        .expect("a user")
    }

    #[test]
    fn what_is_known_of_an_address_is_one_label_and_the_newest_word_counts() {
        let at = Timestamp::from_seconds;
        let bounced = user().bounced(at(5), at(9)).expect("news");
        assert!(bounced.has_bounced() && !user().has_bounced());
        let told = |user: &User| {
            user.labels
                .iter()
                .map(|label| format!("{}: {}", label.key, label.value))
                .collect::<Vec<_>>()
        };
        assert_eq!(told(&bounced), ["email: bounced"]);
        assert_eq!(
            (
                bounced.labels[0].created_at,
                bounced.labels[0].updated_at,
                bounced.updated_at
            ),
            (at(1), at(9), at(9))
        );
        assert_eq!((bounced.state, bounced.level), (State::Active, 0));
        assert!(bounced.bounced(at(9), at(10)).is_none(), "it is known");
        assert!(
            user().bounced(at(1), at(9)).is_none(),
            "confirmed at 2, after it bounced"
        );
        assert!(user().bounced(at(2), at(9)).is_some());
        let confirmed = bounced.confirmed(at(12));
        assert_eq!(told(&confirmed), ["email: verified"]);
        assert!(!confirmed.has_bounced() && confirmed.bounced(at(9), at(13)).is_none());
        assert_eq!(
            told(
                &User {
                    labels: Vec::new(),
                    ..user()
                }
                .bounced(at(1), at(1))
                .expect("news")
            ),
            ["email: bounced"]
        );
    }
}

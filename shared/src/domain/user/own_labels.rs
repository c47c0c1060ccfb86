//! The labels that users write themselves, which have the scope `public`. Only the service and
//! operators write private ones.

use super::{
    CredentialAccess, User,
    label::{Label, LabelView, PRIVATE, PUBLIC},
};
use crate::{Error, FieldFault, platform::clock::Timestamp};

/// Maximum number of public labels of a user.
const LIMIT: usize = 20;
/// Keys whose labels state what the service or an operator verified. Users cannot write them.
const RESERVED: [&str; 6] = ["email", "otp", "delete", "phone", "document", "profile"];
/// Keys of labels that the service writes, together with other members of the user.
const OF_SERVICE: [&str; 3] = ["email", "otp", "delete"];

/// A key or a value of a label: 3 to 255 characters of `[a-z0-9_-]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelText(String);

impl LabelText {
    /// Parses a text, whose ASCII letters are lowered. `None` if it violates the rule.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        let text = text.to_ascii_lowercase();
        ((3..=255).contains(&text.len()) && text.bytes().all(is_allowed)).then_some(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The scope of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelScope {
    /// The user can change it.
    Public,
    /// The user can only read it.
    Private,
}

impl LabelScope {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Public => PUBLIC,
            Self::Private => PRIVATE,
        }
    }
}

impl Label {
    /// Whether the service writes labels with this key, so that operators cannot set or remove
    /// them either.
    #[must_use]
    pub fn is_of_service(key: &str) -> bool {
        OF_SERVICE.iter().any(|own| own.eq_ignore_ascii_case(key))
    }
}

impl<C: CredentialAccess> User<C> {
    /// The label with this key in any case, as the API returns it.
    #[must_use]
    pub fn listed_label(&self, key: &str) -> Option<LabelView<'_>> {
        let mut labels = self.label_views();
        labels.retain(|label| label.key.eq_ignore_ascii_case(key));
        // An import may contain a private and a public label with the same key.
        labels.sort_by_key(|label| label.scope != PRIVATE);
        labels.into_iter().next()
    }

    /// The user with a new public label.
    ///
    /// # Errors
    /// The first of these that applies: [`Error::LabelPrivate`], [`FieldFault::KeyTaken`],
    /// [`Error::LabelLimit`].
    pub fn with_own_label(
        &self,
        key: &LabelText,
        value: &LabelText,
        now: Timestamp,
    ) -> Result<Self, Error> {
        if RESERVED.contains(&key.as_str()) {
            return Err(Error::LabelPrivate);
        }
        if self.listed_label(key.as_str()).is_some() {
            return Err(Error::Fields(vec![FieldFault::KeyTaken]));
        }
        let public = self.labels.iter().filter(|label| label.scope == PUBLIC);
        if public.count() >= LIMIT {
            return Err(Error::LabelLimit);
        }
        Ok(self.with_label(key, value, LabelScope::Public, now))
    }

    /// The user with another value of a public label.
    ///
    /// # Errors
    /// [`Error::LabelPrivate`], or [`Error::RecordNotFound`] if there is no such label.
    pub fn with_own_value(
        &self,
        key: &str,
        value: &LabelText,
        now: Timestamp,
    ) -> Result<Self, Error> {
        self.check_own(key)?;
        let mut changed = self.clone();
        for label in changed.labels_of(key) {
            value.as_str().clone_into(&mut label.value);
            label.updated_at = now;
        }
        Ok(Self {
            updated_at: now,
            ..changed
        })
    }

    /// The user without a public label.
    ///
    /// # Errors
    /// As [`User::with_own_value`].
    pub fn without_own_label(&self, key: &str, now: Timestamp) -> Result<Self, Error> {
        self.check_own(key)?;
        Ok(self.without_label(key, now))
    }

    /// The user with this label as the only one with its key. Without a scope, an existing label
    /// keeps its own, and a new one is private.
    #[must_use]
    pub fn with_operator_label(
        &self,
        key: &LabelText,
        value: &LabelText,
        scope: Option<LabelScope>,
        now: Timestamp,
    ) -> Self {
        let is_public = self
            .listed_label(key.as_str())
            .is_some_and(|label| label.scope == PUBLIC);
        let kept = if is_public {
            LabelScope::Public
        } else {
            LabelScope::Private
        };
        self.with_label(key, value, scope.unwrap_or(kept), now)
    }

    /// The user without the labels with this key.
    #[must_use]
    pub fn without_label(&self, key: &str, now: Timestamp) -> Self {
        let mut changed = self.clone();
        changed
            .labels
            .retain(|label| !label.key.eq_ignore_ascii_case(key));
        Self {
            updated_at: now,
            ..changed
        }
    }

    /// Requires that the user may change the label with this key.
    fn check_own(&self, key: &str) -> Result<(), Error> {
        if RESERVED.iter().any(|own| own.eq_ignore_ascii_case(key)) {
            return Err(Error::LabelPrivate);
        }
        match self.listed_label(key) {
            None => Err(Error::RecordNotFound),
            Some(label) if label.scope == PUBLIC => Ok(()),
            Some(_) => Err(Error::LabelPrivate),
        }
    }

    fn labels_of(&mut self, key: &str) -> impl Iterator<Item = &mut Label> {
        self.labels
            .iter_mut()
            .filter(move |label| label.key.eq_ignore_ascii_case(key))
    }

    fn with_label(
        &self,
        key: &LabelText,
        value: &LabelText,
        scope: LabelScope,
        now: Timestamp,
    ) -> Self {
        let mut changed = self.without_label(key.as_str(), now);
        let mut replaced = self.labels.iter();
        let replaced = replaced.find(|label| label.key.eq_ignore_ascii_case(key.as_str()));
        changed.labels.push(Label {
            key: key.as_str().to_owned(),
            value: value.as_str().to_owned(),
            scope: scope.as_str().to_owned(),
            created_at: replaced.map_or(now, |label| label.created_at),
            updated_at: now,
        });
        changed
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn text(text: &str) -> LabelText {
        LabelText::parse(text).expect("a text")
    }

    /// A user with labels as `key: value (scope)`, created at 1 and updated at 2.
    fn user(labels: &[[&str; 3]]) -> User {
        let labels: Vec<_> = labels
            .iter()
            .map(|[key, value, scope]| {
                json!({
                    "key": key, "value": value, "scope": scope, "created_at": 1, "updated_at": 2,
                })
            })
            .collect();
        serde_json::from_value(json!({
            "uid": "ID0123456789", "email": "a@example.com", "password_hash": "x",
            "state": "active", "role": "member", "level": 0, "session_epoch": 0,
            "created_at": 0, "updated_at": 0, "labels": labels,
        }))
        .expect("a user")
    }

    fn labels(user: &User) -> Vec<String> {
        let label = |label: &Label| format!("{}: {} ({})", label.key, label.value, label.scope);
        user.labels.iter().map(label).collect()
    }

    fn keys(result: Result<User, Error>) -> String {
        result.expect_err("an error").keys().concat()
    }

    #[test]
    fn a_text_has_3_to_255_lower_case_letters_digits_underscores_and_hyphens() {
        assert_eq!(text("VIP_tier-1").as_str(), "vip_tier-1");
        for valid in ["abc", "---", "012", &"a".repeat(255)] {
            assert!(LabelText::parse(valid).is_some(), "{valid}");
        }
        for invalid in [
            "",
            "ab",
            " abc",
            "a b",
            "a.b",
            "äbc",
            "\u{212a}ey",
            "abc\n",
            &"a".repeat(256),
        ] {
            assert_eq!(LabelText::parse(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn a_key_is_unique_in_both_scopes_and_reserved_ones_are_refused() {
        let user = user(&[["tier", "gold", "private"], ["Team", "red", "public"]]);
        let create = |key| user.with_own_label(&text(key), &text("blue"), at(9));
        assert_eq!(keys(create("tier")), "key.taken");
        assert_eq!(keys(create("team")), "key.taken");
        for reserved in RESERVED {
            assert_eq!(keys(create(reserved)), "resource.labels.private");
        }
        let created = create("plan").expect("a user");
        assert_eq!(labels(&created)[2], "plan: blue (public)");
        assert_eq!(
            (created.labels[2].created_at, created.updated_at),
            (at(9), at(9))
        );
    }

    #[test]
    fn a_user_has_20_public_labels_at_most() {
        let mut user = user(&[["tier", "gold", "private"]]);
        let create = |user: &User, number: usize| {
            let key = text(&format!("key-{number}"));
            user.with_own_label(&key, &text("value"), at(9))
        };
        for number in 0..20 {
            user = create(&user, number).expect("a user");
        }
        assert_eq!(keys(create(&user, 20)), "resource.labels.limit");
        assert_eq!(keys(create(&user, 3)), "key.taken");
        user = user.without_own_label("KEY-3", at(10)).expect("a user");
        assert!(create(&user, 20).is_ok());
    }

    #[test]
    fn only_public_labels_can_be_changed_and_deleted() {
        let user = user(&[
            ["tier", "gold", "private"],
            ["team", "red", "public"],
            ["phone", "verified", "public"],
            ["both", "one", "public"],
            ["both", "two", "private"],
        ]);
        let value = text("blue");
        for (key, error) in [
            ("tier", "resource.labels.private"),
            ("both", "resource.labels.private"),
            ("phone", "resource.labels.private"),
            ("Email", "resource.labels.private"),
            ("none", "record.not_found"),
            ("", "record.not_found"),
        ] {
            assert_eq!(
                keys(user.with_own_value(key, &value, at(9))),
                error,
                "{key}"
            );
            assert_eq!(keys(user.without_own_label(key, at(9))), error, "{key}");
        }
        let changed = user.with_own_value("Team", &value, at(9)).expect("a user");
        assert_eq!(labels(&changed)[1], "team: blue (public)");
        let label = &changed.labels[1];
        assert_eq!((label.created_at, label.updated_at), (at(1), at(9)));
        let deleted = user.without_own_label("team", at(9)).expect("a user");
        assert_eq!(deleted.labels.len(), 4);
        assert_eq!(
            deleted.listed_label("both").expect("a label").scope,
            PRIVATE
        );
    }

    #[test]
    fn an_operator_sets_the_only_label_with_a_key() {
        let user = user(&[["both", "one", "public"], ["both", "two", "private"]]);
        let set = |user: &User, key, scope| {
            user.with_operator_label(&text(key), &text("new"), scope, at(9))
        };
        assert_eq!(labels(&set(&user, "both", None)), ["both: new (private)"]);
        let public = set(&user, "both", Some(LabelScope::Public));
        assert_eq!(labels(&public), ["both: new (public)"]);
        assert_eq!(public.labels[0].created_at, at(1));
        assert_eq!(labels(&set(&public, "both", None)), ["both: new (public)"]);
        assert_eq!(
            labels(&set(&public, "tier", None))[1],
            "tier: new (private)"
        );
        assert!(Label::is_of_service("OTP") && !Label::is_of_service("phone"));
    }
}

//! The language of mails to a user.

use serde::{Deserialize, Deserializer};

use super::User;
use crate::domain::language::Language;

impl<C> User<C> {
    /// The language of a mail: the first of these that has texts: the language of the request, the
    /// member `language` of the user's data, the language of the sign-up, the default.
    #[must_use]
    pub fn mail_language(&self, requested: Option<&str>, default: Language) -> Language {
        Language::requested(requested)
            .or_else(|| Language::of_data(self.data.as_deref()))
            .or(self.language)
            .unwrap_or(default)
    }
}

/// Reads a stored language. One without texts, which another version may have stored, is ignored.
pub(super) fn stored<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Language>, D::Error> {
    let tag = Option::<String>::deserialize(deserializer)?;
    Ok(Language::requested(tag.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(data: Option<&str>, language: Option<&str>) -> User {
        serde_json::from_value(serde_json::json!({
            "uid": "ID0123456789", "email": "a@example.com", "password_hash": "x", "state": "active", "role": "member",
            "level": 0, "session_epoch": 0, "created_at": 0, "updated_at": 0, "data": data, "language": language,
        }))
        .expect("a user")
    }

    #[test]
    fn the_first_language_with_texts_is_chosen() {
        let data = Some(r#"{"language": "uk"}"#);
        let other_data = Some(r#"{"language": "xx"}"#);
        for (requested, data, stored, expected) in [
            (Some("fr"), data, Some("de"), Language::Fr),
            (Some("xx"), data, Some("de"), Language::Uk),
            (None, data, Some("de"), Language::Uk),
            (None, None, Some("de"), Language::De),
            (Some("xx"), other_data, Some("de"), Language::De),
            (None, other_data, None, Language::Es),
            (None, None, None, Language::Es),
        ] {
            assert_eq!(
                user(data, stored).mail_language(requested, Language::Es),
                expected,
                "{requested:?} {data:?} {stored:?}"
            );
        }
    }

    #[test]
    fn a_stored_language_without_texts_is_ignored() {
        assert_eq!(user(None, Some("xx")).language, None);
        let stored = serde_json::to_value(user(None, Some("pt"))).expect("JSON");
        assert_eq!(stored["language"], "pt");
        let stored = serde_json::to_value(user(None, None)).expect("JSON");
        assert!(stored.get("language").is_none(), "{stored}");
    }
}

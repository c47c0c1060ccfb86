//! The texts of the pages and of their script: `texts/<language>.json`, compiled in.

use std::collections::BTreeMap;

use serde::Deserialize;
use shared::domain::language::Language;

/// The texts in one language.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    pub page: PageText,
    /// Texts by error key, or by the name of a message.
    pub script: BTreeMap<String, String>,
}

/// The texts of the pages. A template with an unknown text does not compile.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageText {
    pub language_name: String,
    pub language: String,
    pub sign_in: String,
    pub sign_up: String,
    pub reset: String,
    pub confirm: String,
    pub account: String,
    pub not_found: String,
    pub email: String,
    pub password: String,
    pub old_password: String,
    pub new_password: String,
    pub repeat_password: String,
    pub show_password: String,
    pub code: String,
    pub code_hint: String,
    pub send_mail: String,
    pub set_password: String,
    pub change_password: String,
    pub sign_out: String,
    pub forgotten: String,
    pub reset_intro: String,
    pub reset_ends_sessions: String,
    pub confirm_intro: String,
    pub confirm_password: String,
    pub confirm_again: String,
    pub signed_in_as: String,
    pub pending: String,
    pub sessions: String,
    pub end_others: String,
    pub second_factor: String,
    pub factor_off: String,
    pub factor_on: String,
    pub factor_begin: String,
    pub factor_scan: String,
    pub factor_picture: String,
    pub factor_key: String,
    pub factor_enable: String,
    pub factor_disable: String,
    pub recovery_codes: String,
    pub recovery_intro: String,
    pub recovery_replace: String,
    pub recovery_replace_intro: String,
    pub copy: String,
    pub print: String,
    pub step_up: String,
    pub step_up_intro: String,
    pub step_up_confirm: String,
    pub cancel: String,
    pub captcha_unsupported: String,
    pub needs_script: String,
}

impl Text {
    pub fn of(language: Language) -> Result<Self, serde_json::Error> {
        serde_json::from_str(match language {
            Language::En => include_str!("texts/en.json"),
            Language::Ru => include_str!("texts/ru.json"),
            Language::Uk => include_str!("texts/uk.json"),
            Language::Es => include_str!("texts/es.json"),
            Language::Fr => include_str!("texts/fr.json"),
            Language::De => include_str!("texts/de.json"),
            Language::Pt => include_str!("texts/pt.json"),
            Language::Zh => include_str!("texts/zh.json"),
        })
    }
}

/// The language of a page: the requested one, else the first supported one of `Accept-Language`,
/// else the default.
#[must_use]
pub fn choose(requested: Option<&str>, accepted: &str, default: Language) -> Language {
    let preferred = accepted
        .split(',')
        .find_map(|tag| tag.split(';').next()?.parse().ok());
    Language::choose(requested, None, preferred.unwrap_or(default))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_the_same_texts() {
        let english = Text::of(Language::En).expect("texts");
        for language in Language::ALL {
            let text =
                Text::of(language).unwrap_or_else(|error| panic!("{}: {error}", language.as_str()));
            assert!(
                text.script.keys().eq(english.script.keys()),
                "{}",
                language.as_str()
            );
            assert!(text.script.values().all(|words| !words.trim().is_empty()));
            assert!(text.script["request.too_many_attempts"].contains("{when}"));
        }
    }

    #[test]
    fn the_language_is_the_requested_one_or_one_of_the_browser() {
        assert_eq!(choose(Some("fr"), "de", Language::En), Language::Fr);
        assert_eq!(
            choose(Some("xx"), "ja,de-AT;q=0.8,en;q=0.5", Language::En),
            Language::De
        );
        assert_eq!(choose(None, "", Language::Es), Language::Es);
    }
}

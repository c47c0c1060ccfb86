//! The languages of mails and pages.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A language in which mails and pages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English
    En,
    /// Russian
    Ru,
    /// Ukrainian
    Uk,
    /// Spanish
    Es,
    /// French
    Fr,
    /// German
    De,
    /// Portuguese, as in Brazil
    Pt,
    /// Chinese, simplified
    Zh,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 8] = [
        Self::En,
        Self::Ru,
        Self::Uk,
        Self::Es,
        Self::Fr,
        Self::De,
        Self::Pt,
        Self::Zh,
    ];

    /// The ISO 639-1 code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ru => "ru",
            Self::Uk => "uk",
            Self::Es => "es",
            Self::Fr => "fr",
            Self::De => "de",
            Self::Pt => "pt",
            Self::Zh => "zh",
        }
    }

    /// The BCP 47 tag, with the region or script that the texts are written in.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Pt => "pt-BR",
            Self::Zh => "zh-Hans",
            Self::En | Self::Ru | Self::Uk | Self::Es | Self::Fr | Self::De => self.as_str(),
        }
    }

    /// The language of the tag in a request; `None` if there are no texts in it.
    #[must_use]
    pub fn requested(tag: Option<&str>) -> Option<Self> {
        tag?.parse().ok()
    }

    /// The member `language` of a user's data, which is JSON text; `None` if there are no texts in
    /// it.
    #[must_use]
    pub fn of_data(data: Option<&str>) -> Option<Self> {
        let data: serde_json::Value = serde_json::from_str(data?).ok()?;
        data.get("language")?.as_str()?.parse().ok()
    }
}

/// There are no texts in the language.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownLanguage;

impl FromStr for Language {
    type Err = UnknownLanguage;

    /// Parses a language tag such as `en`, `en-US` or `pt_BR`. Only the primary subtag counts, in
    /// any case.
    fn from_str(tag: &str) -> Result<Self, UnknownLanguage> {
        let primary = tag.trim().split(['-', '_']).next().unwrap_or_default();
        Self::ALL
            .into_iter()
            .find(|language| language.as_str().eq_ignore_ascii_case(primary))
            .ok_or(UnknownLanguage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_parsed_in_any_case_and_with_a_region() {
        for tag in ["de", "DE", "de-AT", "De_ch", " de "] {
            assert_eq!(tag.parse(), Ok(Language::De), "{tag}");
        }
        for tag in ["", "xx", "deu", "d", "-de", "日本"] {
            assert_eq!(tag.parse::<Language>(), Err(UnknownLanguage), "{tag}");
        }
    }

    #[test]
    fn the_tag_of_a_language_is_parsed_as_that_language() {
        for language in Language::ALL {
            assert_eq!(language.tag().parse(), Ok(language));
        }
        assert_eq!(
            [Language::Pt.tag(), Language::Zh.tag()],
            ["pt-BR", "zh-Hans"]
        );
    }

    #[test]
    fn a_language_is_read_from_a_request_and_from_data() {
        assert_eq!(Language::requested(Some("fr-CA")), Some(Language::Fr));
        assert_eq!(Language::requested(Some("xx")), None);
        assert_eq!(Language::requested(None), None);
        assert_eq!(
            Language::of_data(Some(r#"{"language": "uk"}"#)),
            Some(Language::Uk)
        );
        for data in [
            None,
            Some("{}"),
            Some("no json"),
            Some(r#"{"language": 1}"#),
            Some("[1]"),
            Some(r#"{"language":"xx"}"#),
        ] {
            assert_eq!(Language::of_data(data), None, "{data:?}");
        }
    }
}

//! The language of a page.

use shared::domain::language::Language;

/// The language of a page: the requested one, else the first supported one of `Accept-Language`,
/// else the default.
#[must_use]
pub fn choose(requested: Option<&str>, accepted: &str, default: Language) -> Language {
    let preferred = accepted
        .split(',')
        .find_map(|tag| tag.split(';').next()?.parse().ok());
    Language::requested(requested)
        .or(preferred)
        .unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

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

//! The language of a page.

use shared::domain::language::Language;

/// The language of a page: the requested one, else the supported one that `Accept-Language` weighs
/// highest, else the default.
#[must_use]
pub fn choose(requested: Option<&str>, accepted: &str, default: Language) -> Language {
    Language::requested(requested)
        .or_else(|| preferred(accepted, default))
        .unwrap_or(default)
}

/// The supported language of the highest weight (RFC 9110, section 12.5.4); of equal weights, the
/// first. Regions are ignored. `*` stands for the default and then for all others, except those
/// that the header names. `None` if the header accepts no supported language.
fn preferred(accepted: &str, default: Language) -> Option<Language> {
    let ranges: Vec<(&str, f32)> = accepted.split(',').filter_map(range).collect();
    let named: Vec<(Language, f32)> = ranges
        .iter()
        .filter_map(|(tag, weight)| Some((tag.parse().ok()?, *weight)))
        .collect();
    let others = [default]
        .into_iter()
        .chain(Language::ALL)
        .find(|other| named.iter().all(|(language, _)| language != other));
    let any = ranges.iter().find(|(tag, _)| *tag == "*");
    let any = any.and_then(|(_, weight)| Some((others?, *weight)));
    let accepted = named.into_iter().chain(any);
    accepted
        .filter(|(_, weight)| *weight > 0.0)
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
        .map(|(language, _)| language)
}

/// A language range and its weight; `None` if the weight is not valid.
fn range(text: &str) -> Option<(&str, f32)> {
    let (tag, weight) = match text.split_once(';') {
        Some((tag, parameter)) => {
            let (name, value) = parameter.split_once('=')?;
            let weight = value.trim().parse().ok()?;
            (name.trim().eq_ignore_ascii_case("q") && (0.0..=1.0).contains(&weight))
                .then_some((tag, weight))?
        }
        None => (text, 1.0),
    };
    Some((tag.trim(), weight))
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

    #[test]
    fn the_highest_weight_counts_and_zero_excludes() {
        for (accepted, expected) in [
            ("en;q=0.5, uk ; q=0.9, fr;q=0.8", Language::Uk),
            ("de, fr", Language::De),
            ("de;q=0.7, fr;q=0.7", Language::De),
            ("pt;q=0, ru;q=0.1", Language::Ru),
            ("pt;q=0", Language::Es),
            ("pt-BR;Q=1.000, ru;q=0.999", Language::Pt),
            ("*", Language::Es),
            ("es;q=0, *", Language::En),
            ("es;q=0, en;q=0, *;q=0.1", Language::Ru),
            ("zh;q=0.2, *;q=0.1", Language::Zh),
            // Ranges with an invalid weight are ignored.
            ("de;q=2, fr;q=0.1", Language::Fr),
            ("de;q=NaN, fr;q=0.1", Language::Fr),
            ("de;q, fr;level=1, uk;q=-1", Language::Es),
            (";;;,,,q=1", Language::Es),
        ] {
            assert_eq!(choose(None, accepted, Language::Es), expected, "{accepted}");
        }
    }
}

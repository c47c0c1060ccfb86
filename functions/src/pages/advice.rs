//! Translations of the advice of `POST /identity/password/validate`, which is in English.

use std::collections::BTreeMap;

use shared::domain::password::{Suggestion, Warning};

use crate::texts::Hints;

const WARNINGS: [Warning; 14] = [
    Warning::StraightRowsOfKeysAreEasyToGuess,
    Warning::ShortKeyboardPatternsAreEasyToGuess,
    Warning::RepeatsLikeAaaAreEasyToGuess,
    Warning::RepeatsLikeAbcAbcAreOnlySlightlyHarderToGuess,
    Warning::ThisIsATop10Password,
    Warning::ThisIsATop100Password,
    Warning::ThisIsACommonPassword,
    Warning::ThisIsSimilarToACommonlyUsedPassword,
    Warning::SequencesLikeAbcAreEasyToGuess,
    Warning::RecentYearsAreEasyToGuess,
    Warning::AWordByItselfIsEasyToGuess,
    Warning::DatesAreOftenEasyToGuess,
    Warning::NamesAndSurnamesByThemselvesAreEasyToGuess,
    Warning::CommonNamesAndSurnamesAreEasyToGuess,
];

const SUGGESTIONS: [Suggestion; 13] = [
    Suggestion::UseAFewWordsAvoidCommonPhrases,
    Suggestion::NoNeedForSymbolsDigitsOrUppercaseLetters,
    Suggestion::AddAnotherWordOrTwo,
    Suggestion::CapitalizationDoesntHelpVeryMuch,
    Suggestion::AllUppercaseIsAlmostAsEasyToGuessAsAllLowercase,
    Suggestion::ReversedWordsArentMuchHarderToGuess,
    Suggestion::PredictableSubstitutionsDontHelpVeryMuch,
    Suggestion::UseALongerKeyboardPatternWithMoreTurns,
    Suggestion::AvoidRepeatedWordsAndCharacters,
    Suggestion::AvoidSequences,
    Suggestion::AvoidRecentYears,
    Suggestion::AvoidYearsThatAreAssociatedWithYou,
    Suggestion::AvoidDatesAndYearsThatAreAssociatedWithYou,
];

/// The translated text of each warning and suggestion, by its English text.
#[must_use]
pub fn advice(hints: &Hints) -> BTreeMap<String, &'static str> {
    let warnings = WARNINGS
        .into_iter()
        .map(|warning| (warning.to_string(), of_warning(warning, hints)));
    let suggestions = SUGGESTIONS
        .into_iter()
        .filter_map(|suggestion| Some((suggestion.to_string(), of_suggestion(suggestion, hints)?)));
    warnings.chain(suggestions).collect()
}

const fn of_warning(warning: Warning, hints: &Hints) -> &'static str {
    match warning {
        Warning::StraightRowsOfKeysAreEasyToGuess
        | Warning::ShortKeyboardPatternsAreEasyToGuess => hints.keyboard,
        Warning::RepeatsLikeAaaAreEasyToGuess
        | Warning::RepeatsLikeAbcAbcAreOnlySlightlyHarderToGuess => hints.repeats,
        Warning::ThisIsATop10Password
        | Warning::ThisIsATop100Password
        | Warning::ThisIsACommonPassword
        | Warning::ThisIsSimilarToACommonlyUsedPassword => hints.common,
        Warning::SequencesLikeAbcAreEasyToGuess => hints.sequences,
        Warning::RecentYearsAreEasyToGuess | Warning::DatesAreOftenEasyToGuess => hints.dates,
        Warning::AWordByItselfIsEasyToGuess => hints.one_word,
        Warning::NamesAndSurnamesByThemselvesAreEasyToGuess
        | Warning::CommonNamesAndSurnamesAreEasyToGuess => hints.names,
    }
}

/// `None` for a suggestion that the rule for passwords can contradict.
const fn of_suggestion(suggestion: Suggestion, hints: &Hints) -> Option<&'static str> {
    Some(match suggestion {
        Suggestion::NoNeedForSymbolsDigitsOrUppercaseLetters => return None,
        Suggestion::UseAFewWordsAvoidCommonPhrases | Suggestion::AddAnotherWordOrTwo => {
            hints.more_words
        }
        Suggestion::CapitalizationDoesntHelpVeryMuch
        | Suggestion::AllUppercaseIsAlmostAsEasyToGuessAsAllLowercase => hints.capitals,
        Suggestion::ReversedWordsArentMuchHarderToGuess => hints.reversed,
        Suggestion::PredictableSubstitutionsDontHelpVeryMuch => hints.substitutions,
        Suggestion::UseALongerKeyboardPatternWithMoreTurns => hints.keyboard,
        Suggestion::AvoidRepeatedWordsAndCharacters => hints.repeats,
        Suggestion::AvoidSequences => hints.sequences,
        Suggestion::AvoidRecentYears
        | Suggestion::AvoidYearsThatAreAssociatedWithYou
        | Suggestion::AvoidDatesAndYearsThatAreAssociatedWithYou => hints.dates,
    })
}

#[cfg(test)]
mod tests {
    use shared::domain::{
        language::Language,
        password::{Dictionary, Strength},
    };

    use super::*;
    use crate::texts::hints;

    #[test]
    fn the_advice_for_a_password_is_translated() {
        let advice = advice(hints(Language::De));
        let words = Dictionary::default();
        for (password, expected) in [
            ("password", hints(Language::De).common),
            ("qwertzuiop", hints(Language::De).more_words),
            ("aaaaaaaa", hints(Language::De).repeats),
            ("P@ssw0rd", hints(Language::De).substitutions),
            ("drowssap", hints(Language::De).reversed),
        ] {
            let strength = Strength::of(password, &words);
            let texts: Vec<_> = strength
                .warning
                .iter()
                .chain(&strength.suggestions)
                .collect();
            let translated: Vec<_> = texts
                .iter()
                .filter_map(|text| advice.get(*text).copied())
                .collect();
            assert!(translated.contains(&expected), "{password}: {texts:?}");
        }
    }

    #[test]
    fn all_advice_but_one_has_a_translation() {
        let advice = advice(hints(Language::En));
        assert_eq!(advice.len(), WARNINGS.len() + SUGGESTIONS.len() - 1);
    }

    #[test]
    fn a_device_is_named_by_its_browser_and_its_system_in_every_language() {
        for language in Language::ALL {
            let device = hints(language).device;
            for placeholder in ["{browser}", "{system}"] {
                assert_eq!(device.matches(placeholder).count(), 1, "{device}");
            }
        }
    }
}

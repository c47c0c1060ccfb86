//! Plural forms.

/// The plural forms of a noun.
pub enum Noun {
    /// Chinese: one form for all numbers.
    Any(&'static str),
    /// English, German and the Romance languages: 1, all other numbers.
    OneOther(&'static str, &'static str),
    /// East Slavic languages: numbers that end in 1, in 2 to 4, all others; 11 to 14 are others.
    OneFewMany(&'static str, &'static str, &'static str),
}

impl Noun {
    /// The number and the noun in the form that it requires.
    #[must_use]
    pub fn counted(&self, number: u64) -> String {
        let form = match self {
            Self::Any(any) => any,
            Self::OneOther(one, _) if number == 1 => one,
            Self::OneOther(_, other) => other,
            Self::OneFewMany(one, few, many) => match (number % 10, number % 100) {
                (_, 11..=14) => many,
                (1, _) => one,
                (2..=4, _) => few,
                _ => many,
            },
        };
        format!("{number} {form}")
    }
}

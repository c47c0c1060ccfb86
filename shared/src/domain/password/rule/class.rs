//! Sets of characters.

use std::fmt::Write as _;

/// An inclusive range of code points.
pub(super) type Range = (u32, u32);

const LAST: u32 = char::MAX as u32;
pub(super) const DIGITS: &[Range] = &[(0x30, 0x39)];
pub(super) const WORD: &[Range] = &[(0x30, 0x39), (0x41, 0x5a), (0x5f, 0x5f), (0x61, 0x7a)];
/// The characters of JavaScript's `\s`: unlike Unicode's white space, with U+FEFF and without
/// U+0085.
pub(super) const SPACE: &[Range] = &[
    (0x09, 0x0d),
    (0x20, 0x20),
    (0xa0, 0xa0),
    (0x1680, 0x1680),
    (0x2000, 0x200a),
    (0x2028, 0x2029),
    (0x202f, 0x202f),
    (0x205f, 0x205f),
    (0x3000, 0x3000),
    (0xfeff, 0xfeff),
];
/// The line terminators, which `.` does not match.
pub(super) const LINE_ENDS: &[Range] = &[(0x0a, 0x0a), (0x0d, 0x0d), (0x2028, 0x2029)];

/// A set of characters, which matches one character of a password.
#[derive(Debug, Clone, Default)]
pub(super) struct Class {
    /// A superset of the characters that match: all characters if the class has a Unicode property.
    ranges: Vec<Range>,
    /// Whether the class has a Unicode property.
    property: bool,
    /// The class for the linear engine. Characters are hexadecimal escapes, so that none is taken
    /// for syntax.
    translation: String,
}

impl Class {
    pub fn of(ranges: &[Range]) -> Self {
        let mut class = Self::default();
        class.add(ranges);
        class.finish(false)
    }

    pub fn except(ranges: &[Range]) -> Self {
        let mut class = Self::default();
        class.add(ranges);
        class.finish(true)
    }

    /// Adds characters to an unfinished class.
    pub fn add(&mut self, ranges: &[Range]) {
        for &(from, to) in ranges {
            self.ranges.push((from, to));
            // Writing to a string cannot fail.
            let _ = write!(self.translation, r"\x{{{from:x}}}-\x{{{to:x}}}");
        }
    }

    /// Adds the characters with a Unicode property or, if negated, those without it.
    pub fn add_property(&mut self, property: &str, negated: bool) {
        self.property = true;
        self.ranges.push((0, LAST));
        let letter = if negated { 'P' } else { 'p' };
        let _ = write!(self.translation, r"\{letter}{{{property}}}");
    }

    /// Finishes a class.
    pub fn finish(mut self, negated: bool) -> Self {
        if negated {
            // The complement of a superset is not a superset of the complement.
            self.ranges = if self.property {
                vec![(0, LAST)]
            } else {
                complement(&self.ranges)
            };
        }
        self.translation = match (self.translation.is_empty(), negated) {
            (true, false) => r"[^\x{0}-\x{10ffff}]".to_owned(),
            (true, true) => r"[\x{0}-\x{10ffff}]".to_owned(),
            (false, false) => format!("[{}]", self.translation),
            (false, true) => format!("[^{}]", self.translation),
        };
        self
    }

    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    pub fn translation(&self) -> &str {
        &self.translation
    }
}

/// All characters outside the ranges.
pub(super) fn complement(ranges: &[Range]) -> Vec<Range> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    let mut gaps = Vec::new();
    let mut next = 0;
    for (from, to) in sorted {
        if next < from {
            gaps.push((next, from - 1));
        }
        next = next.max(to + 1);
    }
    if next <= LAST {
        gaps.push((next, LAST));
    }
    gaps
}

/// Whether the two lists of ranges have a character in common.
pub(super) fn overlap(one: &[Range], other: &[Range]) -> bool {
    one.iter()
        .any(|a| other.iter().any(|b| a.0 <= b.1 && b.0 <= a.1))
}

#[rustfmt::skip]
const CATEGORIES: &[&str] = &[
    "L", "Letter", "Lu", "Uppercase_Letter", "Ll", "Lowercase_Letter", "Lt", "Titlecase_Letter", "LC", "Cased_Letter",
    "Lm", "Modifier_Letter", "Lo", "Other_Letter",
    "M", "Mark", "Mn", "Nonspacing_Mark", "Mc", "Spacing_Mark", "Me", "Enclosing_Mark",
    "N", "Number", "Nd", "Decimal_Number", "Nl", "Letter_Number", "No", "Other_Number",
    "P", "Punctuation", "Pc", "Connector_Punctuation", "Pd", "Dash_Punctuation", "Ps", "Open_Punctuation",
    "Pe", "Close_Punctuation", "Pi", "Initial_Punctuation", "Pf", "Final_Punctuation", "Po", "Other_Punctuation",
    "S", "Symbol", "Sm", "Math_Symbol", "Sc", "Currency_Symbol", "Sk", "Modifier_Symbol", "So", "Other_Symbol",
    "Z", "Separator", "Zs", "Space_Separator", "Zl", "Line_Separator", "Zp", "Paragraph_Separator",
    "Cc", "Control", "Cf", "Format", "Co", "Private_Use",
];

#[rustfmt::skip]
const BINARY: &[&str] = &[
    "Alphabetic", "Alpha", "Any", "ASCII", "Lowercase", "Lower", "Uppercase", "Upper", "White_Space", "Emoji",
];

#[rustfmt::skip]
const SCRIPTS: &[&str] = &[
    "Arabic", "Armenian", "Bengali", "Common", "Cyrillic", "Devanagari", "Ethiopic", "Georgian", "Greek", "Gujarati",
    "Gurmukhi", "Han", "Hangul", "Hebrew", "Hiragana", "Kannada", "Katakana", "Khmer", "Lao", "Latin", "Malayalam",
    "Mongolian", "Myanmar", "Sinhala", "Tamil", "Telugu", "Thai", "Tibetan",
];

/// The meaning of an escape.
pub(super) enum Escaped {
    Character(u32),
    Set(Vec<Range>),
    Property { name: String, negated: bool },
}

/// All accepted names.
#[cfg(test)]
pub(super) const PROPERTIES: [&[&str]; 3] = [CATEGORIES, BINARY, SCRIPTS];

/// Whether both engines support the property `\p{...}` under exactly this name.
pub(super) fn is_supported_property(property: &str) -> bool {
    match property.split_once('=') {
        None => CATEGORIES.contains(&property) || BINARY.contains(&property),
        Some(("General_Category" | "gc", value)) => CATEGORIES.contains(&value),
        Some(("Script" | "sc" | "Script_Extensions" | "scx", value)) => SCRIPTS.contains(&value),
        Some(_) => false,
    }
}

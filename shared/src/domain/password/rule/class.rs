//! Sets of characters

use std::fmt::Write as _;

/// Characters from one to another, both included.
pub(super) type Range = (u32, u32);

const LAST: u32 = char::MAX as u32;
pub(super) const DIGITS: &[Range] = &[(0x30, 0x39)];
pub(super) const WORD: &[Range] = &[(0x30, 0x39), (0x41, 0x5a), (0x5f, 0x5f), (0x61, 0x7a)];
/// White space and line ends as JavaScript defines them, with U+FEFF and without U+0085.
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
/// What `.` leaves out.
pub(super) const LINE_ENDS: &[Range] = &[(0x0a, 0x0a), (0x0d, 0x0d), (0x2028, 0x2029)];

/// What one character of a password may be
#[derive(Debug, Clone, Default)]
pub(super) struct Class {
    /// At least the characters that match: all, where a Unicode property is involved.
    ranges: Vec<Range>,
    /// Whether a Unicode property is involved.
    property: bool,
    /// As the linear engine spells it, numbers only, so that nothing of it can be taken for syntax.
    translation: String,
}

impl Class {
    pub fn of(ranges: &[Range]) -> Self {
        let mut class = Self::default();
        class.add(ranges);
        class.closed(false)
    }

    pub fn except(ranges: &[Range]) -> Self {
        let mut class = Self::default();
        class.add(ranges);
        class.closed(true)
    }

    /// Adds characters to a class that is being read.
    pub fn add(&mut self, ranges: &[Range]) {
        for &(from, to) in ranges {
            self.ranges.push((from, to));
            // Writing to a string cannot fail.
            let _ = write!(self.translation, r"\x{{{from:x}}}-\x{{{to:x}}}");
        }
    }

    /// Adds the characters with a Unicode property, or those without it.
    pub fn add_property(&mut self, property: &str, negated: bool) {
        self.property = true;
        self.ranges.push((0, LAST));
        let letter = if negated { 'P' } else { 'p' };
        let _ = write!(self.translation, r"\{letter}{{{property}}}");
    }

    /// Ends the reading of a class.
    pub fn closed(mut self, negated: bool) -> Self {
        if negated {
            // Of a superset, the complement says nothing.
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

/// All characters that are in none of the ranges.
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

/// Whether a character is in a range of both.
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

/// What an escape stands for.
pub(super) enum Escaped {
    Character(u32),
    Set(Vec<Range>),
    Property { name: String, negated: bool },
}

/// Every name that is accepted.
#[cfg(test)]
pub(super) const PROPERTIES: [&[&str]; 3] = [CATEGORIES, BINARY, SCRIPTS];

/// Whether both engines know what stands between the braces of `\p{...}`, under just this name.
pub(super) fn knows_property(property: &str) -> bool {
    match property.split_once('=') {
        None => CATEGORIES.contains(&property) || BINARY.contains(&property),
        Some(("General_Category" | "gc", value)) => CATEGORIES.contains(&value),
        Some(("Script" | "sc" | "Script_Extensions" | "scx", value)) => SCRIPTS.contains(&value),
        Some(_) => false,
    }
}

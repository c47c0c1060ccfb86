//! Codes of the second factor as people type, paste and dictate them.

use crate::domain::{
    otp::{CodeKind, RecoveryCode},
    password::Password,
};

/// The zeros of the decimal digits (general category Nd of Unicode 16), each followed by its one to
/// nine.
const ZEROS: [u32; 76] = [
    0x30, 0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66,
    0xDE6, 0xE50, 0xED0, 0xF20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90,
    0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10,
    0x104A0, 0x10D30, 0x10D40, 0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0,
    0x11650, 0x116C0, 0x116D0, 0x116DA, 0x11730, 0x118E0, 0x11950, 0x11BF0, 0x11C50, 0x11D50,
    0x11DA0, 0x11F50, 0x16130, 0x16A60, 0x16AC0, 0x16B50, 0x16D70, 0x1CCF0, 0x1D7CE, 0x1D7D8,
    0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E4F0, 0x1E5F1, 0x1E950, 0x1FBF0,
];
/// Distance of full-width letters from ASCII.
const FULL_WIDTH: u32 = 0xFEE0;
/// Digits of a TOTP code.
const TOTP_LENGTH: usize = 6;
/// Letters and digits of a recovery code.
const RECOVERY_LENGTH: usize = 10;

/// A code of the second factor. Its form determines its kind.
#[derive(Debug)]
pub enum SecondFactorCode {
    /// Six ASCII digits.
    Totp(Password),
    /// A code in the form of a recovery code.
    Recovery(RecoveryCode),
}

impl SecondFactorCode {
    /// The kind of the code.
    #[must_use]
    pub const fn kind(&self) -> CodeKind {
        match self {
            Self::Totp(_) => CodeKind::Totp,
            Self::Recovery(_) => CodeKind::Recovery,
        }
    }

    /// Parses six digits as a TOTP code, and ten letters and digits as a recovery code. Ignores
    /// white space, hyphens and dashes; reads lower case as upper case, decimal digits of any script
    /// and full-width letters as ASCII. Returns `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let code: Option<String> = text
            .chars()
            .filter(|&c| !is_ignored(c))
            .map(ascii)
            .collect();
        let code = Password::new(code?);
        let plain = code.reveal();
        match plain.len() {
            TOTP_LENGTH if plain.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(Self::Totp(code))
            }
            RECOVERY_LENGTH => Some(Self::Recovery(RecoveryCode::new(code))),
            _ => None,
        }
    }
}

/// White space, characters of no width, hyphens and dashes (general category Pd, and the characters
/// that keyboards and word processors put in their place).
const fn is_ignored(c: char) -> bool {
    c.is_whitespace()
        || matches!(c,
            '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FEFF}' | '\u{AD}' | '\u{2043}' | '\u{2212}'
            | '-' | '\u{58A}' | '\u{5BE}' | '\u{1400}' | '\u{1806}' | '\u{2010}'..='\u{2015}'
            | '\u{2E17}' | '\u{2E1A}' | '\u{2E3A}' | '\u{2E3B}' | '\u{2E40}' | '\u{2E5D}'
            | '\u{301C}' | '\u{3030}' | '\u{30A0}' | '\u{FE31}' | '\u{FE32}' | '\u{FE58}'
            | '\u{FE63}' | '\u{FF0D}' | '\u{10D6E}' | '\u{10EAD}')
}

/// The upper-case ASCII letter or digit that a character stands for.
fn ascii(c: char) -> Option<char> {
    let code_point = u32::from(c);
    let zero = ZEROS
        .iter()
        .find(|&&zero| (zero..zero + 10).contains(&code_point));
    if let Some(zero) = zero {
        return char::from_digit(code_point - zero, 10);
    }
    let letter = match c {
        'Ａ'..='Ｚ' | 'ａ'..='ｚ' => char::from_u32(code_point - FULL_WIDTH)?,
        other => other,
    };
    letter
        .is_ascii_alphabetic()
        .then(|| letter.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use fancy_regex::Regex;

    use super::*;

    /// The code as parsed: digits, or the formatted recovery code.
    fn parsed(text: &str) -> Option<String> {
        SecondFactorCode::parse(text).map(|code| match code {
            SecondFactorCode::Totp(code) => code.reveal().to_owned(),
            SecondFactorCode::Recovery(code) => code.formatted(),
        })
    }

    #[test]
    fn a_code_is_recognised_as_people_type_it() {
        for text in [
            "123456",
            " 123 456\n",
            "123-456",
            "123\u{a0}456",
            "123\u{202f}456",
            "123–456",
            "123—456",
            "123−456",
            "\u{feff}123\u{200b}456",
            "１２３４５６",
            "१२३४५६",
            "١٢٣٤٥٦",
            "۱۲۳ ۴۵۶",
            "𝟏𝟐𝟑𝟒𝟓𝟔",
        ] {
            assert_eq!(parsed(text).as_deref(), Some("123456"), "{text:?}");
        }
        for text in [
            "ABCDE-FGH23",
            "abcdefgh23",
            " abcde fgh23 ",
            "ABCDE–FGH23",
            "ＡＢＣＤＥ－ＦＧＨ２３",
            "ａｂｃｄｅｆｇｈ２３",
        ] {
            assert_eq!(parsed(text).as_deref(), Some("ABCDE-FGH23"), "{text:?}");
        }
    }

    #[test]
    fn a_text_without_the_form_of_a_code_is_rejected() {
        for text in [
            "",
            " - ",
            "12345",
            "1234567",
            "12345a",
            "123.456",
            "12345½",
            "ABCDEFGH2",
            "ABCDEFGH234",
            "ABCDEFGH2É",
            "ABCDEFGH2\u{301}",
            "ABCDE_FGH23",
            "²²²²²²",
            "ⅠⅡⅢⅣⅤⅥ",
        ] {
            assert_eq!(parsed(text), None, "{text:?}");
        }
    }

    /// The table and the list of dashes, compared with the tables of the regex engine.
    #[test]
    fn every_decimal_digit_and_every_dash_of_unicode_is_known() {
        let digit = Regex::new(r"^\p{Nd}$").expect("a class");
        let ignored = Regex::new(r"^[\p{Pd}\p{White_Space}]$").expect("a class");
        for c in (char::MIN..=char::MAX).filter(|c| !c.is_ascii()) {
            let text = c.to_string();
            if ignored.is_match(&text).expect("a verdict") {
                assert!(is_ignored(c), "{c:?}");
            }
            let is_digit = ascii(c).is_some_and(|c| c.is_ascii_digit());
            assert_eq!(
                is_digit,
                digit.is_match(&text).expect("a verdict"),
                "U+{:X}",
                u32::from(c)
            );
        }
    }
}

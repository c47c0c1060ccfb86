//! The parser of escapes and classes, which match one character each.

use super::RuleError;
use super::class::{Class, DIGITS, Escaped, SPACE, WORD, complement, is_supported_property};
use super::reader::{Reader, syntax_error};

impl Reader {
    /// A class, after its opening bracket.
    pub fn class(&mut self, at: usize) -> Result<Class, RuleError> {
        let mut class = Class::default();
        let negated = self.eat("^");
        loop {
            let member_at = self.position();
            if self.eat("]") {
                return Ok(class.finish(negated));
            }
            let first = self.member(at)?;
            // A hyphen before the closing bracket is literal.
            let range = self.eat("-") && {
                let hyphen_is_last = self.peek() == Some(']');
                if hyphen_is_last {
                    class.add(&[(u32::from('-'), u32::from('-'))]);
                }
                !hyphen_is_last
            };
            match (first, range) {
                (Escaped::Character(from), true) => match self.member(at)? {
                    Escaped::Character(to) if from <= to => class.add(&[(from, to)]),
                    Escaped::Character(_) => {
                        return Err(syntax_error(
                            member_at,
                            "the first character of this range is after its last; swap them",
                        ));
                    }
                    _ => {
                        return Err(syntax_error(
                            member_at,
                            r"a range must end with a single character, not with a set; write \- to match the hyphen literally",
                        ));
                    }
                },
                (_, true) => {
                    return Err(syntax_error(
                        member_at,
                        r"a range must begin with a single character, not with a set; write \- to match the hyphen literally",
                    ));
                }
                (Escaped::Character(character), false) => class.add(&[(character, character)]),
                (Escaped::Set(ranges), false) => class.add(&ranges),
                (Escaped::Property { name, negated }, false) => class.add_property(&name, negated),
            }
        }
    }

    /// A member of a class, or an end of a range.
    fn member(&mut self, class_at: usize) -> Result<Escaped, RuleError> {
        let at = self.position();
        match self.take() {
            Some('\\') if self.eat("b") => Ok(Escaped::Character(0x08)),
            Some('\\') if self.eat("-") => Ok(Escaped::Character(u32::from('-'))),
            Some('\\') => self.escape(at),
            Some(character) => Ok(Escaped::Character(character.into())),
            None => Err(syntax_error(
                class_at,
                r"unclosed class; add a closing bracket, or write \[ to match it literally",
            )),
        }
    }

    /// An escape, after its backslash at the position `at`.
    pub fn escape(&mut self, at: usize) -> Result<Escaped, RuleError> {
        let Some(letter) = self.take() else {
            return Err(syntax_error(
                at,
                r"nothing follows the backslash; write \\ to match it literally",
            ));
        };
        let character = match letter {
            'd' => return Ok(Escaped::Set(DIGITS.to_vec())),
            'D' => return Ok(Escaped::Set(complement(DIGITS))),
            'w' => return Ok(Escaped::Set(WORD.to_vec())),
            'W' => return Ok(Escaped::Set(complement(WORD))),
            's' => return Ok(Escaped::Set(SPACE.to_vec())),
            'S' => return Ok(Escaped::Set(complement(SPACE))),
            'p' | 'P' => return self.property(at, letter == 'P'),
            't' => 0x09,
            'n' => 0x0a,
            'v' => 0x0b,
            'f' => 0x0c,
            'r' => 0x0d,
            '0' if !self.peek().is_some_and(|next| next.is_ascii_digit()) => 0,
            'c' => match self.take() {
                Some(control) if control.is_ascii_alphabetic() => u32::from(control) % 32,
                _ => return Err(syntax_error(at, r"\c must be followed by an ASCII letter")),
            },
            'x' => self.hexadecimal(2).ok_or(syntax_error(
                at,
                r"\x must be followed by two hexadecimal digits",
            ))?,
            'u' => self.code_point(at)?,
            '^' | '$' | '\\' | '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|'
            | '/' => letter.into(),
            'b' | 'B' => {
                return Err(syntax_error(
                    at,
                    "word boundaries are not supported; remove this one",
                ));
            }
            'k' | '1'..='9' => {
                return Err(syntax_error(
                    at,
                    "back-references are not supported; remove this one",
                ));
            }
            _ => {
                return Err(syntax_error(
                    at,
                    "unknown escape; remove the backslash to match the character literally",
                ));
            }
        };
        Ok(Escaped::Character(character))
    }

    /// A Unicode property, after `\p` or `\P`.
    fn property(&mut self, at: usize, negated: bool) -> Result<Escaped, RuleError> {
        const MALFORMED: &str =
            r"\p must be followed by the name of a property in braces, such as \p{Lu}";
        let mut name = String::new();
        if !self.eat("{") {
            return Err(syntax_error(at, MALFORMED));
        }
        while !self.eat("}") {
            match self.take() {
                Some(character) => name.push(character),
                None => return Err(syntax_error(at, MALFORMED)),
            }
        }
        if is_supported_property(&name) {
            Ok(Escaped::Property { name, negated })
        } else {
            Err(syntax_error(
                at,
                "unsupported property; use a general category, a common script or a binary property, such as Lu, Script=Greek or Alphabetic",
            ))
        }
    }

    /// A code point, after `\u`: `HHHH`, twice for a surrogate pair, or `{H...}`.
    fn code_point(&mut self, at: usize) -> Result<u32, RuleError> {
        const MALFORMED: &str =
            r"\u must be followed by four hexadecimal digits, or by hexadecimal digits in braces";
        let code_point = if self.eat("{") {
            self.braced_hexadecimal()
        } else {
            self.hexadecimal(4)
        };
        let code_point = code_point.ok_or(syntax_error(at, MALFORMED))?;
        let pair_follows = (0xd800..0xdc00).contains(&code_point) && self.eat(r"\u");
        let low = if pair_follows {
            self.hexadecimal(4)
        } else {
            None
        };
        let code_point = match low {
            Some(low @ 0xdc00..=0xdfff) => 0x10000 + ((code_point - 0xd800) << 10) + (low - 0xdc00),
            Some(_) => return Err(syntax_error(at, LONE_SURROGATE)),
            None => code_point,
        };
        match char::from_u32(code_point) {
            Some(character) => Ok(character.into()),
            None if code_point > 0x0010_ffff => Err(syntax_error(
                at,
                "there is no code point above 10FFFF; use a smaller one",
            )),
            None => Err(syntax_error(at, LONE_SURROGATE)),
        }
    }

    fn braced_hexadecimal(&mut self) -> Option<u32> {
        let mut value = self.hexadecimal(1)?;
        while !self.eat("}") {
            value = value
                .saturating_mul(16)
                .saturating_add(self.hexadecimal(1)?);
        }
        Some(value)
    }

    fn hexadecimal(&mut self, digits: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..digits {
            value = value * 16 + self.take()?.to_digit(16)?;
        }
        Some(value)
    }
}

const LONE_SURROGATE: &str =
    r"half of a surrogate pair is not a character; write both halves, or the code point as \u{...}";

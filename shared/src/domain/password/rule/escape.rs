//! Escapes and classes, the part of the grammar that stands for one character

use super::RuleError;
use super::class::{Class, DIGITS, Escaped, SPACE, WORD, complement, knows_property};
use super::reader::{Reader, refuse};

impl Reader {
    /// What follows an opening bracket.
    pub fn class(&mut self, at: usize) -> Result<Class, RuleError> {
        let mut class = Class::default();
        let negated = self.takes("^");
        loop {
            let member_at = self.here();
            if self.takes("]") {
                return Ok(class.closed(negated));
            }
            let first = self.member(at)?;
            // A hyphen before the closing bracket stands for itself.
            let range = self.takes("-") && {
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
                        return Err(refuse(member_at, "this range is in the wrong order"));
                    }
                    _ => {
                        return Err(refuse(
                            member_at,
                            "a range ends at one character, not at a set",
                        ));
                    }
                },
                (_, true) => {
                    return Err(refuse(
                        member_at,
                        "a range begins at one character, not at a set",
                    ));
                }
                (Escaped::Character(character), false) => class.add(&[(character, character)]),
                (Escaped::Set(ranges), false) => class.add(&ranges),
                (Escaped::Property { name, negated }, false) => class.add_property(&name, negated),
            }
        }
    }

    /// A member of a class, or an end of a range in it.
    fn member(&mut self, class_at: usize) -> Result<Escaped, RuleError> {
        let at = self.here();
        match self.take() {
            Some('\\') if self.takes("b") => Ok(Escaped::Character(0x08)),
            Some('\\') if self.takes("-") => Ok(Escaped::Character(u32::from('-'))),
            Some('\\') => self.escape(at),
            Some(character) => Ok(Escaped::Character(character.into())),
            None => Err(refuse(class_at, "this bracket is never closed")),
        }
    }

    /// What follows a backslash that stands at `at`.
    pub fn escape(&mut self, at: usize) -> Result<Escaped, RuleError> {
        let Some(letter) = self.take() else {
            return Err(refuse(at, "a backslash escapes nothing"));
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
                _ => return Err(refuse(at, r"\c is followed by a letter")),
            },
            'x' => self
                .hexadecimal(2)
                .ok_or(refuse(at, r"\x is followed by two hexadecimal digits"))?,
            'u' => self.code_point(at)?,
            '^' | '$' | '\\' | '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|'
            | '/' => letter.into(),
            'b' | 'B' => return Err(refuse(at, "word boundaries are not supported")),
            'k' | '1'..='9' => return Err(refuse(at, "back-references are not supported")),
            _ => return Err(refuse(at, "this escape means nothing")),
        };
        Ok(Escaped::Character(character))
    }

    /// What follows `\p` or `\P`.
    fn property(&mut self, at: usize, negated: bool) -> Result<Escaped, RuleError> {
        let mut name = String::new();
        if !self.takes("{") {
            return Err(refuse(
                at,
                r"\p is followed by the name of a property in braces",
            ));
        }
        while !self.takes("}") {
            match self.take() {
                Some(character) => name.push(character),
                None => {
                    return Err(refuse(
                        at,
                        r"\p is followed by the name of a property in braces",
                    ));
                }
            }
        }
        if knows_property(&name) {
            Ok(Escaped::Property { name, negated })
        } else {
            Err(refuse(
                at,
                "this property is not one of those that are supported",
            ))
        }
    }

    /// What follows `\u`: `HHHH`, twice for a surrogate pair, or `{H...}`.
    fn code_point(&mut self, at: usize) -> Result<u32, RuleError> {
        const MALFORMED: &str = r"\u is followed by four hexadecimal digits, or by some in braces";
        let code_point = if self.takes("{") {
            self.braced_hexadecimal()
        } else {
            self.hexadecimal(4)
        };
        let code_point = code_point.ok_or(refuse(at, MALFORMED))?;
        let pair_follows = (0xd800..0xdc00).contains(&code_point) && self.takes(r"\u");
        let low = if pair_follows {
            self.hexadecimal(4)
        } else {
            None
        };
        let code_point = match low {
            Some(low @ 0xdc00..=0xdfff) => 0x10000 + ((code_point - 0xd800) << 10) + (low - 0xdc00),
            Some(_) => return Err(refuse(at, LONE_SURROGATE)),
            None => code_point,
        };
        match char::from_u32(code_point) {
            Some(character) => Ok(character.into()),
            None if code_point > 0x0010_ffff => Err(refuse(at, "there is no such character")),
            None => Err(refuse(at, LONE_SURROGATE)),
        }
    }

    fn braced_hexadecimal(&mut self) -> Option<u32> {
        let mut value = self.hexadecimal(1)?;
        while !self.takes("}") {
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

const LONE_SURROGATE: &str = "half of a surrogate pair is no character";

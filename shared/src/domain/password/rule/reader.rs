//! The parser: a method for each production of JavaScript's grammar of patterns, with flag `u`.

use super::RuleError;
use super::class::Escaped;
use super::class::{Class, LINE_ENDS};
use super::tree::{Choice, Kind, Node};

/// Maximum count of a counted repetition.
const MAX_COUNT: u32 = 1024;
/// Maximum depth of nested groups, which bounds the recursion over the tree.
const MAX_DEPTH: usize = 32;

/// Parses an expression.
pub(super) fn parse(expression: &str) -> Result<Choice, RuleError> {
    let mut reader = Reader {
        chars: expression.chars().collect(),
        next: 0,
        depth: 0,
        group_names: Vec::new(),
    };
    let choice = reader.choice()?;
    match reader.peek() {
        None => Ok(choice),
        Some(_) => Err(syntax_error(
            reader.position(),
            r"unmatched closing parenthesis; write \) to match it literally",
        )),
    }
}

pub(super) fn syntax_error(at: usize, reason: &'static str) -> RuleError {
    RuleError::Syntax { at, reason }
}

pub(super) struct Reader {
    chars: Vec<char>,
    next: usize,
    /// The number of open groups.
    depth: usize,
    group_names: Vec<String>,
}

impl Reader {
    pub fn peek(&self) -> Option<char> {
        self.chars.get(self.next).copied()
    }

    pub fn take(&mut self) -> Option<char> {
        let taken = self.peek();
        self.next += usize::from(taken.is_some());
        taken
    }

    /// Consumes the text if it is next.
    pub fn eat(&mut self, text: &str) -> bool {
        let rest = &self.chars[self.next..];
        let found = text
            .chars()
            .enumerate()
            .all(|(i, c)| rest.get(i) == Some(&c));
        if found {
            self.next += text.chars().count();
        }
        found
    }

    /// The position of the next character, counted from 1.
    pub fn position(&self) -> usize {
        self.next + 1
    }

    /// Alternatives, up to a closing parenthesis or the end.
    fn choice(&mut self) -> Result<Choice, RuleError> {
        let mut choice = vec![self.sequence()?];
        while self.eat("|") {
            choice.push(self.sequence()?);
        }
        Ok(choice)
    }

    fn sequence(&mut self) -> Result<Vec<Node>, RuleError> {
        let mut sequence = Vec::new();
        loop {
            let at = self.position();
            let kind = match self.peek() {
                None | Some('|' | ')') => return Ok(sequence),
                Some(_) => self.part()?,
            };
            let is_look_ahead = matches!(kind, Kind::LookAhead { .. });
            if is_look_ahead
                && (self.depth > 0 || !sequence.iter().all(Node::may_precede_look_ahead))
            {
                return Err(syntax_error(
                    at,
                    "a look-ahead is accepted only at the beginning of the expression or of one of its outermost alternatives; move it there",
                ));
            }
            sequence.push(self.repeated(Node { at, kind })?);
        }
    }

    /// One part, without a quantifier.
    fn part(&mut self) -> Result<Kind, RuleError> {
        let at = self.position();
        Ok(match self.take() {
            Some('^') => Kind::Start,
            Some('$') => Kind::End,
            Some('.') => Kind::One(Class::except(LINE_ENDS)),
            Some('[') => Kind::One(self.class(at)?),
            Some('(') => self.group(at)?,
            Some('\\') => {
                let mut class = Class::default();
                match self.escape(at)? {
                    Escaped::Character(character) => class.add(&[(character, character)]),
                    Escaped::Set(ranges) => class.add(&ranges),
                    Escaped::Property { name, negated } => class.add_property(&name, negated),
                }
                Kind::One(class.finish(false))
            }
            Some('*' | '+' | '?' | '{') => {
                return Err(syntax_error(
                    at,
                    "there is nothing to repeat before this quantifier; escape it with a backslash to match it literally",
                ));
            }
            Some(']' | '}') => {
                return Err(syntax_error(
                    at,
                    "unmatched closing bracket; escape it with a backslash to match it literally",
                ));
            }
            Some(character) => Kind::One(Class::of(&[(character.into(), character.into())])),
            None => return Err(syntax_error(at, "the expression ends unexpectedly")),
        })
    }

    /// A group, after its opening parenthesis.
    fn group(&mut self, at: usize) -> Result<Kind, RuleError> {
        let kind: fn(Choice) -> Kind = if self.eat("?=") {
            |inner| Kind::LookAhead {
                negative: false,
                inner,
            }
        } else if self.eat("?!") {
            |inner| Kind::LookAhead {
                negative: true,
                inner,
            }
        } else if self.eat("?<=") || self.eat("?<!") {
            return Err(syntax_error(
                at,
                "look-behinds are not supported; remove this one",
            ));
        } else {
            if self.eat("?<") {
                self.group_name()?;
            } else if !self.eat("?:") && self.peek() == Some('?') {
                return Err(syntax_error(
                    at,
                    "this kind of group is not supported; use (...), (?:...), (?<name>...), (?=...) or (?!...)",
                ));
            }
            Kind::Group
        };
        if self.depth == MAX_DEPTH {
            return Err(syntax_error(
                at,
                "groups are nested deeper than 32; remove nested groups",
            ));
        }
        self.depth += 1;
        let inner = self.choice()?;
        self.depth -= 1;
        if self.eat(")") {
            Ok(kind(inner))
        } else {
            Err(syntax_error(
                at,
                r"unclosed group; add a closing parenthesis, or write \( to match it literally",
            ))
        }
    }

    fn group_name(&mut self) -> Result<(), RuleError> {
        let at = self.position();
        let mut name = String::new();
        loop {
            match self.take() {
                Some('>') if !name.is_empty() => break,
                Some(c) if c.is_ascii_alphabetic() || c == '_' || c == '$' => name.push(c),
                Some(c) if c.is_ascii_digit() && !name.is_empty() => name.push(c),
                _ => {
                    return Err(syntax_error(
                        at,
                        "a group name must consist of ASCII letters, digits, _ and $, not begin with a digit, and end with >",
                    ));
                }
            }
        }
        if self.group_names.contains(&name) {
            return Err(syntax_error(
                at,
                "another group has this name; rename one of them",
            ));
        }
        self.group_names.push(name);
        Ok(())
    }

    /// The part, with its quantifier if one follows.
    fn repeated(&mut self, part: Node) -> Result<Node, RuleError> {
        let at = self.position();
        if !matches!(self.peek(), Some('*' | '+' | '?' | '{')) {
            return Ok(part);
        }
        if part.may_precede_look_ahead() || matches!(part.kind, Kind::End) {
            return Err(syntax_error(
                at,
                "an assertion cannot be repeated; remove this quantifier",
            ));
        }
        let (min, max) = match self.take() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            _ => self.bounds(at)?,
        };
        self.eat("?");
        Ok(Node {
            at: part.at,
            kind: Kind::Repeat {
                inner: Box::new(part),
                min,
                max,
            },
        })
    }

    /// The bounds of a quantifier, after its opening brace: `n}`, `n,}` or `n,m}`.
    fn bounds(&mut self, at: usize) -> Result<(u32, Option<u32>), RuleError> {
        const MALFORMED: &str = r"a brace must begin a count such as {8}, {8,} or {8,80}; write \{ to match it literally";
        let min = self.number().ok_or(syntax_error(at, MALFORMED))?;
        let max = if self.eat(",") {
            self.number()
        } else {
            Some(min)
        };
        if !self.eat("}") {
            return Err(syntax_error(at, MALFORMED));
        }
        if max.is_some_and(|max| max < min) {
            return Err(syntax_error(
                at,
                "the minimum of this repetition is greater than its maximum; swap them",
            ));
        }
        if max.unwrap_or(min) > MAX_COUNT {
            return Err(syntax_error(
                at,
                "the count of a repetition is at most 1024; reduce it",
            ));
        }
        Ok((min, max))
    }

    fn number(&mut self) -> Option<u32> {
        let mut number = None;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
            self.next += 1;
            number = Some(
                number
                    .unwrap_or(0_u32)
                    .saturating_mul(10)
                    .saturating_add(digit),
            );
        }
        number
    }
}

//! Reads an expression as JavaScript does with flag `u`: a method for each production of the
//! grammar

use super::RuleError;
use super::class::Escaped;
use super::class::{Class, LINE_ENDS};
use super::tree::{Choice, Kind, Node};

/// How often a counted repetition may repeat.
const MAX_COUNT: u32 = 1024;
/// How deep groups may nest, which bounds every recursion over the tree.
const MAX_DEPTH: usize = 32;

/// Reads a whole expression.
pub(super) fn read(expression: &str) -> Result<Choice, RuleError> {
    let mut reader = Reader {
        chars: expression.chars().collect(),
        next: 0,
        depth: 0,
        group_names: Vec::new(),
    };
    let choice = reader.choice()?;
    match reader.peek() {
        None => Ok(choice),
        Some(_) => Err(refuse(reader.here(), "this parenthesis closes no group")),
    }
}

pub(super) fn refuse(at: usize, reason: &'static str) -> RuleError {
    RuleError::Syntax { at, reason }
}

pub(super) struct Reader {
    chars: Vec<char>,
    next: usize,
    /// How many groups are open.
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

    /// Takes the text if it comes next.
    pub fn takes(&mut self, text: &str) -> bool {
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
    pub fn here(&self) -> usize {
        self.next + 1
    }

    /// Everything up to a closing parenthesis or the end.
    fn choice(&mut self) -> Result<Choice, RuleError> {
        let mut choice = vec![self.sequence()?];
        while self.takes("|") {
            choice.push(self.sequence()?);
        }
        Ok(choice)
    }

    fn sequence(&mut self) -> Result<Vec<Node>, RuleError> {
        let mut sequence = Vec::new();
        loop {
            let at = self.here();
            let kind = match self.peek() {
                None | Some('|' | ')') => return Ok(sequence),
                Some(_) => self.part()?,
            };
            let look_ahead = matches!(kind, Kind::LookAhead { .. });
            if look_ahead && (self.depth > 0 || !sequence.iter().all(Node::opens)) {
                return Err(refuse(
                    at,
                    "a look-ahead may stand only where the expression, or an alternative of the whole of it, begins",
                ));
            }
            sequence.push(self.repeated(Node { at, kind })?);
        }
    }

    /// One part, without the quantifier that may follow it.
    fn part(&mut self) -> Result<Kind, RuleError> {
        let at = self.here();
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
                Kind::One(class.closed(false))
            }
            Some('*' | '+' | '?' | '{') => {
                return Err(refuse(at, "this quantifier has nothing to repeat"));
            }
            Some(']' | '}') => return Err(refuse(at, "this bracket closes nothing: escape it")),
            Some(character) => Kind::One(Class::of(&[(character.into(), character.into())])),
            None => return Err(refuse(at, "the expression ends too early")),
        })
    }

    /// What follows an opening parenthesis.
    fn group(&mut self, at: usize) -> Result<Kind, RuleError> {
        let kind: fn(Choice) -> Kind = if self.takes("?=") {
            |inner| Kind::LookAhead {
                negative: false,
                inner,
            }
        } else if self.takes("?!") {
            |inner| Kind::LookAhead {
                negative: true,
                inner,
            }
        } else if self.takes("?<=") || self.takes("?<!") {
            return Err(refuse(at, "look-behinds are not supported"));
        } else {
            if self.takes("?<") {
                self.group_name()?;
            } else if !self.takes("?:") && self.peek() == Some('?') {
                return Err(refuse(at, "this is no kind of group that is supported"));
            }
            Kind::Group
        };
        if self.depth == MAX_DEPTH {
            return Err(refuse(at, "groups nest more than 32 deep"));
        }
        self.depth += 1;
        let inner = self.choice()?;
        self.depth -= 1;
        if self.takes(")") {
            Ok(kind(inner))
        } else {
            Err(refuse(at, "this parenthesis is never closed"))
        }
    }

    fn group_name(&mut self) -> Result<(), RuleError> {
        let at = self.here();
        let mut name = String::new();
        loop {
            match self.take() {
                Some('>') if !name.is_empty() => break,
                Some(c) if c.is_ascii_alphabetic() || c == '_' || c == '$' => name.push(c),
                Some(c) if c.is_ascii_digit() && !name.is_empty() => name.push(c),
                _ => {
                    return Err(refuse(
                        at,
                        "a group's name is made of ASCII letters, digits, _ and $",
                    ));
                }
            }
        }
        if self.group_names.contains(&name) {
            return Err(refuse(at, "two groups have this name"));
        }
        self.group_names.push(name);
        Ok(())
    }

    /// The part, repeated as the quantifier says that may come next.
    fn repeated(&mut self, part: Node) -> Result<Node, RuleError> {
        let at = self.here();
        if !matches!(self.peek(), Some('*' | '+' | '?' | '{')) {
            return Ok(part);
        }
        if part.opens() || matches!(part.kind, Kind::End) {
            return Err(refuse(at, "an assertion cannot be repeated"));
        }
        let (min, max) = match self.take() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            _ => self.bounds(at)?,
        };
        self.takes("?");
        Ok(Node {
            at: part.at,
            kind: Kind::Repeat {
                inner: Box::new(part),
                min,
                max,
            },
        })
    }

    /// What follows the opening brace of a quantifier: `n}`, `n,}` or `n,m}`.
    fn bounds(&mut self, at: usize) -> Result<(u32, Option<u32>), RuleError> {
        const MALFORMED: &str =
            "a brace begins a count such as {8}, {8,} or {8,80}: escape it if it is none";
        let min = self.number().ok_or(refuse(at, MALFORMED))?;
        let max = if self.takes(",") {
            self.number()
        } else {
            Some(min)
        };
        if !self.takes("}") {
            return Err(refuse(at, MALFORMED));
        }
        if max.is_some_and(|max| max < min) {
            return Err(refuse(
                at,
                "the bounds of this repetition are in the wrong order",
            ));
        }
        if max.unwrap_or(min) > MAX_COUNT {
            return Err(refuse(at, "a counted repetition may count to 1024"));
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

//! A bound on the work of a backtracking engine.
//!
//! Such an engine tries one way of matching after another: each optional part with and without it,
//! each repetition with every length, each alternation with every alternative. If the next
//! character determines the way, all others fail immediately, at negligible cost. Otherwise the
//! numbers of ways multiply. This module multiplies them over the expression, for a password of
//! [`PASSWORD_LENGTH`] characters, and rejects the expression if the product exceeds [`MAX_WAYS`].
//! Two or three repetitions that can match the same characters are accepted. Ambiguity inside a
//! repetition, which causes exponential time, is not.

use super::RuleError;
use super::class::{Range, overlap};
use super::tree::{Choice, Kind, Node};

/// The length of the password for which ways are counted, in characters.
const PASSWORD_LENGTH: u64 = 128;
/// Maximum number of ways, about four times the ways of three repetitions that can match the same
/// characters.
const MAX_WAYS: u64 = 8 << 20;
/// A pseudo-character for the end of the password, among the characters that may be next.
const END: Range = (0x0011_0000, 0x0011_0000);

/// Rejects an expression with too many ways to match.
pub(super) fn check(expression: &Choice) -> Result<(), RuleError> {
    let mut total = 0;
    for sequence in expression {
        let at = sequence.first().map_or(1, |part| part.at);
        let body = sequence
            .iter()
            .position(|part| !part.may_precede_look_ahead())
            .unwrap_or(sequence.len());
        let (look_aheads, body) = sequence.split_at(body);
        let anchored = matches!(
            sequence.first(),
            Some(Node {
                kind: Kind::Start,
                ..
            })
        );
        let starts = if anchored { 1 } else { PASSWORD_LENGTH };
        // An engine does not backtrack into a look-ahead that has matched, so their ways are added.
        let mut ways = count_sequence(body, &[])?;
        for look_ahead in look_aheads {
            ways += count_part(look_ahead, &[])?;
        }
        total = limited(total + starts * ways, at)?;
    }
    Ok(())
}

/// The ways of a sequence that is followed by one of `next`. If `next` is empty, without even
/// [`END`], the match is complete after the sequence, and the engine does not backtrack into it.
fn count_sequence(sequence: &[Node], next: &[Range]) -> Result<u64, RuleError> {
    let mut next = next.to_vec();
    let mut ways = 1;
    for part in sequence.iter().rev() {
        ways = limited(ways * count_part(part, &next)?, part.at)?;
        let first = First::of(part);
        if !first.skippable {
            next.clear();
        }
        next.extend(first.ranges);
    }
    Ok(ways)
}

fn count_part(part: &Node, next: &[Range]) -> Result<u64, RuleError> {
    match &part.kind {
        Kind::Start | Kind::End | Kind::One(_) => Ok(1),
        Kind::LookAhead { inner, .. } => count_choice(inner, part.at, &[]),
        Kind::Group(inner) => count_choice(inner, part.at, next),
        Kind::Repeat { inner, min, max } => {
            let first = First::of(inner);
            let spread = max.map_or(PASSWORD_LENGTH, |max| {
                PASSWORD_LENGTH.min((max - min).into())
            });
            let is_unambiguous = !first.skippable && !overlap(&first.ranges, next);
            let mut ways = if is_unambiguous { 1 } else { spread + 1 };

            let mut next = next.to_vec();
            if *max != Some(1) {
                next.extend(first.ranges);
            }
            let each = count_part(inner, &next)?;
            for _ in 0..max.map_or(PASSWORD_LENGTH, |max| PASSWORD_LENGTH.min(max.into())) {
                ways = limited(ways * each, part.at)?;
            }
            Ok(ways)
        }
    }
}

fn count_choice(choice: &Choice, at: usize, next: &[Range]) -> Result<u64, RuleError> {
    let mut sum = 0;
    let mut largest = 0;
    let mut seen = First::default();
    let mut is_unambiguous = true;
    for sequence in choice {
        let ways = count_sequence(sequence, next)?;
        sum += ways;
        largest = largest.max(ways);

        let mut first = First::of_sequence(sequence);
        if first.skippable {
            first.ranges.extend(next);
        }
        is_unambiguous &= !overlap(&seen.ranges, &first.ranges);
        is_unambiguous &= !seen.skippable || !first.skippable;
        seen.or(first);
    }
    limited(if is_unambiguous { largest } else { sum }, at)
}

fn limited(ways: u64, at: usize) -> Result<u64, RuleError> {
    if ways <= MAX_WAYS {
        Ok(ways)
    } else {
        Err(RuleError::Ambiguous { at })
    }
}

/// The characters that a part can begin with.
#[derive(Default)]
struct First {
    ranges: Vec<Range>,
    /// Whether the part can match the empty text, so that the next part can be first.
    skippable: bool,
}

impl First {
    fn of(part: &Node) -> Self {
        match &part.kind {
            Kind::Start | Kind::LookAhead { .. } => Self {
                ranges: Vec::new(),
                skippable: true,
            },
            Kind::End => Self {
                ranges: vec![END],
                skippable: false,
            },
            Kind::One(class) => Self {
                ranges: class.ranges().to_vec(),
                skippable: false,
            },
            Kind::Group(inner) => {
                let mut first = Self::default();
                for sequence in inner {
                    first.or(Self::of_sequence(sequence));
                }
                first
            }
            Kind::Repeat { inner, min, .. } => {
                let mut first = Self::of(inner);
                first.skippable |= *min == 0;
                first
            }
        }
    }

    fn of_sequence(sequence: &[Node]) -> Self {
        let mut first = Self {
            ranges: Vec::new(),
            skippable: true,
        };
        for part in sequence {
            let of_part = Self::of(part);
            first.ranges.extend(of_part.ranges);
            if !of_part.skippable {
                first.skippable = false;
                break;
            }
        }
        first
    }

    /// Adds the characters of an alternative.
    fn or(&mut self, other: Self) {
        self.ranges.extend(other.ranges);
        self.skippable |= other.skippable;
    }
}

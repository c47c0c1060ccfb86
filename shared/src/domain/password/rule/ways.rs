//! Bounds what a backtracking engine may try
//!
//! Such an engine tries one way of matching after another: for every optional part with and without
//! it, for every repetition each length, for every alternation each alternative. Where the next
//! character tells the ways apart, all but one fail at once and cost nothing worth counting. The
//! others multiply, so this multiplies them over the expression, for a password of [`PASSWORD`]
//! characters, and refuses it where they exceed [`MAX_WAYS`]. Two or three repetitions that compete
//! for the same characters pass; ambiguity inside a repetition, which is what makes time
//! exponential, does not.

use super::RuleError;
use super::class::{Range, overlap};
use super::tree::{Choice, Kind, Node};

/// The length of a password, in characters, that the ways are counted for.
const PASSWORD: u64 = 128;
/// The most ways that are accepted: what three competing repetitions over such a password come to,
/// a few times over.
const MAX_WAYS: u64 = 8 << 20;
/// Stands for the end of the password among the characters that may come next.
const END: Range = (0x0011_0000, 0x0011_0000);

/// Refuses an expression with too many ways to match.
pub(super) fn check(expression: &Choice) -> Result<(), RuleError> {
    let mut total = 0;
    for sequence in expression {
        let at = sequence.first().map_or(1, |part| part.at);
        let body = sequence
            .iter()
            .position(|part| !part.opens())
            .unwrap_or(sequence.len());
        let (look_aheads, body) = sequence.split_at(body);
        let anchored = matches!(
            sequence.first(),
            Some(Node {
                kind: Kind::Start,
                ..
            })
        );
        let starts = if anchored { 1 } else { PASSWORD };
        // Once a look-ahead has matched, no engine comes back to try it in another way: these add
        // up.
        let mut ways = of_sequence(body, &[])?;
        for look_ahead in look_aheads {
            ways += of_part(look_ahead, &[])?;
        }
        total = limited(total + starts * ways, at)?;
    }
    Ok(())
}

/// The ways of a sequence, where `next` may come after it. Where that is nothing, not even [`END`],
/// the match is complete, and nothing makes the engine come back.
fn of_sequence(sequence: &[Node], next: &[Range]) -> Result<u64, RuleError> {
    let mut next = next.to_vec();
    let mut ways = 1;
    for part in sequence.iter().rev() {
        ways = limited(ways * of_part(part, &next)?, part.at)?;
        let first = First::of(part);
        if !first.skippable {
            next.clear();
        }
        next.extend(first.ranges);
    }
    Ok(ways)
}

fn of_part(part: &Node, next: &[Range]) -> Result<u64, RuleError> {
    match &part.kind {
        Kind::Start | Kind::End | Kind::One(_) => Ok(1),
        Kind::LookAhead { inner, .. } => of_choice(inner, part.at, &[]),
        Kind::Group(inner) => of_choice(inner, part.at, next),
        Kind::Repeat { inner, min, max } => {
            let first = First::of(inner);
            let spread = max.map_or(PASSWORD, |max| PASSWORD.min((max - min).into()));
            let told_apart = !first.skippable && !overlap(&first.ranges, next);
            let mut ways = if told_apart { 1 } else { spread + 1 };

            let mut next = next.to_vec();
            if *max != Some(1) {
                next.extend(first.ranges);
            }
            let each = of_part(inner, &next)?;
            for _ in 0..max.map_or(PASSWORD, |max| PASSWORD.min(max.into())) {
                ways = limited(ways * each, part.at)?;
            }
            Ok(ways)
        }
    }
}

fn of_choice(choice: &Choice, at: usize, next: &[Range]) -> Result<u64, RuleError> {
    let mut sum = 0;
    let mut largest = 0;
    let mut seen = First::default();
    let mut told_apart = true;
    for sequence in choice {
        let ways = of_sequence(sequence, next)?;
        sum += ways;
        largest = largest.max(ways);

        let mut first = First::of_sequence(sequence);
        if first.skippable {
            first.ranges.extend(next);
        }
        told_apart &= !overlap(&seen.ranges, &first.ranges);
        told_apart &= !seen.skippable || !first.skippable;
        seen.or(first);
    }
    limited(if told_apart { largest } else { sum }, at)
}

fn limited(ways: u64, at: usize) -> Result<u64, RuleError> {
    if ways <= MAX_WAYS {
        Ok(ways)
    } else {
        Err(RuleError::Ambiguous { at })
    }
}

/// What a part may begin with
#[derive(Default)]
struct First {
    ranges: Vec<Range>,
    /// Whether the part may match nothing, so that what comes after it may come first.
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

    /// Makes it what this or the other may begin with.
    fn or(&mut self, other: Self) {
        self.ranges.extend(other.ranges);
        self.skippable |= other.skippable;
    }
}

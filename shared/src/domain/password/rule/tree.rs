//! An expression as a tree, and its translation

use std::fmt::Write as _;

use super::class::Class;

/// Alternatives, each a sequence.
pub(super) type Choice = Vec<Vec<Node>>;

/// A part of an expression.
#[derive(Debug)]
pub(super) struct Node {
    /// The character of the expression at which the part begins, counted from 1.
    pub at: usize,
    pub kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// `^`
    Start,
    /// `$`
    End,
    /// One character.
    One(Class),
    Group(Choice),
    LookAhead {
        negative: bool,
        inner: Choice,
    },
    /// Greedy and lazy alike: they find different matches, but never disagree on whether there is
    /// one.
    Repeat {
        inner: Box<Node>,
        min: u32,
        max: Option<u32>,
    },
}

impl Node {
    /// Whether look-aheads may still follow it: nothing has been matched yet.
    pub fn opens(&self) -> bool {
        matches!(self.kind, Kind::Start | Kind::LookAhead { .. })
    }
}

/// The expression for the linear engine. No group captures, so that whatever follows the
/// look-aheads is one part to it.
pub(super) fn translate(expression: &Choice) -> String {
    let mut out = String::new();
    choice(expression, &mut out);
    out
}

fn choice(alternatives: &Choice, out: &mut String) {
    for (index, sequence) in alternatives.iter().enumerate() {
        if index > 0 {
            out.push('|');
        }
        for part in sequence {
            node(part, out);
        }
    }
}

fn node(part: &Node, out: &mut String) {
    match &part.kind {
        Kind::Start => out.push('^'),
        Kind::End => out.push('$'),
        Kind::One(class) => out.push_str(class.translation()),
        Kind::Group(inner) => enclosed("(?:", inner, out),
        Kind::LookAhead {
            negative: false,
            inner,
        } => enclosed("(?=", inner, out),
        Kind::LookAhead {
            negative: true,
            inner,
        } => enclosed("(?!", inner, out),
        Kind::Repeat { inner, min, max } => {
            // What is repeated is a character or a group, never a repetition: no quantifier meets
            // another.
            node(inner, out);
            let max = max.map(|max| max.to_string()).unwrap_or_default();
            // Writing to a string cannot fail.
            let _ = write!(out, "{{{min},{max}}}");
        }
    }
}

fn enclosed(opening: &str, inner: &Choice, out: &mut String) {
    out.push_str(opening);
    choice(inner, out);
    out.push(')');
}

//! The syntax tree of an expression, and its translation for the linear engine.

use std::fmt::Write as _;

use super::class::Class;

/// Alternatives, each a sequence.
pub(super) type Choice = Vec<Vec<Node>>;

/// A part of an expression.
#[derive(Debug)]
pub(super) struct Node {
    /// The position of the part in the expression, in characters, counted from 1.
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
    /// Greedy or lazy: these find different matches, but agree on whether there is one.
    Repeat {
        inner: Box<Node>,
        min: u32,
        max: Option<u32>,
    },
}

impl Node {
    /// Whether the part is `^` or a look-ahead: only these may precede a look-ahead.
    pub fn may_precede_look_ahead(&self) -> bool {
        matches!(self.kind, Kind::Start | Kind::LookAhead { .. })
    }
}

/// The expression for the linear engine. No group captures, so the engine compiles everything after
/// the look-aheads as one part.
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
            // The inner part is a character or a group, so two quantifiers are never adjacent.
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

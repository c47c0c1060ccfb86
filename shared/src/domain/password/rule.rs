//! The configured regular expression that a password must match
//!
//! Browsers run the same expression (`new RegExp(expression, "u").test(password)`), and their
//! engines backtrack. So it is read here as JavaScript reads it, refused when it is not JavaScript
//! or when backtracking over it could explode, and translated for an engine that takes linear time
//! whatever the password. Both then give the same verdict, on Unicode scalar values.
//!
//! What is accepted of JavaScript's syntax (flag `u`):
//!
//! - literals, escapes, classes, `.`, `\d \w \s` and their complements, alternation, groups of
//!   every kind, `^`, `$`, and all quantifiers, counting to 1024 at most;
//! - `\p{...}` of the general categories, the common scripts and a few binary properties;
//! - look-aheads where an alternative of the whole expression begins, after its `^` if it has one,
//!   not nested.
//!
//! What is refused though JavaScript knows it: back-references and look-behinds, `\b` and `\B` (the
//! linear engine has no ASCII word boundary), look-aheads elsewhere, inline flags, group names
//! beyond ASCII or used twice, lone surrogates, more than 1024 characters, groups deeper than 32,
//! and whatever `ways` finds ambiguous: two repetitions that can share the same characters in too
//! many ways, such as `(a+)+` or `(a|a)*`.

mod class;
mod escape;
mod reader;
mod tree;
mod ways;

#[cfg(test)]
mod tests;

use fancy_regex::{Regex, RegexBuilder};

/// The longest expression, in characters.
const MAX_LENGTH: usize = 1024;
/// The most memory that the compiled form of a part of an expression may take, in bytes.
const MAX_COMPILED_SIZE: usize = 4 << 20;
/// A search backtracks a few times at each position where it may begin, never inside a part: less
/// than this.
const MAX_BACKTRACKS: usize = 1 << 20;

/// The rule that a password must match
#[derive(Debug, Clone)]
pub struct PasswordRule {
    compiled: Regex,
}

impl PasswordRule {
    /// Reads an expression in JavaScript's syntax (flag `u`).
    pub fn parse(expression: &str) -> Result<Self, RuleError> {
        Self::with_backtracks(expression, MAX_BACKTRACKS)
    }

    fn with_backtracks(expression: &str, backtracks: usize) -> Result<Self, RuleError> {
        if expression.chars().count() > MAX_LENGTH {
            return Err(RuleError::TooLong);
        }
        let tree = reader::read(expression)?;
        ways::check(&tree)?;
        let compiled = RegexBuilder::new(&tree::translate(&tree))
            .delegate_size_limit(MAX_COMPILED_SIZE)
            .backtrack_limit(backtracks)
            .build()
            .map_err(|_| RuleError::TooLarge)?;
        Ok(Self { compiled })
    }

    /// Whether the expression matches anywhere in the password, as `RegExp.prototype.test` decides
    /// it.
    #[must_use]
    pub fn is_met_by(&self, password: &str) -> bool {
        // An error would be the limit on backtracking, which the shape of the expression keeps out
        // of reach.
        self.compiled.is_match(password).unwrap_or(false)
    }
}

/// Why an expression is refused
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// It has more characters than an expression may have.
    #[error("the expression has more than {MAX_LENGTH} characters")]
    TooLong,
    /// It is not JavaScript, or not of the part of JavaScript that is accepted.
    #[error("at character {at}: {reason}")]
    Syntax {
        /// The character at which the reason is found, counted from 1.
        at: usize,
        /// What is wrong there.
        reason: &'static str,
    },
    /// A backtracking engine could need exponential time.
    #[error(
        "at character {at}: this part can match one text in so many ways that a browser could need exponential time; let what is \
         repeated and what follows it begin with different characters"
    )]
    Ambiguous {
        /// The character at which the part begins that can match in too many ways, counted from 1.
        at: usize,
    },
    /// Its counted repetitions make it too large once compiled.
    #[error("the counted repetitions make the expression too large")]
    TooLarge,
}

//! The configured regular expression that a password must match.
//!
//! Browsers run the same expression, `new RegExp(expression, "u").test(password)`, in engines that
//! backtrack. So it is parsed by JavaScript's grammar (ECMA-262, section 22.2.1), rejected if a
//! backtracking engine could need exponential time for it, and translated for an engine whose time
//! is linear in the length of the password. Both engines give the same verdict, on Unicode scalar
//! values.
//!
//! Accepted, of JavaScript's syntax with flag `u`:
//!
//! - literals, escapes, classes, `.`, `\d \w \s` and their complements, alternation, groups, `^`,
//!   `$`, and all quantifiers, with counts up to 1024;
//! - `\p{...}` with the general categories, common scripts and a few binary properties;
//! - look-aheads at the beginning of an outermost alternative, after its `^` if it has one, not
//!   nested.
//!
//! Rejected, although it is valid JavaScript: back-references and look-behinds, `\b` and `\B` (the
//! linear engine has no ASCII word boundary), look-aheads elsewhere, inline flags, group names that
//! are not ASCII or occur twice, lone surrogates, more than 1024 characters, groups nested deeper
//! than 32, and parts that `ways` finds ambiguous: repetitions that can match the same characters
//! in too many ways, such as `(a+)+` or `(a|a)*`.

mod class;
mod escape;
mod reader;
mod tree;
mod ways;

#[cfg(test)]
mod tests;

use fancy_regex::{Regex, RegexBuilder};

/// Maximum characters of an expression.
const MAX_LENGTH: usize = 1024;
/// Maximum memory of a compiled part of an expression, in bytes.
const MAX_COMPILED_SIZE: usize = 4 << 20;
/// Maximum backtracking steps of a match. No accepted expression reaches it: a search backtracks a
/// few times at each start position, and never within a part.
const MAX_BACKTRACKS: usize = 1 << 20;

/// The rule that a password must match.
#[derive(Debug, Clone)]
pub struct PasswordRule {
    compiled: Regex,
}

impl PasswordRule {
    /// Parses and compiles an expression in JavaScript's syntax (flag `u`).
    pub fn parse(expression: &str) -> Result<Self, RuleError> {
        Self::with_backtracks(expression, MAX_BACKTRACKS)
    }

    fn with_backtracks(expression: &str, backtracks: usize) -> Result<Self, RuleError> {
        if expression.chars().count() > MAX_LENGTH {
            return Err(RuleError::TooLong);
        }
        let tree = reader::parse(expression)?;
        ways::check(&tree)?;
        let compiled = RegexBuilder::new(&tree::translate(&tree))
            .delegate_size_limit(MAX_COMPILED_SIZE)
            .backtrack_limit(backtracks)
            .build()
            .map_err(|_| RuleError::TooLarge)?;
        Ok(Self { compiled })
    }

    /// Whether the expression matches anywhere in the password, with the result of JavaScript's
    /// `RegExp.prototype.test`.
    #[must_use]
    pub fn matches(&self, password: &str) -> bool {
        // The only possible error is the limit on backtracking, which no accepted expression
        // reaches.
        self.compiled.is_match(password).unwrap_or(false)
    }
}

/// The reason why an expression is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The expression is too long.
    #[error("the expression is longer than {MAX_LENGTH} characters; shorten it")]
    TooLong,
    /// The expression is not JavaScript, or uses syntax that is not accepted.
    #[error("at character {at}: {reason}")]
    Syntax {
        /// The position of the invalid part, in characters, counted from 1.
        at: usize,
        /// What is wrong, and how to correct it.
        reason: &'static str,
    },
    /// A backtracking engine could need exponential time for the expression.
    #[error(
        "at character {at}: this part can match the same text in so many ways that a browser could need exponential time; make the \
         repeated part and the part after it begin with different characters"
    )]
    Ambiguous {
        /// The position of the ambiguous part, in characters, counted from 1.
        at: usize,
    },
    /// The compiled expression is too large, because of its counted repetitions.
    #[error("the counted repetitions make the compiled expression too large; reduce the counts")]
    TooLarge,
}

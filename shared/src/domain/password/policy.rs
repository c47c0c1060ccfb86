//! Which passwords are accepted

use super::{Password, rule::PasswordRule, strength::Strength};

/// What a new password must be
pub struct PasswordPolicy {
    rule: PasswordRule,
    /// The least entropy that is accepted, in bits.
    min_entropy: f64,
}

/// Why a password is refused
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordFault {
    /// It does not match the rule.
    Requirements,
    /// It matches, but is too easy to guess.
    Weak,
    /// It is neither, but known from a breach of another service.
    Breached,
}

impl PasswordPolicy {
    /// A policy of a rule and the least entropy that is accepted, in bits.
    #[must_use]
    pub const fn new(rule: PasswordRule, min_entropy: f64) -> Self {
        Self { rule, min_entropy }
    }

    /// Accepts a password or returns its fault, the rule's first.
    pub fn check(&self, password: &Password) -> Result<(), PasswordFault> {
        self.check_text(password.reveal())
    }

    fn check_text(&self, password: &str) -> Result<(), PasswordFault> {
        if !self.rule.is_met_by(password) {
            Err(PasswordFault::Requirements)
        } else if Strength::of(password).entropy < self.min_entropy {
            Err(PasswordFault::Weak)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(min_entropy: f64) -> PasswordPolicy {
        let rule = PasswordRule::parse("^[^]{8,}$").unwrap();
        PasswordPolicy::new(rule, min_entropy)
    }

    #[test]
    fn the_rule_comes_before_the_strength() {
        assert_eq!(
            policy(25.0).check_text(""),
            Err(PasswordFault::Requirements)
        );
        assert_eq!(
            policy(25.0).check_text("abc"),
            Err(PasswordFault::Requirements)
        );
        assert_eq!(
            policy(25.0).check_text("password1"),
            Err(PasswordFault::Weak)
        );
        assert_eq!(policy(25.0).check_text("kZ8#vQ2!mT"), Ok(()));
    }

    #[test]
    fn just_the_least_entropy_is_enough() {
        let entropy = Strength::of("password1").entropy;
        assert_eq!(policy(entropy).check_text("password1"), Ok(()));
        assert_eq!(
            policy(entropy.next_up()).check_text("password1"),
            Err(PasswordFault::Weak)
        );
    }
}

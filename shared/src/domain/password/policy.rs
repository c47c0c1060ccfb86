//! The policy for new passwords.

use super::{Password, rule::PasswordRule, strength::Strength};

/// The rule and the minimum strength of new passwords.
pub struct PasswordPolicy {
    rule: PasswordRule,
    /// Minimum entropy, in bits.
    min_entropy: f64,
}

/// The reason why a password is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordFault {
    /// The password does not match the rule.
    Requirements,
    /// The password matches the rule, but has too little entropy.
    Weak,
    /// The password is known from a data breach. This is checked last.
    Breached,
}

impl PasswordPolicy {
    /// A policy with a rule and a minimum entropy in bits.
    #[must_use]
    pub const fn new(rule: PasswordRule, min_entropy: f64) -> Self {
        Self { rule, min_entropy }
    }

    /// Checks a password against the rule, and then its strength.
    pub fn check(&self, password: &Password) -> Result<(), PasswordFault> {
        self.check_text(password.reveal())
    }

    fn check_text(&self, password: &str) -> Result<(), PasswordFault> {
        if !self.rule.matches(password) {
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
    fn the_rule_is_checked_before_the_strength() {
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
    fn the_minimum_entropy_is_accepted() {
        let entropy = Strength::of("password1").entropy;
        assert_eq!(policy(entropy).check_text("password1"), Ok(()));
        assert_eq!(
            policy(entropy.next_up()).check_text("password1"),
            Err(PasswordFault::Weak)
        );
    }
}

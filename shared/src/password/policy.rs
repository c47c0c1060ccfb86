//! Which passwords are accepted

use super::rule::PasswordRule;
use super::strength::Strength;

/// What a new password must be
#[derive(Debug, Clone)]
pub struct PasswordPolicy {
    /// What it must match.
    pub rule: PasswordRule,
    /// The least entropy that is accepted, in bits.
    pub min_entropy: f64,
}

/// Why a password is refused
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordFault {
    /// It does not match the rule.
    Requirements,
    /// It matches, but is too easy to guess.
    Weak,
}

impl PasswordPolicy {
    /// Accepts a password or names its fault, the rule's first.
    pub fn check(&self, password: &str) -> Result<(), PasswordFault> {
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
        PasswordPolicy { rule: PasswordRule::parse("^[^]{8,}$").unwrap(), min_entropy }
    }

    #[test]
    fn the_rule_comes_before_the_strength() {
        assert_eq!(policy(25.0).check(""), Err(PasswordFault::Requirements));
        assert_eq!(policy(25.0).check("abc"), Err(PasswordFault::Requirements));
        assert_eq!(policy(25.0).check("password1"), Err(PasswordFault::Weak));
        assert_eq!(policy(25.0).check("kZ8#vQ2!mT"), Ok(()));
    }

    #[test]
    fn just_the_least_entropy_is_enough() {
        let entropy = Strength::of("password1").entropy;
        assert_eq!(policy(entropy).check("password1"), Ok(()));
        assert_eq!(policy(entropy.next_up()).check("password1"), Err(PasswordFault::Weak));
    }
}

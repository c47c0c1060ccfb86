//! Which passwords are accepted

use super::{BreachedPasswords, Password, rule::PasswordRule, strength::Strength};

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
    /// It is neither, but known from a breach of another service.
    Breached,
}

impl PasswordPolicy {
    /// Accepts a new password or names its fault. Only one that is not refused as it is is asked for elsewhere.
    pub async fn accept(&self, password: &Password, breached: &BreachedPasswords) -> Result<(), PasswordFault> {
        self.check(password.reveal())?;
        if breached.contains(password).await { Err(PasswordFault::Breached) } else { Ok(()) }
    }

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

//! The policy for new passwords.

use super::{Dictionary, Password, rule::PasswordRule, strength::Strength};
use crate::domain::email_address::EmailAddress;

/// The rule and the minimum strength of new passwords.
pub struct PasswordPolicy {
    rule: PasswordRule,
    /// Minimum entropy, in bits.
    min_entropy: f64,
    /// The name of the application and its words.
    dictionary: Dictionary,
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
    /// A policy with a rule, a minimum entropy in bits, and words that are easy to guess.
    #[must_use]
    pub const fn new(rule: PasswordRule, min_entropy: f64, dictionary: Dictionary) -> Self {
        Self {
            rule,
            min_entropy,
            dictionary,
        }
    }

    /// Checks a password against the rule, and then its strength. The address of the user is easy
    /// to guess; `None` if it is invalid.
    pub fn check(
        &self,
        password: &Password,
        address: Option<&EmailAddress>,
    ) -> Result<(), PasswordFault> {
        let password = password.reveal();
        if !self.rule.matches(password) {
            return Err(PasswordFault::Requirements);
        }
        let strength = match address {
            Some(address) => Strength::of(password, &self.dictionary.with_address(address)),
            None => Strength::of(password, &self.dictionary),
        };
        if strength.entropy < self.min_entropy {
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
        PasswordPolicy::new(rule, min_entropy, Dictionary::of_app("Latchkey"))
    }

    fn check(min_entropy: f64, password: &str) -> Result<(), PasswordFault> {
        policy(min_entropy).check(&Password::new(password.to_owned()), None)
    }

    #[test]
    fn the_rule_is_checked_before_the_strength() {
        assert_eq!(check(25.0, ""), Err(PasswordFault::Requirements));
        assert_eq!(check(25.0, "abc"), Err(PasswordFault::Requirements));
        assert_eq!(check(25.0, "password1"), Err(PasswordFault::Weak));
        assert_eq!(check(25.0, "kZ8#vQ2!mT"), Ok(()));
    }

    #[test]
    fn the_minimum_entropy_is_accepted() {
        let entropy = Strength::of("password1", &Dictionary::default()).entropy;
        assert_eq!(check(entropy, "password1"), Ok(()));
        assert_eq!(
            check(entropy.next_up(), "password1"),
            Err(PasswordFault::Weak)
        );
    }

    #[test]
    fn the_name_of_the_application_and_the_address_of_the_user_are_weak() {
        let address = EmailAddress::parse("qzv.wexlorn@example.com").expect("an address");
        let check = |password: &str, address| {
            policy(25.0).check(&Password::new(password.to_owned()), address)
        };
        let weak = Err(PasswordFault::Weak);
        assert_eq!(check("Latchkey2026", None), weak);
        assert_eq!(check("Qzv.Wexlorn2026", Some(&address)), weak);
        assert_eq!(check("Qzv.Wexlorn2026", None), Ok(()));
    }
}

//! Which passwords are accepted

use super::{BreachedPasswords, Password, rule::PasswordRule, strength::Strength};
use crate::config::{Config, ConfigError, PASSWORD_REGEXP, problem};

/// What a new password must be
pub struct PasswordPolicy {
    rule: PasswordRule,
    /// The least entropy that is accepted, in bits.
    min_entropy: f64,
    breached: BreachedPasswords,
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
    /// As the configuration says. Its regular expression is refused here, where it is one that cannot be used.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let rule = PasswordRule::parse(&config.password_regexp).map_err(|error| problem(PASSWORD_REGEXP, error.to_string()))?;
        Ok(Self { rule, min_entropy: config.password_min_entropy, breached: BreachedPasswords::new(config) })
    }

    /// Accepts a new password or names its fault. Only one that is not refused as it is is asked for elsewhere.
    pub async fn accept(&self, password: &Password) -> Result<(), PasswordFault> {
        self.check(password.reveal())?;
        if self.breached.contains(password).await { Err(PasswordFault::Breached) } else { Ok(()) }
    }

    /// Accepts a password or names its fault, the rule's first.
    fn check(&self, password: &str) -> Result<(), PasswordFault> {
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
        PasswordPolicy { rule, min_entropy, breached: BreachedPasswords(None) }
    }

    #[test]
    fn the_rule_comes_before_the_strength() {
        assert_eq!(policy(25.0).check(""), Err(PasswordFault::Requirements));
        assert_eq!(policy(25.0).check("abc"), Err(PasswordFault::Requirements));
        assert_eq!(policy(25.0).check("password1"), Err(PasswordFault::Weak));
        assert_eq!(policy(25.0).check("kZ8#vQ2!mT"), Ok(()));
    }

    #[test]
    fn an_expression_that_cannot_be_used_is_told_with_its_variable() {
        let of = |expression: &str| {
            PasswordPolicy::new(&Config {
                password_regexp: expression.to_owned(),
                ..Config::read(|variable| {
                    let value = match variable {
                        "IDENTITY_DOMAIN" => "https://example.com",
                        "IDENTITY_SENDER_EMAIL" => "noreply@example.com",
                        "IDENTITY_USERS_TABLE" | "IDENTITY_GRANTS_TABLE" | "IDENTITY_TOKEN_SECRET" => "x",
                        _ => return None,
                    };
                    Some(value.to_owned())
                })
                .unwrap()
            })
        };
        assert!(of("^[^]{8,}$").is_ok());
        for expression in ["(", "^(a+)+$"] {
            let told = of(expression).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(told.starts_with("IDENTITY_PASSWORD_REGEXP: "), "{told}");
        }
    }

    #[test]
    fn just_the_least_entropy_is_enough() {
        let entropy = Strength::of("password1").entropy;
        assert_eq!(policy(entropy).check("password1"), Ok(()));
        assert_eq!(policy(entropy.next_up()).check("password1"), Err(PasswordFault::Weak));
    }
}

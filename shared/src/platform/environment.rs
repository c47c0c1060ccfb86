//! The only source of environment variables.

/// The value of an environment variable; `None` if it is not set, blank or not UTF-8. A blank value
/// counts as not set, because a CloudFormation template cannot omit a variable.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the only source of environment variables"
)]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name)
        .ok()
        .filter(|value| !value.trim().is_empty())
}

//! The one place that reads environment variables.

/// The variable's value; `None` when it is unset, blank or not UTF-8. Templates cannot leave a
/// variable out, so they say "not set" by an empty value.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the environment"
)]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name)
        .ok()
        .filter(|value| !value.trim().is_empty())
}

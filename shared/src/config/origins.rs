//! The origins of pages that may sign a browser in.

use super::{ConfigError, Variables, variables::origin};

/// Reads `IDENTITY_ALLOWED_ORIGINS`, separated by commas, by default `IDENTITY_DOMAIN`; and
/// `IDENTITY_PAGES_URL`, the origin of the hosted pages, if it is set.
pub fn browser_origins(variables: &Variables) -> Result<Vec<String>, ConfigError> {
    const ALLOWED: &str = "IDENTITY_ALLOWED_ORIGINS";
    const PAGES: &str = "IDENTITY_PAGES_URL";
    let mut origins = if variables.optional(ALLOWED)?.is_some() {
        variables.required(ALLOWED, |text| {
            text.split(',').map(|part| origin(part.trim())).collect()
        })?
    } else {
        vec![variables.required("IDENTITY_DOMAIN", origin)?]
    };
    if variables.optional(PAGES)?.is_some() {
        origins.push(variables.required(PAGES, origin)?);
    }
    Ok(origins)
}

//! Passkeys: the WebAuthn relying party.

use super::{ConfigError, Variables, variables::origin};
use crate::domain::webauthn::RelyingParty;

const ORIGINS: &str = "IDENTITY_PASSKEY_ORIGINS";

/// Reads the relying party: `IDENTITY_PASSKEY_RP_ID`, by default the host of `IDENTITY_DOMAIN`, and
/// the origins at which passkeys are used, `IDENTITY_PASSKEY_ORIGINS`, separated by commas, by
/// default `IDENTITY_DOMAIN` and `IDENTITY_PAGES_URL`.
pub fn relying_party(variables: &Variables) -> Result<RelyingParty, ConfigError> {
    const RP_ID: &str = "IDENTITY_PASSKEY_RP_ID";
    const PAGES: &str = "IDENTITY_PAGES_URL";
    let domain = variables.required("IDENTITY_DOMAIN", serialised)?;
    let configured = match variables.optional(RP_ID)? {
        Some(_) => Some(variables.required(RP_ID, rp_id)?),
        None => None,
    };
    let own = host(&domain).to_owned();
    let id = configured.unwrap_or_else(|| own.clone());
    if let Some(origins) = related_origins(variables)? {
        return Ok(RelyingParty { id, origins });
    }
    // Browsers would refuse every ceremony (WebAuthn level 3, section 5.1.3), and the RP ID cannot
    // be corrected once passkeys exist elsewhere.
    if own != id && !own.ends_with(&format!(".{id}")) {
        return Err(ConfigError::new(
            RP_ID,
            "is neither the host of IDENTITY_DOMAIN nor a parent domain of it, and \
             IDENTITY_PASSKEY_ORIGINS is not set",
        ));
    }
    let mut origins = vec![domain];
    if variables.optional(PAGES)?.is_some() {
        origins.push(variables.required(PAGES, serialised)?);
    }
    Ok(RelyingParty { id, origins })
}

/// Reads `IDENTITY_PASSKEY_ORIGINS`, the origins that may use passkeys of the RP ID although their
/// host is another one (WebAuthn level 3, section 5.11); `None` if it is not set.
pub fn related_origins(variables: &Variables) -> Result<Option<Vec<String>>, ConfigError> {
    if variables.optional(ORIGINS)?.is_none() {
        return Ok(None);
    }
    let parse = |text: &str| {
        text.split(',')
            .map(|part| serialised(part.trim()))
            .collect()
    };
    variables.required(ORIGINS, parse).map(Some)
}

/// Parses an origin into the form in which browsers serialise it: in lower case, without the
/// default port of its scheme.
fn serialised(text: &str) -> Result<String, String> {
    let origin = origin(text)?.to_ascii_lowercase();
    let default_port = if origin.starts_with("https:") {
        ":443"
    } else {
        ":80"
    };
    let origin = origin.strip_suffix(default_port).unwrap_or(&origin);
    Ok(origin.to_owned())
}

/// The host of a serialised origin.
fn host(origin: &str) -> &str {
    let authority = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    authority.split(':').next().unwrap_or(authority)
}

/// Parses a domain name in its ASCII form. Browsers accept no IP address.
fn rp_id(text: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A last label that begins with a digit is part of an IP address.
    let last = text.rsplit('.').next().unwrap_or_default();
    if text.split('.').all(is_label) && last.starts_with(|c: char| c.is_ascii_lowercase()) {
        Ok(text.to_owned())
    } else {
        Err("is not a domain name in lower case, for example example.com".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &'static [(&str, &str)]) -> Result<RelyingParty, String> {
        let variables = Variables::new(move |name| {
            let found = set.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        relying_party(&variables).map_err(|error| error.to_string())
    }

    fn party(id: &str, origins: &[&str]) -> RelyingParty {
        RelyingParty {
            id: id.to_owned(),
            origins: origins.iter().map(|&origin| origin.to_owned()).collect(),
        }
    }

    #[test]
    fn the_relying_party_is_the_domain() {
        assert_eq!(
            read(&[("IDENTITY_DOMAIN", "https://App.Example.com:443/")]),
            Ok(party("app.example.com", &["https://app.example.com"]))
        );
        assert_eq!(
            read(&[("IDENTITY_DOMAIN", "http://localhost:3000")]),
            Ok(party("localhost", &["http://localhost:3000"]))
        );
    }

    #[test]
    fn the_origins_of_a_default_are_the_domain_and_the_pages() {
        assert_eq!(
            read(&[
                ("IDENTITY_DOMAIN", "https://example.com"),
                ("IDENTITY_PAGES_URL", "https://id.example.com"),
            ]),
            Ok(party(
                "example.com",
                &["https://example.com", "https://id.example.com"]
            ))
        );
    }

    #[test]
    fn configured_values_replace_the_defaults() {
        assert_eq!(
            read(&[
                ("IDENTITY_DOMAIN", "https://app.example.com"),
                ("IDENTITY_PAGES_URL", "https://id.example.com"),
                ("IDENTITY_PASSKEY_RP_ID", "example.com"),
                (
                    "IDENTITY_PASSKEY_ORIGINS",
                    "https://app.example.com, https://example.co.uk:8443",
                ),
            ]),
            Ok(party(
                "example.com",
                &["https://app.example.com", "https://example.co.uk:8443"]
            ))
        );
    }

    #[test]
    fn an_rp_id_of_another_site_requires_origins() {
        let domain = "https://app.example.com";
        for id in ["example.org", "pp.example.com", "a.app.example.com"] {
            let variables = Variables::new(move |name| match name {
                "IDENTITY_DOMAIN" => Some(domain.to_owned()),
                "IDENTITY_PASSKEY_RP_ID" => Some(id.to_owned()),
                _ => None,
            });
            let error = relying_party(&variables).expect_err(id).to_string();
            assert!(
                error.starts_with("IDENTITY_PASSKEY_RP_ID: is neither"),
                "{error}"
            );
        }
        let parent = read(&[
            ("IDENTITY_DOMAIN", "https://app.example.com"),
            ("IDENTITY_PASSKEY_RP_ID", "example.com"),
        ]);
        assert_eq!(
            parent,
            Ok(party("example.com", &["https://app.example.com"]))
        );
    }

    #[test]
    fn invalid_values_are_refused() {
        for id in [
            "https://example.com",
            "Example.com",
            "example.com.",
            "127.0.0.1",
            "-a.com",
            "a..b",
            "a b",
        ] {
            assert!(rp_id(id).is_err(), "{id}");
        }
        assert_eq!(rp_id("localhost"), Ok("localhost".to_owned()));
        assert_eq!(
            read(&[
                ("IDENTITY_DOMAIN", "https://example.com"),
                ("IDENTITY_PASSKEY_ORIGINS", "https://a.com,http://b.com"),
            ]),
            Err(
                "IDENTITY_PASSKEY_ORIGINS: is not an origin, for example https://example.com (http only for localhost)"
                    .to_owned()
            )
        );
    }
}

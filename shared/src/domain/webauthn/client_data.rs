//! Client data (`CollectedClientData`, section 5.8.1).

use aws_lc_rs::digest::{Digest, SHA256, digest};
use serde::{Deserialize, Deserializer, de::IgnoredAny};

use super::{Challenge, Refusal};

/// What the browser reports about a ceremony. Unknown members, `tokenBinding` among them, are
/// ignored. A known member that appears twice is refused: other parsers would pick either.
#[derive(Deserialize)]
struct Members {
    #[serde(rename = "type")]
    ceremony: String,
    challenge: String,
    origin: String,
    #[serde(rename = "crossOrigin", default)]
    is_cross_origin: bool,
    #[serde(rename = "topOrigin", default, deserialize_with = "is_present")]
    has_top_origin: bool,
}

/// Whether a member is present, with any value.
fn is_present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// Verifies client data (steps 7.1-5 to 7.1-12, 7.2-8 to 7.2-14 and 7.2-20) and returns its hash.
///
/// The challenge is compared in variable time: the client that sent it knows the right one.
pub(super) fn verify(
    bytes: &[u8],
    ceremony: &str,
    challenge: &Challenge,
    origins: &[String],
) -> Result<Digest, Refusal> {
    let client_data = parse(bytes)?;
    if client_data.ceremony != ceremony {
        return Err(Refusal::Type);
    }
    if client_data.challenge != challenge.encoded() {
        return Err(Refusal::Challenge);
    }
    if !origins.contains(&client_data.origin) {
        return Err(Refusal::Origin);
    }
    if client_data.is_cross_origin || client_data.has_top_origin {
        return Err(Refusal::CrossOrigin);
    }
    Ok(digest(&SHA256, bytes))
}

fn parse(bytes: &[u8]) -> Result<Members, Refusal> {
    // "UTF-8 decode" of the Encoding Standard removes a byte order mark.
    let json = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // serde also reads a struct from an array.
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(Refusal::ClientData);
    }
    serde_json::from_slice(json).map_err(|_| Refusal::ClientData)
}

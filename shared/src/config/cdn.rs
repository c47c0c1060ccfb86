//! The CDN in front of the API.

use data_encoding::HEXLOWER_PERMISSIVE;

use super::{ConfigError, Variables};

/// SHA-256 of the empty text, which `printf %s "$SECRET" | sha256sum` prints if the shell variable
/// is not set.
const OF_NOTHING: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// Reads `IDENTITY_CDN_SECRET_SHA256`: one or two SHA-256 values in hexadecimal digits, separated
/// by a comma, of the secrets by which the CDN identifies itself. Without a CDN there is none.
pub fn cdn_secrets(variables: &Variables) -> Result<Vec<[u8; 32]>, ConfigError> {
    const NAME: &str = "IDENTITY_CDN_SECRET_SHA256";
    if variables.optional(NAME)?.is_none() {
        return Ok(Vec::new());
    }
    variables.required(NAME, |text| {
        let hashes: Vec<[u8; 32]> = text
            .split(',')
            .map(|part| {
                HEXLOWER_PERMISSIVE
                    .decode(part.as_bytes())
                    .ok()?
                    .try_into()
                    .ok()
            })
            .collect::<Option<_>>()
            .filter(|hashes: &Vec<_>| hashes.len() <= 2)
            .ok_or("is not one or two SHA-256 values of 64 hexadecimal digits")?;
        if hashes.contains(&OF_NOTHING) {
            return Err("is the SHA-256 value of an empty secret".to_owned());
        }
        Ok(hashes)
    })
}

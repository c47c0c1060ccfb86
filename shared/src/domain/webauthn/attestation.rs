//! Attestation objects (section 6.5.4).

use super::{
    Refusal,
    cbor::{Decoder, Invalid},
};

/// The authenticator data in an attestation object (step 7.1-13).
///
/// The object has the members `fmt`, `attStmt` and `authData`, in any order. The statement of any
/// format must be a CBOR map; it is not evaluated, because attestation is not requested
/// (steps 7.1-21 to 7.1-24).
pub(super) fn authenticator_data(object: &[u8]) -> Result<&[u8], Refusal> {
    parse(object).map_err(|Invalid| Refusal::AttestationObject)
}

fn parse(object: &[u8]) -> Result<&[u8], Invalid> {
    let mut decoder = Decoder::new(object);
    if decoder.map()? != 3 {
        return Err(Invalid);
    }
    let mut has_format = false;
    let mut has_statement = false;
    let mut authenticator_data = None;
    for _ in 0..3 {
        match decoder.text()? {
            "fmt" if !has_format => {
                decoder.text()?;
                has_format = true;
            }
            "attStmt" if !has_statement => {
                decoder.skip_map()?;
                has_statement = true;
            }
            "authData" if authenticator_data.is_none() => {
                authenticator_data = Some(decoder.bytes()?);
            }
            _ => return Err(Invalid),
        }
    }
    decoder.finish()?;
    authenticator_data.ok_or(Invalid)
}

//! Authenticator data (section 6.1).

use aws_lc_rs::digest::{SHA256, digest};

use super::{Aaguid, Refusal, cbor::Decoder};

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const BACKUP_ELIGIBLE: u8 = 0x08;
const BACKED_UP: u8 = 0x10;
const HAS_CREDENTIAL: u8 = 0x40;
const HAS_EXTENSIONS: u8 = 0x80;

/// The part of a ceremony that the authenticator vouches for.
pub(super) struct AuthenticatorData<'a> {
    rp_id_hash: &'a [u8; 32],
    flags: u8,
    pub(super) sign_count: u32,
    pub(super) credential: Option<AttestedCredential<'a>>,
}

/// A new credential (section 6.5.1).
pub(super) struct AttestedCredential<'a> {
    pub(super) aaguid: Aaguid,
    pub(super) id: &'a [u8],
    /// A `COSE_Key`, not yet validated.
    pub(super) public_key: &'a [u8],
}

impl<'a> AuthenticatorData<'a> {
    /// Parses authenticator data. Extension data must be a CBOR map, and is ignored. Reserved flags
    /// are ignored.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        Self::split(bytes).ok_or(Refusal::AuthenticatorData)
    }

    fn split(bytes: &'a [u8]) -> Option<Self> {
        let (rp_id_hash, rest) = bytes.split_first_chunk()?;
        let (&[flags], rest) = rest.split_first_chunk()?;
        let (&sign_count, mut rest) = rest.split_first_chunk()?;
        let mut credential = None;
        if flags & HAS_CREDENTIAL != 0 {
            let (attested, after) = AttestedCredential::split(rest)?;
            credential = Some(attested);
            rest = after;
        }
        let mut extensions = Decoder::new(rest);
        if flags & HAS_EXTENSIONS != 0 {
            extensions.skip_map().ok()?;
        }
        extensions.finish().ok()?;
        Some(Self {
            rp_id_hash,
            flags,
            sign_count: u32::from_be_bytes(sign_count),
            credential,
        })
    }

    /// Verifies RP ID, user presence, user verification and backup state (steps 7.1-14 to 7.1-17 and
    /// 7.2-15 to 7.2-18).
    pub(super) fn verify(&self, rp_id: &str) -> Result<(), Refusal> {
        if digest(&SHA256, rp_id.as_bytes()).as_ref() != self.rp_id_hash {
            return Err(Refusal::RpId);
        }
        if self.flags & USER_PRESENT == 0 {
            return Err(Refusal::UserPresence);
        }
        if self.flags & USER_VERIFIED == 0 {
            return Err(Refusal::UserVerification);
        }
        if self.is_backed_up() && !self.is_backup_eligible() {
            return Err(Refusal::BackupState);
        }
        Ok(())
    }

    pub(super) const fn is_backup_eligible(&self) -> bool {
        self.flags & BACKUP_ELIGIBLE != 0
    }

    pub(super) const fn is_backed_up(&self) -> bool {
        self.flags & BACKED_UP != 0
    }
}

impl<'a> AttestedCredential<'a> {
    /// The credential at the start, and the bytes after it.
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&aaguid, rest) = bytes.split_first_chunk()?;
        let (&length, rest) = rest.split_first_chunk()?;
        let (id, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(length)))?;
        let mut decoder = Decoder::new(rest);
        decoder.skip_map().ok()?;
        let after = decoder.rest();
        let credential = Self {
            aaguid: Aaguid::from_bytes(aaguid),
            id,
            public_key: &rest[..rest.len() - after.len()],
        };
        Some((credential, after))
    }
}

//! The two ceremonies.

use super::{
    Aaguid, AuthenticationResponse, Challenge, CredentialId, PublicKey, Refusal,
    RegistrationResponse, attestation, authenticator_data::AuthenticatorData, client_data,
};

/// A `COSE_Key` with ES256 without a known private key: the x coordinate is the SHA-256 hash of
/// `latchkey decoy1`.
const DECOY: [u8; 77] = [
    0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20, 0xc2, 0xea, 0x97, 0xb2, 0xf2, 0x04,
    0xe1, 0x06, 0x48, 0x8d, 0x16, 0x92, 0xf2, 0xd8, 0xb0, 0xb0, 0x65, 0xcb, 0x68, 0x69, 0x10, 0xd9,
    0xac, 0x1d, 0xee, 0xe1, 0xd2, 0x14, 0x97, 0x5d, 0xbb, 0xb5, 0x22, 0x58, 0x20, 0x0d, 0x79, 0x32,
    0xef, 0x27, 0xa9, 0xf6, 0x64, 0xfc, 0x2a, 0x76, 0xb4, 0xfc, 0x46, 0x40, 0x75, 0x9d, 0x03, 0x23,
    0x9f, 0x82, 0x12, 0xe6, 0x38, 0xcc, 0x0a, 0x75, 0xed, 0x99, 0x2e, 0xaf, 0xaa,
];

/// The party that credentials are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelyingParty {
    /// The RP ID, a domain.
    pub id: String,
    /// The accepted origins, serialised: `https://host[:port]`.
    pub origins: Vec<String>,
}

/// A verified new credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCredential {
    /// The credential id. The caller must refuse one that is registered (step 7.1-26).
    pub id: CredentialId,
    /// The public key.
    pub public_key: PublicKey,
    /// The signature counter, 0 if the authenticator has none.
    pub sign_count: u32,
    /// The model that the authenticator claims to be.
    pub aaguid: Aaguid,
    /// Whether the credential may be backed up. This never changes.
    pub backup_eligible: bool,
    /// Whether the credential is backed up.
    pub backed_up: bool,
    /// How the client can reach the authenticator, for `excludeCredentials`.
    pub transports: Vec<String>,
}

/// What is stored about the credential that a response names.
#[derive(Clone, Copy, Debug)]
pub struct StoredCredential<'a> {
    /// The credential id.
    pub id: &'a CredentialId,
    /// The user handle of the owner.
    pub user_handle: &'a [u8],
    /// The public key.
    pub public_key: &'a PublicKey,
    /// The signature counter of the last ceremony.
    pub sign_count: u32,
    /// Whether the credential may be backed up.
    pub backup_eligible: bool,
}

/// What to store after an authentication (step 7.2-24).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// The signature counter.
    pub sign_count: u32,
    /// Whether the credential is backed up.
    pub backed_up: bool,
}

impl RelyingParty {
    /// Verifies a registration (section 7.1, steps 5 to 25).
    pub fn verify_registration(
        &self,
        challenge: &Challenge,
        response: &RegistrationResponse,
    ) -> Result<NewCredential, Refusal> {
        client_data::verify(
            &response.client_data,
            "webauthn.create",
            challenge,
            &self.origins,
        )?;
        let bytes = attestation::authenticator_data(&response.attestation_object)?;
        let data = AuthenticatorData::parse(bytes)?;
        data.verify(&self.id)?;
        let credential = data.credential.as_ref().ok_or(Refusal::AuthenticatorData)?;
        let public_key = PublicKey::from_cose(credential.public_key)?;
        if credential.id != response.id.as_bytes() {
            return Err(Refusal::CredentialId);
        }
        Ok(NewCredential {
            id: response.id.clone(),
            public_key,
            sign_count: data.sign_count,
            aaguid: credential.aaguid,
            backup_eligible: data.is_backup_eligible(),
            backed_up: data.is_backed_up(),
            transports: response.transports.clone(),
        })
    }

    /// Verifies an authentication with the credential that the response names (section 7.2, steps 6
    /// to 22). The signature counter is compared last, so [`Refusal::SignCount`] means that the
    /// signature is valid.
    pub fn verify_authentication(
        &self,
        challenge: &Challenge,
        response: &AuthenticationResponse,
        credential: &StoredCredential<'_>,
    ) -> Result<Authentication, Refusal> {
        let verified = self.verify_assertion(challenge, response, credential.public_key);
        // After the signature, so that a difference from what is stored takes as long as an unknown
        // credential.
        if response.id != *credential.id {
            return Err(Refusal::CredentialId);
        }
        if response.user_handle() != Some(credential.user_handle) {
            return Err(Refusal::UserHandle);
        }
        let data = verified?;
        if data.is_backup_eligible() != credential.backup_eligible {
            return Err(Refusal::BackupEligibility);
        }
        let is_increased = data.sign_count > credential.sign_count;
        if !is_increased && (data.sign_count, credential.sign_count) != (0, 0) {
            return Err(Refusal::SignCount);
        }
        Ok(Authentication {
            sign_count: data.sign_count,
            backed_up: data.is_backed_up(),
        })
    }

    /// Refuses an authentication with an unknown credential, after the same work as for a known one:
    /// the signature is verified with a decoy key.
    #[must_use]
    pub fn refuse_unknown(
        &self,
        challenge: &Challenge,
        response: &AuthenticationResponse,
    ) -> Refusal {
        let verified = PublicKey::from_cose(&DECOY)
            .and_then(|decoy| self.verify_assertion(challenge, response, &decoy));
        match verified {
            _ if response.user_handle().is_none() => Refusal::UserHandle,
            Ok(_) => Refusal::Signature,
            Err(refusal) => refusal,
        }
    }

    /// Steps 7.2-7 to 7.2-21, without the comparison of step 7.2-19.
    fn verify_assertion<'a>(
        &self,
        challenge: &Challenge,
        response: &'a AuthenticationResponse,
        public_key: &PublicKey,
    ) -> Result<AuthenticatorData<'a>, Refusal> {
        let hash = client_data::verify(
            &response.client_data,
            "webauthn.get",
            challenge,
            &self.origins,
        )?;
        let data = AuthenticatorData::parse(&response.authenticator_data)?;
        // Section 6.1: an assertion contains no attested credential data.
        if data.credential.is_some() {
            return Err(Refusal::AuthenticatorData);
        }
        data.verify(&self.id)?;
        let message = [&response.authenticator_data, hash.as_ref()].concat();
        public_key.verify(&message, &response.signature)?;
        Ok(data)
    }
}

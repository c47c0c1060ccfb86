//! Why a ceremony is refused.

/// The step that refused a ceremony. Responses to clients must not depend on it, except for
/// [`Refusal::SignCount`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The response is not the JSON form of a `PublicKeyCredential` (section 5.1.8), or a member is
    /// not unpadded base64url.
    #[error("the response is malformed")]
    Malformed,
    /// The credential id is empty or too long, `rawId` differs from `id`, or the authenticator data
    /// or the stored credential has another id (steps 7.1-25 and 7.2-6).
    #[error("the credential id is wrong")]
    CredentialId,
    /// The user handle is absent, or is that of another user (step 7.2-6).
    #[error("the user handle is absent or wrong")]
    UserHandle,
    /// The client data is not the JSON object that section 5.8.1 defines (steps 7.1-6 and 7.2-9).
    #[error("the client data is malformed")]
    ClientData,
    /// The client data is of another ceremony (steps 7.1-7 and 7.2-10).
    #[error("the client data has the wrong type")]
    Type,
    /// The challenge is not the one issued (steps 7.1-8 and 7.2-11).
    #[error("the challenge is wrong")]
    Challenge,
    /// The origin is not an accepted one (steps 7.1-9 and 7.2-12).
    #[error("the origin is not accepted")]
    Origin,
    /// The ceremony took place in an iframe of another site (steps 7.1-10, 7.1-11, 7.2-13 and
    /// 7.2-14).
    #[error("the ceremony is cross-origin")]
    CrossOrigin,
    /// The attestation object is not CBOR of the expected structure (step 7.1-13).
    #[error("the attestation object is malformed")]
    AttestationObject,
    /// The authenticator data does not have the structure of section 6.1, has bytes after its end,
    /// lacks the new credential, or contains one in an authentication.
    #[error("the authenticator data is malformed")]
    AuthenticatorData,
    /// The credential is of another RP ID (steps 7.1-14 and 7.2-15).
    #[error("the RP ID is wrong")]
    RpId,
    /// The user was not present (steps 7.1-15 and 7.2-16).
    #[error("the user was not present")]
    UserPresence,
    /// The user was not verified (steps 7.1-16 and 7.2-17).
    #[error("the user was not verified")]
    UserVerification,
    /// The credential is backed up without being eligible for it (steps 7.1-17 and 7.2-18).
    #[error("the credential is backed up but not eligible for backup")]
    BackupState,
    /// The eligibility for backup, which is permanent, has changed (step 7.2-19).
    #[error("the eligibility for backup has changed")]
    BackupEligibility,
    /// The algorithm of the public key was not offered (step 7.1-20).
    #[error("the algorithm is not supported")]
    Algorithm,
    /// The public key is malformed, inconsistent, weak or not on its curve.
    #[error("the public key is invalid")]
    PublicKey,
    /// The signature is wrong, or the credential is unknown (step 7.2-21).
    #[error("the signature is wrong")]
    Signature,
    /// The signature is valid, but the signature counter did not increase: the authenticator may
    /// have been cloned (step 7.2-22).
    #[error("the signature counter did not increase")]
    SignCount,
}

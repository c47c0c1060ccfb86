use authenticator::{AT, BE, BS, Credential, ED, UP, UV, cbor};

use super::{super::Authentication as Verified, *};

/// Verifies an authentication with a stored credential whose counter is 0.
fn verify(authentication: &Authentication<'_>) -> Result<Verified, Refusal> {
    verify_response(&AuthenticationResponse::from_json(
        &authentication.response(),
    )?)
}

fn verify_response(response: &AuthenticationResponse) -> Result<Verified, Refusal> {
    verify_stored(response, &Key::es256(), 0, false)
}

fn verify_stored(
    response: &AuthenticationResponse,
    key: &Key,
    sign_count: u32,
    backup_eligible: bool,
) -> Result<Verified, Refusal> {
    let id = credential_id(&passkey(Key::es256()).id);
    let public_key = PublicKey::from_cose(&key.cose()).unwrap();
    let credential = StoredCredential {
        id: &id,
        user_handle: USER_HANDLE,
        public_key: &public_key,
        sign_count,
        backup_eligible,
    };
    relying_party().verify_authentication(&CHALLENGE, response, &credential)
}

fn credential_id(bytes: &[u8]) -> CredentialId {
    CredentialId::parse(&data_encoding::BASE64URL_NOPAD.encode(bytes)).unwrap()
}

/// An authentication with ES256, changed before it is signed.
fn verify_with(change: impl FnOnce(&mut Authentication<'_>)) -> Result<Verified, Refusal> {
    let passkey = passkey(Key::es256());
    let mut authentication = get(&passkey);
    change(&mut authentication);
    verify(&authentication)
}

#[test]
fn a_passkey_of_each_algorithm_authenticates() {
    for (key, same) in Key::all().into_iter().zip(Key::all()) {
        let mut passkey = passkey(key);
        passkey.backup = BE | BS;
        let response = AuthenticationResponse::from_json(&get(&passkey).response()).unwrap();
        assert_eq!(response.credential_id().as_bytes(), passkey.id);
        assert_eq!(response.user_handle(), Some(USER_HANDLE));
        assert_eq!(
            verify_stored(&response, &same, 0, true),
            Ok(Verified {
                sign_count: 1,
                backed_up: true
            })
        );
    }
}

#[test]
fn the_credential_and_the_user_must_be_those_stored() {
    let result = verify_with(|it| it.id[0] ^= 1);
    assert_eq!(result, Err(Refusal::CredentialId));
    let result = verify_with(|it| it.user_handle = b"ID9876543210".to_vec());
    assert_eq!(result, Err(Refusal::UserHandle));
    let passkey = passkey(Key::es256());
    let mut json = get(&passkey).response();
    for absent in [serde_json::Value::Null, serde_json::json!("removed")] {
        if absent == "removed" {
            json["response"]
                .as_object_mut()
                .unwrap()
                .remove("userHandle");
        } else {
            json["response"]["userHandle"] = absent;
        }
        let response = AuthenticationResponse::from_json(&json).unwrap();
        assert_eq!(verify_response(&response), Err(Refusal::UserHandle));
    }
}

#[test]
fn the_client_data_must_be_of_this_authentication() {
    for (from, to, refusal) in [
        ("webauthn.get", "webauthn.create", Refusal::Type),
        ("WlpaWlpa", "WlpaWlpb", Refusal::Challenge),
        ("accounts.example.com", "evil.example", Refusal::Origin),
        (":false", ":true", Refusal::CrossOrigin),
        (":false", r#":false,"topOrigin":"x""#, Refusal::CrossOrigin),
    ] {
        let result = verify_with(|it| replace(&mut it.client_data, from, to));
        assert_eq!(result, Err(refusal), "{to}");
    }
}

#[test]
fn the_rp_id_must_be_ours() {
    let result = verify_with(|it| it.authenticator_data.rp_id_hash[0] ^= 1);
    assert_eq!(result, Err(Refusal::RpId));
}

#[test]
fn the_user_must_be_present_and_verified() {
    for (flag, refusal) in [(UP, Refusal::UserPresence), (UV, Refusal::UserVerification)] {
        let result = verify_with(|it| it.authenticator_data.flags &= !flag);
        assert_eq!(result, Err(refusal));
    }
}

#[test]
fn eligibility_for_backup_does_not_change() {
    let result = verify_with(|it| it.authenticator_data.flags |= BS);
    assert_eq!(result, Err(Refusal::BackupState));
    for (flags, stored, expected) in [
        (0, false, Ok(false)),
        (BE, true, Ok(false)),
        (BE | BS, true, Ok(true)),
        (BE, false, Err(Refusal::BackupEligibility)),
        (0, true, Err(Refusal::BackupEligibility)),
    ] {
        let mut passkey = passkey(Key::es256());
        passkey.backup = flags;
        let response = AuthenticationResponse::from_json(&get(&passkey).response()).unwrap();
        let result = verify_stored(&response, &passkey.key, 0, stored);
        assert_eq!(result.map(|verified| verified.backed_up), expected);
    }
}

#[test]
fn authenticator_data_contains_no_credential_and_ends_after_its_last_part() {
    let credential = Credential {
        aaguid: [0; 16],
        id: passkey(Key::es256()).id,
        public_key: Key::es256().cose(),
    };
    let result = verify_with(|it| {
        it.authenticator_data.flags |= AT;
        it.authenticator_data.credential = Some(credential);
    });
    assert_eq!(result, Err(Refusal::AuthenticatorData));
    for (flags, rest, is_valid) in [
        (0, vec![0], false),
        (ED, vec![], false),
        (ED, cbor::map(&[]), true),
        (ED, [cbor::map(&[]), cbor::map(&[])].concat(), false),
    ] {
        let result = verify_with(|it| {
            it.authenticator_data.flags |= flags;
            it.authenticator_data.rest = rest;
        });
        let expected = (!is_valid).then_some(Refusal::AuthenticatorData);
        assert_eq!(result.err(), expected);
    }
}

#[test]
fn reserved_flags_are_ignored() {
    assert!(verify_with(|it| it.authenticator_data.flags |= 0x22).is_ok());
}

/// A bit is changed after signing in the client data, the authenticator data or the signature.
#[test]
fn the_signature_covers_client_data_and_authenticator_data() {
    for (key, same) in Key::all().into_iter().zip(Key::all()) {
        let passkey = passkey(key);
        let authentication = get(&passkey);
        let signature = passkey.key.sign(&authentication.message());

        let mut changed = authentication.clone();
        replace(&mut changed.client_data, ":false", ": false");
        let mut other_count = authentication.clone();
        other_count.authenticator_data.sign_count = 2;
        let mut other_signature = signature.clone();
        *other_signature.last_mut().unwrap() ^= 1;
        let longer = [&signature[..], &[0]].concat();
        let shorter = &signature[..signature.len() - 1];
        for json in [
            changed.response_with(&signature),
            other_count.response_with(&signature),
            authentication.response_with(&other_signature),
            authentication.response_with(&longer),
            authentication.response_with(shorter),
            authentication.response_with(&[]),
        ] {
            let response = AuthenticationResponse::from_json(&json).unwrap();
            let result = verify_stored(&response, &same, 0, false);
            assert_eq!(result, Err(Refusal::Signature));
        }
    }
}

#[test]
fn a_signature_of_another_key_is_refused() {
    for key in [Key::eddsa(), Key::rs256()] {
        let response = AuthenticationResponse::from_json(&get(&passkey(key)).response()).unwrap();
        assert_eq!(verify_response(&response), Err(Refusal::Signature));
    }
}

#[test]
fn the_signature_counter_increases_unless_the_authenticator_has_none() {
    for (sent, stored, is_valid) in [
        (0, 0, true),
        (1, 0, true),
        (u32::MAX, u32::MAX - 1, true),
        (0, 1, false),
        (1, 1, false),
        (1, 2, false),
        (u32::MAX, u32::MAX, false),
    ] {
        let passkey = passkey(Key::es256());
        let mut authentication = get(&passkey);
        authentication.authenticator_data.sign_count = sent;
        let response = AuthenticationResponse::from_json(&authentication.response()).unwrap();
        let result = verify_stored(&response, &passkey.key, stored, false);
        let expected = if is_valid {
            Ok(sent)
        } else {
            Err(Refusal::SignCount)
        };
        assert_eq!(result.map(|verified| verified.sign_count), expected);
    }
}

/// A suspected clone is recorded, so it must not be possible to cause one without the key.
#[test]
fn a_low_counter_is_reported_only_with_a_valid_signature() {
    let passkey = passkey(Key::es256());
    let authentication = get(&passkey);
    let json = authentication.response_with(&passkey.key.sign(b"another message"));
    let response = AuthenticationResponse::from_json(&json).unwrap();
    let result = verify_stored(&response, &passkey.key, 9, false);
    assert_eq!(result, Err(Refusal::Signature));
    let response = AuthenticationResponse::from_json(&authentication.response()).unwrap();
    let result = verify_stored(&response, &passkey.key, 9, false);
    assert_eq!(result, Err(Refusal::SignCount));
}

#[test]
fn an_unknown_credential_is_refused_by_its_first_wrong_step() {
    let relying_party = relying_party();
    for key in Key::all() {
        let passkey = passkey(key);
        let mut authentication = get(&passkey);
        let refuse = |authentication: &Authentication<'_>| {
            let response = AuthenticationResponse::from_json(&authentication.response()).unwrap();
            relying_party.refuse_unknown(&CHALLENGE, &response)
        };
        // Only the signature is wrong, as that of the decoy key cannot be made.
        assert_eq!(refuse(&authentication), Refusal::Signature);
        authentication.authenticator_data.flags |= BE;
        assert_eq!(refuse(&authentication), Refusal::Signature);
        authentication.authenticator_data.flags = UP;
        assert_eq!(refuse(&authentication), Refusal::UserVerification);
        let mut json = authentication.response();
        json["response"]["userHandle"] = serde_json::Value::Null;
        let response = AuthenticationResponse::from_json(&json).unwrap();
        let refusal = relying_party.refuse_unknown(&CHALLENGE, &response);
        assert_eq!(refusal, Refusal::UserHandle);
    }
}

use authenticator::{BE, BS, ED, UP, UV, cbor};

use super::*;

#[test]
fn a_passkey_of_each_algorithm_is_registered() {
    let algorithms = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256];
    for (key, algorithm) in Key::all().into_iter().zip(algorithms) {
        let mut passkey = passkey(key);
        passkey.backup = BE | BS;
        let credential = register(&create(&passkey)).unwrap();
        assert_eq!(credential.id.as_bytes(), passkey.id);
        assert_eq!(credential.public_key.as_cose(), passkey.key.cose());
        assert_eq!(credential.public_key.algorithm(), algorithm);
        assert_eq!(credential.sign_count, 1);
        assert_eq!(
            credential.aaguid.to_string(),
            "abababab-abab-abab-abab-abababababab"
        );
        assert!(credential.backup_eligible && credential.backed_up);
        assert_eq!(credential.transports, ["internal"]);
    }
}

#[test]
fn the_client_data_must_be_of_this_registration() {
    for (from, to, refusal) in [
        ("webauthn.create", "webauthn.get", Refusal::Type),
        ("WlpaWlpa", "WlpaWlpb", Refusal::Challenge),
        ("accounts.example.com", "evil.example", Refusal::Origin),
        (":false", ":true", Refusal::CrossOrigin),
    ] {
        let result = register_with(|it| replace(&mut it.client_data, from, to));
        assert_eq!(result, Err(refusal), "{to}");
    }
}

#[test]
fn the_rp_id_must_be_ours() {
    let result = register_with(|it| it.authenticator_data.rp_id_hash[31] ^= 1);
    assert_eq!(result, Err(Refusal::RpId));
}

#[test]
fn the_user_must_be_present_and_verified() {
    for (flag, refusal) in [
        (UP, Refusal::UserPresence),
        (UV, Refusal::UserVerification),
        (UP | UV, Refusal::UserPresence),
    ] {
        let result = register_with(|it| it.authenticator_data.flags &= !flag);
        assert_eq!(result, Err(refusal));
    }
}

#[test]
fn a_credential_is_backed_up_only_if_it_is_eligible() {
    let result = register_with(|it| it.authenticator_data.flags |= BS);
    assert_eq!(result, Err(Refusal::BackupState));
    let credential = register_with(|it| it.authenticator_data.flags |= BE).unwrap();
    assert!(credential.backup_eligible && !credential.backed_up);
}

#[test]
fn the_algorithm_must_be_one_of_those_offered() {
    let result = register_with(|it| {
        let mut parameters = Key::es256().parameters();
        parameters[1].1 = cbor::integer(-35);
        let credential = it.authenticator_data.credential.as_mut().unwrap();
        credential.public_key = authenticator::cose(&parameters);
    });
    assert_eq!(result, Err(Refusal::Algorithm));
}

#[test]
fn the_authenticator_data_must_contain_the_credential_of_the_response() {
    let missing = register_with(|it| {
        it.authenticator_data.flags &= !authenticator::AT;
        it.authenticator_data.credential = None;
    });
    assert_eq!(missing, Err(Refusal::AuthenticatorData));
    let different = register_with(|it| it.id[0] ^= 1);
    assert_eq!(different, Err(Refusal::CredentialId));
}

#[test]
fn a_credential_id_has_at_most_1023_bytes() {
    for (length, expected) in [
        (1, None),
        (1023, None),
        (1024, Some(Refusal::CredentialId)),
        (0, Some(Refusal::CredentialId)),
    ] {
        let result = register_with(|it| {
            it.id = vec![1; length];
            it.authenticator_data.credential.as_mut().unwrap().id = vec![1; length];
        });
        assert_eq!(result.err(), expected, "{length}");
    }
}

#[test]
fn authenticator_data_ends_after_its_last_part() {
    for (flags, rest, is_valid) in [
        (0, vec![0], false),
        (0, cbor::map(&[]), false),
        (ED, vec![], false),
        (ED, cbor::map(&[]), true),
        (
            ED,
            cbor::map(&[(cbor::text("credProtect"), cbor::integer(2))]),
            true,
        ),
        (ED, [cbor::map(&[]), vec![0]].concat(), false),
        (ED, cbor::bytes(b"no map"), false),
        (ED, cbor::map(&[(cbor::text("x"), vec![])]), false),
    ] {
        let result = register_with(|it| {
            it.authenticator_data.flags |= flags;
            it.authenticator_data.rest.clone_from(&rest);
        });
        let expected = (!is_valid).then_some(Refusal::AuthenticatorData);
        assert_eq!(result.err(), expected, "{flags} {rest:?}");
    }
}

#[test]
fn truncated_authenticator_data_is_refused() {
    let mut registration = create(&passkey(Key::es256()));
    let complete = registration.authenticator_data.encode();
    registration.authenticator_data.credential = None;
    registration.authenticator_data.rest.clear();
    for end in 0..complete.len() {
        let object = cbor::map(&[
            (cbor::text("fmt"), cbor::text("none")),
            (cbor::text("attStmt"), cbor::map(&[])),
            (cbor::text("authData"), cbor::bytes(&complete[..end])),
        ]);
        let json = registration.response_with(&object);
        let response = RegistrationResponse::from_json(&json).unwrap();
        assert_eq!(
            relying_party().verify_registration(&CHALLENGE, &response),
            Err(Refusal::AuthenticatorData),
            "{end}"
        );
    }
}

/// Registers with an attestation object that consists of these members.
fn register_object(members: &[(Vec<u8>, Vec<u8>)]) -> Result<NewCredential, Refusal> {
    let json = create(&passkey(Key::es256())).response_with(&cbor::map(members));
    relying_party().verify_registration(&CHALLENGE, &RegistrationResponse::from_json(&json)?)
}

#[test]
fn an_attestation_object_has_a_format_a_statement_and_authenticator_data() {
    let data = cbor::bytes(&create(&passkey(Key::es256())).authenticator_data.encode());
    let format = (cbor::text("fmt"), cbor::text("packed"));
    let statement = (
        cbor::text("attStmt"),
        cbor::map(&[
            (cbor::text("alg"), cbor::integer(-7)),
            (cbor::text("sig"), cbor::bytes(b"not evaluated")),
            (
                cbor::text("x5c"),
                [cbor::head(4, 1), cbor::bytes(b"")].concat(),
            ),
        ]),
    );
    let data = (cbor::text("authData"), data);
    let [f, s, d] = [&format, &statement, &data];
    for (members, is_valid) in [
        (vec![f, s, d], true),
        (vec![d, f, s], true),
        (vec![f, s], false),
        (vec![f, d], false),
        (vec![s, d], false),
        (vec![f, f, d], false),
        (vec![f, d, d], false),
        (vec![s, s, d], false),
        (vec![f, s, d, d], false),
        (vec![&(cbor::text("fmt"), cbor::integer(1)), s, d], false),
        (
            vec![f, &(cbor::text("attStmt"), cbor::bytes(b"")), d],
            false,
        ),
        (
            vec![f, s, &(cbor::text("authData"), cbor::text("x"))],
            false,
        ),
        (vec![f, s, &(cbor::text("other"), cbor::integer(1))], false),
        (vec![f, s, &(cbor::integer(3), cbor::integer(1))], false),
    ] {
        let members: Vec<_> = members.into_iter().cloned().collect();
        let expected = (!is_valid).then_some(Refusal::AttestationObject);
        assert_eq!(register_object(&members).err(), expected, "{members:?}");
    }
}

#[test]
fn an_attestation_object_ends_after_its_last_member() {
    let registration = create(&passkey(Key::es256()));
    let complete = registration.attestation_object();
    let longer = [complete.clone(), vec![0]].concat();
    for object in (0..complete.len())
        .map(|end| &complete[..end])
        .chain([&longer[..]])
    {
        let response =
            RegistrationResponse::from_json(&registration.response_with(object)).unwrap();
        assert_eq!(
            relying_party().verify_registration(&CHALLENGE, &response),
            Err(Refusal::AttestationObject)
        );
    }
}

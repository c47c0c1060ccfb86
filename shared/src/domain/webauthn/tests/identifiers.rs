use serde_json::{Value, json};

use super::{super::Aaguid, *};

#[test]
fn a_credential_id_is_text_outside() {
    let id = CredentialId::parse("-_8").unwrap();
    assert_eq!(id.as_bytes(), [0xfb, 0xff]);
    assert_eq!(id.to_string(), "-_8");
    assert_eq!(format!("{id:?}"), "CredentialId(-_8)");
    assert_eq!(serde_json::to_value(&id).unwrap(), json!("-_8"));
    assert_eq!(
        serde_json::from_value::<CredentialId>(json!("-_8")).unwrap(),
        id
    );
    assert!(serde_json::from_value::<CredentialId>(json!("-_9")).is_err());
}

#[test]
fn an_aaguid_is_a_lower_case_uuid() {
    let text = "08987058-cadc-4b81-b6e1-30de50dcbe96";
    let aaguid: Aaguid = serde_json::from_value(json!(text)).unwrap();
    assert_eq!(aaguid.as_bytes()[..4], [0x08, 0x98, 0x70, 0x58]);
    assert_eq!(aaguid, Aaguid::from_bytes(*aaguid.as_bytes()));
    assert_eq!(serde_json::to_value(aaguid).unwrap(), json!(text));
    assert_eq!(format!("{aaguid:?}"), format!("Aaguid({text})"));
    for other in [
        json!(text.to_uppercase()),
        json!(text.replace('-', "")),
        json!(format!("{text}0")),
        json!(&text[..35]),
        json!("é8987058-cadc-4b81-b6e1-30de50dcbe9"),
        json!("+8987058-cadc-4b81-b6e1-30de50dcbe96"),
        Value::Null,
    ] {
        assert!(
            serde_json::from_value::<Aaguid>(other.clone()).is_err(),
            "{other}"
        );
    }
}

#[test]
fn debug_output_does_not_reveal_the_challenge() {
    assert_eq!(format!("{CHALLENGE:?}"), "Challenge(..)");
    assert_eq!(CHALLENGE.as_bytes(), &[0x5a; 32]);
}

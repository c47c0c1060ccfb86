use serde_json::{Value, json};

use super::*;

fn registration() -> Value {
    create(&passkey(Key::es256())).response()
}

fn authentication() -> Value {
    get(&passkey(Key::es256())).response()
}

fn set(mut json: Value, pointer: &str, value: Value) -> Value {
    *json.pointer_mut(pointer).unwrap() = value;
    json
}

fn read_registration(json: &Value) -> Option<Refusal> {
    RegistrationResponse::from_json(json).err()
}

fn read_authentication(json: &Value) -> Option<Refusal> {
    AuthenticationResponse::from_json(json).err()
}

#[test]
fn unknown_members_are_ignored() {
    let mut json = registration();
    json["authenticatorAttachment"] = json!("platform");
    json["response"]["publicKey"] = json!(7);
    json["response"]["authenticatorData"] = json!("?");
    assert_eq!(read_registration(&json), None);
    let mut json = authentication();
    json["response"]["attestationObject"] = Value::Null;
    assert_eq!(read_authentication(&json), None);
}

#[test]
fn each_member_is_required() {
    let members = ["id", "rawId", "type", "response"];
    let inner = ["clientDataJSON", "attestationObject"];
    for name in members.into_iter().chain(inner) {
        let mut json = registration();
        json.as_object_mut().unwrap().remove(name);
        if let Some(response) = json.get_mut("response").and_then(Value::as_object_mut) {
            response.remove(name);
        }
        assert_eq!(read_registration(&json), Some(Refusal::Malformed), "{name}");
    }
    let inner = ["clientDataJSON", "authenticatorData", "signature"];
    for name in members.into_iter().chain(inner) {
        let mut json = authentication();
        json.as_object_mut().unwrap().remove(name);
        if let Some(response) = json.get_mut("response").and_then(Value::as_object_mut) {
            response.remove(name);
        }
        assert_eq!(
            read_authentication(&json),
            Some(Refusal::Malformed),
            "{name}"
        );
    }
}

#[test]
fn members_have_their_type() {
    for pointer in [
        "",
        "/id",
        "/rawId",
        "/type",
        "/response",
        "/response/clientDataJSON",
        "/response/authenticatorData",
        "/response/signature",
        "/response/userHandle",
    ] {
        for value in [json!(1), json!([]), json!(["id"]), json!(true)] {
            let json = set(authentication(), pointer, value);
            assert_eq!(
                read_authentication(&json),
                Some(Refusal::Malformed),
                "{pointer}"
            );
        }
    }
    let json = set(authentication(), "/type", json!("password"));
    assert_eq!(read_authentication(&json), Some(Refusal::Malformed));
}

#[test]
fn base64url_has_one_spelling() {
    // "-_8" is 0xfb 0xff.
    for text in ["-_8=", "+/8", "-_9", "-_8 ", "-_8\n", "-", "-_8é"] {
        for name in [
            "clientDataJSON",
            "authenticatorData",
            "signature",
            "userHandle",
        ] {
            let json = set(authentication(), &format!("/response/{name}"), json!(text));
            assert_eq!(
                read_authentication(&json),
                Some(Refusal::Malformed),
                "{text}"
            );
        }
        let mut json = set(authentication(), "/id", json!(text));
        json["rawId"] = json!(text);
        assert_eq!(
            read_authentication(&json),
            Some(Refusal::CredentialId),
            "{text}"
        );
    }
    let json = set(authentication(), "/response/userHandle", json!("-_8"));
    assert_eq!(
        AuthenticationResponse::from_json(&json)
            .unwrap()
            .user_handle(),
        Some(&[0xfb, 0xff][..])
    );
}

#[test]
fn the_two_ids_are_equal() {
    let json = set(authentication(), "/rawId", json!("AQID"));
    assert_eq!(read_authentication(&json), Some(Refusal::CredentialId));
    let json = set(registration(), "/id", json!("AQID"));
    assert_eq!(read_registration(&json), Some(Refusal::CredentialId));
}

#[test]
fn a_user_handle_has_1_to_64_bytes() {
    for (length, is_valid) in [(0, false), (1, true), (64, true), (65, false)] {
        let text = data_encoding::BASE64URL_NOPAD.encode(&vec![7; length]);
        let json = set(authentication(), "/response/userHandle", json!(text));
        let expected = (!is_valid).then_some(Refusal::Malformed);
        assert_eq!(read_authentication(&json), expected, "{length}");
    }
}

#[test]
fn transports_are_short_names() {
    for (transports, expected) in [
        (Value::Null, Some(vec![])),
        (json!([]), Some(vec![])),
        (
            json!(["usb", "smart-card", "new-1"]),
            Some(vec!["usb", "smart-card", "new-1"]),
        ),
        (json!("usb"), None),
        (json!([1]), None),
        (json!([""]), None),
        (json!(["USB"]), None),
        (json!(["<b>"]), None),
        (json!(["x".repeat(33)]), None),
        (json!(vec!["usb"; 17]), None),
    ] {
        let json = set(registration(), "/response/transports", transports);
        let read = RegistrationResponse::from_json(&json).map(|response| response.transports);
        match expected {
            Some(expected) => assert_eq!(read.unwrap(), expected),
            None => assert_eq!(read, Err(Refusal::Malformed)),
        }
    }
    let mut json = registration();
    json["response"]
        .as_object_mut()
        .unwrap()
        .remove("transports");
    assert_eq!(read_registration(&json), None);
}

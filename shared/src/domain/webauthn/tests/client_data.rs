use super::{super::client_data, *};

/// Client data with these members after the required ones.
fn verify(members: &str) -> Result<(), Refusal> {
    let challenge = CHALLENGE.encoded();
    verify_text(&format!(
        r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"{ORIGIN}"{members}}}"#
    ))
}

fn verify_text(text: &str) -> Result<(), Refusal> {
    let origins = relying_party().origins;
    client_data::verify(text.as_bytes(), "webauthn.get", &CHALLENGE, &origins).map(drop)
}

#[test]
fn unknown_members_are_ignored() {
    for members in [
        "",
        r#","crossOrigin":false"#,
        r#","tokenBinding":{"status":"supported"}"#,
        r#","other_keys_can_be_added_here":"x","other":[{"type":1}]"#,
        r#","crossorigin":true,"TopOrigin":"x""#,
    ] {
        assert_eq!(verify(members), Ok(()), "{members}");
    }
}

#[test]
fn cross_origin_ceremonies_are_refused() {
    for members in [
        r#","crossOrigin":true"#,
        r#","topOrigin":"https://accounts.example.com""#,
        r#","topOrigin":null"#,
        r#","crossOrigin":false,"topOrigin":"""#,
    ] {
        assert_eq!(verify(members), Err(Refusal::CrossOrigin), "{members}");
    }
}

/// A parser that takes the first of two members disagrees with one that takes the last.
#[test]
fn a_member_that_appears_twice_is_refused() {
    for members in [
        r#","type":"webauthn.get""#,
        r#","challenge":"x""#,
        r#","origin":"https://accounts.example.com""#,
        r#","crossOrigin":false,"crossOrigin":false"#,
        r#","\u0074ype":"webauthn.get""#,
    ] {
        assert_eq!(verify(members), Err(Refusal::ClientData), "{members}");
    }
}

#[test]
fn members_have_their_type_and_the_object_ends_the_input() {
    for members in [
        r#","crossOrigin":null"#,
        r#","crossOrigin":"false""#,
        r#","crossOrigin":0"#,
        "}",
        "} x",
        ",",
        r#","a":"#,
    ] {
        assert_eq!(verify(members), Err(Refusal::ClientData), "{members}");
    }
    let challenge = CHALLENGE.encoded();
    for text in [
        String::new(),
        "null".to_owned(),
        "{}".to_owned(),
        format!(r#"["webauthn.get","{challenge}","{ORIGIN}",false]"#),
        format!(r#"{{"type":"webauthn.get","challenge":"{challenge}"}}"#),
        format!(r#"{{"type":null,"challenge":"{challenge}","origin":"{ORIGIN}"}}"#),
    ] {
        assert_eq!(verify_text(&text), Err(Refusal::ClientData), "{text}");
    }
}

#[test]
fn a_byte_order_mark_is_removed_and_other_encodings_are_refused() {
    let challenge = CHALLENGE.encoded();
    let json =
        format!(r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"{ORIGIN}"}}"#);
    assert_eq!(verify_text(&format!("\u{feff}{json}")), Ok(()));
    assert_eq!(
        verify_text(&format!("\u{feff}\u{feff}{json}")),
        Err(Refusal::ClientData)
    );
    let mut latin = json.into_bytes();
    latin.splice(1..1, *b"\"\xe9\":1,");
    let origins = relying_party().origins;
    let result = client_data::verify(&latin, "webauthn.get", &CHALLENGE, &origins);
    assert_eq!(result.err(), Some(Refusal::ClientData));
}

#[test]
fn an_origin_is_compared_as_text() {
    let challenge = CHALLENGE.encoded();
    for (origin, is_accepted) in [
        (ORIGIN, true),
        (OTHER_ORIGIN, true),
        ("https://accounts.example.com/", false),
        ("https://accounts.example.com:443", false),
        ("https://ACCOUNTS.example.com", false),
        ("http://accounts.example.com", false),
        ("https://example.com", false),
        ("https://accounts.example.com.evil.example", false),
        ("https://x.accounts.example.com", false),
        ("", false),
    ] {
        let text =
            format!(r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"{origin}"}}"#);
        let expected = if is_accepted {
            Ok(())
        } else {
            Err(Refusal::Origin)
        };
        assert_eq!(verify_text(&text), expected, "{origin}");
    }
}

#[test]
fn the_challenge_has_one_spelling() {
    let challenge = CHALLENGE.encoded();
    let last_bits = format!("{}p", &challenge[..42]);
    for other in [
        "",
        &challenge[..42],
        &format!("{challenge}="),
        &format!("{challenge}A"),
        &last_bits,
    ] {
        let text =
            format!(r#"{{"type":"webauthn.get","challenge":"{other}","origin":"{ORIGIN}"}}"#);
        assert_eq!(verify_text(&text), Err(Refusal::Challenge), "{other}");
    }
}

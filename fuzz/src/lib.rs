//! Fuzz targets. Each takes arbitrary bytes, asserts the rules that hold for its parser, and panics
//! if one does not.
//!
//! `cargo test` runs each target with its seeds, `cargo fuzz run <target>` with inputs that
//! libFuzzer generates (see README.md).

#![expect(
    clippy::missing_panics_doc,
    reason = "a fuzz target reports a finding by a panic"
)]

mod passkeys;

use std::sync::LazyLock;

use argon2::{Algorithm, Argon2, Block, MIN_SALT_LEN, Params, Version};
use futures_util::FutureExt;
use lambda_http::request::LambdaRequest;
pub use passkeys::{attestation_object, authenticator_data, client_data, cose_key};
use shared::{
    Error,
    domain::{
        email_address::{AccountKey, EmailAddress},
        language::Language,
    },
    http::{Body, Credential, Form, Request, client, header, sanitize_event},
    platform::clock::Timestamp,
    tokens::{
        published_keys::PublishedKeys,
        signed_token::{Claims, PresentedToken, Purpose, SigningKeys},
    },
};

/// A time at which the tokens among the seeds are valid.
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
/// Signs the tokens among the seeds: changing it invalidates them.
const SECRET: &str = "the seeds of the target `token` are signed by it";

static KEYRING: LazyLock<SigningKeys> =
    LazyLock::new(|| match SigningKeys::from_secrets(SECRET, None) {
        Ok(signing_keys) => signing_keys,
        Err(error) => panic!("{error}"),
    });

/// Input: a media type on the first line, then a body.
pub fn body(input: &[u8]) {
    let end = input
        .iter()
        .position(|&byte| byte == b'\n')
        .unwrap_or(input.len());
    let media_type = &input[..end];
    let body = input.get(end + 1..).unwrap_or_default();
    let mut request = Request::new(Body::Binary(body.to_vec()));
    if let Ok(value) = header::HeaderValue::from_bytes(media_type) {
        request.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    parameters(request);
}

/// Parses a body as the operations do, before any request to a backing service.
fn parameters(request: Request) {
    let read = Form::read(request)
        .now_or_never()
        .unwrap_or_else(|| panic!("reading the body did not complete at once"));
    let form = match read {
        Ok(form) => form,
        Err(Error::MalformedBody | Error::UnsupportedMediaType | Error::BodyTooLarge) => return,
        Err(error) => panic!("a parser must not return this error: {error:?}"),
    };
    let mut parameters = form.parameters("identity.user");
    let email = parameters.email();
    let password = parameters.password("password");
    let token = parameters.token("token");
    let language = parameters.optional("lang");
    parameters.captcha_response();
    match parameters.finish() {
        Ok(()) => {
            assert!(!email.is_empty() && email.trim() == email && email.chars().count() <= 254);
            assert!(
                !password.reveal().trim().is_empty() && password.reveal().chars().count() <= 1024
            );
            assert!(!token.trim().is_empty() && token.chars().count() <= 4096);
            assert!(language.is_none_or(
                |language| !language.trim().is_empty() && language.chars().count() <= 1024
            ));
        }
        Err(error) => {
            assert!(matches!(error, Error::MalformedBody | Error::Parameters(_)));
            assert!(error.status().is_client_error() && !error.keys().is_empty());
        }
    }
}

/// Input: an e-mail address, as sent in a form.
pub fn email(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    let key = AccountKey::of(text);
    let Ok(address) = EmailAddress::parse(text) else {
        return;
    };
    assert_eq!(key, address.account_key());
    assert_eq!(address.as_typed(), text.trim());
    // No character that could end a mail header or separate two addresses.
    assert!(
        !address
            .as_typed()
            .contains(|c: char| c.is_control() || c.is_whitespace() || "<>,;:\"()[]\\".contains(c))
    );
    assert_eq!(address.as_typed().matches('@').count(), 1);
    // The key and the lower-cased address lead to the same key, where they are valid addresses.
    // (The lower case of a few characters is a sequence that is not valid in an address.)
    for written in [
        key.as_str().to_owned(),
        text.chars().flat_map(char::to_lowercase).collect(),
    ] {
        assert!(
            EmailAddress::parse(&written).is_err() || AccountKey::of(&written) == key,
            "{written}"
        );
    }
    // The debug format, used in logs, masks the local part except for its first letter.
    let shown = format!("{address:?}");
    assert!(shown.contains("***@"), "{shown}");
}

/// Input: an event, as Lambda delivers it to a function.
pub fn event(input: &[u8]) {
    let Ok(mut event) = serde_json::from_slice::<LambdaRequest>(input) else {
        return;
    };
    let LambdaRequest::ApiGatewayV2(http) = &mut event else {
        return;
    };
    let reported = http
        .request_context
        .http
        .source_ip
        .clone()
        .unwrap_or_default();
    let is_read = sanitize_event(http).is_ok();
    let request = Request::from(event);
    assert_eq!(client(&request).address, reported);
    assert!(client(&request).user_agent.chars().count() <= 512);
    if let Some(credential) = Credential::of(request.headers(), "_barong_session") {
        let tokens = credential.tokens();
        assert!(!tokens.is_empty() && !tokens.iter().any(String::is_empty));
    }
    if is_read {
        parameters(request);
    }
}

/// Input: a language tag on the first line, then a user's data.
pub fn language(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    let (tag, data) = text.split_once('\n').unwrap_or((text, ""));
    let requested = Language::requested(Some(tag));
    if let Some(language) = requested {
        assert_eq!(Language::requested(Some(language.tag())), requested);
    }
    assert_eq!(
        Language::requested(Some(&tag.to_ascii_uppercase())),
        requested
    );
    let _ = Language::of_data(Some(data));
}

/// Input: a token, as sent in a cookie or a parameter.
pub fn token(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    let purposes = [
        Purpose::Session,
        Purpose::Reset,
        Purpose::Confirmation,
        Purpose::Device,
        Purpose::EmailChange,
    ];
    let accepted: Vec<Claims> = purposes
        .into_iter()
        .filter_map(|purpose| KEYRING.verify(purpose, text, NOW).ok())
        .collect();
    match accepted.as_slice() {
        [] => {}
        // Claims have one encoding, and only the holder of the key can produce it.
        [claims] => {
            assert!(KEYRING.sign(claims).is_ok_and(|genuine| genuine == text));
            // Only functions with the secret verify the tokens of devices.
            let is_of_a_device = KEYRING.verify(Purpose::Device, text, NOW).is_ok();
            assert_eq!(is_verified_by_public_key(text), !is_of_a_device);
        }
        _ => panic!("a token was accepted for more than one purpose"),
    }
}

/// Whether a function that has only the public keys accepts the token.
fn is_verified_by_public_key(text: &str) -> bool {
    let keys = PublishedKeys::replacing(None, &*KEYRING, NOW);
    let purposes = [
        Purpose::Session,
        Purpose::Reset,
        Purpose::Confirmation,
        Purpose::EmailChange,
    ];
    purposes.into_iter().any(|purpose| {
        PresentedToken::read(purpose, text, NOW).is_some_and(|token| {
            keys.public_key(token.key_id())
                .is_some_and(|key| token.verified(&key, NOW).is_some())
        })
    })
}

/// Input: one byte each for passes, memory and salt length, then the salt, then the password.
///
/// Compares `argon2_avx2` with the reference implementation of the crate `argon2`.
pub fn hash(input: &[u8]) {
    let &[passes, memory, length, ref rest @ ..] = input else {
        return;
    };
    let Ok(params) = Params::new(
        8 + 5 * u32::from(memory),
        1 + u32::from(passes % 4),
        1,
        None,
    ) else {
        return;
    };
    let Some((salt, password)) = rest.split_at_checked(MIN_SALT_LEN + usize::from(length % 57))
    else {
        return;
    };
    let mut ours = [0; 32];
    let mut theirs = [0; 32];
    let mut blocks = vec![Block::new(); params.block_count()];
    let done = argon2_avx2::hash_into(&mut ours, &params, password, salt, &mut blocks);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    assert_eq!(
        done,
        argon2.hash_password_into_with_memory(password, salt, &mut theirs, &mut blocks)
    );
    assert_eq!(ours, theirs);
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    use shared::domain::{
        device::{DEVICE_LIFETIME, Device},
        token_id::TokenId,
        user::Uid,
    };

    use super::*;

    /// Runs a target with each of its seeds, and with every prefix of each seed.
    pub fn sow(name: &str, target: impl Fn(&[u8])) {
        let seeds: Vec<Vec<u8>> = fs::read_dir(folder(name))
            .unwrap()
            .map(|file| fs::read(file.unwrap().path()).unwrap())
            .collect();
        assert!(seeds.len() >= 5);
        for seed in seeds {
            (0..=seed.len()).for_each(|end| target(&seed[..end]));
        }
    }

    /// One seed of a target.
    pub fn seed(target: &str, name: &str) -> Vec<u8> {
        let path = folder(target).join(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn folder(target: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("seeds")
            .join(target)
    }

    #[test]
    fn bodies() {
        sow("body", body);
    }

    #[test]
    fn emails() {
        sow("email", email);
    }

    #[test]
    fn events() {
        sow("event", event);
    }

    #[test]
    fn hashes() {
        sow("hash", hash);
    }

    #[test]
    fn languages() {
        sow("language", language);
    }

    #[test]
    fn tokens() {
        sow("token", token);
    }

    /// Without valid tokens, the target would only test rejections.
    #[test]
    fn the_seeds_include_a_valid_token_of_each_purpose() {
        let uid = Uid::parse("ID0123456789").unwrap();
        let of = |purpose| {
            Claims::new(
                purpose,
                TokenId::from_text("jti"),
                uid.clone(),
                AccountKey::of("ada@example.com"),
                NOW,
                NOW + 3600,
            )
        };
        let device = Device {
            id: TokenId::from_text("jti"),
            account_hash: "the-hash".to_owned(),
            uid: uid.clone(),
            epoch: 7,
            second_factor: true,
            issued_at: NOW,
            expires_at: NOW + DEVICE_LIFETIME,
        };
        for (claims, name) in [
            (of(Purpose::Session), "session"),
            (of(Purpose::Reset), "reset"),
            (of(Purpose::Confirmation), "confirmation"),
            (of(Purpose::EmailChange), "email_change"),
            (Claims::of_device(&device), "device"),
        ] {
            let genuine = KEYRING.sign(&claims).unwrap();
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("seeds/token")
                .join(name);
            assert_eq!(
                fs::read_to_string(&path).unwrap_or_default(),
                genuine,
                "{}",
                path.display()
            );
        }
    }
}

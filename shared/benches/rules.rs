//! Computing time of the rules and of parsing, without I/O: `cargo bench`.

#![expect(clippy::expect_used, reason = "a benchmark that cannot run fails")]

use divan::{Bencher, black_box};
use lambda_http::{Body, Request, http::header::CONTENT_TYPE};
use shared::{
    domain::{
        email_address::{AccountKey, EmailAddress},
        password::{Dictionary, Hasher, Password, PasswordRule, Strength, parse_params},
        token_id::TokenId,
        user::Uid,
    },
    http::Form,
    platform::clock::Timestamp,
    tokens::signed_token::{Claims, Purpose, SigningKeys},
};
use tokio::runtime::{Builder, Runtime};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const PASSWORD: &str = "Correct-Horse-42";
const SLOWEST: &str = "4@4@4@4@4@4@4@4@4@4@4@4@4@4@4@4@4@4@4@4@4@4@4@4@4@4@4@4@({[<691!$";

fn main() {
    divan::main();
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

fn hasher(params: &str) -> Hasher {
    Hasher::new(parse_params(params).expect("valid parameters")).expect("a hasher")
}

/// Verification of a password, with the default parameters and with two others that the OWASP
/// Password Storage Cheat Sheet recommends.
#[divan::bench(args = ["m=19456,t=2,p=1", "m=12288,t=3,p=1", "m=47104,t=1,p=1"], sample_count = 30, sample_size = 1)]
fn hash_verify(bencher: Bencher, params: &str) {
    let runtime = runtime();
    let hasher = hasher(params);
    let password = Password::new(PASSWORD.to_owned());
    let stored = runtime.block_on(hasher.hash(&password)).expect("a hash");
    bencher.bench_local(|| runtime.block_on(hasher.verify(&password, Some(&stored))));
}

fn signing_keys() -> SigningKeys {
    SigningKeys::from_secrets("a secret of sufficient length for signing", None).expect("keys")
}

fn claims() -> Claims {
    Claims::new(
        Purpose::Session,
        TokenId::from_text("jti"),
        Uid::generate("ID"),
        AccountKey::of("ada@example.com"),
        NOW,
        NOW + 86_400,
    )
}

#[divan::bench]
fn token_derive_keys() -> SigningKeys {
    signing_keys()
}

#[divan::bench]
fn token_sign(bencher: Bencher) {
    let signing_keys = signing_keys();
    let claims = claims();
    bencher.bench_local(|| signing_keys.sign(black_box(&claims)));
}

#[divan::bench]
fn token_verify(bencher: Bencher) {
    let signing_keys = signing_keys();
    let token = signing_keys.sign(&claims()).expect("a token");
    bencher.bench_local(|| signing_keys.verify(Purpose::Session, black_box(&token), NOW));
}

const BODIES: [(&str, &str); 3] = [
    (
        "application/json",
        r#"{"email": "ada@example.com", "password": "Correct-Horse-42"}"#,
    ),
    (
        "application/x-www-form-urlencoded",
        "email=ada%40example.com&password=Correct-Horse-42",
    ),
    (
        "multipart/form-data; boundary=x",
        "--x\r\ncontent-disposition: form-data; name=\"email\"\r\n\r\nada@example.com\r\n--x\r\ncontent-disposition: form-data; name=\"password\"\r\n\r\nCorrect-Horse-42\r\n--x--\r\n",
    ),
];

#[divan::bench(args = [0, 1, 2])]
fn body_parse(bencher: Bencher, index: usize) {
    let runtime = runtime();
    let (media_type, body) = BODIES[index];
    bencher
        .with_inputs(|| {
            let mut request = Request::new(Body::from(body));
            request
                .headers_mut()
                .insert(CONTENT_TYPE, media_type.parse().expect("a media type"));
            request
        })
        .bench_local_values(|request| runtime.block_on(Form::read(request)));
}

#[divan::bench]
fn email_parse() -> bool {
    EmailAddress::parse(black_box("Ada.Lovelace+list@Mail.Example.com")).is_ok()
}

#[divan::bench]
fn account_key() -> AccountKey {
    AccountKey::of(black_box(" Ada.Lovelace+list@Mail.Example.com "))
}

/// Estimates of the strength. The last password takes longest: its characters can stand for many
/// letters, and words of the dictionary begin at each of them.
#[divan::bench(args = [PASSWORD, "password1", "aB3$kL9!vQ2#xZ7&mN4*", SLOWEST])]
fn password_entropy(bencher: Bencher, password: &str) {
    let address = EmailAddress::parse("aaa@example.com").expect("an address");
    let dictionary =
        Dictionary::of_app("aaaa aaaaa aaaaaa aaaaaaa aaaaaaaa").with_address(&address);
    bencher.bench_local(|| Strength::of(black_box(password), &dictionary));
}

/// Most of the computing time of `user-create` at its start.
#[divan::bench]
fn password_rule_parse() -> bool {
    PasswordRule::parse(black_box(
        r"^(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])(?=[^0-9]*[0-9])[\s\S]{8,80}$",
    ))
    .is_ok()
}

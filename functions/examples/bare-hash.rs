//! The least that a sign-in can be: a bare function that computes one hash, by the reference
//! implementation of Argon2 in C, and looks nothing up. What `latchkey bench` compares
//! `session-create` with.

use argon2_sys::{ARGON2_OK, argon2id_hash_raw};
use lambda_http::{Body, Error, Request, Response, run, service_fn};

const PASSWORD: &[u8] = b"correct horse battery staple";
const SALT: &[u8] = b"0123456789abcdef";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(async |_: Request| {
        let response = Response::builder()
            .status(201)
            .header("content-type", "application/json");
        response
            .body(Body::from(format!(r#"{{"first":{}}}"#, hash()?[0])))
            .map_err(Error::from)
    }))
    .await
}

#[expect(unsafe_code, reason = "it is C")]
fn hash() -> Result<[u8; 32], Error> {
    let mut output = [0; 32];
    let passes = 2;
    let kibibytes = 19_456;
    let lanes = 1;
    let password = PASSWORD.as_ptr().cast();
    let salt = SALT.as_ptr().cast();
    let into = output.as_mut_ptr().cast();
    // SAFETY: Each pointer goes with its length.
    let code = unsafe {
        argon2id_hash_raw(
            passes,
            kibibytes,
            lanes,
            password,
            PASSWORD.len(),
            salt,
            SALT.len(),
            into,
            output.len(),
        )
    };
    if code == ARGON2_OK {
        Ok(output)
    } else {
        Err(format!("Argon2 failed with {code}").into())
    }
}

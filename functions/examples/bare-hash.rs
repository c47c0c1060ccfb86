//! The least that a sign-in can be: a bare function that computes one hash as its crate suggests, and looks nothing up. What `latchkey bench`
//! compares `session-create` with.

use argon2::{Algorithm, Argon2, Params, Version};
use lambda_http::{Body, Error, Request, Response, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(async |_: Request| {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(19_456, 2, 1, None).map_err(text)?);
        let mut output = [0; 32];
        argon2.hash_password_into(b"correct horse battery staple", b"0123456789abcdef", &mut output).map_err(text)?;
        let response = Response::builder().status(201).header("content-type", "application/json");
        response.body(Body::from(format!(r#"{{"first":{}}}"#, output[0]))).map_err(Error::from)
    }))
    .await
}

fn text(error: argon2::Error) -> String {
    error.to_string()
}

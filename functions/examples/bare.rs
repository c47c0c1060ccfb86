//! The least that a function in Rust can be: what `latchkey bench` compares the functions with.

use lambda_http::{Body, Error, Request, Response, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(async |_: Request| {
        let response = Response::builder().header("content-type", "application/json");
        response
            .body(Body::from(r#"{"bare":true}"#))
            .map_err(Error::from)
    }))
    .await
}

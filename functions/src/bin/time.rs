//! `GET /identity/time`

use shared::{BoxError, http::serve, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    serve(async |_| functions::general::time::handle(shared::clock::now())).await
}

//! `POST /identity/password/validate`

use shared::{BoxError, http::serve, platform::telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    serve(async |request| functions::password::validate::handle(request).await).await
}

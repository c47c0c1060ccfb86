//! `GET /identity/configs`

use functions::general::configs;
use shared::{BoxError, config::Config, http::serve, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let config = Config::from_env()?;
    serve(async |_| configs::handle(&config)).await
}

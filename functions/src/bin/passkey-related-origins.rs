//! `GET /.well-known/webauthn`

use functions::passkey::related_origins::RelatedOrigins;
use shared::{
    BoxError,
    config::{Variables, related_origins},
    http::serve,
    platform::telemetry,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let variables = Variables::from_env();
    let endpoint = RelatedOrigins {
        origins: related_origins(&variables)?,
    };
    serve(async |_| endpoint.handle()).await
}

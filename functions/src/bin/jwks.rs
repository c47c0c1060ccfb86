//! `GET /.well-known/jwks.json`

use functions::access::jwks::Jwks;
use shared::{BoxError, aws::Aws, clock, config::Config, http::serve, keys::Keys, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let (config, aws) = (Config::from_env()?, Aws::from_env());
    let endpoint = Jwks { keys: Keys::fetch(aws.secrets_manager(), &config.token_secret) };
    serve(async |_| endpoint.handle(clock::now()).await).await
}

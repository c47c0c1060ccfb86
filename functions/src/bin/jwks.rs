//! `GET /.well-known/jwks.json`

use functions::access::jwks::Jwks;
use shared::{
    BoxError,
    config::{Variables, token_secret},
    http::serve,
    platform::{aws::Aws, clock, telemetry},
    tokens::key_provider::KeyProvider,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let variables = Variables::from_env();
    let aws = Aws::from_env();
    let endpoint = Jwks {
        keys: KeyProvider::fetch(aws.secrets_manager(), &token_secret(&variables)?),
    };
    serve(async |_| endpoint.handle(clock::now()).await).await
}

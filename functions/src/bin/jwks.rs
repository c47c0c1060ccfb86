//! `GET /.well-known/jwks.json`

use functions::access::jwks::Jwks;
use shared::{
    BoxError,
    config::{Tables, Variables, pending_lifetime, token_secret},
    http::serve,
    platform::{aws::Aws, clock, telemetry},
    store::{Signer, Store},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let variables = Variables::from_env();
    let aws = Aws::from_env();
    let tables = Tables::read(&variables)?;
    let store = Store::new(
        aws.dynamodb(),
        tables.users,
        tables.grants,
        pending_lifetime(&variables)?,
    );
    let endpoint = Jwks {
        keys: Signer::start(aws.secrets_manager(), &token_secret(&variables)?, &store),
    };
    serve(async |_| endpoint.handle(clock::now()).await).await
}

//! `GET /.well-known/jwks.json`

use functions::access::jwks::Jwks;
use shared::{
    BoxError,
    config::{Tables, Variables, access_token_key, pending_lifetime, token_secret},
    http::serve,
    platform::{aws::Aws, clock, telemetry},
    store::{AccessKeys, Signer, Store},
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
    let signer = Signer::start(aws.secrets_manager(), &token_secret(&variables)?, &store);
    let derived = signer.key_provider().clone();
    let operator = access_token_key(&variables)?;
    let endpoint = Jwks {
        keys: AccessKeys::start(aws.secrets_manager(), operator.as_deref(), derived, &store)
            .await?,
        signer,
    };
    serve(async |_| endpoint.handle(clock::now()).await).await
}

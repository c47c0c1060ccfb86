//! `POST /identity/sessions/passkey/options`

use functions::passkey::sign_in_options::SignInOptions;
use shared::{
    BoxError,
    config::{
        Tables, Variables, cdn_secrets, limits, pending_lifetime, relying_party, token_secret,
    },
    http::{Cdn, serve_behind},
    platform::{aws::Aws, clock, telemetry},
    store::{Signer, Store},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let variables = Variables::from_env();
    let cdn = Cdn::new(cdn_secrets(&variables)?);
    let aws = Aws::from_env();
    let tables = Tables::read(&variables)?;
    let store = Store::new(
        aws.dynamodb(),
        tables.users,
        tables.grants,
        pending_lifetime(&variables)?,
    );
    let endpoint = SignInOptions {
        keys: Signer::start(aws.secrets_manager(), &token_secret(&variables)?, &store),
        store,
        limits: limits(&variables)?,
        relying_party: relying_party(&variables)?,
    };
    serve_behind(cdn, async |request| {
        endpoint.handle(request, clock::now()).await
    })
    .await
}

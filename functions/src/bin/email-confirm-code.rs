//! `POST /identity/users/email/confirm_code`

use functions::email::confirm_code::ConfirmCode;
use shared::{
    BoxError,
    config::{
        Accounts, Sessions, Tables, Variables, argon2, browser_origins, cdn_secrets, limits,
        pending_lifetime, token_secret,
    },
    domain::password::Hasher,
    http::{Cdn, OriginCheck, serve_behind},
    platform::{
        aws::Aws,
        clock,
        telemetry::{self, metrics},
    },
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
    let endpoint = ConfirmCode {
        origins: OriginCheck::new(browser_origins(&variables)?),
        keys: Signer::start(aws.secrets_manager(), &token_secret(&variables)?, &store),
        store,
        hasher: Hasher::new(argon2(&variables)?)?.reporting(metrics::hash_time),
        limits: limits(&variables)?,
        accounts: Accounts::read(&variables)?,
        sessions: Sessions::read(&variables)?,
    };
    serve_behind(cdn, async |request| {
        endpoint.handle(request, clock::now()).await
    })
    .await
}

//! `POST /identity/sessions/passkey`

use functions::passkey::sign_in::SignIn;
use shared::{
    BoxError,
    config::{
        Accounts, Application, Sessions, Tables, Variables, browser_origins, cdn_secrets, limits,
        pending_lifetime, relying_party, sign_in_notice, token_secret,
    },
    http::{Cdn, OriginCheck, serve_behind},
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
    let endpoint = SignIn {
        origins: OriginCheck::new(browser_origins(&variables)?),
        keys: Signer::start(aws.secrets_manager(), &token_secret(&variables)?, &store),
        store,
        limits: limits(&variables)?,
        accounts: Accounts::read(&variables)?,
        sessions: Sessions::read(&variables)?,
        application: Application::read(&variables)?,
        relying_party: relying_party(&variables)?,
        sign_in_notice: sign_in_notice(&variables)?,
    };
    serve_behind(cdn, async |request| {
        endpoint.handle(request, clock::now()).await
    })
    .await
}

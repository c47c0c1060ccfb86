//! Lambda authorizer for other HTTP APIs

use functions::access::authorize::Authorize;
use shared::{
    BoxError,
    config::{
        AccessTokens, Application, Sessions, Tables, Variables, access_token_key, pending_lifetime,
        token_secret,
    },
    http::authentication::Authenticator,
    platform::{aws::Aws, clock, lambda_event, telemetry},
    store::{AccessKeys, Store},
    tokens::{access_token::Names, key_cache::KeyCache, key_provider::KeyProvider},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let variables = Variables::from_env();
    let aws = Aws::from_env();
    let tables = Tables::read(&variables)?;
    let sessions = Sessions::read(&variables)?;
    let derived = KeyProvider::fetch(aws.secrets_manager(), &token_secret(&variables)?);
    let operator = access_token_key(&variables)?;
    let store = Store::new(
        aws.dynamodb(),
        tables.users,
        tables.grants,
        pending_lifetime(&variables)?,
    );
    let names = AccessTokens::read(&variables, &Application::read(&variables)?)?;
    let authorize = Authorize {
        keys: AccessKeys::start(aws.secrets_manager(), operator.as_deref(), derived, &store)
            .await?,
        authenticator: Authenticator {
            store,
            keys: KeyCache::default(),
            cookie_name: sessions.cookie_name,
            session_lifetime: sessions.lifetime,
            session_binding: sessions.binding,
            requests_per_minute: 0,
        },
        names: Names {
            issuer: names.issuer,
            audience: names.audience.into(),
        },
    };
    // Boxed, because the type of the nested future exceeds the recursion limit of the compiler.
    lambda_event::serve(async |event| Box::pin(authorize.handle(event, clock::now())).await).await
}

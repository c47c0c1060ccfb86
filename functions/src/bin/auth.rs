//! `ANY /auth/{proxy+}`

use functions::access::auth::{Auth, MethodSource};
use shared::{
    BoxError,
    config::{
        AccessTokens, Application, Sessions, Tables, Variables, access_token_key,
        auth_method_is_own, pending_lifetime, token_secret, trusted_proxies,
    },
    http::{authentication::Authenticator, serve},
    platform::{aws::Aws, clock, telemetry},
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
    let endpoint = Auth {
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
        method_source: if auth_method_is_own(&variables)? {
            MethodSource::Request
        } else {
            MethodSource::Header
        },
        trusted_proxies: trusted_proxies(&variables)?,
    };
    serve(async |request| endpoint.handle(request, clock::now()).await).await
}

//! `POST /resource/passkeys/options`

use functions::passkey::create_options::CreateOptions;
use shared::{
    BoxError,
    config::{
        Sessions, Tables, Variables, app_name, cdn_secrets, pending_lifetime, relying_party,
        token_secret,
    },
    http::{Cdn, authentication::Authenticator, serve_behind},
    platform::{aws::Aws, clock, telemetry},
    store::{Signer, Store},
    tokens::key_cache::KeyCache,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let variables = Variables::from_env();
    let cdn = Cdn::new(cdn_secrets(&variables)?);
    let aws = Aws::from_env();
    let tables = Tables::read(&variables)?;
    let sessions = Sessions::read(&variables)?;
    let store = Store::new(
        aws.dynamodb(),
        tables.users,
        tables.grants,
        pending_lifetime(&variables)?,
    );
    let endpoint = CreateOptions {
        keys: Signer::start(aws.secrets_manager(), &token_secret(&variables)?, &store),
        authenticator: Authenticator {
            store,
            keys: KeyCache::default(),
            cookie_name: sessions.cookie_name,
            session_lifetime: sessions.lifetime,
            session_binding: sessions.binding,
            requests_per_minute: sessions.requests_per_minute,
        },
        relying_party: relying_party(&variables)?,
        app_name: app_name(&variables)?,
        reauthentication_time: sessions.reauthentication_time,
    };
    serve_behind(cdn, async |request| {
        endpoint.handle(request, clock::now()).await
    })
    .await
}

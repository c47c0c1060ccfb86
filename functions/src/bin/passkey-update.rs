//! `PATCH /resource/passkeys/{id}`

use functions::passkey::update::Update;
use shared::{
    BoxError,
    config::{Sessions, Tables, Variables, cdn_secrets, pending_lifetime},
    http::{Cdn, authentication::Authenticator, serve_behind},
    platform::{aws::Aws, clock, telemetry},
    store::Store,
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
    let endpoint = Update {
        authenticator: Authenticator {
            store: Store::new(
                aws.dynamodb(),
                tables.users,
                tables.grants,
                pending_lifetime(&variables)?,
            ),
            keys: KeyCache::default(),
            cookie_name: sessions.cookie_name,
            session_lifetime: sessions.lifetime,
            session_binding: sessions.binding,
            requests_per_minute: sessions.requests_per_minute,
        },
    };
    serve_behind(cdn, async |request| {
        endpoint.handle(request, clock::now()).await
    })
    .await
}

//! `POST /resource/sessions/current`

use functions::{session::reauthenticate::Reauthenticate, user::credentials::CredentialCheck};
use shared::{
    BoxError,
    config::{
        Accounts, Application, Sessions, Tables, Variables, argon2, cdn_secrets, data_secret,
        pending_lifetime, relying_party, token_secret,
    },
    domain::password::Hasher,
    http::{Cdn, authentication::Authenticator, serve_behind},
    platform::{
        aws::Aws,
        clock,
        telemetry::{self, metrics},
    },
    store::{Signer, Store},
    tokens::{key_cache::KeyCache, otp_secrets::OtpSecrets},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let variables = Variables::from_env();
    let cdn = Cdn::new(cdn_secrets(&variables)?);
    let aws = Aws::from_env();
    let secrets_manager = aws.secrets_manager();
    let tables = Tables::read(&variables)?;
    let store = Store::new(
        aws.dynamodb(),
        tables.users,
        tables.grants,
        pending_lifetime(&variables)?,
    );
    let sessions = Sessions::read(&variables)?;
    let endpoint = Reauthenticate {
        keys: Signer::start(secrets_manager.clone(), &token_secret(&variables)?, &store),
        authenticator: Authenticator {
            store,
            keys: KeyCache::default(),
            cookie_name: sessions.cookie_name.clone(),
            session_lifetime: sessions.lifetime,
            session_binding: sessions.binding,
            requests_per_minute: sessions.requests_per_minute,
        },
        credentials: CredentialCheck {
            hasher: Hasher::new(argon2(&variables)?)?.reporting(metrics::hash_time),
            otp_secrets: OtpSecrets::fetch(secrets_manager, &data_secret(&variables)?),
        },
        relying_party: relying_party(&variables)?,
        accounts: Accounts::read(&variables)?,
        application: Application::read(&variables)?,
        sessions,
    };
    serve_behind(cdn, async |request| {
        endpoint.handle(request, clock::now()).await
    })
    .await
}

//! `DELETE /resource/users/me`

use functions::user::{close::Close, credentials::CredentialCheck};
use shared::{
    BoxError,
    config::{
        Accounts, Application, Sessions, Tables, Variables, argon2, cdn_secrets, data_secret,
        pending_lifetime,
    },
    domain::password::Hasher,
    http::{Cdn, authentication::Authenticator, serve_behind},
    platform::{
        aws::Aws,
        clock,
        telemetry::{self, metrics},
    },
    store::Store,
    tokens::{key_cache::KeyCache, otp_secrets::OtpSecrets},
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
    let sessions = Sessions::read(&variables)?;
    let endpoint = Close {
        authenticator: Authenticator {
            store,
            keys: KeyCache::default(),
            cookie_name: sessions.cookie_name,
            session_lifetime: sessions.lifetime,
            session_binding: sessions.binding,
            requests_per_minute: sessions.requests_per_minute,
        },
        credentials: CredentialCheck {
            hasher: Hasher::new(argon2(&variables)?)?.reporting(metrics::hash_time),
            otp_secrets: OtpSecrets::fetch(aws.secrets_manager(), &data_secret(&variables)?),
        },
        accounts: Accounts::read(&variables)?,
        application: Application::read(&variables)?,
    };
    serve_behind(cdn, async |request| {
        endpoint.handle(request, clock::now()).await
    })
    .await
}

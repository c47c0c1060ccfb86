//! `POST /identity/users/password/confirm_code`

use functions::password::confirm_code::ConfirmCode;
use shared::{
    BoxError,
    config::{
        Accounts, Application, Passwords, Sessions, Tables, Variables, argon2, browser_origins,
        cdn_secrets, pending_lifetime, token_secret,
    },
    domain::password::Hasher,
    http::{Cdn, OriginCheck, serve_behind},
    platform::{
        aws::Aws,
        clock,
        telemetry::{self, metrics},
    },
    providers::breached_passwords::{BreachedPasswords, PasswordCheck},
    store::Store,
    tokens::key_provider::KeyProvider,
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
    let passwords = Passwords::read(&variables)?;
    let endpoint = ConfirmCode {
        origins: OriginCheck::new(browser_origins(&variables)?),
        keys: KeyProvider::fetch(aws.secrets_manager(), &token_secret(&variables)?),
        store,
        hasher: Hasher::new(argon2(&variables)?)?.reporting(metrics::hash_time),
        accounts: Accounts::read(&variables)?,
        sessions: Sessions::read(&variables)?,
        application: Application::read(&variables)?,
        passwords: PasswordCheck::new(
            passwords.policy()?,
            BreachedPasswords::new(passwords.breached_passwords),
        ),
    };
    serve_behind(cdn, async |request| {
        endpoint.handle(request, clock::now()).await
    })
    .await
}

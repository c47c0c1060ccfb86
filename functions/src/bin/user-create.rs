//! `POST /identity/users`

use functions::user::create::Create;
use shared::{
    BoxError,
    config::{
        Accounts, Application, Passwords, Sessions, Tables, Variables, argon2, browser_origins,
        captcha, cdn_secrets, limits, pending_lifetime, token_secret,
    },
    domain::{captcha::ProtectedOperation, password::Hasher},
    http::{Cdn, OriginCheck, serve_behind},
    platform::{
        aws::Aws,
        clock,
        telemetry::{self, metrics},
    },
    providers::{
        breached_passwords::{BreachedPasswords, PasswordCheck},
        captcha::Captcha,
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
    let passwords = Passwords::read(&variables)?;
    let endpoint = Create {
        origins: OriginCheck::new(browser_origins(&variables)?),
        keys: Signer::start(aws.secrets_manager(), &token_secret(&variables)?, &store),
        store,
        hasher: Hasher::new(argon2(&variables)?)?.reporting(metrics::hash_time),
        captcha: Captcha::new(
            captcha(&variables)?.filter(|captcha| captcha.protects(ProtectedOperation::UserCreate)),
            &aws,
        ),
        limits: limits(&variables)?,
        accounts: Accounts::read(&variables)?,
        sessions: Sessions::read(&variables)?,
        application: Application::read(&variables)?,
        passwords: PasswordCheck::new(
            passwords.policy()?,
            BreachedPasswords::new(passwords.breached_passwords),
        ),
    };
    // Boxed, because the future is large.
    serve_behind(cdn, async |request| {
        Box::pin(endpoint.handle(request, clock::now())).await
    })
    .await
}

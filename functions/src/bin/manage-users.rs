//! Administration of users

use functions::manage::users::Users;
use shared::{
    BoxError,
    config::{
        Accounts, Passwords, Tables, Variables, argon2, data_secret, default_language,
        pending_lifetime,
    },
    domain::password::Hasher,
    platform::{
        aws::Aws,
        clock, lambda_event,
        telemetry::{self, metrics},
    },
    providers::breached_passwords::{BreachedPasswords, PasswordCheck},
    store::{Administration, Store},
    tokens::otp_secrets::OtpSecrets,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let variables = Variables::from_env();
    let aws = Aws::from_env();
    let tables = Tables::read(&variables)?;
    let passwords = Passwords::read(&variables)?;
    let store = Store::new(
        aws.dynamodb(),
        tables.users,
        tables.grants,
        pending_lifetime(&variables)?,
    );
    let users = Users {
        administration: Administration::new(store),
        otp_secrets: OtpSecrets::on_demand(aws.secrets_manager(), &data_secret(&variables)?),
        accounts: Accounts::read(&variables)?,
        default_language: default_language(&variables)?,
        hasher: Hasher::new(argon2(&variables)?)?.reporting(metrics::hash_time),
        passwords: PasswordCheck::new(
            passwords.policy()?,
            BreachedPasswords::new(passwords.breached_passwords),
        ),
    };
    // Boxed, because the type of the nested future exceeds the recursion limit of the compiler.
    lambda_event::serve(async |event| Box::pin(users.handle(event, clock::now())).await).await
}

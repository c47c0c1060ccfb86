//! What operators do to users

use functions::manage::users::Users;
use shared::{
    BoxError,
    aws::Aws,
    clock,
    config::Config,
    events,
    password::{Hasher, PasswordPolicy},
    store::Store,
    telemetry,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let (config, aws) = (Config::from_env()?, Aws::from_env());
    let users = Users {
        store: Store::new(aws.dynamodb(), &config),
        hasher: Hasher::new(config.argon2.clone())?,
        policy: PasswordPolicy::new(&config)?,
        config,
    };
    // Boxed: inside those of the runtime, the future is nested deeper than the compiler follows.
    events::serve(async |event| Box::pin(users.handle(event, clock::now())).await).await
}

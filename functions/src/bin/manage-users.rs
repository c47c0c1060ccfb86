//! What operators do to users

use functions::manage::users::Users;
use lambda_http::{LambdaEvent, lambda_runtime, service_fn};
use shared::{
    BoxError,
    aws::Aws,
    clock,
    config::Config,
    password::{BreachedPasswords, Hasher},
    store::Store,
    telemetry,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init();
    let (config, aws) = (Config::from_env()?, Aws::from_env());
    let users = Users {
        store: Store::new(aws.dynamodb(), &config),
        hasher: Hasher::new(config.argon2.clone())?,
        breached: BreachedPasswords::new(&config),
        config,
    };
    // Boxed: inside those of the runtime, the future is nested deeper than the compiler follows.
    lambda_runtime::run(service_fn(async |event: LambdaEvent<_>| Box::pin(users.handle(event.payload, clock::now())).await)).await
}

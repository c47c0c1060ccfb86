//! `PUT /resource/users/password`

use functions::password::change::Change;
use shared::{
    BoxError,
    aws::Aws,
    clock,
    config::Config,
    gate::Gate,
    http::serve,
    password::{Hasher, PasswordPolicy},
    telemetry,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let (config, aws) = (Config::from_env()?, Aws::from_env());
    let hasher = Hasher::new(config.argon2.clone())?;
    let policy = PasswordPolicy::new(&config)?;
    let endpoint = Change { gate: Gate::new(config, &aws), hasher, policy };
    serve(async |request| endpoint.handle(request, clock::now()).await).await
}

//! `POST /identity/users/password/confirm_code`

use functions::password::confirm_code::ConfirmCode;
use shared::{
    BoxError,
    aws::Aws,
    clock,
    config::Config,
    http::serve,
    keys::Keys,
    password::{Hasher, PasswordPolicy},
    store::Store,
    telemetry,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let (config, aws) = (Config::from_env()?, Aws::from_env());
    let endpoint = ConfirmCode {
        store: Store::new(aws.dynamodb(), &config),
        keys: Keys::fetch(aws.secrets_manager(), &config.token_secret),
        hasher: Hasher::new(config.argon2.clone())?,
        policy: PasswordPolicy::new(&config)?,
        config,
    };
    serve(async |request| endpoint.handle(request, clock::now()).await).await
}

//! `POST /resource/otp/disable`

use functions::otp::disable::Disable;
use shared::{
    BoxError, aws::Aws, clock, config::Config, gate::Gate, http::serve, keys::Keys, password::Hasher, store::Store, telemetry,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init();
    let (config, aws) = (Config::from_env()?, Aws::from_env());
    let (store, keys) = (Store::new(aws.dynamodb(), &config), Keys::fetch(aws.secrets_manager(), &config.token_secret));
    let endpoint = Disable { hasher: Hasher::new(config.argon2.clone())?, gate: Gate { config, store, keys } };
    serve(async |request| endpoint.handle(request, clock::now()).await).await
}

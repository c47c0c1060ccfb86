//! `DELETE /identity/sessions`

use functions::session::delete::Delete;
use shared::{BoxError, aws::Aws, clock, config::Config, http::serve, keys::Keys, store::Store, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let (config, aws) = (Config::from_env()?, Aws::from_env());
    let endpoint = Delete {
        store: Store::new(aws.dynamodb(), &config),
        keys: Keys::fetch(aws.secrets_manager(), &config.token_secret),
        config,
    };
    serve(async |request| endpoint.handle(request, clock::now()).await).await
}

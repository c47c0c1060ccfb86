//! `GET /resource/sessions`

use functions::session::list::List;
use shared::{BoxError, aws::Aws, clock, config::Config, gate::Gate, http::serve, keys::Keys, store::Store, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init();
    let (config, aws) = (Config::from_env()?, Aws::from_env());
    let gate = Gate {
        store: Store::new(aws.dynamodb(), &config),
        keys: Keys::fetch(aws.secrets_manager(), &config.token_secret),
        config,
    };
    let endpoint = List { gate };
    serve(async |request| endpoint.handle(request, clock::now()).await).await
}

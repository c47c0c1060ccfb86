//! `ANY /auth/{path+}`

use functions::access::auth::Auth;
use shared::{BoxError, aws::Aws, clock, config::Config, gate::Gate, http::serve, keys::Keys, store::Store, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init();
    let (config, aws) = (Config::from_env()?, Aws::from_env());
    let (store, keys) = (Store::new(aws.dynamodb(), &config), Keys::fetch(aws.secrets_manager(), &config.token_secret));
    let endpoint = Auth { gate: Gate { config, store, keys } };
    serve(async |request| endpoint.handle(request, clock::now()).await).await
}

//! The stream of the outbox

use functions::mail::send::Send;
use shared::{BoxError, aws::Aws, clock, config::Config, events, keys::Keys, store::Store, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let (config, aws) = (Config::from_env()?, Aws::from_env());
    let send = Send {
        store: Store::new(aws.dynamodb(), &config),
        keys: Keys::fetch(aws.secrets_manager(), &config.token_secret),
        ses: aws.sesv2(),
        config,
    };
    events::serve(async |event| send.handle(event, clock::now()).await).await
}

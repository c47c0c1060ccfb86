//! The stream of the outbox

use aws_lambda_events::dynamodb::Event;
use functions::mail::send::Send;
use lambda_http::{LambdaEvent, lambda_runtime, service_fn};
use shared::{BoxError, aws::Aws, clock, config::Config, keys::Keys, store::Store, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init();
    let (config, aws) = (Config::from_env()?, Aws::from_env());
    let send = Send {
        store: Store::new(aws.dynamodb(), &config),
        keys: Keys::fetch(aws.secrets_manager(), &config.token_secret),
        ses: aws.sesv2(),
        config,
    };
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Event>| send.handle(event.payload, clock::now()).await)).await
}

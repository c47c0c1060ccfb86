//! What SES tells of mails that it took

use functions::mail::feedback::Feedback;
use lambda_http::{LambdaEvent, lambda_runtime, service_fn};
use shared::{BoxError, aws::Aws, clock, config::Config, store::Store, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init();
    let (config, aws) = (Config::from_env()?, Aws::from_env());
    let feedback = Feedback { store: Store::new(aws.dynamodb(), &config) };
    lambda_runtime::run(service_fn(async |event: LambdaEvent<_>| feedback.handle(event.payload, clock::now()).await)).await
}

//! What SES tells of mails that it took

use functions::mail::feedback::Feedback;
use shared::{BoxError, aws::Aws, clock, config::Config, events, store::Store, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let (config, aws) = (Config::from_env()?, Aws::from_env());
    let feedback = Feedback { store: Store::new(aws.dynamodb(), &config) };
    events::serve(async |event| feedback.handle(event, clock::now()).await).await
}

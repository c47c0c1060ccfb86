//! Bounces and complaints of SES

use functions::mail::feedback::Feedback;
use shared::{
    BoxError,
    config::{Tables, Variables, pending_lifetime},
    platform::{aws::Aws, clock, lambda_event, telemetry},
    store::Store,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let variables = Variables::from_env();
    let aws = Aws::from_env();
    let tables = Tables::read(&variables)?;
    let feedback = Feedback {
        store: Store::new(
            aws.dynamodb(),
            tables.users,
            tables.grants,
            pending_lifetime(&variables)?,
        ),
    };
    lambda_event::serve(async |event| feedback.handle(event, clock::now()).await).await
}

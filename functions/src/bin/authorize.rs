//! Authorizer of other HTTP APIs

use functions::access::authorize::Authorize;
use shared::{BoxError, aws::Aws, clock, config::Config, events, gate::Gate, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let (config, aws) = (Config::from_env()?, Aws::from_env());
    let authorize = Authorize { gate: Gate::new(config, &aws) };
    // Boxed: inside those of the runtime, the future is nested deeper than the compiler follows.
    events::serve(async |event| Box::pin(authorize.handle(event, clock::now())).await).await
}

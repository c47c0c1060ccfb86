//! Authorizer of other HTTP APIs

use functions::access::authorize::Authorize;
use lambda_http::{LambdaEvent, lambda_runtime, service_fn};
use shared::{BoxError, aws::Aws, clock, config::Config, gate::Gate, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init();
    let (config, aws) = (Config::from_env()?, Aws::from_env());
    let authorize = Authorize { gate: Gate::new(config, &aws) };
    // Boxed: inside those of the runtime, the future is nested deeper than the compiler follows.
    lambda_runtime::run(service_fn(async |event: LambdaEvent<_>| Box::pin(authorize.handle(event.payload, clock::now())).await))
        .await
}

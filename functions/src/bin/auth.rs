//! `ANY /auth/{proxy+}`

use functions::access::auth::Auth;
use shared::{BoxError, aws::Aws, clock, config::Config, gate::Gate, http::serve, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let (config, aws) = (Config::from_env()?, Aws::from_env());
    let endpoint = Auth { gate: Gate::new(config, &aws) };
    serve(async |request| endpoint.handle(request, clock::now()).await).await
}

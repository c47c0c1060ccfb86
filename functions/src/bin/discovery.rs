//! `GET /.well-known/openid-configuration`

use functions::access::discovery::Discovery;
use shared::{
    BoxError,
    config::{AccessTokens, Application, Variables},
    http::serve,
    platform::telemetry,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let variables = Variables::from_env();
    let tokens = AccessTokens::read(&variables, &Application::read(&variables)?)?;
    let endpoint = Discovery {
        issuer: tokens.issuer,
        url: tokens.issuer_url,
    };
    serve(async |request| endpoint.handle(&request)).await
}

//! `GET /identity/users/register_geetest`

use functions::captcha::register_geetest;
use shared::{BoxError, aws::Aws, captcha::Registration, clock, config::Config, http::serve, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let registration = Registration::new(&Config::from_env()?, &Aws::from_env());
    serve(async |_| register_geetest::handle(&registration, clock::now()).await).await
}

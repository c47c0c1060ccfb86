//! `GET /identity/configs`

use functions::general::configs::Configs;
use shared::{
    BoxError,
    config::{Passwords, Sessions, Variables, captcha},
    http::serve,
    platform::telemetry,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let variables = Variables::from_env();
    let configs = Configs {
        sessions: Sessions::read(&variables)?,
        passwords: Passwords::read(&variables)?,
        captcha: captcha(&variables)?,
    };
    serve(async |_| configs.handle()).await
}

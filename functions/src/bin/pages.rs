//! `GET /accounts/{proxy+}`

use functions::pages::serve::Pages;
use shared::{BoxError, config::Config, http::serve, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let pages = Pages::new(Config::from_env()?);
    serve(async |request| pages.handle(&request)).await
}

//! `ANY /accounts/{proxy+}`

use functions::pages::serve::Pages;
use shared::{
    BoxError,
    config::{Application, Variables, captcha, logo},
    http::serve,
    platform::telemetry,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let variables = Variables::from_env();
    let application = Application::read(&variables)?;
    let pages = Pages::new(application, captcha(&variables)?, logo(&variables)?);
    serve(async |request| pages.handle(&request)).await
}

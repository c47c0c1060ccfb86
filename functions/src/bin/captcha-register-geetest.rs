//! `GET /identity/users/register_geetest`

use functions::captcha::register_geetest;
use shared::{
    BoxError,
    config::{Variables, captcha},
    domain::captcha::CaptchaProvider,
    http::serve,
    platform::{aws::Aws, clock, telemetry},
    providers::captcha::Registration,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let variables = Variables::from_env();
    let settings =
        captcha(&variables)?.filter(|captcha| captcha.provider == CaptchaProvider::Geetest);
    let registration = Registration::new(settings, &Aws::from_env());
    serve(async |_| register_geetest::handle(&registration, clock::now()).await).await
}

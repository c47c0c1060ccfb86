//! `POST /identity/users/email/generate_code`

use functions::email::generate_code::GenerateCode;
use shared::{
    BoxError,
    aws::Aws,
    captcha::{Captcha, ProtectedOperation},
    clock,
    config::Config,
    http::serve,
    store::Store,
    telemetry,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let (config, aws) = (Config::from_env()?, Aws::from_env());
    let endpoint = GenerateCode {
        store: Store::new(aws.dynamodb(), &config),
        captcha: Captcha::of(ProtectedOperation::EmailConfirmation, &config, &aws),
        config,
    };
    serve(async |request| endpoint.handle(request, clock::now()).await).await
}

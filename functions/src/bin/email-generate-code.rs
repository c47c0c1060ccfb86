//! `POST /identity/users/email/generate_code`

use functions::email::generate_code::GenerateCode;
use shared::{
    BoxError,
    config::{
        Accounts, Application, Tables, Variables, captcha, cdn_secrets, limits, pending_lifetime,
    },
    domain::captcha::ProtectedOperation,
    http::{Cdn, serve_behind},
    platform::{aws::Aws, clock, telemetry},
    providers::captcha::Captcha,
    store::Store,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let variables = Variables::from_env();
    let cdn = Cdn::new(cdn_secrets(&variables)?);
    let aws = Aws::from_env();
    let tables = Tables::read(&variables)?;
    let endpoint = GenerateCode {
        store: Store::new(
            aws.dynamodb(),
            tables.users,
            tables.grants,
            pending_lifetime(&variables)?,
        ),
        captcha: Captcha::new(
            captcha(&variables)?
                .filter(|captcha| captcha.protects(ProtectedOperation::EmailConfirmation)),
            &aws,
        ),
        limits: limits(&variables)?,
        accounts: Accounts::read(&variables)?,
        application: Application::read(&variables)?,
    };
    serve_behind(cdn, async |request| {
        endpoint.handle(request, clock::now()).await
    })
    .await
}

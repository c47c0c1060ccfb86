//! `POST /identity/sessions`

use functions::session::create::Create;
use shared::{
    BoxError,
    config::{
        Accounts, Application, Sessions, Tables, Variables, argon2, browser_origins, captcha,
        cdn_secrets, data_secret, imported_hashes, limits, pending_lifetime, sign_in_notice,
        token_secret,
    },
    domain::{captcha::ProtectedOperation, password::Hasher},
    http::{Cdn, OriginCheck, serve_behind},
    platform::{
        aws::Aws,
        clock,
        telemetry::{self, metrics},
    },
    providers::captcha::Captcha,
    store::{Signer, Store},
    tokens::otp_secrets::OtpSecrets,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let variables = Variables::from_env();
    let cdn = Cdn::new(cdn_secrets(&variables)?);
    let aws = Aws::from_env();
    let secrets_manager = aws.secrets_manager();
    let tables = Tables::read(&variables)?;
    let store = Store::new(
        aws.dynamodb(),
        tables.users,
        tables.grants,
        pending_lifetime(&variables)?,
    );
    let endpoint = Create {
        origins: OriginCheck::new(browser_origins(&variables)?),
        keys: Signer::start(secrets_manager.clone(), &token_secret(&variables)?, &store),
        store,
        otp_secrets: OtpSecrets::fetch(secrets_manager, &data_secret(&variables)?),
        hasher: Hasher::new(argon2(&variables)?)?
            .with_imported(&imported_hashes(&variables)?)?
            .reporting(metrics::hash_time),
        captcha: Captcha::new(
            captcha(&variables)?
                .filter(|captcha| captcha.protects(ProtectedOperation::SessionCreate)),
            &aws,
        ),
        limits: limits(&variables)?,
        accounts: Accounts::read(&variables)?,
        sessions: Sessions::read(&variables)?,
        application: Application::read(&variables)?,
        sign_in_notice: sign_in_notice(&variables)?,
    };
    serve_behind(cdn, async |request| {
        endpoint.handle(request, clock::now()).await
    })
    .await
}

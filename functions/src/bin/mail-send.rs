//! Mails of the outbox

use functions::mail::send::Send;
use shared::{
    BoxError,
    config::{Application, Mail, Tables, Variables, logo, pending_lifetime, token_secret},
    platform::{aws::Aws, clock, lambda_event, telemetry},
    store::{Signer, Store},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let variables = Variables::from_env();
    let aws = Aws::from_env();
    let tables = Tables::read(&variables)?;
    let store = Store::new(
        aws.dynamodb(),
        tables.users,
        tables.grants,
        pending_lifetime(&variables)?,
    );
    let application = Application::read(&variables)?;
    let send = Send {
        keys: Signer::start(aws.secrets_manager(), &token_secret(&variables)?, &store),
        store,
        ses: aws.sesv2(),
        mail: Mail::read(&variables, &application)?,
        logo: logo(&variables)?,
        application,
    };
    // Boxed, because the type of the nested future exceeds the recursion limit of the compiler.
    lambda_event::serve(async |event| Box::pin(send.handle(event, clock::now())).await).await
}

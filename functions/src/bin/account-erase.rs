//! Erasure of accounts that their owners closed

use functions::account::erase::Erase;
use serde::de::IgnoredAny;
use shared::{
    BoxError,
    config::{Tables, Variables, closed_lifetime},
    domain::user::PendingLifetime,
    platform::{aws::Aws, clock, lambda_event, telemetry},
    store::{Erasures, Store},
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
        PendingLifetime::UNLIMITED,
    );
    let erase = Erase {
        erasures: Erasures::new(store),
        lifetime: closed_lifetime(&variables)?,
    };
    // The event of the schedule contains nothing of use.
    lambda_event::serve(async |_: IgnoredAny| erase.handle(clock::now()).await).await
}

//! `DELETE /identity/sessions`

use functions::session::delete::Delete;
use shared::{
    BoxError,
    config::{Accounts, Sessions, Tables, Variables, cdn_secrets, pending_lifetime},
    http::{Cdn, serve_behind},
    platform::{aws::Aws, clock, telemetry},
    store::Store,
    tokens::key_cache::KeyCache,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let variables = Variables::from_env();
    let cdn = Cdn::new(cdn_secrets(&variables)?);
    let aws = Aws::from_env();
    let tables = Tables::read(&variables)?;
    let endpoint = Delete {
        store: Store::new(
            aws.dynamodb(),
            tables.users,
            tables.grants,
            pending_lifetime(&variables)?,
        ),
        keys: KeyCache::default(),
        accounts: Accounts::read(&variables)?,
        sessions: Sessions::read(&variables)?,
    };
    serve_behind(cdn, async |request| {
        endpoint.handle(request, clock::now()).await
    })
    .await
}

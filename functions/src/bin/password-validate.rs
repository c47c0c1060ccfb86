//! `POST /identity/password/validate`

use functions::password::validate::Validate;
use shared::{
    BoxError,
    config::{Variables, app_name},
    domain::password::Dictionary,
    http::serve,
    platform::telemetry,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let endpoint = Validate {
        dictionary: Dictionary::of_app(&app_name(&Variables::from_env())?),
    };
    serve(async |request| endpoint.handle(request).await).await
}

//! `POST /identity/users`

use functions::user::create::Create;
use shared::{
    BoxError,
    aws::Aws,
    captcha::{Captcha, ProtectedOperation},
    clock,
    config::Config,
    http::serve,
    keys::Keys,
    password::{Hasher, PasswordPolicy},
    store::Store,
    telemetry,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    telemetry::init(env!("CARGO_BIN_NAME"));
    let (config, aws) = (Config::from_env()?, Aws::from_env());
    let endpoint = Create {
        store: Store::new(aws.dynamodb(), &config),
        keys: Keys::fetch(aws.secrets_manager(), &config.token_secret),
        hasher: Hasher::new(config.argon2.clone())?,
        captcha: Captcha::of(ProtectedOperation::UserCreate, &config, &aws),
        policy: PasswordPolicy::new(&config)?,
        config,
    };
    serve(async |request| endpoint.handle(request, clock::now()).await).await
}

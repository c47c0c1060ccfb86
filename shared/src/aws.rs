//! AWS clients, configured by hand: what Lambda sets in the environment is all there is to read.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::{retry::RetryConfig, timeout::TimeoutConfig};
use aws_types::region::Region;

use crate::environment::variable;

/// The clients' configurations have the same methods and no common trait.
macro_rules! client {
    ($aws:expr, $sdk:ident, $endpoint:literal) => {{
        let mut config = $sdk::Config::builder()
            .behavior_version_latest()
            .region($aws.region.clone())
            .credentials_provider($aws.credentials.clone())
            .http_client($aws.http.clone())
            .retry_config($aws.retry.clone())
            .timeout_config($aws.timeouts.clone());
        config.set_endpoint_url(variable($endpoint));
        $sdk::Client::from_conf(config.build())
    }};
}

/// What all clients of a function share.
#[derive(Clone)]
pub struct Aws {
    region: Region,
    credentials: Credentials,
    http: SharedHttpClient,
    retry: RetryConfig,
    timeouts: TimeoutConfig,
}

impl Aws {
    /// Reads region and credentials as Lambda sets them.
    #[must_use]
    pub fn from_env() -> Self {
        let text = |name| variable(name).unwrap_or_default();
        Self {
            region: Region::new(text("AWS_REGION")),
            credentials: Credentials::new(
                text("AWS_ACCESS_KEY_ID"),
                text("AWS_SECRET_ACCESS_KEY"),
                variable("AWS_SESSION_TOKEN"),
                None,
                "environment",
            ),
            http: Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_https(),
            // Three tries within seven seconds: inside the ten that a function has.
            retry: RetryConfig::standard().with_max_attempts(3),
            timeouts: TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(1))
                .operation_attempt_timeout(Duration::from_secs(3))
                .operation_timeout(Duration::from_secs(7))
                .build(),
        }
    }

    /// A client of DynamoDB.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        client!(self, aws_sdk_dynamodb, "AWS_ENDPOINT_URL_DYNAMODB")
    }

    /// A client of Secrets Manager.
    #[must_use]
    pub fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        client!(self, aws_sdk_secretsmanager, "AWS_ENDPOINT_URL_SECRETS_MANAGER")
    }

    /// A client of SES v2.
    #[must_use]
    pub fn sesv2(&self) -> aws_sdk_sesv2::Client {
        client!(self, aws_sdk_sesv2, "AWS_ENDPOINT_URL_SESV2")
    }
}

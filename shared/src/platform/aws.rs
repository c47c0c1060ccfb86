//! AWS clients. They are configured without the crate `aws-config`, from the environment variables
//! that Lambda sets.

use std::{
    future::Future,
    sync::{Arc, LazyLock},
    time::Duration,
};

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::operation::{put_item::PutItemError, update_item::UpdateItemError};
use aws_smithy_runtime_api::client::{
    http::SharedHttpClient,
    interceptors::context::{self, InterceptorContext},
    retries::classifiers::{ClassifyRetry, RetryAction},
};
use aws_smithy_types::{retry::RetryConfig, timeout::TimeoutConfig};
use aws_types::region::Region;
use tokio::task::yield_now;

use crate::platform::{environment::variable, telemetry::Counted, tls_roots};

/// Builds a client. A macro, because the configurations of the SDK's crates have no common trait.
macro_rules! client {
    ($aws:expr, $sdk:ident, $endpoint:literal, $limits:expr) => {{
        let mut config = $sdk::Config::builder()
            .behavior_version_latest()
            .region($aws.region.clone())
            .credentials_provider($aws.credentials.clone())
            .http_client($aws.http.clone())
            .retry_config(RetryConfig::standard().with_max_attempts($limits.attempts))
            .retry_classifier(RetryTransient)
            .timeout_config($limits.timeouts());
        config.set_endpoint_url(variable($endpoint));
        $sdk::Client::from_conf(config.build())
    }};
}

/// A value that is created on first use. Creating a client takes as long as three requests, and no
/// client is needed before the first event.
type Deferred<T> = Arc<LazyLock<T, Box<dyn FnOnce() -> T + Send>>>;
/// A client of DynamoDB, which is created on first use.
pub type DynamoDb = Deferred<aws_sdk_dynamodb::Client>;
/// A client of Secrets Manager, which is created on first use.
pub type SecretsManager = Deferred<aws_sdk_secretsmanager::Client>;

/// Creates a value on first use.
pub(crate) fn deferred<T>(create: impl FnOnce() -> T + Send + 'static) -> Deferred<T> {
    Arc::new(LazyLock::new(Box::new(create)))
}

/// Turns of the tokio scheduler until the Lambda runtime has requested the first event, with a
/// margin. A turn takes a microsecond.
const TURNS: usize = 8;

/// Runs work of the init phase while the first event is on its way from Lambda, so that the work
/// does not delay the request for it. Must be called within a tokio runtime.
pub(crate) fn spawn_during_init(work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(async {
        for _ in 0..TURNS {
            yield_now().await;
        }
        work.await;
    });
}

/// The configuration that all clients of a function share.
#[derive(Clone)]
pub struct Aws {
    region: Region,
    credentials: Credentials,
    http: SharedHttpClient,
}

/// Makes the SDK retry transient failures that it does not retry by default.
#[derive(Debug)]
struct RetryTransient;

impl ClassifyRetry for RetryTransient {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let Some(Err(error)) = context.output_or_error() else {
            return RetryAction::NoActionIndicated;
        };
        let Some(error) = error.as_operation_error() else {
            return RetryAction::NoActionIndicated;
        };
        // An error with a successful status means that the body cannot be parsed.
        let is_unreadable = context
            .response()
            .is_some_and(|response| response.status().is_success());
        if is_unreadable || is_conflict(error) {
            RetryAction::transient_error()
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "unreadable responses and transaction conflicts"
    }
}

/// Whether a single write failed because a transaction in progress contains its item.
fn is_conflict(error: &context::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(UpdateItemError::TransactionConflictException(_))
    ) || matches!(
        error.downcast_ref(),
        Some(PutItemError::TransactionConflictException(_))
    )
}

/// Attempts and timeouts of a call.
struct CallLimits {
    attempts: u32,
    attempt_timeout: Duration,
    /// Of all attempts together.
    operation_timeout: Duration,
}

/// Three consecutive calls fit into a function's timeout of 10 s.
const RETRIED: CallLimits = CallLimits {
    attempts: 3,
    attempt_timeout: Duration::from_millis(1400),
    operation_timeout: Duration::from_secs(3),
};

/// For SES: a retry after a slow response could send the mail twice. Failed mails are retried from
/// the outbox instead. The timeout of the sending function is 30 s.
const NOT_RETRIED: CallLimits = CallLimits {
    attempts: 1,
    attempt_timeout: Duration::from_secs(15),
    operation_timeout: Duration::from_secs(15),
};

impl CallLimits {
    fn timeouts(&self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(1))
            .operation_attempt_timeout(self.attempt_timeout)
            .operation_timeout(self.operation_timeout)
            .build()
    }
}

impl Aws {
    /// Reads region and credentials from the environment variables that Lambda sets.
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
            http: SharedHttpClient::new(Counted(tls_roots::client())),
        }
    }

    /// A client of DynamoDB, which is created during the init phase or on first use. Must be called
    /// within a tokio runtime.
    #[must_use]
    pub fn dynamodb(&self) -> DynamoDb {
        let aws = self.clone();
        let client =
            deferred(move || client!(aws, aws_sdk_dynamodb, "AWS_ENDPOINT_URL_DYNAMODB", RETRIED));
        let eager = Arc::clone(&client);
        spawn_during_init(async move {
            let _ = LazyLock::force(&eager);
        });
        client
    }

    /// A client of Secrets Manager, which is created on first use.
    #[must_use]
    pub fn secrets_manager(&self) -> SecretsManager {
        let aws = self.clone();
        deferred(move || {
            client!(
                aws,
                aws_sdk_secretsmanager,
                "AWS_ENDPOINT_URL_SECRETS_MANAGER",
                RETRIED
            )
        })
    }

    /// A client of SES v2, whose calls are not retried.
    #[must_use]
    pub fn sesv2(&self) -> aws_sdk_sesv2::Client {
        client!(self, aws_sdk_sesv2, "AWS_ENDPOINT_URL_SESV2", NOT_RETRIED)
    }
}

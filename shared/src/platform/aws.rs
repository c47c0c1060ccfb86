//! AWS clients, configured by hand: what Lambda sets in the environment is all there is to read.

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

/// The clients' configurations have the same methods and no common trait.
macro_rules! client {
    ($aws:expr, $sdk:ident, $endpoint:literal, $patience:expr) => {{
        let mut config = $sdk::Config::builder()
            .behavior_version_latest()
            .region($aws.region.clone())
            .credentials_provider($aws.credentials.clone())
            .http_client($aws.http.clone())
            .retry_config(RetryConfig::standard().with_max_attempts($patience.tries))
            .retry_classifier(Passing)
            .timeout_config($patience.timeouts());
        config.set_endpoint_url(variable($endpoint));
        $sdk::Client::from_conf(config.build())
    }};
}

/// What is made when it is first used: to make a client takes as long as three requests, and none
/// is needed before the first event.
type Deferred<T> = Arc<LazyLock<T, Box<dyn FnOnce() -> T + Send>>>;
/// A client of DynamoDB.
pub type DynamoDb = Deferred<aws_sdk_dynamodb::Client>;
/// A client of Secrets Manager.
pub type SecretsManager = Deferred<aws_sdk_secretsmanager::Client>;

/// Defers the making.
pub(crate) fn deferred<T>(make: impl FnOnce() -> T + Send + 'static) -> Deferred<T> {
    Arc::new(LazyLock::new(Box::new(make)))
}

/// Turns of the runtime in which Lambda is connected to and asked for the first event, and some to
/// spare: a turn takes a microsecond.
const TURNS: usize = 8;

/// Does at the start of a function what need not be done before Lambda is asked for the first
/// event: while that is on its way. Must be called within a tokio runtime.
pub(crate) fn spawn_during_init(work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(async {
        for _ in 0..TURNS {
            yield_now().await;
        }
        work.await;
    });
}

/// What all clients of a function share.
#[derive(Clone)]
pub struct Aws {
    region: Region,
    credentials: Credentials,
    http: SharedHttpClient,
}

/// Has the SDK retry what it does not by itself and what may succeed the next time.
#[derive(Debug)]
struct Passing;

impl ClassifyRetry for Passing {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let Some(Err(error)) = context.output_or_error() else {
            return RetryAction::NoActionIndicated;
        };
        let Some(error) = error.as_operation_error() else {
            return RetryAction::NoActionIndicated;
        };
        // A successful response that is an error all the same is one whose body cannot be parsed.
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
        "unreadable responses and items in a transaction"
    }
}

/// Whether the item of a single write is part of a transaction just then.
fn is_conflict(error: &context::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(UpdateItemError::TransactionConflictException(_))
    ) || matches!(
        error.downcast_ref(),
        Some(PutItemError::TransactionConflictException(_))
    )
}

/// How long a service is waited for.
struct Patience {
    tries: u32,
    /// For one try.
    attempt: Duration,
    /// For all tries of a call.
    operation: Duration,
}

/// Three calls one after the other fit into the ten seconds that a function has.
const QUICK: Patience = Patience {
    tries: 3,
    attempt: Duration::from_millis(1400),
    operation: Duration::from_secs(3),
};

/// A mail must not be sent twice because an answer was slow, so a call is not repeated here; the
/// outbox does that. It fits into the half minute that sending has.
const ONCE: Patience = Patience {
    tries: 1,
    attempt: Duration::from_secs(15),
    operation: Duration::from_secs(15),
};

impl Patience {
    fn timeouts(&self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(1))
            .operation_attempt_timeout(self.attempt)
            .operation_timeout(self.operation)
            .build()
    }
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
            http: SharedHttpClient::new(Counted(tls_roots::client())),
        }
    }

    /// A client of DynamoDB. Must be called within a tokio runtime.
    #[must_use]
    pub fn dynamodb(&self) -> DynamoDb {
        let aws = self.clone();
        let client =
            deferred(move || client!(aws, aws_sdk_dynamodb, "AWS_ENDPOINT_URL_DYNAMODB", QUICK));
        let early = Arc::clone(&client);
        spawn_during_init(async move {
            let _ = LazyLock::force(&early);
        });
        client
    }

    /// A client of Secrets Manager.
    #[must_use]
    pub fn secrets_manager(&self) -> SecretsManager {
        let aws = self.clone();
        deferred(move || {
            client!(
                aws,
                aws_sdk_secretsmanager,
                "AWS_ENDPOINT_URL_SECRETS_MANAGER",
                QUICK
            )
        })
    }

    /// A client of SES v2.
    #[must_use]
    pub fn sesv2(&self) -> aws_sdk_sesv2::Client {
        client!(self, aws_sdk_sesv2, "AWS_ENDPOINT_URL_SESV2", ONCE)
    }
}

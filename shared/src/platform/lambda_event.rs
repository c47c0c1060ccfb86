//! The loop that handles events other than HTTP requests on Lambda.

use std::future::Future;

use lambda_http::{
    LambdaEvent,
    lambda_runtime::{self, service_fn},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{BoxError, platform::telemetry::Invocation};

/// Handles events until Lambda stops the instance. An error of the handler is reported to Lambda,
/// which may deliver the event again. Each event writes one line to the log.
///
/// # Errors
/// An error of Lambda's Runtime API.
pub async fn serve<E, A, H, F>(handler: H) -> Result<(), BoxError>
where
    E: DeserializeOwned,
    A: Serialize,
    H: Fn(E) -> F,
    F: Future<Output = Result<A, BoxError>>,
{
    let handler = &handler;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<E>| async move {
        let invocation = Invocation::begin(event.context.request_id);
        let outcome = handler(event.payload).await;
        invocation.handled(&outcome);
        outcome
    }))
    .await
}

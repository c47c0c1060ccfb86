//! The loop of functions that are not asked over HTTP: an event in, what became of it out.

use std::future::Future;

use lambda_http::{
    LambdaEvent,
    lambda_runtime::{self, service_fn},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{BoxError, platform::telemetry::Invocation};

/// Hands events to the handler until Lambda ends the function. An error is reported to Lambda, which
/// may deliver the event again. One line of the log says what became of an event.
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

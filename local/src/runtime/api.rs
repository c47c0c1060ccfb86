//! The Lambda Runtime API (2018-06-01), through which an instance receives events and returns
//! responses. Each instance has its own path.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use super::Failure;
use crate::{Error, ambient, log::Logger};
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use data_encoding::HEXLOWER;
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// Limit for a response, in bytes. Lambda's is 6 MB; the difference allows for encoding.
const ANSWER_LIMIT: usize = 8 * 1024 * 1024;

/// An event for an instance.
pub struct Invocation {
    pub event: Bytes,
    pub limit: Duration,
    /// Notified when the instance has received the event.
    pub taken: oneshot::Sender<()>,
    pub answer: oneshot::Sender<Result<Bytes, Failure>>,
}

/// The instances that can use the Runtime API.
#[derive(Default)]
pub struct RuntimeRegistry {
    open: Mutex<BTreeMap<String, Arc<InvocationSlot>>>,
    count: AtomicU64,
}

/// The state of one instance.
struct InvocationSlot {
    function: String,
    log: Logger,
    events: tokio::sync::Mutex<mpsc::Receiver<Invocation>>,
    /// The invocation in progress.
    at_work: Mutex<Option<AtWork>>,
}

struct AtWork {
    request: String,
    answer: oneshot::Sender<Result<Bytes, Failure>>,
}

/// Registration of an instance, which ends when this is dropped.
pub struct Registration {
    id: String,
    registry: Weak<RuntimeRegistry>,
}

impl Registration {
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(registry) = self.registry.upgrade() {
            ambient::lock(&registry.open).remove(&self.id);
        }
    }
}

impl RuntimeRegistry {
    pub fn open(
        self: &Arc<Self>,
        function: &str,
        log: Logger,
    ) -> (Registration, mpsc::Sender<Invocation>) {
        let id = format!(
            "{function}-{}",
            self.count.fetch_add(1, Ordering::Relaxed) + 1
        );
        let (sender, events) = mpsc::channel(1);
        let slot = InvocationSlot {
            function: function.to_owned(),
            log,
            events: tokio::sync::Mutex::new(events),
            at_work: Mutex::new(None),
        };
        ambient::lock(&self.open).insert(id.clone(), Arc::new(slot));
        (
            Registration {
                id,
                registry: Arc::downgrade(self),
            },
            sender,
        )
    }

    fn slot(&self, instance: &str) -> Option<Arc<InvocationSlot>> {
        ambient::lock(&self.open).get(instance).cloned()
    }

    /// Passes the result of an invocation to its caller.
    fn settle(&self, instance: &str, request: &str, answer: Result<Bytes, Failure>) -> Response {
        let at_work = self.slot(instance).and_then(|slot| {
            ambient::lock(&slot.at_work).take_if(|at_work| at_work.request == request)
        });
        let Some(at_work) = at_work else {
            return refusal(StatusCode::BAD_REQUEST, "InvalidRequestID");
        };
        // The caller may have timed out.
        let _ = at_work.answer.send(answer);
        (StatusCode::ACCEPTED, axum::Json(json!({ "status": "OK" }))).into_response()
    }
}

pub fn router(registry: Arc<RuntimeRegistry>) -> Router {
    const RUNTIME: &str = "/rt/{instance}/2018-06-01/runtime";
    Router::new()
        .route(&format!("{RUNTIME}/invocation/next"), get(next))
        .route(
            &format!("{RUNTIME}/invocation/{{request}}/response"),
            post(response),
        )
        .route(
            &format!("{RUNTIME}/invocation/{{request}}/error"),
            post(error),
        )
        .route(&format!("{RUNTIME}/init/error"), post(init_error))
        .layer(DefaultBodyLimit::max(ANSWER_LIMIT))
        .with_state(registry)
}

/// Responds when there is an event (long poll).
async fn next(
    State(registry): State<Arc<RuntimeRegistry>>,
    Path(instance): Path<String>,
) -> Response {
    let Some(slot) = registry.slot(&instance) else {
        return refusal(StatusCode::FORBIDDEN, "InvalidInstance");
    };
    let Ok(request) = request_id() else {
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "NoRandomBytes");
    };
    let Some(invocation) = slot.events.lock().await.recv().await else {
        return refusal(StatusCode::GONE, "Stopping");
    };
    let limit = u64::try_from(invocation.limit.as_millis()).unwrap_or(u64::MAX);
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", request.clone()),
        (
            "lambda-runtime-deadline-ms",
            ambient::now_millis().saturating_add(limit).to_string(),
        ),
        (
            "lambda-runtime-invoked-function-arn",
            format!(
                "arn:aws:lambda:us-east-1:000000000000:function:{}",
                slot.function
            ),
        ),
        ("lambda-runtime-trace-id", trace_id(&request)),
    ];
    *ambient::lock(&slot.at_work) = Some(AtWork {
        request,
        answer: invocation.answer,
    });
    let _ = invocation.taken.send(());
    (headers, invocation.event).into_response()
}

async fn response(
    State(registry): State<Arc<RuntimeRegistry>>,
    Path((instance, request)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    registry.settle(&instance, &request, Ok(body))
}

async fn error(
    State(registry): State<Arc<RuntimeRegistry>>,
    Path((instance, request)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let failure = Failure::Reported(serde_json::from_slice(&body).unwrap_or(Json::Null));
    registry.settle(&instance, &request, Err(failure))
}

/// Logs the report of a failed initialization. The process exits after it.
async fn init_error(
    State(registry): State<Arc<RuntimeRegistry>>,
    Path(instance): Path<String>,
    body: Bytes,
) -> Response {
    if let Some(slot) = registry.slot(&instance) {
        slot.log
            .output(&slot.function, &String::from_utf8_lossy(&body));
    }
    StatusCode::ACCEPTED.into_response()
}

fn refusal(status: StatusCode, kind: &str) -> Response {
    (
        status,
        axum::Json(json!({ "errorType": kind, "errorMessage": kind })),
    )
        .into_response()
}

/// A UUID of version 4, like Lambda's request ids.
fn request_id() -> Result<String, Error> {
    let mut bytes: [u8; 16] = ambient::random()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = HEXLOWER.encode(&bytes);
    Ok([
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-"))
}

fn trace_id(request: &str) -> String {
    let hex = request.replace('-', "");
    format!(
        "Root=1-{}-{};Parent={};Sampled=0",
        &hex[..8],
        &hex[8..],
        &hex[16..]
    )
}

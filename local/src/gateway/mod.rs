//! API Gateway: an HTTP API that routes requests to functions.

mod cors;
mod event;
mod response;
mod routes;

use crate::{
    ambient,
    log::{Answered, Logger},
    pages::Pages,
    runtime::{Failure, Functions},
    template::{Cors, Template},
};
use axum::{
    body::{Body, Bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::Response,
};
use data_encoding::BASE64;
use event::{Context, event};
use response::message;
use routes::{Match, Routes};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{sync::Notify, time::Instant};

const BODY_LIMIT: usize = 10 * 1024 * 1024;
/// API Gateway's integration timeout.
const TIMEOUT: Duration = Duration::from_secs(30);

pub struct Gateway {
    routes: Routes,
    cors: Option<Cors>,
    functions: Arc<Functions>,
    /// Served at paths for which the API has no route.
    pages: Pages,
    /// Notified after each invocation, because the function may have written to a table.
    written: Arc<Notify>,
    log: Logger,
}

struct Outcome {
    response: Response,
    /// Whether a function returned the response; it has then logged the request.
    by_function: bool,
}

impl From<Response> for Outcome {
    fn from(response: Response) -> Self {
        Self {
            response,
            by_function: false,
        }
    }
}

impl Gateway {
    pub fn new(
        template: &Template,
        functions: Arc<Functions>,
        pages: Pages,
        written: Arc<Notify>,
        log: Logger,
    ) -> Self {
        Self {
            routes: Routes::new(&template.functions),
            cors: template.cors.clone(),
            functions,
            pages,
            written,
            log,
        }
    }

    pub async fn handle(
        State(gateway): State<Arc<Self>>,
        ConnectInfo(client): ConnectInfo<SocketAddr>,
        request: Request,
    ) -> Response {
        let started = Instant::now();
        let (request, body) = request.into_parts();
        let route = gateway
            .routes
            .find(request.method.as_str(), request.uri.path());
        if route.is_none()
            && let Some(page) = gateway.pages.answer(&request.method, request.uri.path())
        {
            return page;
        }
        let Outcome {
            mut response,
            by_function,
        } = gateway
            .respond(&request, body, route.as_ref(), client)
            .await;
        if let Some(cors) = &gateway.cors
            && request.method != axum::http::Method::OPTIONS
        {
            cors::finish(cors, &request.headers, response.headers_mut());
        }
        if !by_function {
            gateway.log.request(&Answered {
                method: request.method.as_str(),
                path: request.uri.path(),
                status: response.status().as_u16(),
                milliseconds: started.elapsed().as_millis(),
                function: route.as_ref().map(|route| route.function),
            });
        }
        response
    }

    async fn respond(
        &self,
        request: &Parts,
        body: Body,
        route: Option<&Match<'_>>,
        client: SocketAddr,
    ) -> Outcome {
        if let Some(preflight) = self
            .cors
            .as_ref()
            .and_then(|cors| cors::preflight(cors, &request.method, &request.headers))
        {
            return preflight.into();
        }
        let Some(route) = route else {
            return message(StatusCode::NOT_FOUND, "Not Found").into();
        };
        let Some(body) = read(request, body).await else {
            return message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large").into();
        };
        let Ok(id) = ambient::random::<12>() else {
            return response::internal_server_error().into();
        };
        let context = Context {
            client,
            request_id: BASE64.encode(&id),
            time: ambient::now(),
        };
        let event = event(request, &body, route, &context).to_string();
        let mut outcome = self.invoke(route.function, event.into()).await;
        if let Ok(id) = HeaderValue::from_str(&context.request_id) {
            outcome.response.headers_mut().insert("apigw-requestid", id);
        }
        outcome
    }

    async fn invoke(&self, function: &str, event: Bytes) -> Outcome {
        // In a separate task: a function continues when the client disconnects and when API
        // Gateway's timeout expires.
        let work = tokio::spawn({
            let functions = self.functions.clone();
            let function = function.to_owned();
            async move { functions.invoke(&function, event).await }
        });
        let result = tokio::time::timeout(TIMEOUT, work).await;
        self.written.notify_one();
        match result {
            Ok(Ok(Ok(answer))) => {
                if let Some(response) = response::response(&answer) {
                    return Outcome {
                        response,
                        by_function: true,
                    };
                }
                self.log.problem(&format!(
                    "{function} returned a value that API Gateway cannot convert to an HTTP response."
                ));
                response::internal_server_error().into()
            }
            Ok(Ok(Err(Failure::TimedOut))) | Err(_) => {
                message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable").into()
            }
            Ok(Ok(Err(_)) | Err(_)) => response::internal_server_error().into(),
        }
    }
}

/// Reads the body; `None` if it is too large.
async fn read(request: &Parts, body: Body) -> Option<Bytes> {
    let announced = request
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > BODY_LIMIT) {
        return None;
    }
    axum::body::to_bytes(body, BODY_LIMIT).await.ok()
}

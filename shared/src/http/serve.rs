//! The loop that serves HTTP requests on Lambda.

use std::{
    future::{Future, ready},
    pin::Pin,
    sync::mpsc,
    time::Duration,
};

use data_encoding::BASE64;
use lambda_http::{
    Adapter, Body, IntoResponse, Request, RequestExt, Response,
    aws_lambda_events::apigw::ApiGatewayV2httpRequest,
    http::{
        HeaderMap,
        header::{HOST, USER_AGENT},
    },
    lambda_runtime::{LambdaEvent, Runtime, service_fn},
    request::{LambdaRequest, RequestContext},
    tower::{ServiceExt, util::MapResultLayer},
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{
    cdn::{Cdn, ViewerAddress},
    cookies::append_cookies,
    origin::ApiDomain,
    response::{error_key, error_response},
};
use crate::{
    BoxError, Error,
    domain::{ip_network::Network, session::Client},
    platform::{
        clock::{self, Timestamp},
        telemetry::{Invocation, LogLine, ResponseSummary},
    },
};

/// Serves requests like [`serve_behind`], but accepts those that did not come through the CDN: for
/// operations that use neither the client's address nor a session, and for `/auth`, which gateways
/// call.
///
/// # Errors
/// An error of Lambda's Runtime API.
pub async fn serve<H, F>(handler: H) -> Result<(), BoxError>
where
    H: Fn(Request) -> F + Send + Sync,
    F: Future<Output = Result<Response<Body>, Error>> + Send,
{
    serve_behind(Cdn::new(Vec::new()), handler).await
}

/// Serves requests until Lambda stops the instance. If there is a CDN, requests that did not come
/// through it are refused. An [`Error`] of the handler becomes its response. Each request writes one
/// line to the log, after its response was sent, and one more with the cause if the service failed.
///
/// # Errors
/// An error of Lambda's Runtime API.
pub async fn serve_behind<H, F>(cdn: Cdn, handler: H) -> Result<(), BoxError>
where
    H: Fn(Request) -> F + Send + Sync,
    F: Future<Output = Result<Response<Body>, Error>> + Send,
{
    let (sender, receiver) = mpsc::channel();
    let cdn = &cdn;
    let handler = &handler;
    let sender = &sender;
    let service = service_fn(move |mut event: LambdaEvent<LambdaRequest>| {
        let mut domain = ApiDomain(None);
        let sanitized = match &mut event.payload {
            LambdaRequest::ApiGatewayV2(request) => {
                domain = ApiDomain(request.request_context.domain_name.clone());
                sanitize_event(request)
            }
            _ => Ok(()),
        };
        let adapter = Adapter::from(service_fn(move |mut request: Request| {
            request.extensions_mut().insert(domain.clone());
            async move {
                let invocation = Invocation::begin(request.lambda_context().request_id);
                let admitted = cdn.admit(&mut request);
                let route = route(&request);
                let address =
                    Network::around(&client(&request).address).map(|network| network.to_string());
                let time_left = time_left(request.lambda_context().deadline, clock::now());
                let result = match admitted.and(sanitized.map_err(Error::from)) {
                    Ok(()) => within(time_left, handler(request)).await,
                    Err(error) => Err(error),
                };
                let response = match result {
                    Ok(response) => response,
                    Err(error) => {
                        if let Some(cause) = error.cause() {
                            invocation.failed(error.status().as_u16(), cause.as_ref());
                        }
                        error_response(&error)?
                    }
                };
                let status = response.status().as_u16();
                let key = error_key(&response).map(str::to_owned);
                sender.send(invocation.responded(ResponseSummary {
                    route,
                    status,
                    key,
                    address,
                }))?;
                Ok::<_, BoxError>(Utf8Response(response))
            }
        }));
        adapter.oneshot(event)
    });
    // Runs when the response was sent and the next event was not requested yet. Lambda freezes an
    // instance only after that request.
    let write_log = |sent| {
        receiver.try_iter().for_each(LogLine::write);
        sent
    };
    Runtime::new(service)
        .layer(MapResultLayer::new(write_log))
        .run()
        .await
}

/// A response whose text is UTF-8. The `IntoResponse` of `lambda_http` converts other charsets, and
/// would link its conversion tables into each binary.
struct Utf8Response(Response<Body>);

impl IntoResponse for Utf8Response {
    fn into_response(self) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        Box::pin(ready(self.0))
    }
}

/// Milliseconds before the function's timeout that are reserved for the response.
const MARGIN: i64 = 500;

/// The time for a request whose invocation times out at `deadline`, in milliseconds since the Unix
/// epoch.
fn time_left(deadline: u64, now: Timestamp) -> Duration {
    let milliseconds = i64::try_from(deadline)
        .unwrap_or(i64::MAX)
        .saturating_sub(now.milliseconds())
        .saturating_sub(MARGIN);
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default())
}

/// Returns the result of `work`, or [`Error::Unavailable`] after `limit`. This way the client
/// receives a response, and Lambda does not end the instance. Writes in progress may or may not
/// take effect, as if their response had been lost.
async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let timed_out = |_| {
        Err(Error::Unavailable(
            "the request did not complete before the function's timeout".into(),
        ))
    };
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(timed_out)
}

/// The route of the request as in template.yaml, for example `POST /identity/sessions`.
fn route(request: &Request) -> String {
    match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => {
            context.route_key.clone().unwrap_or_default()
        }
        _ => String::new(),
    }
}

/// The client of a request: the User-Agent, and the address that API Gateway reports, or the CDN if
/// the request came through it.
#[must_use]
pub fn client(request: &Request) -> Client {
    if let Some(ViewerAddress(address)) = request.extensions().get() {
        return client_with_address(address.clone(), request.headers());
    }
    let address = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.http.source_ip.clone(),
        _ => None,
    };
    client_with_address(address.unwrap_or_default(), request.headers())
}

/// The client with this address and the User-Agent of these headers: its first 512 characters, or
/// nothing if it is not visible ASCII.
#[must_use]
pub fn client_with_address(address: String, headers: &HeaderMap) -> Client {
    const USER_AGENT_LIMIT: usize = 512;
    let user_agent = headers
        .get(USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    Client {
        address,
        user_agent: user_agent.chars().take(USER_AGENT_LIMIT).collect(),
    }
}

/// Characters that clients can send in a query string, but that the crate `http` rejects.
const NOT_IN_A_QUERY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'\\')
    .add(b'^');

/// A body that the event declares as base64, but that is not.
#[derive(Clone, Copy, Debug)]
pub struct NotBase64;

impl From<NotBase64> for Error {
    fn from(NotBase64: NotBase64) -> Self {
        Self::MalformedBody
    }
}

/// Changes an event so that `lambda_http` can convert it to a request: it panics if host, path and
/// query string are no valid URI, or if the body is not valid base64.
///
/// The host is removed, because no operation uses it; the path gets a leading slash; invalid
/// characters in the query string are percent-encoded. Cookies become headers, because
/// `lambda_http` drops all of them if one is not ASCII.
///
/// # Errors
/// [`NotBase64`] if the body is not valid base64. The body is then removed.
pub fn sanitize_event(request: &mut ApiGatewayV2httpRequest) -> Result<(), NotBase64> {
    request.headers.remove(HOST);
    request.request_context.domain_name = None;
    let cookies = request.cookies.take().unwrap_or_default();
    append_cookies(&mut request.headers, &cookies);
    if let Some(path) = request
        .raw_path
        .as_mut()
        .filter(|path| !path.starts_with('/'))
    {
        path.insert(0, '/');
    }
    if let Some(query) = &mut request.raw_query_string {
        *query = utf8_percent_encode(query, NOT_IN_A_QUERY).to_string();
    }
    if request.is_base64_encoded
        && let Some(body) = &mut request.body
    {
        let Ok(bytes) = BASE64.decode(body.as_bytes()) else {
            request.body = None;
            return Err(NotBase64);
        };
        // Encoded again, because decoders differ in what they accept at the end.
        *body = BASE64.encode(&bytes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_with_any_host_and_query_string_is_converted() {
        for (host, query) in [
            ("a b", ""),
            ("[", ""),
            ("x", "<script>"),
            ("x", "a=\"b\"&c=`d`|{e}\\^"),
            ("x", "%zz&\u{1}&ü& #"),
            ("", "?"),
        ] {
            let mut request: ApiGatewayV2httpRequest = serde_json::from_value(serde_json::json!({
                "version": "2.0", "routeKey": "GET /identity/ping", "rawPath": "/identity/ping", "rawQueryString": query,
                "headers": {"host": host}, "isBase64Encoded": false,
                "requestContext": {"domainName": host, "stage": "$default", "http": {"method": "GET", "path": "/identity/ping", "sourceIp": "192.0.2.1"}}
            }))
            .expect("an event");
            assert!(sanitize_event(&mut request).is_ok());
            let request: Request = LambdaRequest::ApiGatewayV2(request).into();
            assert_eq!(
                (request.uri().path(), client(&request).address.as_str()),
                ("/identity/ping", "192.0.2.1")
            );
        }
    }

    #[test]
    fn a_request_has_until_half_a_second_before_the_deadline() {
        let now = Timestamp::from_milliseconds(1_800_000_000_250);
        assert_eq!(
            time_left(1_800_000_010_000, now),
            Duration::from_millis(9250)
        );
        assert_eq!(time_left(1_800_000_000_500, now), Duration::ZERO);
        assert_eq!(time_left(0, now), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_does_not_complete_in_time_is_an_error() {
        let result = within(
            Duration::from_secs(9),
            std::future::pending::<Result<(), Error>>(),
        )
        .await;
        assert!(matches!(result, Err(Error::Unavailable(_))));
        let result = within(Duration::from_secs(9), async { Ok(1) }).await;
        assert!(matches!(result, Ok(1)));
    }

    #[test]
    fn an_event_whose_body_is_not_base64_is_converted() {
        for (body, is_base64) in [
            ("e30=", true),
            ("", true),
            ("e30=e30=", true),
            ("{}", false),
            ("e30", false),
            ("e3 0=", false),
        ] {
            let mut request: ApiGatewayV2httpRequest = serde_json::from_value(serde_json::json!({
                "version": "2.0", "routeKey": "POST /identity/users", "rawPath": "/identity/users", "rawQueryString": "",
                "headers": {}, "isBase64Encoded": true, "body": body,
                "requestContext": {"stage": "$default", "http": {"method": "POST", "path": "/identity/users", "sourceIp": "192.0.2.1"}}
            }))
            .expect("an event");
            assert_eq!(sanitize_event(&mut request).is_ok(), is_base64, "{body}");
            let _: Request = LambdaRequest::ApiGatewayV2(request).into();
        }
    }
}

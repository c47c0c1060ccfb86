//! The loop: a request in, an answer out, whatever happens.

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

use super::response::{refusal, refusal_key};
use crate::{
    BoxError, Error,
    domain::{ip_network::Network, session::Client},
    platform::{
        clock::{self, Timestamp},
        telemetry::{Answered, Invocation, RequestLine},
    },
};

/// Serves requests until Lambda ends the function. An [`Error`] becomes its answer. What was
/// answered is told in one line of the log as soon as the answer is out, and the cause of a failure
/// in one more.
pub async fn serve<H, F>(handler: H) -> Result<(), BoxError>
where
    H: Fn(Request) -> F + Send + Sync,
    F: Future<Output = Result<Response<Body>, Error>> + Send,
{
    let (line, lines) = mpsc::channel();
    let handler = &handler;
    let line = &line;
    let service = service_fn(move |mut event: LambdaEvent<LambdaRequest>| {
        let tamed = match &mut event.payload {
            LambdaRequest::ApiGatewayV2(request) => sanitize_event(request),
            _ => Ok(()),
        };
        let answer = Adapter::from(service_fn(move |request: Request| async move {
            let invocation = Invocation::begin(request.lambda_context().request_id);
            let route = route(&request);
            let address =
                Network::around(&client(&request).address).map(|network| network.to_string());
            let patience = patience(request.lambda_context().deadline, clock::now());
            let result = match tamed {
                Ok(()) => answer_within(patience, handler(request)).await,
                Err(NotBase64) => Err(Error::MalformedBody),
            };
            let response = match result {
                Ok(response) => response,
                Err(error) => {
                    if let Some(cause) = error.cause() {
                        invocation.failed(error.status().as_u16(), cause.as_ref());
                    }
                    refusal(&error)?
                }
            };
            let status = response.status().as_u16();
            let key = refusal_key(&response).map(str::to_owned);
            line.send(invocation.answered(Answered {
                route,
                status,
                key,
                address,
            }))?;
            Ok::<_, BoxError>(AsItIs(response))
        }));
        answer.oneshot(event)
    });
    // Lambda has the answer by then and is not yet asked for the next event, before which it
    // freezes nothing.
    let tell = |sent| {
        lines.try_iter().for_each(RequestLine::tell);
        sent
    };
    Runtime::new(service)
        .layer(MapResultLayer::new(tell))
        .run()
        .await
}

/// An answer whose text is UTF-8. Of another, `lambda_http` would see to the charset, for which it
/// has the tables of all there are.
struct AsItIs(Response<Body>);

impl IntoResponse for AsItIs {
    fn into_response(self) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        Box::pin(ready(self.0))
    }
}

/// Milliseconds before Lambda ends the function that remain for the answer.
const MARGIN: i64 = 500;

/// How long a request may be worked on that Lambda gives up at the deadline, in milliseconds since
/// the Unix epoch.
fn patience(deadline: u64, now: Timestamp) -> Duration {
    let left = i64::try_from(deadline)
        .unwrap_or(i64::MAX)
        .saturating_sub(now.milliseconds())
        .saturating_sub(MARGIN);
    Duration::from_millis(u64::try_from(left).unwrap_or_default())
}

/// Whatever is slow together, Lambda does not end the function over it: the client is told to come
/// back. What is under way then is given up as if its answer had been lost.
async fn answer_within<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let late = |_| {
        Err(Error::Unavailable(
            "not done when the function's time was over".into(),
        ))
    };
    tokio::time::timeout(patience, work)
        .await
        .unwrap_or_else(late)
}

/// The route that led here, as the template spells it.
fn route(request: &Request) -> String {
    match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => {
            context.route_key.clone().unwrap_or_default()
        }
        _ => String::new(),
    }
}

/// Where a request comes from: the address that API Gateway saw, never what a header says, and the
/// User-Agent as far as it is text.
#[must_use]
pub fn client(request: &Request) -> Client {
    let address = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.http.source_ip.clone(),
        _ => None,
    };
    client_at(address.unwrap_or_default(), request.headers())
}

/// The same of a request that somebody else received, who says from which address.
#[must_use]
pub fn client_at(address: String, headers: &HeaderMap) -> Client {
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

/// What the `http` crate refuses in a query string, though clients can send it.
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

/// A body that is said to be base64 and is not.
#[derive(Clone, Copy, Debug)]
pub struct NotBase64;

/// Makes an event one that can be mapped to a request: `lambda_http` panics where it cannot make a
/// URI of what the client sent, or decode the body. Nothing here needs the client's idea of the
/// host, and a query string can always be written so that it parses. A body that cannot be decoded
/// is taken out.
pub fn sanitize_event(request: &mut ApiGatewayV2httpRequest) -> Result<(), NotBase64> {
    request.headers.remove(HOST);
    request.request_context.domain_name = None;
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
        // Written anew, for decoders do not agree on all that may stand at the end.
        *body = BASE64.encode(&bytes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_host_and_no_query_string_makes_the_event_mapping_fail() {
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
    fn a_request_is_worked_on_until_shortly_before_the_deadline() {
        let now = Timestamp::from_milliseconds(1_800_000_000_250);
        assert_eq!(
            patience(1_800_000_010_000, now),
            Duration::from_millis(9250)
        );
        assert_eq!(patience(1_800_000_000_500, now), Duration::ZERO);
        assert_eq!(patience(0, now), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_done_in_time_is_answered_503() {
        let answer = answer_within(
            Duration::from_secs(9),
            std::future::pending::<Result<(), Error>>(),
        )
        .await;
        assert!(matches!(answer, Err(Error::Unavailable(_))));
        let done = answer_within(Duration::from_secs(9), async { Ok(1) }).await;
        assert!(matches!(done, Ok(1)));
    }

    #[test]
    fn a_body_that_is_not_base64_does_not_make_the_event_mapping_fail() {
        for (body, is_good) in [
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
            assert_eq!(sanitize_event(&mut request).is_ok(), is_good, "{body}");
            let _: Request = LambdaRequest::ApiGatewayV2(request).into();
        }
    }
}

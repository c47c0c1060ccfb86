//! Lambda authorizer for other HTTP APIs (payload format 2.0, simple responses).
//!
//! If the function fails, API Gateway returns 500 and does not call the integration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::{
    BoxError, Error,
    domain::user::{State, Uid, User, Withheld},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, append_cookies, authentication::Authenticator,
        client_with_address,
    },
    platform::clock::Timestamp,
    store::AccessKeys,
    tokens::access_token::Names,
};

pub struct Authorize {
    pub authenticator: Authenticator,
    pub keys: AccessKeys,
    /// Issuer and audience of access tokens.
    pub names: Names,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    cookies: Option<Vec<String>>,
    headers: Option<BTreeMap<String, String>>,
    request_context: RequestContext,
}

#[derive(Deserialize)]
struct RequestContext {
    http: Http,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Http {
    method: String,
    source_ip: String,
}

/// A simple response to API Gateway.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizerResponse {
    is_authorized: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Context>,
}

/// Variables that the integration reads as `$context.authorizer.<name>`.
#[derive(Serialize)]
struct Context {
    uid: Uid,
    email: String,
    role: String,
    level: u32,
    state: State,
    /// The access token.
    token: String,
}

impl Authorize {
    /// Authenticates the request. The response does not contain the reason of a rejection.
    pub async fn handle(
        &self,
        event: Value,
        now: Timestamp,
    ) -> Result<AuthorizerResponse, BoxError> {
        // serde's error may quote the event, and cookies are secrets.
        let event = Event::deserialize(event)
            .map_err(|_| "the event is not an authorizer event in payload format 2.0")?;
        let Http { method, source_ip } = event.request_context.http;
        let headers = headers(
            &event.headers.unwrap_or_default(),
            &event.cookies.unwrap_or_default(),
        );
        let client = client_with_address(source_ip, &headers);
        // An invalid method counts as state-changing.
        let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::POST);
        match self
            .authenticator
            .authenticate_client(&method, &headers, client, now)
            .await
        {
            Ok(signed_in) => {
                let keys = self.keys.signing(now).await?;
                let token = keys.sign(&signed_in.user, &self.names, now)?;
                Ok(AuthorizerResponse {
                    is_authorized: true,
                    context: Some(context(signed_in.user, token)),
                })
            }
            Err(error) => reject(error),
        }
    }
}

fn reject(error: Error) -> Result<AuthorizerResponse, BoxError> {
    if error.status().is_server_error() {
        Err(error.into())
    } else {
        Ok(AuthorizerResponse {
            is_authorized: false,
            context: None,
        })
    }
}

fn context(user: User<Withheld>, token: String) -> Context {
    let email = user.email.as_typed().to_owned();
    Context {
        uid: user.uid,
        email,
        role: user.role,
        level: user.level,
        state: user.state,
        token,
    }
}

/// The headers and cookies of the event. Invalid names and values are ignored.
fn headers(fields: &BTreeMap<String, String>, cookies: &[String]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    append_cookies(&mut headers, cookies);
    for (name, value) in fields {
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes())
            && let Ok(value) = HeaderValue::from_bytes(value.as_bytes())
        {
            // The map holds more headers than API Gateway accepts, so this does not fail.
            let _ = headers.try_append(name, value);
        }
    }
    headers
}

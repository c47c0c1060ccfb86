//! Authorizer of other HTTP APIs (payload format 2.0, simple responses): tells API Gateway whether
//! a request is let through, and whose it is.
//!
//! An error makes API Gateway answer 500, which opens nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::{
    BoxError, Error,
    domain::user::{State, User},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, authentication::Authenticator, client_at,
        header,
    },
    platform::clock::Timestamp,
    tokens::access_token::Names,
};

/// What it works with.
pub struct Authorize {
    /// Lets in who is signed in.
    pub authenticator: Authenticator,
    /// Names in access tokens.
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

/// What API Gateway is told.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    is_authorized: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Context>,
}

/// What the integration is told, as `$context.authorizer.<name>`.
#[derive(Serialize)]
struct Context {
    uid: String,
    email: String,
    role: String,
    level: u32,
    state: State,
    /// The access token.
    token: String,
}

impl Authorize {
    /// Asks the gate at every call. Why somebody is refused is told to nobody.
    pub async fn handle(&self, event: Value, now: Timestamp) -> Result<Answer, BoxError> {
        // What serde says of an event may quote it, and cookies are secrets.
        let event = Event::deserialize(event)
            .map_err(|_| "this is no event of an authorizer in payload format 2.0")?;
        let Http { method, source_ip } = event.request_context.http;
        let headers = headers(
            &event.headers.unwrap_or_default(),
            &event.cookies.unwrap_or_default(),
        );
        let client = client_at(source_ip, &headers);
        // What is no method is at least none that is known to change nothing.
        let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::POST);
        match self
            .authenticator
            .authenticate_client(&method, &headers, client, now)
            .await
        {
            Ok(signed_in) => {
                let keys = self.authenticator.keys.access_token_keys(now).await?;
                let token = keys.sign(&signed_in.user, &self.names, now)?;
                Ok(Answer {
                    is_authorized: true,
                    context: Some(context(signed_in.user, token)),
                })
            }
            Err(error) => refuse(error),
        }
    }
}

fn refuse(error: Error) -> Result<Answer, BoxError> {
    if error.status().is_server_error() {
        Err(error.into())
    } else {
        Ok(Answer {
            is_authorized: false,
            context: None,
        })
    }
}

fn context(user: User, token: String) -> Context {
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

/// Headers as HTTP has them. What cannot stand in one presents nothing.
fn headers(fields: &BTreeMap<String, String>, cookies: &[String]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let cookies = cookies.iter().map(|cookie| (header::COOKIE, cookie));
    let fields = fields
        .iter()
        .filter_map(|(name, value)| Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value)));
    for (name, value) in cookies.chain(fields) {
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            // Beyond tens of thousands it takes no more, which is more than API Gateway does.
            let _ = headers.try_append(name, value);
        }
    }
    headers
}

//! The door: what a request says, what is answered, and the loop that serves.

pub mod authentication;
mod cookies;
mod credential;
mod parameters;
mod response;
mod serve;

pub use cookies::{clearing_cookie, session_cookie};
pub use credential::Credential;
pub use lambda_http::{
    Body, Request, RequestExt, Response,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
};
pub use parameters::{Form, Parameters};
pub use response::{cacheable_json, empty, json, refusal, with_cookie};
pub use serve::{NotBase64, client, client_at, sanitize_event, serve};

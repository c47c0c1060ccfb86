//! HTTP: parsing of requests, authentication, responses, and the loop that serves requests.

pub mod authentication;
mod cdn;
mod cookies;
mod credential;
mod device_cookie;
mod origin;
mod parameters;
mod response;
mod serve;
mod session_cookies;

pub use cdn::Cdn;
pub use cookies::{append_cookies, clearing_cookie};
pub use credential::Credential;
pub use device_cookie::{DeviceTokens, KnownDevices};
pub use lambda_http::{
    Body, Request, RequestExt, Response,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
};
pub use origin::{OriginCheck, api_url};
pub use parameters::{Form, Parameters};
pub use response::{STRICT_TRANSPORT, cacheable_json, empty, error_response, json, with_cookie};
pub use serve::{NotBase64, client, client_with_address, sanitize_event, serve, serve_behind};
pub use session_cookies::SessionCookies;

//! What the stack serves beside the API: the mailbox, the page to try the API at, and a first page.

use crate::mail::Mailbox;
use axum::{
    Json as Body, Router,
    http::{HeaderValue, Method, StatusCode, header},
    middleware::map_response,
    response::{IntoResponse, Response},
};
use std::{fmt::Write as _, sync::Arc};
use swagger_ui_dist::{ApiDefinition, OpenApiSource};

pub const MAILBOX: &str = "/_local/mailbox";
pub const API: &str = "/_local/api";

/// The page of the package starts its script in the page itself.
const API_POLICY: &str = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; \
    connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, type and content.
const FILES: [(&str, &str, &str); 3] = [
    (MAILBOX, HTML, include_str!("mailbox.html")),
    ("/_local/mailbox.js", SCRIPT, include_str!("mailbox.js")),
    (
        "/_local/style.css",
        "text/css; charset=utf-8",
        include_str!("style.css"),
    ),
];

pub struct Pages {
    mailbox: Arc<Mailbox>,
}

impl Pages {
    pub fn new(mailbox: Arc<Mailbox>) -> Self {
        Self { mailbox }
    }

    /// `routes` are those of the API, to be listed on the first page.
    pub fn answer<'a>(
        &self,
        method: &Method,
        path: &str,
        routes: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Option<Response> {
        let response = match (method.as_str(), path) {
            ("GET", "/") => file(HTML, home(routes)),
            ("GET", "/_local/mailbox.json") => Body(self.mailbox.list()).into_response(),
            ("DELETE", "/_local/mailbox.json") => {
                self.mailbox.empty();
                StatusCode::NO_CONTENT.into_response()
            }
            ("GET", _) => FILES
                .iter()
                .find(|(known, ..)| *known == path)
                .map(|(_, kind, content)| file(kind, *content))?,
            _ => return None,
        };
        Some(guarded(response))
    }
}

fn home<'a>(routes: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut rows = String::new();
    for (method, path) in routes {
        let _ = write!(rows, "<tr><td><b>{method}</b><td><code>{path}</code>");
    }
    include_str!("home.html").replace("<!-- routes -->", &rows)
}

fn file(kind: &'static str, content: impl Into<axum::body::Body>) -> Response {
    ([(header::CONTENT_TYPE, kind)], content.into()).into_response()
}

/// The API's description, and a page to try it at. Its assets come with it.
pub fn api() -> Router {
    let definition = ApiDefinition {
        uri_prefix: API,
        api_definition: OpenApiSource::InlineWithName {
            definition: include_str!("../../../openapi.yaml"),
            uri: "/_local/openapi.yaml",
        },
        title: Some("Latchkey: the API"),
    };
    swagger_ui_dist::generate_routes(definition).layer(map_response(|response: Response| async {
        guarded_by(API_POLICY, response)
    }))
}

/// Nothing from elsewhere, nothing kept, no address told to others: links here carry tokens. Styles
/// may stand in the page because the mails in it bring theirs.
fn guarded(response: Response) -> Response {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; \
        img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    guarded_by(POLICY, response)
}

fn guarded_by(policy: &'static str, mut response: Response) -> Response {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

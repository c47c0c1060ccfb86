//! The pages of the development stack: home page, mailbox, and API explorer.

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

/// Allows inline scripts, which the page of `swagger_ui_dist` contains.
const API_POLICY: &str = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; \
    connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, media type and content.
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

    /// The response to a request for a page; `None` if there is no such page. The home page lists
    /// `routes`, those of the API.
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

/// Serves openapi.yaml and the API explorer (Swagger UI), whose assets are in the binary.
pub fn api() -> Router {
    let definition = ApiDefinition {
        uri_prefix: API,
        api_definition: OpenApiSource::InlineWithName {
            definition: include_str!("../../../openapi.yaml"),
            uri: "/_local/openapi.yaml",
        },
        title: Some("Latchkey API"),
    };
    swagger_ui_dist::generate_routes(definition).layer(map_response(|response: Response| async {
        guarded_by(API_POLICY, response)
    }))
}

/// Adds headers that prevent requests to other origins, caching and referrers, because links in
/// mails carry tokens. Inline styles are allowed because the mails contain them.
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

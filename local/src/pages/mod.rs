//! The pages of the development stack: home page, mailbox, and API explorer.

use crate::mail::Mailbox;
use axum::{
    Json as Body, Router,
    http::{HeaderValue, Method, StatusCode, header},
    middleware::map_response,
    response::{IntoResponse, Response},
};
use serde_yaml_ng::Value as Yaml;
use std::{fmt::Write as _, sync::Arc};
use swagger_ui_dist::{ApiDefinition, OpenApiSource};

pub const MAILBOX: &str = "/_local/mailbox";
pub const API: &str = "/_local/api";

/// Allows inline styles, which Swagger UI sets.
const API_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const OPENAPI: &str = include_str!("../../../openapi.yaml");

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, media type and content.
const FILES: [(&str, &str, &str); 4] = [
    (MAILBOX, HTML, include_str!("mailbox.html")),
    ("/_local/mailbox.js", SCRIPT, include_str!("mailbox.js")),
    ("/_local/api.js", SCRIPT, include_str!("api.js")),
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

    /// The response to a request for a page; `None` if there is no such page.
    pub fn answer(&self, method: &Method, path: &str) -> Option<Response> {
        let response = match (method.as_str(), path) {
            ("GET", "/") => file(HTML, home()),
            ("GET", API) => {
                return Some(guarded_by(API_POLICY, file(HTML, include_str!("api.html"))));
            }
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

/// The home page: the operations of openapi.yaml by tag, each with a link into the API explorer.
fn home() -> String {
    // Tests parse the document, so it has no error.
    let definition: Yaml = serde_yaml_ng::from_str(OPENAPI).unwrap_or_default();
    let mut sections = String::new();
    for tag in definition["tags"].as_sequence().into_iter().flatten() {
        let _ = write!(
            sections,
            r#"<section class="card"><h2>{}</h2><ul class="operations">"#,
            escaped(&tag["description"])
        );
        for (path, item) in definition["paths"].as_mapping().into_iter().flatten() {
            let operations: Vec<_> = item
                .as_mapping()
                .into_iter()
                .flatten()
                .filter(|(_, operation)| operation["tags"][0] == tag["name"])
                .collect();
            // A path of more operations is the same for every method.
            let shown = if operations.len() > 3 {
                1
            } else {
                operations.len()
            };
            for (method, operation) in &operations[..shown] {
                let method = if operations.len() > shown {
                    "any".to_owned()
                } else {
                    escaped(method)
                };
                let _ = write!(
                    sections,
                    r#"<li><a href="{API}#/{}/{}"><span class="method">{}</span><code>{}</code><span class="quiet">{}</span></a></li>"#,
                    escaped(&tag["name"]),
                    escaped(&operation["operationId"]),
                    method.to_uppercase(),
                    escaped(path),
                    escaped(&operation["summary"]),
                );
            }
        }
        sections.push_str("</ul></section>");
    }
    include_str!("home.html").replace("<!-- operations -->", &sections)
}

fn escaped(text: &Yaml) -> String {
    let text = text.as_str().unwrap_or_default();
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn file(kind: &'static str, content: impl Into<axum::body::Body>) -> Response {
    ([(header::CONTENT_TYPE, kind)], content.into()).into_response()
}

/// Serves openapi.yaml and the assets of the API explorer (Swagger UI), which are in the binary.
pub fn api() -> Router {
    let definition = ApiDefinition {
        uri_prefix: "/_local/swagger",
        api_definition: OpenApiSource::InlineWithName {
            definition: OPENAPI,
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

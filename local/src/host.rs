//! Protection of the stack from the other pages that are open in the developer's browser.
//!
//! A foreign site can point its own host name to 127.0.0.1 (DNS rebinding). Its requests to the
//! stack are then same-origin for the browser, so its pages could read the mailbox. Such a request
//! names the foreign host, so a request is rejected unless it names one of the stack's.

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use serde_json::json;
use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

/// The name of the machine for programs in its containers, such as functions that SAM runs.
const CONTAINER_HOST: &str = "host.docker.internal";

/// The host names that requests may use, besides IP addresses and `localhost`.
#[derive(Clone, Default)]
pub struct Hosts(Arc<BTreeSet<String>>);

impl Hosts {
    /// Also accepts the hosts of these origins, such as `https://app.example`.
    pub fn of<'a>(origins: impl IntoIterator<Item = &'a str>) -> Self {
        let names = origins
            .into_iter()
            .filter_map(|origin| Some(origin.parse::<Uri>().ok()?.host()?.to_ascii_lowercase()));
        Self(Arc::new(names.collect()))
    }

    /// Rejects requests to the router that name any other host.
    pub fn guard(&self, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(self.clone(), check_host))
    }

    /// The same for an AWS service. It also rejects every request of a page: the emulator of
    /// DynamoDB would allow any origin to read its responses.
    pub fn guard_service(&self, router: Router) -> Router {
        self.guard(router.layer(middleware::from_fn(reject_pages)))
    }

    /// Whether a `Host` header names the stack. No foreign page can have an IP address or
    /// `localhost` as its host and still be served by a foreign server on the stack's port.
    fn accept(&self, header: &str) -> bool {
        let Some(host) = header.parse::<Uri>().ok().and_then(|uri| {
            let host = uri.host()?;
            Some(host.trim_end_matches('.').to_ascii_lowercase())
        }) else {
            return false;
        };
        let address = host.trim_start_matches('[').trim_end_matches(']');
        address.parse::<IpAddr>().is_ok()
            || host == "localhost"
            || host.ends_with(".localhost")
            || host == CONTAINER_HOST
            || self.0.contains(&host)
    }
}

async fn check_host(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let named = request
        .headers()
        .get(header::HOST)
        .map(|host| host.to_str().is_ok_and(|host| hosts.accept(host)));
    // A browser always sends the header.
    if named.unwrap_or(true) {
        return next.run(request).await;
    }
    let message = "The development stack does not serve this host name. Use localhost, an IP \
                   address, or the host of IDENTITY_DOMAIN or --cors-origin.";
    let body = axum::Json(json!({ "message": message }));
    (StatusCode::MISDIRECTED_REQUEST, body).into_response()
}

async fn reject_pages(request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::ORIGIN) {
        let body = axum::Json(json!({ "message": "Web pages cannot call this service." }));
        return (StatusCode::FORBIDDEN, body).into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_host_name_is_rejected() {
        let hosts = Hosts::of(["https://app.example", "http://localhost:3000"]);
        for host in [
            "localhost",
            "localhost:3000",
            "LOCALHOST:3000",
            "localhost.",
            "id.localhost:3000",
            "127.0.0.1:3000",
            "192.168.1.7",
            "[::1]:3000",
            "host.docker.internal:3001",
            "app.example",
            "App.Example:3000",
        ] {
            assert!(hosts.accept(host), "{host}");
        }
        for host in [
            "",
            ":3000",
            "attacker.example:3000",
            "localhost.attacker.example",
            "127.0.0.1.attacker.example",
            "notlocalhost",
            "sub.app.example",
            "localhost@attacker.example",
            "a b",
        ] {
            assert!(!hosts.accept(host), "{host}");
        }
    }
}

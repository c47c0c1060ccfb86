//! `ANY /auth/{proxy+}`: authenticates a request for a gateway and returns an access token.

use shared::{
    Error,
    domain::{
        ip_network::{Network, client_address},
        session::Client,
        user::{User, Withheld},
    },
    http::{
        Body, HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
        authentication::{Authenticator, is_state_changing},
        client, empty, error_response, header,
    },
    platform::clock::Timestamp,
    store::AccessKeys,
    tokens::access_token::Names,
};

/// Headers with the method of the original request, as Traefik sends it, and nginx by convention.
const METHOD_HEADERS: [&str; 2] = ["x-forwarded-method", "x-original-method"];
const FORWARDED_FOR: &str = "x-forwarded-for";
/// The error key, for gateways that do not forward the body.
const ERROR_HEADER: &str = "x-auth-error";

pub struct Auth {
    pub authenticator: Authenticator,
    pub keys: AccessKeys,
    /// Issuer and audience of access tokens.
    pub names: Names,
    pub method_source: MethodSource,
    /// Gateways whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<Network>,
}

impl Auth {
    /// Returns an access token in `Authorization`, or the error. The body is not read.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let method = strictest_method(request.method(), request.headers(), self.method_source);
        let client = self.client(&request);
        match self
            .authenticator
            .authenticate_client(method, request.headers(), client, now)
            .await
        {
            Ok(signed_in) => authorized(&self.access_token(&signed_in.user, now).await?),
            Err(error) if error.status() == StatusCode::UNAUTHORIZED => unauthorized(&error),
            Err(error) => Err(error),
        }
    }

    async fn access_token(&self, user: &User<Withheld>, now: Timestamp) -> Result<String, Error> {
        let keys = self.keys.signing(now).await?;
        keys.sign(user, &self.names, now).map_err(Error::internal)
    }

    /// The client of the original request. No other endpoint reads the client's address from a
    /// header, and this one only trusts configured proxies. If they do not report it, it is unknown.
    fn client(&self, request: &Request) -> Client {
        let Client {
            address: reported,
            user_agent,
        } = client(request);
        let values = request
            .headers()
            .get_all(FORWARDED_FOR)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()));
        let forwarded_for = values.collect::<Vec<_>>().join(",");
        let address = client_address(&reported, &forwarded_for, &self.trusted_proxies);
        Client {
            address: address.unwrap_or_default(),
            user_agent,
        }
    }
}

/// How a gateway states the method of the original request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodSource {
    /// In a header. A request without one counts as state-changing, so that a gateway that sends
    /// none does not switch the CSRF check off.
    Header,
    /// By the method of its own request; headers are optional.
    Request,
}

/// The method of the original request, or `POST` if anything about it can be state-changing. A header
/// can make a request state-changing, but never the reverse.
fn strictest_method<'a>(
    method: &'a Method,
    headers: &HeaderMap,
    source: MethodSource,
) -> &'a Method {
    let is_safe = |value: &HeaderValue| {
        Method::from_bytes(value.as_bytes()).is_ok_and(|method| !is_state_changing(&method))
    };
    let mut original_methods = METHOD_HEADERS
        .into_iter()
        .flat_map(|name| headers.get_all(name))
        .peekable();
    let is_stated = source == MethodSource::Request || original_methods.peek().is_some();
    if is_stated && original_methods.all(is_safe) {
        method
    } else {
        &Method::POST
    }
}

fn authorized(access_token: &str) -> Result<Response<Body>, Error> {
    let mut response = empty(StatusCode::OK);
    let bearer =
        HeaderValue::from_str(&format!("Bearer {access_token}")).map_err(Error::internal)?;
    response.headers_mut().insert(header::AUTHORIZATION, bearer);
    Ok(response)
}

fn unauthorized(error: &Error) -> Result<Response<Body>, Error> {
    let mut response = error_response(error)?;
    let key = HeaderValue::from_str(&error.keys().join(",")).map_err(Error::internal)?;
    response.headers_mut().insert(ERROR_HEADER, key);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use shared::http::HeaderName;

    use super::*;

    fn is_changing(
        source: MethodSource,
        method: &Method,
        headers: &[(&'static str, &'static str)],
    ) -> bool {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        is_state_changing(strictest_method(method, &headers, source))
    }

    #[test]
    fn a_method_header_can_require_but_not_waive_the_csrf_token() {
        for source in [MethodSource::Header, MethodSource::Request] {
            let is_changing = |method: &Method, headers: &_| is_changing(source, method, headers);
            for safe in ["GET", "HEAD", "OPTIONS"] {
                let both = [("x-forwarded-method", safe), ("x-original-method", safe)];
                for headers in [&both[..], &both[..1], &both[1..]] {
                    assert!(!is_changing(&Method::GET, headers), "{safe}");
                    assert!(is_changing(&Method::DELETE, headers), "{safe}");
                }
            }
            for changing in [
                "POST",
                "PUT",
                "PATCH",
                "DELETE",
                "QUERY",
                "get",
                "GET, POST",
                "",
                " ",
            ] {
                let header = ("x-forwarded-method", changing);
                assert!(is_changing(&Method::GET, &[header][..]), "{changing:?}");
                let both = [
                    ("x-original-method", changing),
                    ("x-forwarded-method", "GET"),
                ];
                assert!(is_changing(&Method::GET, &both[..]), "{changing:?}");
            }
            assert!(is_changing(&Method::POST, &[][..]));
        }
    }

    #[test]
    fn a_request_without_a_method_header_is_state_changing_unless_its_own_method_counts() {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            assert!(is_changing(MethodSource::Header, &method, &[]), "{method}");
            assert!(
                !is_changing(MethodSource::Request, &method, &[]),
                "{method}"
            );
        }
    }
}

//! `ANY /auth/{proxy+}`: tells a gateway whether to let a request through, and whose it is.

use shared::{
    Error,
    domain::{
        ip_network::{Network, client_address},
        session::Client,
        user::User,
    },
    http::{
        Body, HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
        authentication::{Authenticator, is_state_changing},
        client, empty, header, refusal,
    },
    platform::clock::Timestamp,
    tokens::access_token::Names,
};

/// Where a gateway that asks by a request of its own says what the method of the other one is:
/// Traefik, and nginx by convention.
const METHODS: [&str; 2] = ["x-forwarded-method", "x-original-method"];
const FORWARDED_FOR: &str = "x-forwarded-for";
/// The key of a refusal once more, for gateways that do not hand bodies on.
const ERROR: &str = "x-auth-error";

/// What it works with.
pub struct Auth {
    /// Lets in who is signed in.
    pub authenticator: Authenticator,
    /// Names in access tokens.
    pub names: Names,
    /// Gateways that report the client's address.
    pub trusted_proxies: Vec<Network>,
}

impl Auth {
    /// Answers with an access token in `Authorization`, or why there is none. The body is not read.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let method = strictest_method(request.method(), request.headers());
        let client = self.client(&request);
        match self
            .authenticator
            .authenticate_client(method, request.headers(), client, now)
            .await
        {
            Ok(signed_in) => let_through(&self.access_token(&signed_in.user, now).await?),
            Err(error) if error.status() == StatusCode::UNAUTHORIZED => turn_away(&error),
            Err(error) => Err(error),
        }
    }

    async fn access_token(&self, user: &User, now: Timestamp) -> Result<String, Error> {
        let keys = self.authenticator.keys.access_token_keys(now).await?;
        keys.sign(user, &self.names, now).map_err(Error::internal)
    }

    /// Who sent the request that the gateway asks for: here alone does a header tell, and only that
    /// of a trusted proxy.
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
            address,
            user_agent,
        }
    }
}

/// A header may turn a request into one that changes something, never the other way round.
fn strictest_method<'a>(method: &'a Method, headers: &HeaderMap) -> &'a Method {
    let is_safe = |value: &HeaderValue| {
        Method::from_bytes(value.as_bytes()).is_ok_and(|method| !is_state_changing(&method))
    };
    let mut told = METHODS.into_iter().flat_map(|name| headers.get_all(name));
    if told.all(is_safe) {
        method
    } else {
        &Method::POST
    }
}

fn let_through(access_token: &str) -> Result<Response<Body>, Error> {
    let mut response = empty(StatusCode::OK);
    let bearer =
        HeaderValue::from_str(&format!("Bearer {access_token}")).map_err(Error::internal)?;
    response.headers_mut().insert(header::AUTHORIZATION, bearer);
    Ok(response)
}

fn turn_away(error: &Error) -> Result<Response<Body>, Error> {
    let mut response = refusal(error)?;
    let key = HeaderValue::from_str(&error.keys().join(",")).map_err(Error::internal)?;
    response.headers_mut().insert(ERROR, key);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use shared::http::HeaderName;

    use super::*;

    #[test]
    fn a_header_that_tells_the_method_can_only_tighten() {
        let method = |method: Method, told: &[(&'static str, &'static str)]| {
            let headers: HeaderMap = told
                .iter()
                .map(|(name, value)| {
                    (
                        HeaderName::from_static(name),
                        HeaderValue::from_static(value),
                    )
                })
                .collect();
            is_state_changing(strictest_method(&method, &headers))
        };
        for safe in ["GET", "HEAD", "OPTIONS"] {
            assert!(
                !method(
                    Method::GET,
                    &[("x-forwarded-method", safe), ("x-original-method", safe)]
                ),
                "{safe}"
            );
            assert!(
                method(
                    Method::DELETE,
                    &[("x-forwarded-method", safe), ("x-original-method", safe)]
                ),
                "{safe}"
            );
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
            assert!(
                method(Method::GET, &[("x-forwarded-method", changing)]),
                "{changing:?}"
            );
            assert!(
                method(
                    Method::GET,
                    &[
                        ("x-original-method", changing),
                        ("x-forwarded-method", "GET")
                    ]
                ),
                "{changing:?}"
            );
        }
        assert!(!method(Method::GET, &[]) && method(Method::POST, &[]));
    }
}

//! Requests through a CDN (Amazon `CloudFront`). It identifies itself by a secret header, and
//! reports the address of its viewer, which is then the client's address. `docs/DEPLOYMENT.md`
//! describes the set-up.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Once,
};

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, digest},
};
use lambda_http::{
    Request,
    http::{HeaderMap, HeaderName, HeaderValue},
};

use crate::Error;

/// The secret of the CDN.
const SECRET: HeaderName = HeaderName::from_static("x-origin-verify");
/// The address and port of the viewer.
const VIEWER: HeaderName = HeaderName::from_static("cloudfront-viewer-address");

/// The client's address as the CDN reports it; empty if it reports none. An extension of requests
/// that came through the CDN.
#[derive(Clone)]
pub(super) struct ViewerAddress(pub(super) String);

/// Refuses requests that did not come through the CDN, if there is one.
pub struct Cdn {
    /// SHA-256 of each accepted secret.
    secrets: Vec<[u8; 32]>,
    address_missing: Once,
}

impl Cdn {
    /// Accepts requests with one of the secrets that have these SHA-256 values. Without a value
    /// there is no CDN, and every request is accepted.
    #[must_use]
    pub const fn new(secrets: Vec<[u8; 32]>) -> Self {
        Self {
            secrets,
            address_missing: Once::new(),
        }
    }

    /// Checks a request before anything else about it, and removes the secret from it. If the
    /// request came through the CDN, its client's address is the one that the CDN reports. A
    /// warning is logged once per instance if the CDN reports none.
    ///
    /// # Errors
    /// [`Error::DirectAccessDenied`] if there is a CDN, and the request did not come through it.
    pub(super) fn admit(&self, request: &mut Request) -> Result<(), Error> {
        let secret = request.headers_mut().remove(SECRET);
        if self.secrets.is_empty() {
            return Ok(());
        }
        if !secret.is_some_and(|secret| is_accepted(&self.secrets, &secret)) {
            return Err(Error::DirectAccessDenied);
        }
        let address = viewer_address(request.headers());
        if address.is_none() {
            self.address_missing.call_once(|| {
                tracing::warn!(
                    event = "viewer_address_missing",
                    "the CDN reports no client address; its origin request policy must forward \
                     CloudFront-Viewer-Address"
                );
            });
        }
        let address = address.map(|address| address.to_string());
        request
            .extensions_mut()
            .insert(ViewerAddress(address.unwrap_or_default()));
        Ok(())
    }
}

/// Compares with every value in constant time.
fn is_accepted(secrets: &[[u8; 32]], presented: &HeaderValue) -> bool {
    let presented = digest(&SHA256, presented.as_bytes());
    secrets.iter().fold(false, |is_accepted, secret| {
        is_accepted | verify_slices_are_equal(secret, presented.as_ref()).is_ok()
    })
}

/// The address in the only header of that name; `None` if there are several.
fn viewer_address(headers: &HeaderMap) -> Option<IpAddr> {
    let mut values = headers.get_all(VIEWER).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    address_in(value.to_str().ok()?)
}

/// The address in `198.51.100.10:46532`, `[2001:db8::1]:46532` or `2001:db8::1:46532`. What follows
/// the last colon is the port, which only an IPv4 address can lack.
fn address_in(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some(address.into());
    }
    let (host, port) = text.rsplit_once(':')?;
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if !is_port {
        return None;
    }
    let address: IpAddr = match host.strip_prefix('[') {
        Some(bracketed) => bracketed
            .strip_suffix(']')?
            .parse::<Ipv6Addr>()
            .ok()?
            .into(),
        None => host.parse().ok()?,
    };
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use lambda_http::{Body, RequestExt, request::RequestContext};

    use super::*;
    use crate::http::client;

    /// SHA-256 of `first secret` and `second secret`.
    fn secrets() -> Vec<[u8; 32]> {
        ["first secret", "second secret"]
            .map(|secret| {
                let hash = digest(&SHA256, secret.as_bytes());
                hash.as_ref().try_into().expect("32 bytes")
            })
            .into()
    }

    /// A request of 192.0.2.1 with these headers.
    fn request(headers: &[(HeaderName, &str)]) -> Request {
        let context = serde_json::from_value(serde_json::json!({
            "http": { "method": "GET", "sourceIp": "192.0.2.1" }
        }));
        let context = RequestContext::ApiGatewayV2(context.expect("a context"));
        let mut request = Request::new(Body::Empty).with_request_context(context);
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).expect("a header");
            request.headers_mut().append(name, value);
        }
        request
    }

    fn is_refused(cdn: &Cdn, headers: &[(HeaderName, &str)]) -> bool {
        match cdn.admit(&mut request(headers)) {
            Ok(()) => false,
            Err(Error::DirectAccessDenied) => true,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_request_needs_one_of_the_secrets() {
        let cdn = Cdn::new(secrets());
        assert!(!is_refused(&cdn, &[(SECRET, "first secret")]));
        assert!(!is_refused(&cdn, &[(SECRET, "second secret")]));
        for wrong in [
            "",
            "First secret",
            "first secre",
            "first secret,first secret",
            "first secret, second secret",
            // The configured value is not the secret.
            &data_encoding::HEXLOWER.encode(&secrets()[0]),
        ] {
            assert!(is_refused(&cdn, &[(SECRET, wrong)]), "{wrong}");
        }
        assert!(is_refused(&cdn, &[]));
        assert!(is_refused(&cdn, &[(VIEWER, "198.51.100.10:46532")]));
        assert!(is_refused(
            &Cdn::new(secrets()[..1].to_vec()),
            &[(SECRET, "second secret")]
        ));
    }

    #[test]
    fn the_secret_is_removed_from_every_request() {
        for (cdn, secret) in [
            (Cdn::new(secrets()), "first secret"),
            (Cdn::new(secrets()), "wrong"),
            (Cdn::new(Vec::new()), "first secret"),
        ] {
            let mut request = request(&[(SECRET, secret), (SECRET, secret)]);
            let _ = cdn.admit(&mut request);
            assert!(!request.headers().contains_key(SECRET));
        }
    }

    #[test]
    fn the_viewer_is_the_client_only_behind_the_cdn() {
        let viewer = (VIEWER, "198.51.100.10:46532");
        let behind = [(SECRET, "first secret"), viewer.clone()];
        for (cdn, headers, address) in [
            (Cdn::new(secrets()), &behind[..], "198.51.100.10"),
            (Cdn::new(secrets()), &behind[..1], ""),
            (Cdn::new(secrets()), &[behind[0].clone(), (VIEWER, "x")], ""),
            // API Gateway joins repeated headers.
            (
                Cdn::new(secrets()),
                &[behind[0].clone(), viewer.clone(), viewer.clone()],
                "",
            ),
            (Cdn::new(secrets()), &[viewer], "192.0.2.1"),
            (Cdn::new(Vec::new()), &behind, "192.0.2.1"),
        ] {
            let mut request = request(headers);
            let _ = cdn.admit(&mut request);
            assert_eq!(client(&request).address, address, "{headers:?}");
        }
    }

    #[test]
    fn the_part_after_the_last_colon_is_the_port() {
        for (text, address) in [
            ("198.51.100.10:46532", Some("198.51.100.10")),
            ("198.51.100.10:0", Some("198.51.100.10")),
            ("198.51.100.10", Some("198.51.100.10")),
            ("[2001:db8::1]:46532", Some("2001:db8::1")),
            ("2001:db8:0:0:0:0:0:1:46532", Some("2001:db8::1")),
            ("2001:db8::1:46532", Some("2001:db8::1")),
            ("2001:DB8::A:46532", Some("2001:db8::a")),
            ("::1:46532", Some("::1")),
            ("[::ffff:198.51.100.10]:46532", Some("198.51.100.10")),
            ("::ffff:198.51.100.10:46532", Some("198.51.100.10")),
            ("", None),
            (":", None),
            (":46532", None),
            ("unknown", None),
            ("198.51.100.10:", None),
            ("198.51.100.10:65536", None),
            ("198.51.100.10:+80", None),
            ("198.51.100.256:80", None),
            ("198.51.100.10:80:80", None),
            ("198.51.100.10, 203.0.113.7", None),
            ("198.51.100.10:80,203.0.113.7:80", None),
            // Without a port.
            ("[2001:db8::1]", None),
            ("2001:db8:0:0:0:0:0:1", None),
            ("2001:db8::1", None),
            ("[198.51.100.10]:80", None),
            ("[2001:db8::1:46532", None),
            ("2001:db8::1]:46532", None),
            ("fe80::1%eth0:46532", None),
        ] {
            let parsed = address_in(text).map(|address| address.to_string());
            assert_eq!(parsed.as_deref(), address, "{text}");
        }
    }
}

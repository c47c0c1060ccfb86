//! Requests to services that are not AWS: few, small, and never waited for long. They go through the HTTP client of the
//! AWS clients, believe the root certificates of the system, follow no redirects, and know no proxies.

use std::{fmt, time::Duration};

use aws_smithy_http_client::{
    Connector,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{http::HttpConnector, orchestrator::HttpRequest};
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream};
use lambda_http::http::Uri;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{connection::ConnectionFault, telemetry::Counted};

const USER_AGENT: &str = concat!("Latchkey/", env!("CARGO_PKG_VERSION"));

/// Where a service is: an https URL, or an http one of this machine. It has no query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceUrl(String);

impl ServiceUrl {
    /// Reads what an operator wrote, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        const PROBLEM: &str = "is not a URL as https://example.com/path (http only for localhost), without a query";
        let uri: Uri = text.parse().map_err(|_| PROBLEM)?;
        let (scheme, host) = uri.scheme_str().zip(uri.host()).ok_or(PROBLEM)?;
        let safe = !text.contains(['?', '#', '@', '\\']) && is_confidential(scheme, host);
        if safe { Ok(Self(text.to_owned())) } else { Err(PROBLEM.to_owned()) }
    }

    /// What is below it.
    #[must_use]
    pub fn join(&self, rest: &str) -> Self {
        Self(format!("{}/{rest}", self.0.trim_end_matches('/')))
    }

    /// It, with a query.
    #[must_use]
    pub fn with_query(&self, fields: &[(&str, &str)]) -> Self {
        Self(format!("{}?{}", self.0, form(fields)))
    }
}

/// Whether what is sent there stays secret: it is encrypted, or does not leave this machine.
#[must_use]
pub fn is_confidential(scheme: &str, host: &str) -> bool {
    !host.is_empty() && (scheme == "https" || (scheme == "http" && ["localhost", "127.0.0.1", "[::1]"].contains(&host)))
}

/// Why there is no answer to go by. It holds nothing of what was sent or received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboundError {
    /// It took too long.
    TimedOut,
    /// The status is another than 200; a redirect is one too.
    Status(u16),
    /// The answer is longer than what is read.
    TooLong,
    /// The answer is not UTF-8.
    NotText,
    /// The connection failed.
    Failed(ConnectionFault),
    /// The request could not be built.
    Unsendable,
}

impl fmt::Display for OutboundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Status(status) => write!(f, "answered with status {status}"),
            Self::TooLong => f.write_str("the answer is too long"),
            Self::NotText => f.write_str("the answer is not text"),
            Self::Failed(fault) => write!(f, "the connection failed: {fault}"),
            Self::Unsendable => f.write_str("the request could not be built"),
        }
    }
}

impl std::error::Error for OutboundError {}

/// Sends requests to one service.
pub struct Outbound {
    connector: Counted<Connector>,
    patience: Duration,
    limit: usize,
}

impl Outbound {
    /// One that waits so long for an answer, all in all, and reads so many bytes of it at the most.
    #[must_use]
    pub fn new(patience: Duration, limit: usize) -> Self {
        let connector = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build();
        Self { connector: Counted(connector), patience, limit }
    }

    /// The text that the service answers to a form.
    pub async fn post_form(&self, url: &ServiceUrl, fields: &[(&str, &str)]) -> Result<String, OutboundError> {
        let mut request = request("POST", url, SdkBody::from(form(fields)))?;
        request.headers_mut().insert("content-type", "application/x-www-form-urlencoded");
        self.send(request).await
    }

    /// The text that the service answers, asked with a header.
    pub async fn get(&self, url: &ServiceUrl, header: Option<(&'static str, &'static str)>) -> Result<String, OutboundError> {
        let mut request = request("GET", url, SdkBody::empty())?;
        if let Some((name, value)) = header {
            request.headers_mut().insert(name, value);
        }
        self.send(request).await
    }

    async fn send(&self, request: HttpRequest) -> Result<String, OutboundError> {
        let exchange = async {
            match self.exchange(request.try_clone()).await {
                // Once more: a connection that was kept may have ended without anybody's notice while Lambda froze the function.
                Err(OutboundError::Failed(_)) => self.exchange(Some(request)).await,
                outcome => outcome,
            }
        };
        tokio::time::timeout(self.patience, exchange).await.unwrap_or(Err(OutboundError::TimedOut))
    }

    async fn exchange(&self, request: Option<HttpRequest>) -> Result<String, OutboundError> {
        let request = request.ok_or(OutboundError::Unsendable)?;
        let response = self.connector.call(request).await.map_err(|error| failed(&error))?;
        if response.status().as_u16() != 200 {
            return Err(OutboundError::Status(response.status().as_u16()));
        }
        let (mut body, mut read) = (ByteStream::new(response.into_body()), Vec::new());
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| failed(&error))?;
            if read.len() + chunk.len() > self.limit {
                return Err(OutboundError::TooLong);
            }
            read.extend_from_slice(&chunk);
        }
        String::from_utf8(read).map_err(|_| OutboundError::NotText)
    }
}

fn request(method: &str, url: &ServiceUrl, body: SdkBody) -> Result<HttpRequest, OutboundError> {
    let mut request = HttpRequest::new(body);
    request.set_method(method).map_err(|_| OutboundError::Unsendable)?;
    request.set_uri(url.0.as_str()).map_err(|_| OutboundError::Unsendable)?;
    request.headers_mut().insert("user-agent", USER_AGENT);
    Ok(request)
}

fn failed(error: &(impl std::error::Error + 'static)) -> OutboundError {
    OutboundError::Failed(ConnectionFault::of(error))
}

/// <https://url.spec.whatwg.org/#urlencoded-serializing>, but that more is encoded than need be.
fn form(fields: &[(&str, &str)]) -> String {
    let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// What comes of a service that gives these answers, one a connection.
    async fn outcome(answers: Vec<Vec<u8>>) -> Result<String, OutboundError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = ServiceUrl::parse(&format!("http://{}", listener.local_addr().expect("an address"))).expect("a URL");
        let serving = async {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut request = vec![0; 1024];
                assert!(stream.read(&mut request).await.expect("a request") > 0);
                stream.write_all(&answer).await.expect("an answer");
            }
            std::future::pending::<()>().await;
        };
        let outbound = Outbound::new(Duration::from_secs(10), 64);
        tokio::select! {
            outcome = outbound.get(&url, None) => outcome,
            () = serving => unreachable!(),
        }
    }

    fn ok(body: &[u8]) -> Vec<u8> {
        [format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
    }

    #[tokio::test]
    async fn an_answer_is_text_of_a_limited_length() {
        assert_eq!(outcome(vec![ok("ä".repeat(32).as_bytes())]).await.ok(), Some("ä".repeat(32)));
        assert!(matches!(outcome(vec![ok(&[b'x'; 65])]).await, Err(OutboundError::TooLong)));
        assert!(matches!(outcome(vec![ok(b"\xff")]).await, Err(OutboundError::NotText)));
    }

    #[tokio::test]
    async fn any_other_status_is_no_answer_and_a_redirect_is_not_followed() {
        let redirect = b"HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n";
        assert!(matches!(outcome(vec![redirect.to_vec()]).await, Err(OutboundError::Status(307))));
        assert!(matches!(outcome(vec![b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()]).await, Err(OutboundError::Status(204))));
    }

    #[tokio::test]
    async fn a_connection_that_ends_without_an_answer_is_tried_once_more() {
        assert_eq!(outcome(vec![Vec::new(), ok(b"yes")]).await.ok().as_deref(), Some("yes"));
        assert!(matches!(outcome(vec![Vec::new(), Vec::new(), ok(b"yes")]).await, Err(OutboundError::Failed(_))));
    }

    #[tokio::test]
    async fn what_answers_never_is_waited_for_in_all_only_so_long() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = ServiceUrl::parse(&format!("http://{}", listener.local_addr().expect("an address"))).expect("a URL");
        let outbound = Outbound::new(Duration::from_millis(50), 64);
        assert!(matches!(outbound.post_form(&url, &[("a", "b")]).await, Err(OutboundError::TimedOut)));
    }

    #[test]
    fn a_service_is_reached_by_https_or_on_this_machine() {
        for good in [
            "https://example.com",
            "https://example.com:8443/a/b/",
            "http://localhost:1/a",
            "http://127.0.0.1",
            "http://[::1]:80/",
        ] {
            assert!(ServiceUrl::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/path",
            "example.com",
            "http://example.com",
            "http://localhost.example.com",
            "ftp://example.com",
            "https://",
            "https://user@example.com",
            "https://example.com/?a=b",
            "https://example.com/#a",
            "https://exam ple.com",
            "https://example.com\n",
        ] {
            assert!(ServiceUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_url_goes_on_after_one_slash_and_values_are_encoded() {
        for base in ["https://example.com/range/", "https://example.com/range"] {
            let url = ServiceUrl::parse(base).expect("a URL").join("ABCDE").with_query(&[("a", "b&c d"), ("e", "ä+")]);
            assert_eq!(url.0, "https://example.com/range/ABCDE?a=b%26c%20d&e=%C3%A4%2B");
        }
    }
}

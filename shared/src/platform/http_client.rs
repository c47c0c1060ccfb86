//! HTTP requests to services outside AWS, with a short timeout and a limited response size.
//!
//! They use the HTTP implementation of the AWS clients and the root certificates of the system.
//! They follow no redirects and use no proxies.

use std::time::Duration;

use aws_smithy_http_client::{
    Connector,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{http::HttpConnector, orchestrator::HttpRequest};
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream};

use crate::platform::{
    connection::ConnectionFault,
    service_url::{ServiceUrl, form},
    telemetry::Counted,
};

const USER_AGENT: &str = concat!("Latchkey/", env!("CARGO_PKG_VERSION"));

/// The reason for which a request has no usable response. It contains nothing that was sent or
/// received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpClientError {
    /// No complete response within the timeout.
    #[error("no response in time")]
    TimedOut,
    /// The status is not 200. Redirects are errors too.
    #[error("the response has status {0}")]
    Status(u16),
    /// The body is larger than the limit.
    #[error("the response is too large")]
    TooLarge,
    /// The body is not UTF-8.
    #[error("the response is not text")]
    NotText,
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Connection(ConnectionFault),
    /// The request could not be built, so it was not sent.
    #[error("the request could not be built")]
    Construction,
}

/// Sends requests to one service.
pub struct HttpClient {
    connector: Counted<Connector>,
    timeout: Duration,
    /// In bytes.
    body_limit: usize,
}

impl HttpClient {
    /// A client with a timeout for the whole of a request, including a retry, and a limit for the
    /// body of the response, in bytes.
    #[must_use]
    pub fn new(timeout: Duration, body_limit: usize) -> Self {
        let connector = Connector::builder()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .build();
        Self {
            connector: Counted(connector),
            timeout,
            body_limit,
        }
    }

    /// Posts a form (`application/x-www-form-urlencoded`) and returns the body of the response.
    pub async fn post_form(
        &self,
        url: &ServiceUrl,
        fields: &[(&str, &str)],
    ) -> Result<String, HttpClientError> {
        let mut request = request("POST", url, SdkBody::from(form(fields)))?;
        request
            .headers_mut()
            .insert("content-type", "application/x-www-form-urlencoded");
        self.send(request).await
    }

    /// Sends a GET request, with a header if one is given, and returns the body of the response.
    pub async fn get(
        &self,
        url: &ServiceUrl,
        header: Option<(&'static str, &'static str)>,
    ) -> Result<String, HttpClientError> {
        let mut request = request("GET", url, SdkBody::empty())?;
        if let Some((name, value)) = header {
            request.headers_mut().insert(name, value);
        }
        self.send(request).await
    }

    async fn send(&self, request: HttpRequest) -> Result<String, HttpClientError> {
        let exchange = async {
            match self.exchange(request.try_clone()).await {
                // A kept-alive connection may have been closed while the instance was frozen, so
                // the request is retried once.
                Err(HttpClientError::Connection(_)) => self.exchange(Some(request)).await,
                outcome => outcome,
            }
        };
        tokio::time::timeout(self.timeout, exchange)
            .await
            .unwrap_or(Err(HttpClientError::TimedOut))
    }

    async fn exchange(&self, request: Option<HttpRequest>) -> Result<String, HttpClientError> {
        let request = request.ok_or(HttpClientError::Construction)?;
        let response = self
            .connector
            .call(request)
            .await
            .map_err(|error| connection_error(&error))?;
        if response.status().as_u16() != 200 {
            return Err(HttpClientError::Status(response.status().as_u16()));
        }
        let mut body = ByteStream::new(response.into_body());
        let mut read = Vec::new();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| connection_error(&error))?;
            if read.len() + chunk.len() > self.body_limit {
                return Err(HttpClientError::TooLarge);
            }
            read.extend_from_slice(&chunk);
        }
        String::from_utf8(read).map_err(|_| HttpClientError::NotText)
    }
}

fn request(method: &str, url: &ServiceUrl, body: SdkBody) -> Result<HttpRequest, HttpClientError> {
    let mut request = HttpRequest::new(body);
    request
        .set_method(method)
        .map_err(|_| HttpClientError::Construction)?;
    request
        .set_uri(url.as_str())
        .map_err(|_| HttpClientError::Construction)?;
    request.headers_mut().insert("user-agent", USER_AGENT);
    Ok(request)
}

fn connection_error(error: &(impl std::error::Error + 'static)) -> HttpClientError {
    HttpClientError::Connection(ConnectionFault::of(error))
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// The result of a GET request to a service that sends one of these responses per connection.
    async fn get(responses: Vec<Vec<u8>>) -> Result<String, HttpClientError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = ServiceUrl::parse(&format!(
            "http://{}",
            listener.local_addr().expect("an address")
        ))
        .expect("a URL");
        let serving = async {
            for response in responses {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut request = vec![0; 1024];
                assert!(stream.read(&mut request).await.expect("a request") > 0);
                stream.write_all(&response).await.expect("a response");
            }
            std::future::pending::<()>().await;
        };
        let http_client = HttpClient::new(Duration::from_secs(10), 64);
        tokio::select! {
            result = http_client.get(&url, None) => result,
            () = serving => unreachable!(),
        }
    }

    fn ok(body: &[u8]) -> Vec<u8> {
        [
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(),
            body,
        ]
        .concat()
    }

    #[tokio::test]
    async fn a_response_is_text_of_a_limited_size() {
        assert_eq!(
            get(vec![ok("ä".repeat(32).as_bytes())]).await.ok(),
            Some("ä".repeat(32))
        );
        assert!(matches!(
            get(vec![ok(&[b'x'; 65])]).await,
            Err(HttpClientError::TooLarge)
        ));
        assert!(matches!(
            get(vec![ok(b"\xff")]).await,
            Err(HttpClientError::NotText)
        ));
    }

    #[tokio::test]
    async fn a_status_other_than_200_is_an_error_and_redirects_are_not_followed() {
        let redirect =
            b"HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n";
        assert!(matches!(
            get(vec![redirect.to_vec()]).await,
            Err(HttpClientError::Status(307))
        ));
        assert!(matches!(
            get(vec![b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()]).await,
            Err(HttpClientError::Status(204))
        ));
    }

    #[tokio::test]
    async fn a_connection_that_is_closed_without_a_response_is_retried_once() {
        assert_eq!(
            get(vec![Vec::new(), ok(b"yes")]).await.ok().as_deref(),
            Some("yes")
        );
        assert!(matches!(
            get(vec![Vec::new(), Vec::new(), ok(b"yes")]).await,
            Err(HttpClientError::Connection(_))
        ));
    }

    #[tokio::test]
    async fn a_request_without_a_response_times_out() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = ServiceUrl::parse(&format!(
            "http://{}",
            listener.local_addr().expect("an address")
        ))
        .expect("a URL");
        let http_client = HttpClient::new(Duration::from_millis(50), 64);
        assert!(matches!(
            http_client.post_form(&url, &[("a", "b")]).await,
            Err(HttpClientError::TimedOut)
        ));
    }
}

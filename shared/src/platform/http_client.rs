//! Requests to services that are not AWS: few, small, and never waited for long. They go through
//! the HTTP client of the AWS clients, believe the root certificates of the system, follow no
//! redirects, and know no proxies.

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

/// Why there is no answer to go by. It holds nothing of what was sent or received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpClientError {
    /// It took too long.
    #[error("no answer in time")]
    TimedOut,
    /// The status is another than 200; a redirect is one too.
    #[error("answered with status {0}")]
    Status(u16),
    /// The answer is longer than what is read.
    #[error("the answer is too long")]
    TooLong,
    /// The answer is not UTF-8.
    #[error("the answer is not text")]
    NotText,
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Failed(ConnectionFault),
    /// The request could not be built.
    #[error("the request could not be built")]
    Unsendable,
}

/// Sends requests to one service.
pub struct HttpClient {
    connector: Counted<Connector>,
    patience: Duration,
    limit: usize,
}

impl HttpClient {
    /// One that waits so long for an answer, all in all, and reads so many bytes of it at the most.
    #[must_use]
    pub fn new(patience: Duration, limit: usize) -> Self {
        let connector = Connector::builder()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .build();
        Self {
            connector: Counted(connector),
            patience,
            limit,
        }
    }

    /// The text that the service answers to a form.
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

    /// The text that the service answers, asked with a header.
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
                // Once more: a connection that was kept may have ended without anybody's notice
                // while Lambda froze the function.
                Err(HttpClientError::Failed(_)) => self.exchange(Some(request)).await,
                outcome => outcome,
            }
        };
        tokio::time::timeout(self.patience, exchange)
            .await
            .unwrap_or(Err(HttpClientError::TimedOut))
    }

    async fn exchange(&self, request: Option<HttpRequest>) -> Result<String, HttpClientError> {
        let request = request.ok_or(HttpClientError::Unsendable)?;
        let response = self
            .connector
            .call(request)
            .await
            .map_err(|error| failed(&error))?;
        if response.status().as_u16() != 200 {
            return Err(HttpClientError::Status(response.status().as_u16()));
        }
        let mut body = ByteStream::new(response.into_body());
        let mut read = Vec::new();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| failed(&error))?;
            if read.len() + chunk.len() > self.limit {
                return Err(HttpClientError::TooLong);
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
        .map_err(|_| HttpClientError::Unsendable)?;
    request
        .set_uri(url.as_str())
        .map_err(|_| HttpClientError::Unsendable)?;
    request.headers_mut().insert("user-agent", USER_AGENT);
    Ok(request)
}

fn failed(error: &(impl std::error::Error + 'static)) -> HttpClientError {
    HttpClientError::Failed(ConnectionFault::of(error))
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// What comes of a service that gives these answers, one a connection.
    async fn outcome(answers: Vec<Vec<u8>>) -> Result<String, HttpClientError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = ServiceUrl::parse(&format!(
            "http://{}",
            listener.local_addr().expect("an address")
        ))
        .expect("a URL");
        let serving = async {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut request = vec![0; 1024];
                assert!(stream.read(&mut request).await.expect("a request") > 0);
                stream.write_all(&answer).await.expect("an answer");
            }
            std::future::pending::<()>().await;
        };
        let outbound = HttpClient::new(Duration::from_secs(10), 64);
        tokio::select! {
            outcome = outbound.get(&url, None) => outcome,
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
    async fn an_answer_is_text_of_a_limited_length() {
        assert_eq!(
            outcome(vec![ok("ä".repeat(32).as_bytes())]).await.ok(),
            Some("ä".repeat(32))
        );
        assert!(matches!(
            outcome(vec![ok(&[b'x'; 65])]).await,
            Err(HttpClientError::TooLong)
        ));
        assert!(matches!(
            outcome(vec![ok(b"\xff")]).await,
            Err(HttpClientError::NotText)
        ));
    }

    #[tokio::test]
    async fn any_other_status_is_no_answer_and_a_redirect_is_not_followed() {
        let redirect =
            b"HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n";
        assert!(matches!(
            outcome(vec![redirect.to_vec()]).await,
            Err(HttpClientError::Status(307))
        ));
        assert!(matches!(
            outcome(vec![b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()]).await,
            Err(HttpClientError::Status(204))
        ));
    }

    #[tokio::test]
    async fn a_connection_that_ends_without_an_answer_is_tried_once_more() {
        assert_eq!(
            outcome(vec![Vec::new(), ok(b"yes")]).await.ok().as_deref(),
            Some("yes")
        );
        assert!(matches!(
            outcome(vec![Vec::new(), Vec::new(), ok(b"yes")]).await,
            Err(HttpClientError::Failed(_))
        ));
    }

    #[tokio::test]
    async fn what_answers_never_is_waited_for_in_all_only_so_long() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = ServiceUrl::parse(&format!(
            "http://{}",
            listener.local_addr().expect("an address")
        ))
        .expect("a URL");
        let outbound = HttpClient::new(Duration::from_millis(50), 64);
        assert!(matches!(
            outbound.post_form(&url, &[("a", "b")]).await,
            Err(HttpClientError::TimedOut)
        ));
    }
}

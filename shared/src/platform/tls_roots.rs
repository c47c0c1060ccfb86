//! TLS root certificates trusted for AWS endpoints.
//!
//! Loading all root certificates of the system takes longer than the rest of a cold start before
//! the first event. The certificates of AWS endpoints are issued by Amazon and chain up to five
//! roots, which `amazon-roots.pem` contains and which are tried first. The system's roots are used
//! for endpoints whose certificate has another issuer, such as a company's own endpoint.
//!
//! <https://docs.aws.amazon.com/vpc/latest/userguide/vpc-endpoints-ddb.html>, <https://www.amazontrust.com/repository/>

use std::{
    error::Error,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    connector_metadata::ConnectorMetadata,
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
        SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    runtime_components::RuntimeComponents,
};
use rustls::CertificateError;

const AMAZON_ROOTS: &[u8] = include_bytes!("amazon-roots.pem");

/// An HTTP client that trusts Amazon's roots and, if they do not suffice, the system's.
pub(crate) fn client() -> SharedHttpClient {
    let builder = || Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
    let system = builder().build_https();
    let amazon = TlsContext::builder()
        .with_trust_store(TrustStore::empty().with_pem_certificate(AMAZON_ROOTS))
        .build();
    match amazon {
        Ok(amazon) => SharedHttpClient::new(AmazonRootsFirst::new(
            builder().tls_context(amazon).build_https(),
            system,
        )),
        Err(_) => system,
    }
}

#[derive(Debug)]
struct AmazonRootsFirst {
    amazon: SharedHttpClient,
    /// Loads its roots when it creates its first connector.
    system: SharedHttpClient,
    /// Whether an endpoint had a certificate of another issuer. New connectors then use the
    /// system's roots at once.
    has_other_issuer: Arc<AtomicBool>,
}

impl AmazonRootsFirst {
    fn new(amazon: SharedHttpClient, system: SharedHttpClient) -> Self {
        Self {
            amazon,
            system,
            has_other_issuer: Arc::default(),
        }
    }
}

impl HttpClient for AmazonRootsFirst {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        if self.has_other_issuer.load(Ordering::Relaxed) {
            return self.system.http_connector(settings, components);
        }
        let amazon = self.amazon.http_connector(settings, components);
        let system = self.system.clone();
        let settings = settings.clone();
        let components = components.clone();
        let has_other_issuer = Arc::clone(&self.has_other_issuer);
        SharedHttpConnector::new(Connector {
            amazon,
            system,
            settings,
            components,
            has_other_issuer,
        })
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.amazon.connector_metadata()
    }
}

#[derive(Debug)]
struct Connector {
    amazon: SharedHttpConnector,
    system: SharedHttpClient,
    settings: HttpConnectorSettings,
    components: RuntimeComponents,
    has_other_issuer: Arc<AtomicBool>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let retry = request.try_clone();
        let response = self.amazon.call(request);
        let system = self.system.clone();
        let settings = self.settings.clone();
        let components = self.components.clone();
        let has_other_issuer = Arc::clone(&self.has_other_issuer);
        HttpConnectorFuture::new(async move {
            match (response.await, retry) {
                // The handshake failed, so the request was not sent yet.
                (Err(error), Some(request)) if is_unknown_issuer(&error) => {
                    has_other_issuer.store(true, Ordering::Relaxed);
                    system
                        .http_connector(&settings, &components)
                        .call(request)
                        .await
                }
                (outcome, _) => outcome,
            }
        })
    }
}

/// Whether a connection failed because the certificate of the server chains up to none of the
/// roots. An `io::Error` does not return the error that it wraps as its source, so that is searched
/// too.
fn is_unknown_issuer(error: &(dyn Error + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return *error == rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
    }
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(inner) => is_unknown_issuer(inner),
        None => error.source().is_some_and(is_unknown_issuer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_issuer_is_found_in_nested_errors() {
        let invalid = |error| rustls::Error::InvalidCertificate(error);
        let nested = |error: rustls::Error| {
            io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error))
        };
        assert!(is_unknown_issuer(&invalid(CertificateError::UnknownIssuer)));
        assert!(is_unknown_issuer(&nested(invalid(
            CertificateError::UnknownIssuer
        ))));
        assert!(!is_unknown_issuer(&nested(invalid(
            CertificateError::Expired
        ))));
        assert!(!is_unknown_issuer(&io::Error::from(
            io::ErrorKind::ConnectionRefused
        )));
    }
}

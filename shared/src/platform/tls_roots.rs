//! Which certificates AWS's services are believed by.
//!
//! Reading all roots of the system costs a cold start more than everything else that a function
//! does before its first event. AWS's services have certificates that Amazon issued, from five
//! roots: those are here, and looked at first. What they do not vouch for, say an endpoint of one's
//! own behind a company's certificate, is left to the roots of the system.
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

/// An HTTP client that believes Amazon's roots, and then the system's.
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
    /// Reads its roots when it is first asked for a connector.
    system: SharedHttpClient,
    /// Whether Amazon's roots did not do for some service. From then on the system's are taken at
    /// once.
    is_elsewhere: Arc<AtomicBool>,
}

impl AmazonRootsFirst {
    fn new(amazon: SharedHttpClient, system: SharedHttpClient) -> Self {
        Self {
            amazon,
            system,
            is_elsewhere: Arc::default(),
        }
    }
}

impl HttpClient for AmazonRootsFirst {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        if self.is_elsewhere.load(Ordering::Relaxed) {
            return self.system.http_connector(settings, components);
        }
        let amazon = self.amazon.http_connector(settings, components);
        let system = self.system.clone();
        let settings = settings.clone();
        let components = components.clone();
        let is_elsewhere = Arc::clone(&self.is_elsewhere);
        SharedHttpConnector::new(Connector {
            amazon,
            system,
            settings,
            components,
            is_elsewhere,
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
    is_elsewhere: Arc<AtomicBool>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let again = request.try_clone();
        let answer = self.amazon.call(request);
        let system = self.system.clone();
        let settings = self.settings.clone();
        let components = self.components.clone();
        let is_elsewhere = Arc::clone(&self.is_elsewhere);
        HttpConnectorFuture::new(async move {
            match (answer.await, again) {
                // Nothing was sent yet.
                (Err(error), Some(request)) if is_unknown_issuer(&error) => {
                    is_elsewhere.store(true, Ordering::Relaxed);
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

/// Whether a connection failed because no root vouches for the certificate of the other side.
/// Errors of input and output hold others that they do not give as their source.
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
    fn the_cause_is_found_wherever_it_is() {
        let refused = |error| rustls::Error::InvalidCertificate(error);
        let within = |error: rustls::Error| {
            io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error))
        };
        assert!(is_unknown_issuer(&refused(CertificateError::UnknownIssuer)));
        assert!(is_unknown_issuer(&within(refused(
            CertificateError::UnknownIssuer
        ))));
        assert!(!is_unknown_issuer(&within(refused(
            CertificateError::Expired
        ))));
        assert!(!is_unknown_issuer(&io::Error::from(
            io::ErrorKind::ConnectionRefused
        )));
    }
}

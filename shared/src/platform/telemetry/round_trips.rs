//! Counts the round trips of an invocation to AWS and other services.

use std::sync::atomic::{AtomicU32, Ordering};

use aws_smithy_runtime_api::client::{
    connector_metadata::ConnectorMetadata,
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
        SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    runtime_components::RuntimeComponents,
};

static IN_PROGRESS: AtomicU32 = AtomicU32::new(0);
static COUNT: AtomicU32 = AtomicU32::new(0);

/// The round trips since the last call of this function. Concurrent calls count as one. An instance
/// handles one invocation at a time; the calls of its init phase count as part of the first.
pub(super) fn take() -> u32 {
    COUNT.swap(0, Ordering::Relaxed)
}

/// An HTTP client or connector that counts its calls.
#[derive(Debug)]
pub struct Counted<T>(pub T);

struct Call;

impl Call {
    fn begin() -> Self {
        if IN_PROGRESS.fetch_add(1, Ordering::Relaxed) == 0 {
            COUNT.fetch_add(1, Ordering::Relaxed);
        }
        Self
    }
}

/// On drop, so that a cancelled call ends too.
impl Drop for Call {
    fn drop(&mut self) {
        IN_PROGRESS.fetch_sub(1, Ordering::Relaxed);
    }
}

impl HttpClient for Counted<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Counted(self.0.http_connector(settings, components)))
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}

impl<T: HttpConnector> HttpConnector for Counted<T> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let response = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let _call = Call::begin();
            response.await
        })
    }
}

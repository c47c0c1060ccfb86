//! How often a function waited for AWS or another service.

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

static UNDER_WAY: AtomicU32 = AtomicU32::new(0);
static COUNT: AtomicU32 = AtomicU32::new(0);

/// The round trips since the last time that this was asked: a process has one invocation at a time,
/// and what it fetches at its start counts with the first. Calls that are under way side by side
/// are one.
pub(super) fn take() -> u32 {
    COUNT.swap(0, Ordering::Relaxed)
}

/// An HTTP client or connector whose calls are counted.
#[derive(Debug)]
pub struct Counted<T>(pub T);

struct Call;

impl Call {
    fn begin() -> Self {
        if UNDER_WAY.fetch_add(1, Ordering::Relaxed) == 0 {
            COUNT.fetch_add(1, Ordering::Relaxed);
        }
        Self
    }
}

/// Also when nobody waits for the answer any more.
impl Drop for Call {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
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
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let _call = Call::begin();
            answer.await
        })
    }
}

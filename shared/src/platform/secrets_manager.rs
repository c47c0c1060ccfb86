//! A fake of Secrets Manager, for the tests of this crate.

use std::sync::{Arc, Mutex, MutexGuard};

use aws_sdk_secretsmanager::Client;
use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
    },
    http::StatusCode,
};
use aws_smithy_types::{body::SdkBody, retry::RetryConfig};
use serde_json::{Value, json};

use crate::platform::aws::{SecretsManager, deferred};

/// Secrets Manager with one secret. It does not respond until the secret has a value.
#[derive(Clone, Debug, Default)]
pub struct Manager(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The newest first; `None` while the service does not respond.
    values: Option<Vec<&'static str>>,
    calls: usize,
}

impl Manager {
    pub fn with(values: &[&'static str]) -> Self {
        let manager = Self::default();
        manager.set_versions(values);
        manager
    }

    /// Sets the current version of the secret and, if given, the previous one.
    pub fn set_versions(&self, values: &[&'static str]) {
        self.state().values = Some(values.to_vec());
    }

    /// Stops responding, until the next call of `set_versions`.
    pub fn stop(&self) {
        self.state().values = None;
    }

    /// The number of calls so far.
    pub fn calls(&self) -> usize {
        self.state().calls
    }

    /// A client without retries.
    pub fn client(&self) -> SecretsManager {
        let manager = self.clone();
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version_latest()
            .region(aws_types::region::Region::new("eu-central-1"))
            .credentials_provider(aws_credential_types::Credentials::new(
                "tests", "tests", None, None, "tests",
            ))
            .retry_config(RetryConfig::disabled())
            .http_client(http_client_fn(move |_, _| {
                SharedHttpConnector::new(manager.clone())
            }));
        deferred(|| Client::from_conf(config.build()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("a lock")
    }
}

impl HttpConnector for Manager {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut state = self.state();
        state.calls += 1;
        let Some(values) = &state.values else {
            return HttpConnectorFuture::ready(Err(ConnectorError::io("no response".into())));
        };
        let input: Value =
            serde_json::from_slice(request.body().bytes().expect("a body")).expect("JSON");
        let version = usize::from(input["VersionStage"] == "AWSPREVIOUS");
        let (status, body) = match values.get(version) {
            Some(value) => (200, json!({ "SecretString": value, "CreatedDate": 1 })),
            None => (400, json!({ "__type": "ResourceNotFoundException" })),
        };
        let status = StatusCode::try_from(status).expect("a status");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(
            status,
            SdkBody::from(body.to_string()),
        )))
    }
}

//! Secrets Manager, as the tests of this crate need it.

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

/// Secrets Manager with one secret. At first it does not answer.
#[derive(Clone, Debug, Default)]
pub struct Manager(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The newest first.
    values: Option<Vec<&'static str>>,
    calls: usize,
}

impl Manager {
    pub fn with(values: &[&'static str]) -> Self {
        let manager = Self::default();
        manager.holds(values);
        manager
    }

    /// The secret's current value, and the one before it, if there is one.
    pub fn holds(&self, values: &[&'static str]) {
        self.state().values = Some(values.to_vec());
    }

    /// From now on it does not answer.
    pub fn is_down(&self) {
        self.state().values = None;
    }

    /// How often it was asked.
    pub fn calls(&self) -> usize {
        self.state().calls
    }

    /// A client that asks once.
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
            return HttpConnectorFuture::ready(Err(ConnectorError::io("nobody is there".into())));
        };
        let asked: Value =
            serde_json::from_slice(request.body().bytes().expect("a body")).expect("JSON");
        let version = usize::from(asked["VersionStage"] == "AWSPREVIOUS");
        let (status, body) = match values.get(version) {
            Some(value) => (200, json!({ "SecretString": value })),
            None => (400, json!({ "__type": "ResourceNotFoundException" })),
        };
        let status = StatusCode::try_from(status).expect("a status");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(
            status,
            SdkBody::from(body.to_string()),
        )))
    }
}

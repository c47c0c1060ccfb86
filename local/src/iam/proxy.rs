//! A proxy before the DynamoDB emulator that authorizes calls.

use super::{Iam, dynamodb};
use crate::{Error, template::Template};
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// DynamoDB's limit for a request.
const MAXIMUM_BYTES: usize = 16 << 20;

pub struct DynamoDbProxy {
    iam: Arc<Iam>,
    keys: dynamodb::PartitionKeys,
    http: reqwest::Client,
    emulator: String,
}

impl DynamoDbProxy {
    /// `emulator` is the URL of the emulator.
    pub fn new(iam: Arc<Iam>, template: &Template, emulator: String) -> Self {
        let partition_key = |table: &crate::template::Table| {
            let key = table.keys.iter().find(|key| key.role == "HASH")?;
            Some((table.name.clone(), key.name.clone()))
        };
        Self {
            iam,
            keys: template.tables.iter().filter_map(partition_key).collect(),
            http: crate::ambient::http_client(),
            emulator,
        }
    }

    pub fn router(self) -> Router {
        Router::new()
            .fallback(forward)
            .with_state(Arc::new(self))
            .layer(DefaultBodyLimit::max(MAXIMUM_BYTES))
    }

    async fn call(
        &self,
        method: Method,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response, Error> {
        let target = headers
            .get("x-amz-target")
            .and_then(|target| target.to_str().ok())
            .unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let accesses = || {
            dynamodb::accesses(
                operation,
                &serde_json::from_slice(&body).unwrap_or(Json::Null),
                &self.keys,
            )
        };
        if let Err(denied) = self.iam.authorize(&headers, accesses) {
            let error = json!({ "__type": "com.amazon.coral.service#AccessDeniedException", "Message": denied.to_string() });
            let content_type = [("content-type", "application/x-amz-json-1.0")];
            return Ok((StatusCode::BAD_REQUEST, content_type, error.to_string()).into_response());
        }
        for name in ["host", "content-length", "connection"] {
            headers.remove(name);
        }
        let response = self
            .http
            .request(method, &self.emulator)
            .headers(headers)
            .body(body)
            .send()
            .await?;
        let status = response.status();
        let headers = response.headers().clone();
        let body = response.bytes().await?;
        Ok((status, headers, body).into_response())
    }
}

async fn forward(
    State(proxy): State<Arc<DynamoDbProxy>>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answer = proxy.call(method, headers, body).await;
    answer.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, error.to_string()).into_response())
}

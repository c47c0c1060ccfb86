//! A proxy before DynamoDB that measures the capacity that the functions consume.

use crate::{Error, ambient};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value as Json, json};
use std::sync::{Arc, Mutex, OnceLock};
use tokio::net::TcpListener;

/// Capacity consumed by calls, without that of the published public keys: it depends on the time
/// since an instance last read them, not on the operation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Consumed {
    /// Read capacity units.
    pub read: f64,
    /// Write capacity units.
    pub written: f64,
    /// Updates of `MAIL#` items, two per sent mail.
    pub mail_updates: usize,
    /// Batches that read the published public keys, as each instance does once a minute.
    pub key_reads: usize,
}

/// A proxy that counts consumed capacity and updates of mails.
#[derive(Clone)]
pub struct Meter(Arc<Inner>);

struct Inner {
    url: String,
    http: reqwest::Client,
    tables: OnceLock<String>,
    consumed: Mutex<Consumed>,
}

impl Meter {
    /// Starts to listen. [`Meter::stand_before`] sets the target, which may start later.
    pub async fn start() -> Result<Self, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let meter = Self(Arc::new(Inner {
            url,
            http: crate::ambient::http_client(),
            tables: OnceLock::new(),
            consumed: Mutex::default(),
        }));
        let router = Router::new().fallback(forward).with_state(meter.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(meter)
    }

    /// URL of the proxy, for `AWS_ENDPOINT_URL_DYNAMODB` of the functions.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// Sets the URL of DynamoDB. Only the first call has an effect.
    pub fn stand_before(&self, dynamodb_url: &str) {
        let _ = self.0.tables.set(dynamodb_url.to_owned());
    }

    /// Consumption since the start or the last [`Meter::forget`].
    #[must_use]
    pub fn consumed(&self) -> Consumed {
        *ambient::lock(&self.0.consumed)
    }

    /// Resets the counters.
    pub fn forget(&self) {
        *ambient::lock(&self.0.consumed) = Consumed::default();
    }

    async fn pass_on(&self, mut headers: HeaderMap, body: &[u8]) -> Result<Response, Error> {
        let operation = headers
            .get("x-amz-target")
            .and_then(|target| target.to_str().ok()?.rsplit('.').next());
        let operation = operation.unwrap_or_default().to_owned();
        let mut call: Json =
            serde_json::from_slice(body).map_err(|error| Error::new(error.to_string()))?;
        call["ReturnConsumedCapacity"] = json!("TOTAL");
        for name in ["host", "content-length"] {
            headers.remove(name);
        }
        let tables = self.0.tables.get().map_or("", String::as_str);
        let answer = self
            .0
            .http
            .post(tables)
            .headers(headers)
            .body(call.to_string())
            .send()
            .await?;
        let status = answer.status();
        let headers = answer.headers().clone();
        let body = answer.bytes().await?;
        let response: Json = serde_json::from_slice(&body).unwrap_or_default();
        let tables = match &response["ConsumedCapacity"] {
            Json::Array(tables) => tables.as_slice(),
            table => std::slice::from_ref(table),
        };
        let units: f64 = tables
            .iter()
            .filter_map(|table| table["CapacityUnits"].as_f64())
            .sum();
        let mut consumed = ambient::lock(&self.0.consumed);
        let is_about_keys = call.to_string().contains(r#""KEYS#"#);
        match operation.as_str() {
            "GetItem" | "PutItem" if is_about_keys => {}
            "BatchGetItem" if is_about_keys => {
                consumed.key_reads += 1;
                // The item is smaller than 4 KB.
                consumed.read += units - 1.0;
            }
            "GetItem" | "BatchGetItem" | "Query" => consumed.read += units,
            _ => consumed.written += units,
        }
        let is_mail = call["Key"]["sk"]["S"]
            .as_str()
            .is_some_and(|key| key.starts_with("MAIL#"));
        consumed.mail_updates += usize::from(operation == "UpdateItem" && is_mail);
        Ok((status, headers, body).into_response())
    }
}

async fn forward(State(meter): State<Meter>, headers: HeaderMap, body: Bytes) -> Response {
    let answer = meter.pass_on(headers, &body).await;
    answer.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, error.to_string()).into_response())
}

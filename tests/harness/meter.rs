//! What DynamoDB charges: it stands between the functions and their tables, and asks with each call what it consumed.

use std::sync::{Arc, Mutex, OnceLock};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    eventually,
    stack::{Latchkey, spawn},
};

/// Capacity units.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Units {
    pub read: f64,
    pub written: f64,
}

#[derive(Default)]
struct Consumed {
    units: Units,
    /// Changes of mails, two for each that is sent.
    mail_updates: usize,
}

pub struct Meter {
    tables: Arc<OnceLock<String>>,
    consumed: Arc<Mutex<Consumed>>,
}

impl Meter {
    /// Of one mail: it is claimed, its user is read, it is settled.
    pub const MAIL: Units = Units { read: 1.0, written: 2.0 };

    /// A stack whose functions have these variables and reach their tables through the meter.
    pub async fn start(variables: &[(&str, &str)]) -> (Latchkey, Self) {
        let meter = Self { tables: Arc::default(), consumed: Arc::default() };
        let router = Router::new().fallback(forward).with_state((
            reqwest::Client::new(),
            Arc::clone(&meter.tables),
            Arc::clone(&meter.consumed),
        ));
        let listener = spawn(TcpListener::bind("127.0.0.1:0")).await.unwrap().unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        spawn(async move { axum::serve(listener, router).await });
        let latchkey = Latchkey::start(&[variables, &[("AWS_ENDPOINT_URL_DYNAMODB", &url)]].concat()).await;
        meter.tables.set(latchkey.stack.dynamodb_url().to_owned()).unwrap();
        (latchkey, meter)
    }

    /// What an operation consumes, without that of so many mails that it has sent.
    pub async fn units<T>(&self, mails: usize, operation: impl Future<Output = T>) -> (Units, T) {
        *self.consumed.lock().unwrap() = Consumed::default();
        let outcome = operation.await;
        eventually("the mails", || async { (self.consumed.lock().unwrap().mail_updates == 2 * mails).then_some(()) }).await;
        let Units { read, written } = self.consumed.lock().unwrap().units;
        let mails = f64::from(u32::try_from(mails).unwrap());
        (Units { read: read - mails * Self::MAIL.read, written: written - mails * Self::MAIL.written }, outcome)
    }
}

type Shared = (reqwest::Client, Arc<OnceLock<String>>, Arc<Mutex<Consumed>>);

async fn forward(State((client, tables, consumed)): State<Shared>, mut headers: HeaderMap, body: Bytes) -> Response {
    let operation = headers["x-amz-target"].to_str().unwrap().rsplit('.').next().unwrap().to_owned();
    let mut call: Value = serde_json::from_slice(&body).unwrap();
    call["ReturnConsumedCapacity"] = json!("TOTAL");
    for name in ["host", "content-length"] {
        headers.remove(name);
    }
    let answer = client.post(tables.wait()).headers(headers).body(call.to_string()).send().await.unwrap();
    let (status, headers, body) = (answer.status(), answer.headers().clone(), answer.bytes().await.unwrap());
    let told: Value = serde_json::from_slice(&body).unwrap();
    let tables = match &told["ConsumedCapacity"] {
        Value::Array(tables) => tables.clone(),
        table => vec![table.clone()],
    };
    let units: f64 = tables.iter().filter_map(|table| table["CapacityUnits"].as_f64()).sum();
    let mut consumed = consumed.lock().unwrap();
    match operation.as_str() {
        "GetItem" | "BatchGetItem" | "Query" => consumed.units.read += units,
        _ => consumed.units.written += units,
    }
    consumed.mail_updates +=
        usize::from(operation == "UpdateItem" && call["Key"]["sk"]["S"].as_str().is_some_and(|key| key.starts_with("MAIL#")));
    (status, headers, body).into_response()
}

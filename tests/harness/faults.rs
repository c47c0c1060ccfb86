//! A fault-injecting proxy between the functions and the services of AWS.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::{
    eventually,
    fault::{Fault, answer, cancellation, quoting_refusal, refusal, retype, split},
    stack::{Latchkey, spawn},
};

/// Returns the fault of a call, given the name of the operation (`UpdateItem`).
type Plan = Box<dyn FnMut(&str) -> Option<Fault> + Send>;

#[derive(Default)]
struct State {
    plan: Option<Plan>,
    /// The secret whose calls fail.
    failing_secret: Option<&'static str>,
    /// Number of calls by operation.
    calls: BTreeMap<String, usize>,
    /// Bodies of the calls by operation.
    requests: BTreeMap<String, Vec<Value>>,
    injected: BTreeMap<Fault, usize>,
}

#[derive(Clone, Default)]
struct Proxy {
    state: Arc<Mutex<State>>,
    upstream: Arc<OnceLock<String>>,
    /// Changes when every connection must end.
    hang_up: Arc<watch::Sender<()>>,
}

/// A stack whose functions reach the services only through the proxy. The tests, the stream and the
/// mailbox connect directly.
pub struct Faulty {
    pub latchkey: Latchkey,
    /// The proxy's URL for DynamoDB, unique to this stack.
    pub dynamodb_url: String,
    state: Arc<Mutex<State>>,
    hang_up: Arc<watch::Sender<()>>,
}

impl Faulty {
    pub async fn start(variables: &[(&str, &str)]) -> Self {
        let state = Arc::<Mutex<State>>::default();
        let hang_up = Arc::<watch::Sender<()>>::default();
        let dynamodb = Proxy::listening(&state, &hang_up).await;
        let aws = Proxy::listening(&state, &hang_up).await;
        let addresses = [
            ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.0.as_str()),
            ("AWS_ENDPOINT_URL_SESV2", aws.0.as_str()),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", aws.0.as_str()),
        ];
        let latchkey = Latchkey::start(&[&addresses, variables].concat()).await;
        let (dynamodb_url, aws_url) = latchkey.services();
        dynamodb
            .1
            .upstream
            .set(dynamodb_url.trim_start_matches("http://").to_owned())
            .unwrap();
        aws.1
            .upstream
            .set(aws_url.trim_start_matches("http://").to_owned())
            .unwrap();
        Self {
            latchkey,
            dynamodb_url: dynamodb.0,
            state,
            hang_up,
        }
    }

    /// Ends every connection to the proxies.
    pub fn hang_up(&self) {
        self.hang_up.send_replace(());
    }

    /// Waits until an operation was called `times` times since the last plan.
    pub async fn called(&self, operation: &str, times: usize) {
        eventually(operation, || async {
            (self.calls(operation) >= times).then_some(())
        })
        .await;
    }

    /// Replaces the plan and clears the recorded calls.
    pub fn plan(&self, plan: impl FnMut(&str) -> Option<Fault> + Send + 'static) {
        let mut state = self.state.lock().unwrap();
        state.calls.clear();
        state.requests.clear();
        state.failing_secret = None;
        state.plan = Some(Box::new(plan));
    }

    /// The next `times` calls of an operation meet a fault.
    pub fn fail(&self, operation: &'static str, mut times: usize, fault: Fault) {
        self.plan(move |called| {
            let hit = called == operation && times > 0;
            times -= usize::from(hit);
            hit.then_some(fault)
        });
    }

    /// Every call of an operation meets a fault.
    pub fn fail_always(&self, operation: &'static str, fault: Fault) {
        self.fail(operation, usize::MAX, fault);
    }

    /// Every call for that secret fails, and no other call.
    pub fn fail_secret(&self, id: &'static str) {
        self.heal();
        self.state.lock().unwrap().failing_secret = Some(id);
    }

    /// Ends the injection of faults.
    pub fn heal(&self) {
        self.plan(|_| None);
    }

    /// Number of calls of an operation since the last plan.
    pub fn calls(&self, operation: &str) -> usize {
        self.state
            .lock()
            .unwrap()
            .calls
            .get(operation)
            .copied()
            .unwrap_or_default()
    }

    /// The bodies of the calls of an operation since the last plan.
    pub fn requests(&self, operation: &str) -> Vec<Value> {
        self.state
            .lock()
            .unwrap()
            .requests
            .get(operation)
            .cloned()
            .unwrap_or_default()
    }

    /// Number of calls that met each fault so far.
    pub fn injected(&self) -> BTreeMap<Fault, usize> {
        self.state.lock().unwrap().injected.clone()
    }
}

impl Proxy {
    async fn listening(
        state: &Arc<Mutex<State>>,
        hang_up: &Arc<watch::Sender<()>>,
    ) -> (String, Self) {
        let proxy = Self {
            state: state.clone(),
            upstream: Arc::default(),
            hang_up: hang_up.clone(),
        };
        let listener = spawn(TcpListener::bind("127.0.0.1:0"))
            .await
            .unwrap()
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = proxy.clone();
        spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let proxy = serving.clone();
                let mut hang_up = serving.hang_up.subscribe();
                spawn(async move {
                    tokio::select! {
                        _ = hang_up.changed() => {}
                        _ = proxy.serve(client) => {}
                    }
                });
            }
        });
        (url, proxy)
    }

    /// Serves calls until either side closes the connection. `None` ends the connection.
    async fn serve(self, mut client: TcpStream) -> Option<()> {
        loop {
            let (head, message) = message(&mut client).await?;
            let Some(fault) = self.decide(&operation(&head), &message[head.len()..]) else {
                client
                    .write_all(&self.forward(&message).await?)
                    .await
                    .ok()?;
                continue;
            };
            let body = &message[head.len()..];
            let answer = match fault {
                Fault::Throttled => refusal(400, "ThrottlingException", &json!({})),
                Fault::Failed => refusal(500, "InternalServerError", &json!({})),
                Fault::Garbage => b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n<!--".to_vec(),
                Fault::Cut => return None,
                Fault::AnswerLost => {
                    self.forward(&message).await?;
                    return None;
                }
                Fault::AnswerCut => {
                    let answer = self.forward(&message).await?;
                    client.write_all(&answer[..answer.len() - 1]).await.ok()?;
                    return None;
                }
                Fault::BodyCut => {
                    let body = self.forwarded_body(&message).await?;
                    // A truncated empty object must not be valid JSON.
                    answer(200, "", &body[..(body.len() * 4 / 5).max(1)])
                }
                Fault::Silence => {
                    // Returns when the caller closes the connection.
                    let _ = client.read(&mut [0]).await;
                    return None;
                }
                Fault::Cancelled(reasons) => {
                    cancellation(reasons, json(body)["TransactItems"].as_array()?.len())
                }
                Fault::Conflict => refusal(400, "TransactionConflictException", &json!({})),
                Fault::SomeLeftOut | Fault::AllLeftOut => {
                    self.leave_out(&head, &json(body), fault).await?
                }
                Fault::WrongType | Fault::UnknownType => {
                    let mut value = json(&self.forwarded_body(&message).await?);
                    retype(&mut value, fault == Fault::WrongType);
                    answer(200, "", value.to_string().as_bytes())
                }
                Fault::Refused(status, code) => quoting_refusal(status, code, body),
            };
            client.write_all(&answer).await.ok()?;
        }
    }

    /// Executes a part of a batch and reports the rest as unprocessed.
    async fn leave_out(&self, head: &str, request: &Value, fault: Fault) -> Option<Vec<u8>> {
        let is_read = operation(head) == "BatchGetItem";
        let (kept, left_out) = split(request, fault == Fault::AllLeftOut);
        let mut done = match kept {
            // The signature no longer matches the body; the development stack does not verify it.
            Some(kept) => json(
                &self
                    .forwarded_body(&with_body(head, &kept.to_string()))
                    .await?,
            ),
            None => json!({ "Responses": {} }),
        };
        done[if is_read {
            "UnprocessedKeys"
        } else {
            "UnprocessedItems"
        }] = left_out;
        Some(answer(200, "", done.to_string().as_bytes()))
    }

    fn decide(&self, operation: &str, body: &[u8]) -> Option<Fault> {
        let mut state = self.state.lock().unwrap();
        let request = json(body);
        let is_failing = state.failing_secret.is_some_and(|id| {
            request["SecretId"]
                .as_str()
                .is_some_and(|secret| secret.ends_with(id))
        });
        state
            .requests
            .entry(operation.to_owned())
            .or_default()
            .push(request);
        *state.calls.entry(operation.to_owned()).or_default() += 1;
        let planned = state.plan.as_mut().and_then(|plan| plan(operation));
        let fault = planned.or_else(|| is_failing.then_some(Fault::Failed))?;
        *state.injected.entry(fault).or_default() += 1;
        Some(fault)
    }

    async fn forward(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut upstream = TcpStream::connect(self.upstream.get()?).await.ok()?;
        upstream.write_all(message).await.ok()?;
        Some(self::message(&mut upstream).await?.1)
    }

    async fn forwarded_body(&self, message: &[u8]) -> Option<Vec<u8>> {
        let answer = self.forward(message).await?;
        let head = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        Some(answer[head..].to_vec())
    }
}

fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(body)))
}

/// A request with another body.
fn with_body(head: &str, body: &str) -> Vec<u8> {
    let lines = head
        .trim_end()
        .lines()
        .filter(|line| !line.to_ascii_lowercase().starts_with("content-length:"));
    let head = lines.collect::<Vec<_>>().join("\r\n");
    format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The operation of DynamoDB or Secrets Manager in the header. SES has only one and no such header.
fn operation(head: &str) -> String {
    let target = header(head, "x-amz-target").and_then(|target| target.rsplit_once('.'));
    target.map_or_else(
        || "SendEmail".to_owned(),
        |(_, operation)| operation.to_owned(),
    )
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields
        .find(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// The next request or response: its head, and all of it.
async fn message(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let length =
        header(&text, "content-length").map_or(0, |length| length.parse().unwrap_or_default());
    while bytes.len() < head + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some((text, bytes))
}

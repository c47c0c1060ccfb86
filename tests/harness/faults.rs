//! A proxy that misbehaves, between the functions and the services of AWS.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::stack::{Latchkey, spawn};

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The service says that there is too much to do.
    Throttled,
    /// The service says that it failed.
    Failed,
    /// The connection ends before the service has the call.
    Cut,
    /// The service does what it is asked, and the connection ends before its answer.
    AnswerLost,
    /// The service does what it is asked, and half of its answer arrives.
    AnswerCut,
    /// What arrives is no answer of the service.
    Garbage,
    /// Nothing arrives.
    Silence,
}

impl Fault {
    /// All that are over at once.
    pub const QUICK: [Self; 6] = [Self::Throttled, Self::Failed, Self::Cut, Self::AnswerLost, Self::AnswerCut, Self::Garbage];
}

/// Which fault a call meets, by the name of what is called, as `UpdateItem`.
type Plan = Box<dyn FnMut(&str) -> Option<Fault> + Send>;

#[derive(Default)]
struct State {
    plan: Option<Plan>,
    /// How often each operation was called.
    calls: BTreeMap<String, usize>,
    injected: BTreeMap<Fault, usize>,
}

#[derive(Clone, Default)]
struct Proxy {
    state: Arc<Mutex<State>>,
    upstream: Arc<OnceLock<String>>,
}

/// A stack whose functions reach the services only through the proxy. The tests, the stream and the mailbox do without.
pub struct Faulty {
    pub latchkey: Latchkey,
    state: Arc<Mutex<State>>,
}

impl Faulty {
    pub async fn start(variables: &[(&str, &str)]) -> Self {
        let state = Arc::<Mutex<State>>::default();
        let (dynamodb, aws) = (Proxy::listening(&state).await, Proxy::listening(&state).await);
        let addresses = [
            ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.0.as_str()),
            ("AWS_ENDPOINT_URL_SESV2", aws.0.as_str()),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", aws.0.as_str()),
        ];
        let latchkey = Latchkey::start(&[&addresses, variables].concat()).await;
        let (dynamodb_url, aws_url) = latchkey.services();
        dynamodb.1.upstream.set(dynamodb_url.trim_start_matches("http://").to_owned()).unwrap();
        aws.1.upstream.set(aws_url.trim_start_matches("http://").to_owned()).unwrap();
        Self { latchkey, state }
    }

    /// From now on calls meet what the plan says.
    pub fn plan(&self, plan: impl FnMut(&str) -> Option<Fault> + Send + 'static) {
        let mut state = self.state.lock().unwrap();
        state.calls.clear();
        state.plan = Some(Box::new(plan));
    }

    /// The next calls of an operation meet a fault, so many of them.
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

    /// Nothing misbehaves any more.
    pub fn heal(&self) {
        self.plan(|_| None);
    }

    /// How often an operation was called since the last plan.
    pub fn calls(&self, operation: &str) -> usize {
        self.state.lock().unwrap().calls.get(operation).copied().unwrap_or_default()
    }

    /// How many calls met each fault so far.
    pub fn injected(&self) -> BTreeMap<Fault, usize> {
        self.state.lock().unwrap().injected.clone()
    }
}

impl Proxy {
    async fn listening(state: &Arc<Mutex<State>>) -> (String, Self) {
        let proxy = Self { state: state.clone(), upstream: Arc::default() };
        let listener = spawn(TcpListener::bind("127.0.0.1:0")).await.unwrap().unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = proxy.clone();
        spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                spawn(serving.clone().serve(client));
            }
        });
        (url, proxy)
    }

    /// Serves calls until either side has enough. `None` ends the connection.
    async fn serve(self, mut client: TcpStream) -> Option<()> {
        loop {
            let (head, message) = message(&mut client).await?;
            let fault = self.decide(&operation(&head));
            match fault {
                None => client.write_all(&self.forward(&message).await?).await.ok()?,
                Some(Fault::Throttled) => refuse(&mut client, 400, "ThrottlingException").await?,
                Some(Fault::Failed) => refuse(&mut client, 500, "InternalServerError").await?,
                Some(Fault::Garbage) => {
                    client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n<!--").await.ok()?;
                }
                Some(Fault::Cut) => return None,
                Some(Fault::AnswerLost) => {
                    self.forward(&message).await?;
                    return None;
                }
                Some(Fault::AnswerCut) => {
                    let answer = self.forward(&message).await?;
                    client.write_all(&answer[..answer.len() - 1]).await.ok()?;
                    return None;
                }
                Some(Fault::Silence) => {
                    // Until who called gives up.
                    let _ = client.read(&mut [0]).await;
                    return None;
                }
            }
        }
    }

    fn decide(&self, operation: &str) -> Option<Fault> {
        let mut state = self.state.lock().unwrap();
        *state.calls.entry(operation.to_owned()).or_default() += 1;
        let fault = state.plan.as_mut().and_then(|plan| plan(operation))?;
        *state.injected.entry(fault).or_default() += 1;
        Some(fault)
    }

    async fn forward(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut upstream = TcpStream::connect(self.upstream.get()?).await.ok()?;
        upstream.write_all(message).await.ok()?;
        Some(self::message(&mut upstream).await?.1)
    }
}

/// What is called: the operation of DynamoDB or Secrets Manager that the header names, or SES's one.
fn operation(head: &str) -> String {
    let target = header(head, "x-amz-target").and_then(|target| target.rsplit_once('.'));
    target.map_or_else(|| "SendEmail".to_owned(), |(_, operation)| operation.to_owned())
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
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
    let length = header(&text, "content-length").map_or(0, |length| length.parse().unwrap_or_default());
    while bytes.len() < head + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some((text, bytes))
}

async fn refuse(client: &mut TcpStream, status: u16, kind: &str) -> Option<()> {
    let body = format!(r#"{{"__type":"com.amazonaws#{kind}","message":"injected"}}"#);
    let head = format!("HTTP/1.1 {status} Injected\r\nx-amzn-errortype: {kind}\r\ncontent-type: application/x-amz-json-1.0\r\n");
    client.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await.ok()
}

//! A Runtime API for one process that a test can freeze and invoke.

use std::{fs, sync::Arc};

use axum::{
    Router,
    extract::{Path, State},
    response::IntoResponse,
    routing::{get, post},
};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::{Mutex, mpsc, watch},
};

use super::{Faulty, children_of, now, signal, spawn, stack::binaries};

/// A function process that starts without an invocation.
pub struct Lambda {
    process: Child,
    events: mpsc::UnboundedSender<Value>,
    answers: mpsc::UnboundedReceiver<Value>,
    polls: watch::Receiver<usize>,
}

/// The Runtime API.
struct Api {
    events: Mutex<mpsc::UnboundedReceiver<Value>>,
    answers: mpsc::UnboundedSender<Value>,
    polls: watch::Sender<usize>,
}

impl Lambda {
    /// Starts the function with the environment of the stack's own instance, which must be running.
    pub async fn start(faulty: &Faulty, function: &str) -> Self {
        let (events, taken) = mpsc::unbounded_channel();
        let (answers, given) = mpsc::unbounded_channel();
        let (polls, received_polls) = watch::channel(0);
        let api = Arc::new(Api {
            events: Mutex::new(taken),
            answers,
            polls,
        });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(answer))
            .with_state(api);
        let listener = spawn(TcpListener::bind("127.0.0.1:0"))
            .await
            .unwrap()
            .unwrap();
        let address = listener.local_addr().unwrap().to_string();
        spawn(async move { axum::serve(listener, router).await });
        let mut command = Command::new(binaries().await.join(function));
        command
            .env_clear()
            .envs(environment(faulty, function))
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .kill_on_drop(true);
        Self {
            process: spawn(async move { command.spawn() })
                .await
                .unwrap()
                .unwrap(),
            events,
            answers: given,
            polls: received_polls,
        }
    }

    /// Waits until the process has requested `times` events.
    pub async fn has_polled(&mut self, times: usize) {
        self.polls.wait_for(|polls| *polls >= times).await.unwrap();
    }

    pub fn freeze(&self) {
        signal(self.process.id().unwrap(), "STOP");
    }

    pub fn thaw(&self) {
        signal(self.process.id().unwrap(), "CONT");
    }

    /// Sends an event to the process and returns its response.
    pub async fn invoke(&mut self, event: Value) -> Value {
        self.events.send(event).unwrap();
        tokio::time::timeout(super::TIMEOUT, self.answers.recv())
            .await
            .expect("an answer in time")
            .unwrap()
    }
}

/// The environment of the stack's own instance of the function.
fn environment(faulty: &Faulty, function: &str) -> Vec<(String, String)> {
    let instances = children_of(std::process::id())
        .into_iter()
        .filter(|child| child.name == function[..function.len().min(15)]);
    let environments = instances
        .filter_map(|child| fs::read_to_string(format!("/proc/{}/environ", child.id)).ok());
    let own = environments
        .into_iter()
        .find(|text| text.contains(&faulty.dynamodb_url))
        .expect("a running instance");
    let variables = own
        .split('\0')
        .filter_map(|variable| variable.split_once('='));
    variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

async fn next(State(api): State<Arc<Api>>) -> impl IntoResponse {
    api.polls.send_modify(|polls| *polls += 1);
    let event = api.events.lock().await.recv().await.unwrap_or_default();
    let headers = [
        ("lambda-runtime-aws-request-id", "frozen".to_owned()),
        (
            "lambda-runtime-deadline-ms",
            ((now() + 10) * 1000).to_string(),
        ),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:000000000000:function:frozen".to_owned(),
        ),
    ];
    (headers, event.to_string())
}

async fn answer(State(api): State<Arc<Api>>, Path(_): Path<String>, body: String) {
    api.answers
        .send(serde_json::from_str(&body).unwrap())
        .unwrap();
}

//! The stack that the tests talk to.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex},
};

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
use local::{Log, Options, Stack};
use serde_json::Value;
use tokio::{runtime::Runtime, sync::OnceCell, task::JoinHandle};

use super::{captcha, eventually};

/// Runs what outlives a single test: the stacks, and the connections to them.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static BINARIES: OnceCell<Result<PathBuf, String>> = OnceCell::const_new();
static SHARED: OnceCell<Latchkey> = OnceCell::const_new();

/// Calls of functions, in any stack, that their policies did not allow.
static DENIALS: LazyLock<Arc<Mutex<Vec<String>>>> = LazyLock::new(Arc::default);

/// Fails the test if a function was denied a call: on AWS it would not work. Each answer that a
/// test gets checks this, so what fails may be a test that only shares the stack; the message names
/// the function.
#[track_caller]
pub fn no_call_was_denied() {
    let denials = DENIALS.lock().unwrap();
    assert!(
        denials.is_empty(),
        "template.yaml does not allow what the functions do: {denials:#?}"
    );
}

/// Runs a future where it may outlive the test that started it.
pub fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    RUNTIME.spawn(future)
}

/// The folder of the functions' binaries and of `latchkey`. They are built once, also when that
/// fails.
pub async fn binaries() -> &'static Path {
    let build = || async {
        spawn(local::build(false))
            .await
            .unwrap()
            .map_err(|error| error.to_string())
    };
    BINARIES.get_or_init(build).await.as_ref().expect("a build")
}

/// The stack that most tests share. Each has users of its own in it, so they do not meet.
pub async fn latchkey() -> &'static Latchkey {
    SHARED.get_or_init(|| Latchkey::start(&[])).await
}

/// A stack in memory, with what a test needs of it.
pub struct Latchkey {
    pub(super) stack: Arc<Stack>,
    pub(super) tables: aws_sdk_dynamodb::Client,
    pub(super) http: reqwest::Client,
    log: Arc<Mutex<Vec<String>>>,
}

impl Latchkey {
    /// Origins of browsers that may call.
    pub const ORIGINS: [&str; 2] = ["https://app.example", "https://admin.example"];

    /// Starts a stack whose functions have these variables.
    pub async fn start(variables: &[(&str, &str)]) -> Self {
        let log = Arc::default();
        let options = Options {
            listen: ([127, 0, 0, 1], 0).into(),
            data_dir: None,
            binaries: binaries().await.to_owned(),
            cors_origins: Self::ORIGINS.map(str::to_owned).to_vec(),
            env: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>(),
            secrets: [(captcha::SECRET_NAME, captcha::SECRET)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            grant_records: Some(local::grants_folder()),
            denials: Arc::clone(&DENIALS),
            log: Log::Captured(Arc::clone(&log)),
            ..Options::default()
        };
        let stack = spawn(Stack::start(options))
            .await
            .unwrap()
            .expect("a stack");
        let tables = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(stack.dynamodb_url())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("tests", "tests", None, None, "tests"))
            .build();
        Self {
            stack: Arc::new(stack),
            tables: aws_sdk_dynamodb::Client::from_conf(tables),
            http: reqwest::Client::new(),
            log,
        }
    }

    /// Where the API is.
    pub fn url(&self) -> &str {
        self.stack.url()
    }

    /// Where DynamoDB is, and where the other services of AWS are.
    pub fn services(&self) -> (&str, &str) {
        (self.stack.dynamodb_url(), self.stack.aws_url())
    }

    /// What links in mails begin with.
    pub fn domain(&self) -> String {
        self.url().replace("127.0.0.1", "localhost")
    }

    /// Calls a function by its logical id, without the gateway.
    pub async fn invoke(&self, function: &str, event: Value) -> Result<Value, String> {
        self.invoke_later(function, event).await.unwrap()
    }

    /// The same, begun at once and not waited for.
    pub fn invoke_later(&self, function: &str, event: Value) -> JoinHandle<Result<Value, String>> {
        let stack = Arc::clone(&self.stack);
        let function = function.to_owned();
        spawn(async move {
            stack
                .invoke(&function, event)
                .await
                .map_err(|error| format!("{error:?}"))
        })
    }

    /// The secret that the keys of all tokens come from, asked for as the functions do.
    pub async fn token_secret(&self) -> String {
        let body = r#"{"SecretId":"TokenSecret"}"#;
        let request = self
            .http
            .post(self.stack.aws_url())
            .header("x-amz-target", "secretsmanager.GetSecretValue")
            .body(body);
        let answer: Value = spawn(async { request.send().await?.json().await })
            .await
            .unwrap()
            .unwrap();
        answer["SecretString"].as_str().unwrap().to_owned()
    }

    /// Every line that the stack and its functions wrote so far. A function's line may come after
    /// its answer.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// The same, once so many lines have such a text.
    pub async fn log_with(&self, count: usize, text: &str) -> Vec<String> {
        eventually(text, || async {
            let log = self.log();
            (log.iter().filter(|line| line.contains(text)).count() >= count).then_some(log)
        })
        .await
    }

    /// The JSON lines that the functions wrote so far.
    pub fn json_lines(&self) -> Vec<Value> {
        self.log()
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// The fields of the lines in which that function told what it did, once there are so many.
    pub async fn invocations(&self, operation: &str, message: &str, count: usize) -> Vec<Value> {
        eventually(operation, || async {
            let told =
                |fields: &Value| fields["operation"] == operation && fields["message"] == message;
            let lines: Vec<Value> = self
                .json_lines()
                .into_iter()
                .map(|mut line| line["fields"].take())
                .filter(|fields| told(fields))
                .collect();
            (lines.len() >= count).then_some(lines)
        })
        .await
    }
}

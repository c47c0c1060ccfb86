//! The development stack in the test process.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex},
};

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
use local::{Log, Options, Stack};
use serde_json::{Value, json};
use tokio::{runtime::Runtime, sync::OnceCell, task::JoinHandle};

use super::{captcha, eventually};

/// Runs what outlives a single test: the stacks and the connections to them.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static BINARIES: OnceCell<Result<PathBuf, String>> = OnceCell::const_new();
static SHARED: OnceCell<Latchkey> = OnceCell::const_new();

/// Calls that a function's policy did not allow, in any stack.
static DENIALS: LazyLock<Arc<Mutex<Vec<String>>>> = LazyLock::new(Arc::default);

/// Fails the test if a policy denied a function a call, as AWS would. Checked with every answer, so
/// the failing test may be another one on the same stack; the message names the function.
#[track_caller]
pub fn no_call_was_denied() {
    // A copy, so that the failed assertion does not poison the lock and hide the denials from the
    // tests after it.
    let denials = DENIALS.lock().unwrap().clone();
    assert!(
        denials.is_empty(),
        "template.yaml does not allow what the functions do: {denials:#?}"
    );
}

/// Runs a future that may outlive the test.
pub fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    RUNTIME.spawn(future)
}

/// The folder of the functions' binaries and of `latchkey`. They are built once, even if the build
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

/// The stack that most tests share. Each test creates its own users, so tests do not interfere.
pub async fn latchkey() -> &'static Latchkey {
    SHARED.get_or_init(|| Latchkey::start(&[])).await
}

/// A stack with its data in memory.
pub struct Latchkey {
    pub(super) stack: Arc<Stack>,
    pub(super) tables: aws_sdk_dynamodb::Client,
    pub(super) http: reqwest::Client,
    log: Arc<Mutex<Vec<String>>>,
}

/// A client of the DynamoDB of a stack.
pub fn tables_at(url: &str) -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(url)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("tests", "tests", None, None, "tests"))
        .build();
    aws_sdk_dynamodb::Client::from_conf(config)
}

impl Latchkey {
    /// The allowed browser origins.
    pub const ORIGINS: [&str; 2] = ["https://app.example", "https://admin.example"];

    /// Starts a stack with these variables of the functions.
    pub async fn start(variables: &[(&str, &str)]) -> Self {
        Self::start_with_secrets(variables, &[]).await
    }

    /// The same, with further secrets of the operator, by name.
    pub async fn start_with_secrets(variables: &[(&str, &str)], secrets: &[(&str, &str)]) -> Self {
        let log = Arc::default();
        let options = Options {
            listen: ([127, 0, 0, 1], 0).into(),
            data_dir: None,
            binaries: binaries().await.to_owned(),
            cors_origins: Self::ORIGINS.map(str::to_owned).to_vec(),
            // Most tests count the mails to a user.
            env: [("IDENTITY_SIGN_IN_NOTICE", "off")]
                .iter()
                .chain(variables)
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>(),
            secrets: [(captcha::SECRET_NAME, captcha::SECRET)]
                .iter()
                .chain(secrets)
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            grant_records: Some(local::grants_folder()),
            denials: Arc::clone(&DENIALS),
            log: Log::Captured(Arc::clone(&log)),
            ..Options::default()
        };
        let stack = spawn(Stack::start(options))
            .await
            .unwrap()
            .expect("a stack");
        let tables = tables_at(stack.dynamodb_url());
        Self {
            stack: Arc::new(stack),
            tables,
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            log,
        }
    }

    /// The URL of the API.
    pub fn url(&self) -> &str {
        self.stack.url()
    }

    /// The URLs of DynamoDB and of the other AWS services.
    pub fn services(&self) -> (&str, &str) {
        (self.stack.dynamodb_url(), self.stack.aws_url())
    }

    /// The base of links in mails.
    pub fn domain(&self) -> String {
        self.url().replace("127.0.0.1", "localhost")
    }

    /// Invokes a function by its logical id, without the gateway.
    pub async fn invoke(&self, function: &str, event: Value) -> Result<Value, String> {
        self.invoke_later(function, event).await.unwrap()
    }

    /// Starts the invocation of a function, without waiting for it.
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

    /// The token secret, fetched from Secrets Manager.
    pub async fn token_secret(&self) -> String {
        self.secret("TokenSecret").await
    }

    /// The data secret, fetched from Secrets Manager.
    pub async fn data_secret(&self) -> Value {
        serde_json::from_str(&self.secret("DataSecret").await).unwrap()
    }

    /// Stores a version of the data secret.
    pub async fn put_data_secret(&self, secret: &Value) {
        self.put_secret("DataSecret", &secret.to_string()).await;
    }

    /// Stores a version of a secret, as `aws secretsmanager put-secret-value` does.
    pub async fn put_secret(&self, id: &str, text: &str) {
        let body = json!({ "SecretId": id, "SecretString": text });
        self.secrets_manager("PutSecretValue", &body).await;
    }

    async fn secret(&self, id: &str) -> String {
        let body = json!({ "SecretId": id });
        let answer = self.secrets_manager("GetSecretValue", &body).await;
        answer["SecretString"].as_str().unwrap().to_owned()
    }

    async fn secrets_manager(&self, operation: &str, body: &Value) -> Value {
        let request = self
            .http
            .post(self.stack.aws_url())
            .header("x-amz-target", format!("secretsmanager.{operation}"))
            .body(body.to_string());
        spawn(async { request.send().await?.error_for_status()?.json().await })
            .await
            .unwrap()
            .unwrap()
    }

    /// Every line logged by the stack and its functions so far. A function's line may follow its
    /// answer.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// The log, as soon as `count` lines contain the text.
    pub async fn log_with(&self, count: usize, text: &str) -> Vec<String> {
        eventually(text, || async {
            let log = self.log();
            (log.iter().filter(|line| line.contains(text)).count() >= count).then_some(log)
        })
        .await
    }

    /// The JSON lines logged by the functions so far.
    pub fn json_lines(&self) -> Vec<Value> {
        self.log()
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// The fields of the operation's log lines with that message, as soon as there are `count`.
    pub async fn invocations(&self, operation: &str, message: &str, count: usize) -> Vec<Value> {
        eventually(operation, || async {
            let is_wanted =
                |fields: &Value| fields["operation"] == operation && fields["message"] == message;
            let lines: Vec<Value> = self
                .json_lines()
                .into_iter()
                .map(|mut line| line["fields"].take())
                .filter(|fields| is_wanted(fields))
                .collect();
            (lines.len() >= count).then_some(lines)
        })
        .await
    }
}

use crate::{
    Error, Options, ambient,
    data::Data,
    database,
    events::EventDispatcher,
    gateway::Gateway,
    iam::{DynamoDbProxy, Iam},
    lambda,
    log::Logger,
    mail::Mailbox,
    pages::{self, MAILBOX, Pages},
    runtime::{self, Failure, Functions, RuntimeRegistry},
    secrets::Secrets,
    stream::{self, Positions},
    template::Template,
};
use axum::{
    Router,
    body::Bytes,
    http::HeaderMap,
    routing::{any, post},
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc, oneshot},
    task::{JoinHandle, JoinSet},
};

/// File in the data folder that tells other programs where the stack is while it runs.
pub const ENDPOINT_FILE: &str = "stack.json";
/// How long requests under way may take to end when the stack stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// Everything that template.yaml describes, running. Dropping it ends it too, but without waiting
/// for the end.
pub struct Stack {
    address: SocketAddr,
    url: String,
    dynamodb_url: String,
    aws_url: String,
    functions: Arc<Functions>,
    gateway: Server,
    emulator: Server,
    dynamodb: Server,
    aws: Server,
    /// Followers of streams and the like, which go on until they are aborted.
    workers: JoinSet<()>,
    written: Arc<Notify>,
    data: Arc<Data>,
}

impl Stack {
    /// Finds out before a build, which may take minutes, what would stop the start after it.
    pub async fn check(options: &Options) -> Result<(), Error> {
        let listener = listen(options.listen).await?;
        let (parameters, _) = configuration(
            local_address(&listener)?,
            &options.cors_origins,
            options.env.clone(),
        );
        Template::read(&options.template, &parameters).map(|_| ())
    }

    pub async fn start(options: Options) -> Result<Self, Error> {
        let log = Logger::new(options.log);
        let gateway_listener = listen(options.listen).await?;
        let address = local_address(&gateway_listener)?;
        let (parameters, overrides) = configuration(address, &options.cors_origins, options.env);
        let template = Template::read(&options.template, &parameters)?;
        let data = Arc::new(match &options.data_dir {
            Some(folder) => Data::open(folder)?,
            None => Data::in_memory(),
        });
        let secrets = Secrets::open(&template.secrets, options.secrets, data.clone())?;
        let (bus, events) = mpsc::unbounded_channel();
        let mailbox = Arc::new(Mailbox::open(data.clone(), &template, bus, log.clone())?);
        let positions = Arc::new(Positions::open(data.clone())?);
        let database = database::open(&data, &template)?;

        let iam = Arc::new(Iam::new(
            &template,
            options.grant_records.as_deref(),
            options.denials,
            log.clone(),
        ));

        let dynamodb_listener = listen_beside(address, 1, &log).await?;
        let aws_listener = listen_beside(address, 2, &log).await?;
        let emulator_listener = listen((Ipv4Addr::LOCALHOST, 0).into()).await?;
        let emulator_url = format!("http://{}", local_address(&emulator_listener)?);
        let url = format!("http://{address}");
        let dynamodb_url = format!("http://{}", local_address(&dynamodb_listener)?);
        let aws_url = format!("http://{}", local_address(&aws_listener)?);

        let registry = Arc::<RuntimeRegistry>::default();
        let functions = Arc::new(Functions::new(
            &template,
            runtime::RuntimeSettings {
                binaries: options.binaries,
                environment: service_endpoints(&dynamodb_url, &aws_url),
                overrides,
                runtime_url: aws_url.clone(),
            },
            registry.clone(),
            log.clone(),
        )?);

        let written = Arc::new(Notify::new());
        let emulator = Server::start({
            let database = database.clone();
            async |stop| {
                // It ends when `stop` resolves.
                let _ =
                    dynoxide::server::serve_with_shutdown(emulator_listener, database, stop).await;
            }
        });
        let router = DynamoDbProxy::new(iam.clone(), &template, emulator_url).router();
        let dynamodb = Server::start(|stop| serve(dynamodb_listener, router, stop));
        let router = aws_router(secrets, mailbox.clone(), iam)
            .merge(runtime::router(registry))
            .merge(lambda::router(functions.clone(), written.clone()));
        let aws = Server::start(|stop| serve(aws_listener, router, stop));
        let gateway = Gateway::new(
            &template,
            functions.clone(),
            Pages::new(mailbox),
            written.clone(),
            log.clone(),
        );
        let router = Router::new()
            .fallback(Gateway::handle)
            .with_state(Arc::new(gateway))
            .merge(pages::api());
        let gateway = Server::start(|stop| serve(gateway_listener, router, stop));

        data.write(
            ENDPOINT_FILE,
            json!({ "aws": aws_url }).to_string().as_bytes(),
        )?;
        let mut workers = JoinSet::new();
        workers.spawn(database::sweep(database.clone(), log.clone()));
        workers.spawn(
            EventDispatcher::new(events, &template, functions.clone(), log.clone())
                .run(written.clone()),
        );
        for follower in stream::followers(&template, &database, &functions, &positions, &log) {
            workers.spawn(follower.run(written.clone()));
        }
        Ok(Self {
            address,
            url,
            dynamodb_url,
            aws_url,
            functions,
            gateway,
            emulator,
            dynamodb,
            aws,
            workers,
            written,
            data,
        })
    }

    /// Where the API is, such as `http://127.0.0.1:3000`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address that people use: the one that is in the links of mails.
    #[must_use]
    pub fn public_url(&self) -> String {
        public_url(self.address)
    }

    #[must_use]
    pub fn mailbox_url(&self) -> String {
        self.public_url() + MAILBOX
    }

    /// Where DynamoDB's API is.
    #[must_use]
    pub fn dynamodb_url(&self) -> &str {
        &self.dynamodb_url
    }

    /// Where SES, Secrets Manager and Lambda are.
    #[must_use]
    pub fn aws_url(&self) -> &str {
        &self.aws_url
    }

    /// For measurements that call a function without the gateway.
    #[must_use]
    pub fn functions(&self) -> &Functions {
        &self.functions
    }

    /// Calls a function as AWS would, by its name in the template.
    pub async fn invoke(
        &self,
        function: &str,
        event: serde_json::Value,
    ) -> Result<serde_json::Value, Failure> {
        let answer = self
            .functions
            .invoke(function, event.to_string().into())
            .await;
        self.written.notify_one();
        let payload = answer?;
        Ok(serde_json::from_slice(&payload).unwrap_or(serde_json::Value::Null))
    }

    /// Ends everything: requests under way are answered first, then the functions end, then what
    /// they rely on.
    pub async fn stop(mut self) {
        self.data.remove(ENDPOINT_FILE);
        self.workers.shutdown().await;
        self.gateway.end().await;
        self.functions.end().await;
        self.aws.end().await;
        self.dynamodb.end().await;
        self.emulator.end().await;
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.functions.release();
    }
}

/// Variables by which the SDK in the functions finds the local services, and what the developer set
/// for their logs.
fn service_endpoints(dynamodb_url: &str, aws_url: &str) -> BTreeMap<String, String> {
    let endpoints = [
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_url),
        ("AWS_ENDPOINT_URL_SESV2", aws_url),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", aws_url),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let logs = ["RUST_LOG", "RUST_BACKTRACE"]
        .into_iter()
        .filter_map(|name| ambient::variable(name).map(|value| (name.to_owned(), value)));
    endpoints.into_iter().chain(logs).collect()
}

/// Something that serves until it is stopped or dropped.
struct Server {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Server {
    fn start<F: Future<Output = ()> + Send + 'static>(serve: impl FnOnce(StopSignal) -> F) -> Self {
        let (stop, stopped) = oneshot::channel();
        let signal: StopSignal = Box::pin(async {
            // Told, or dropped.
            let _ = stopped.await;
        });
        Self {
            stop: Some(stop),
            task: tokio::spawn(serve(signal)),
        }
    }

    /// Lets what is under way end, for a moment.
    async fn end(&mut self) {
        drop(self.stop.take());
        if tokio::time::timeout(SHUTDOWN_GRACE, &mut self.task)
            .await
            .is_err()
        {
            self.task.abort();
        }
    }
}

type StopSignal = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Values of the template's parameters, and the variables that functions get whatever the template
/// says.
fn configuration(
    address: SocketAddr,
    cors_origins: &[String],
    env: BTreeMap<String, String>,
) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let mut variables: BTreeMap<String, String> = [
        ("IDENTITY_DOMAIN", public_url(address)),
        ("IDENTITY_SENDER_EMAIL", "noreply@example.com".to_owned()),
        // Whoever tries things out tries them often.
        ("IDENTITY_REQUESTS_PER_MINUTE", "0".to_owned()),
        ("IDENTITY_MAIL_INTERVAL", "0".to_owned()),
        ("IDENTITY_MAILS_PER_HOUR", "0".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    variables.extend(env.clone());
    let mut parameters: BTreeMap<String, String> = variables
        .into_iter()
        .filter_map(|(name, value)| Some((parameter_name(&name)?, value)))
        .collect();
    // Here is no front end, unless `IDENTITY_DOMAIN` names one.
    parameters.insert("Pages".to_owned(), "on".to_owned());
    parameters.insert("PagesUrl".to_owned(), public_url(address));
    if !cors_origins.is_empty() {
        parameters.insert("CorsAllowedOrigins".to_owned(), cors_origins.join(","));
    }
    (parameters, env)
}

/// `IDENTITY_SESSION_NAME` is the parameter `SessionName`.
fn parameter_name(variable: &str) -> Option<String> {
    let words = variable.strip_prefix("IDENTITY_")?.split('_');
    Some(
        words
            .map(|word| {
                word[..1.min(word.len())].to_owned() + &word[1.min(word.len())..].to_lowercase()
            })
            .collect(),
    )
}

/// `localhost` whatever the address: what browsers take for safe without TLS, and what the
/// configuration allows.
fn public_url(address: SocketAddr) -> String {
    format!("http://localhost:{}", address.port())
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => Error::new(format!(
                "Port {} is in use: {address} is taken by another program.",
                address.port()
            ))
            .advice("Stop that program, or take a free port with --listen 127.0.0.1:0."),
            _ => Error::new(format!(
                "It is not possible to listen on {address}: {error}"
            ))
            .advice("Choose another address, such as --listen 127.0.0.1:0 for a free port."),
        })
}

/// On a port that follows from the API's, so that other programs can be told of it beforehand
/// (events/env.json is); on a free one where that is taken.
async fn listen_beside(api: SocketAddr, distance: u16, log: &Logger) -> Result<TcpListener, Error> {
    let port = api.port().checked_add(distance).unwrap_or_default();
    if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        return Ok(listener);
    }
    log.notice(&format!("Port {port} is taken, so a free one is used in its place: events/env.json does not name it."));
    listen((Ipv4Addr::LOCALHOST, 0).into()).await
}

fn local_address(listener: &TcpListener) -> Result<SocketAddr, Error> {
    listener
        .local_addr()
        .map_err(|error| Error::new(error.to_string()))
}

async fn serve(listener: TcpListener, router: Router, stop: StopSignal) {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let _ = axum::serve(listener, service)
        .with_graceful_shutdown(stop)
        .await;
}

/// What the functions reach of AWS beside DynamoDB.
fn aws_router(secrets: Secrets, mailbox: Arc<Mailbox>, iam: Arc<Iam>) -> Router {
    let secrets = Arc::new(secrets);
    let iam_of_mail = iam.clone();
    let mail =
        async move |headers: HeaderMap, body: Bytes| mailbox.answer(&headers, &body, &iam_of_mail);
    Router::new()
        .route(
            "/",
            any(async move |headers: HeaderMap, body: Bytes| secrets.answer(&headers, &body, &iam)),
        )
        .route("/v2/email/outbound-emails", post(mail))
}

use crate::{
    Error, Options, ambient,
    data::Data,
    database,
    events::EventDispatcher,
    gateway::Gateway,
    host::Hosts,
    iam::{DynamoDbProxy, Iam},
    lambda,
    log::Logger,
    mail::Mailbox,
    pages::{self, MAILBOX, Pages},
    runtime::{self, Failure, Functions, RuntimeRegistry},
    secrets::Secrets,
    server::{
        Server, StopSignal, listen, listen_at_offset, listen_unguessably, local_address, serve,
    },
    stream::{self, Positions},
    template::{GivenValue, Template},
};
use axum::{
    Router,
    body::Bytes,
    http::HeaderMap,
    routing::{any, post},
};
use dynoxide::Database;
use serde_json::json;
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
    task::JoinSet,
};

/// File in the data folder that holds the endpoint of the running stack, for `latchkey users`.
pub const ENDPOINT_FILE: &str = "stack.json";

const ALLOWED_ORIGINS: &str = "IDENTITY_ALLOWED_ORIGINS";
/// The parameter that sets it, and the origins that CORS allows.
const CORS_ALLOWED_ORIGINS: &str = "CorsAllowedOrigins";

/// A running stack. Dropping it ends it too, without waiting for the end of requests and functions.
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
    /// Background tasks, such as stream pollers, which run until they are aborted.
    workers: JoinSet<()>,
    written: Arc<Notify>,
    data: Arc<Data>,
}

impl Stack {
    /// Checks the configuration, the address and the template before a build, which may take
    /// minutes. [`Stack::start`] does not check the configuration by the constraints of the
    /// template, so that tests can start functions with other values.
    pub async fn check(options: &Options) -> Result<(), Error> {
        Template::check_values(&options.template, &given_values(options))?;
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
        let front_ends = ["IDENTITY_DOMAIN", ALLOWED_ORIGINS]
            .into_iter()
            .filter_map(|name| overrides.get(name))
            .flat_map(|origins| origins.split(','));
        let hosts = Hosts::of(front_ends);
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

        let dynamodb_listener = listen_at_offset(address, 1, &log).await?;
        let aws_listener = listen_at_offset(address, 2, &log).await?;
        let emulator_listener = listen_unguessably().await?;
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
        let emulator = Server::start(|stop| emulate(emulator_listener, database.clone(), stop));
        let router = DynamoDbProxy::new(iam.clone(), &template, emulator_url).router();
        let router = hosts.guard_service(router);
        let dynamodb = Server::start(|stop| serve(dynamodb_listener, router, stop));
        let router = aws_router(secrets, mailbox.clone(), iam)
            .merge(runtime::router(registry))
            .merge(lambda::router(functions.clone(), written.clone()));
        let router = hosts.guard_service(router);
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
        let router = hosts.guard(router);
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

    /// URL of the API, such as `http://127.0.0.1:3000`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// URL of the API for browsers, and by default of the links in mails:
    /// `http://localhost:<port>`.
    #[must_use]
    pub fn public_url(&self) -> String {
        public_url(self.address)
    }

    #[must_use]
    pub fn mailbox_url(&self) -> String {
        self.public_url() + MAILBOX
    }

    /// Endpoint of DynamoDB.
    #[must_use]
    pub fn dynamodb_url(&self) -> &str {
        &self.dynamodb_url
    }

    /// Endpoint of SES, Secrets Manager and Lambda.
    #[must_use]
    pub fn aws_url(&self) -> &str {
        &self.aws_url
    }

    /// The functions, for measurements that bypass the gateway.
    #[must_use]
    pub fn functions(&self) -> &Functions {
        &self.functions
    }

    /// Invokes a function by its logical id in the template.
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

    /// Stops the gateway, which completes requests in progress, then the functions, then the
    /// services that they use.
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

/// Variables with the endpoints of local services for the AWS SDK, and the developer's variables
/// for logs.
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

/// Values for the template's parameters, and variables that override those of the functions.
fn configuration(
    address: SocketAddr,
    cors_origins: &[String],
    mut env: BTreeMap<String, String>,
) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    // As in the functions, a blank variable counts as not set.
    env.retain(|_, value| !value.trim().is_empty());
    if !cors_origins.is_empty() {
        env.insert(ALLOWED_ORIGINS.to_owned(), cors_origins.join(","));
    }
    let mut variables: BTreeMap<String, String> = [
        ("IDENTITY_DOMAIN", public_url(address)),
        ("IDENTITY_SENDER_EMAIL", "noreply@example.com".to_owned()),
        // No rate limits for requests and mails, which would hinder development.
        ("IDENTITY_REQUESTS_PER_MINUTE", "0".to_owned()),
        ("IDENTITY_SESSION_REQUESTS_PER_MINUTE", "0".to_owned()),
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
    // The stack serves the hosted pages, because it has no front end unless `IDENTITY_DOMAIN` names
    // one.
    parameters.insert("Pages".to_owned(), "on".to_owned());
    parameters.insert("PagesUrl".to_owned(), public_url(address));
    (parameters, env)
}

/// The values that the developer sets, by variables or options.
fn given_values(options: &Options) -> Vec<GivenValue> {
    let origins = options.cors_origins.join(",");
    let each_origin = options.cors_origins.iter().map(String::as_str);
    // The list has a maximum length. It replaces the variable.
    let list = (options.cors_origins.len() > 1).then_some(origins.as_str());
    let from_options = each_origin.chain(list).map(|value| GivenValue {
        source: "--cors-origin".to_owned(),
        parameter: CORS_ALLOWED_ORIGINS.to_owned(),
        value: value.to_owned(),
    });
    let set = options.env.iter();
    let set = set.filter(|(_, value)| !value.trim().is_empty());
    let variables = set.filter_map(|(name, value)| {
        let is_replaced = name == ALLOWED_ORIGINS && !options.cors_origins.is_empty();
        Some(GivenValue {
            source: name.clone(),
            parameter: parameter_name(name).filter(|_| !is_replaced)?,
            value: value.clone(),
        })
    });
    from_options.chain(variables).collect()
}

/// The template's parameter for a variable: `SessionName` for `IDENTITY_SESSION_NAME`.
fn parameter_name(variable: &str) -> Option<String> {
    if variable == ALLOWED_ORIGINS {
        // Also the origins that CORS allows.
        return Some(CORS_ALLOWED_ORIGINS.to_owned());
    }
    let words = variable.strip_prefix("IDENTITY_")?.split('_');
    Some(
        words
            .map(|word| {
                word[..1.min(word.len())].to_owned() + &word[1.min(word.len())..].to_lowercase()
            })
            .collect(),
    )
}

/// Always `localhost`: browsers treat it as secure without TLS, and the configuration allows http
/// for it.
fn public_url(address: SocketAddr) -> String {
    format!("http://localhost:{}", address.port())
}

async fn emulate(listener: TcpListener, database: Database, stop: StopSignal) {
    // It ends when `stop` resolves.
    let _ = dynoxide::server::serve_with_shutdown(listener, database, stop).await;
}

/// Secrets Manager and SES.
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_yaml_ng::Value as Yaml;

    fn options(cors_origins: &[&str], env: &[(&str, &str)]) -> Options {
        let owned = |text: &&str| (*text).to_owned();
        Options {
            cors_origins: cors_origins.iter().map(owned).collect(),
            env: env
                .iter()
                .map(|(name, value)| (owned(name), owned(value)))
                .collect(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            ..Options::default()
        }
    }

    async fn refusal(options: Options) -> Option<String> {
        let refused = Stack::check(&options).await.err();
        refused.map(|error| error.to_string())
    }

    #[tokio::test]
    async fn an_origin_that_the_template_refuses_is_refused() {
        let long = "https://a-rather-long-name-of-a-front-end.example.com:8443";
        for origins in [
            &["htt:://localhost"][..],
            &["*"],
            &["null"],
            &["http://app.example"],
            &["https://app.example/"],
            &["https://user@app.example"],
            &["https://app.example", "*"],
            &[long, long, long],
        ] {
            let error = refusal(options(origins, &[])).await.expect("a refusal");
            assert!(
                error.starts_with("--cors-origin: ") && error.contains("never *"),
                "{error}"
            );
        }
        let valid = ["https://app.example", "http://localhost:5173"];
        // The option replaces the variable.
        let replaced = [("IDENTITY_ALLOWED_ORIGINS", "*")];
        assert_eq!(refusal(options(&valid, &replaced)).await, None);
        let error = refusal(options(&[], &replaced)).await.expect("a refusal");
        assert!(
            error.starts_with("IDENTITY_ALLOWED_ORIGINS: \"*\""),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_variable_that_the_template_refuses_is_refused() {
        for (name, value, requirement) in [
            ("IDENTITY_UID_PREFIX", "I", "two to six letters"),
            (
                "IDENTITY_SESSION_BINDING",
                "ip",
                "one of agent, client, none",
            ),
            (
                "IDENTITY_SESSION_EXPIRE_TIME",
                "59",
                "60 to 7776000 seconds",
            ),
            ("IDENTITY_SESSION_MAX_AGE", "soon", "60 to 7776000 seconds"),
            ("IDENTITY_ACCESS_TOKEN_AUDIENCE", "\"", "printable ASCII"),
            ("IDENTITY_PAGES_URL", "http://id.example", "an https origin"),
            ("IDENTITY_DOMAIN", "https://id.example/", "an https origin"),
            ("IDENTITY_CAPTCHA_SECRET_ARN", "name", "the full ARN"),
        ] {
            let error = refusal(options(&[], &[(name, value)])).await;
            let error = error.unwrap_or_else(|| panic!("{name}={value}"));
            assert!(
                error.starts_with(&format!("{name}: {value:?} ")) && error.contains(requirement),
                "{error}"
            );
        }
        let valid = [
            ("IDENTITY_UID_PREFIX", ""),
            ("IDENTITY_SESSION_EXPIRE_TIME", " "),
            ("IDENTITY_APP_NAME", "Acme & Söhne"),
            ("IDENTITY_REQUESTS_PER_MINUTE", "0"),
            ("IDENTITY_USERS_TABLE", "no parameter sets this"),
        ];
        assert_eq!(refusal(options(&[], &valid)).await, None);
    }

    #[test]
    fn every_variable_that_a_parameter_sets_is_checked_by_it() {
        let text = std::fs::read_to_string(Options::default().template).expect("the template");
        let document: Yaml = serde_yaml_ng::from_str(&text).expect("YAML");
        let mut found = Vec::new();
        references(&document, &mut found);
        let parameters = document["Parameters"].as_mapping().expect("parameters");
        found.retain(|(_, target)| parameters.contains_key(target.as_str()));
        assert!(found.len() > 30, "{found:?}");
        for (variable, parameter) in found {
            assert_eq!(parameter_name(&variable), Some(parameter), "{variable}");
        }
    }

    /// The variables whose value is a `!Ref`, and its target.
    fn references(value: &Yaml, found: &mut Vec<(String, String)>) {
        match value {
            Yaml::Mapping(members) => {
                for (key, member) in members {
                    match (key.as_str(), member) {
                        (Some(name), Yaml::Tagged(tagged))
                            if name.starts_with("IDENTITY_") && tagged.tag == "Ref" =>
                        {
                            let target = tagged.value.as_str().unwrap_or_default();
                            found.push((name.to_owned(), target.to_owned()));
                        }
                        _ => references(member, found),
                    }
                }
            }
            Yaml::Sequence(items) => items.iter().for_each(|item| references(item, found)),
            Yaml::Tagged(tagged) => references(&tagged.value, found),
            _ => {}
        }
    }
}

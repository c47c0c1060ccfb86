//! Lambda: starts a function's binary when it is called, hands it one event at a time, and starts
//! more instances when calls overlap.

mod api;
mod group;
mod instance;

use crate::{
    Error, ambient,
    log::Logger,
    template::{Function, Template},
};
use axum::body::Bytes;
use group::Group;
use serde_json::Value as Json;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
};
use tokio::{process::Command, sync::Semaphore};

pub use api::{RuntimeRegistry, router};
pub use instance::Instance;

/// One machine is no region: calls beyond this many at once of one function wait for their turn.
const INSTANCES: usize = 64;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    NoSuchFunction,
    /// The binary does not start, or ended before it asked for its first event.
    NotStarted(String),
    /// It ended while it worked.
    Died(String),
    TimedOut,
    /// What it reported itself, as Lambda returns it.
    Reported(Json),
}

/// What is around every function.
pub struct RuntimeSettings {
    pub binaries: PathBuf,
    /// Where services are, in place of what the function's own variables say.
    pub environment: BTreeMap<String, String>,
    /// Variables that win over the function's own.
    pub overrides: BTreeMap<String, String>,
    /// Where the Runtime API is served.
    pub runtime_url: String,
}

pub struct Functions {
    pools: BTreeMap<String, Pool>,
    settings: RuntimeSettings,
    registry: Arc<RuntimeRegistry>,
    group: Group,
    log: Logger,
}

struct Pool {
    function: Function,
    idle: Mutex<Vec<Instance>>,
    places: Semaphore,
}

impl Functions {
    pub fn new(
        template: &Template,
        settings: RuntimeSettings,
        registry: Arc<RuntimeRegistry>,
        log: Logger,
    ) -> Result<Self, Error> {
        let pools = template.functions.iter().map(|function| {
            let pool = Pool {
                function: function.clone(),
                idle: Mutex::new(Vec::new()),
                places: Semaphore::new(INSTANCES),
            };
            (function.name.clone(), pool)
        });
        Ok(Self {
            pools: pools.collect(),
            settings,
            registry,
            group: Group::new()?,
            log,
        })
    }

    /// The function of that name, or with that binary.
    pub fn resolve(&self, name: &str) -> Option<&str> {
        let known = |(own, pool): &(&String, &Pool)| *own == name || pool.function.binary == name;
        self.pools.iter().find(known).map(|(own, _)| own.as_str())
    }

    /// Hands the event to an instance of the function and waits for what comes of it. Dropping the
    /// future ends that instance.
    pub async fn invoke(&self, name: &str, event: Bytes) -> Result<Bytes, Failure> {
        let pool = self.pools.get(name).ok_or(Failure::NoSuchFunction)?;
        let place = pool.places.acquire().await;
        let result = match pool.take_idle() {
            Some(instance) => self.call(pool, instance, event).await,
            None => match self.start(&pool.function, &pool.function.binary, &[]) {
                Ok(instance) => self.call(pool, instance, event).await,
                Err(failure) => Err(failure),
            },
        };
        drop(place);
        if let Err(failure) = &result {
            self.log.problem(&explanation(name, failure));
        }
        result
    }

    async fn call(
        &self,
        pool: &Pool,
        mut instance: Instance,
        event: Bytes,
    ) -> Result<Bytes, Failure> {
        let result = instance.invoke(event, pool.function.timeout).await;
        // Like Lambda: an instance that reported an error goes on, one that died or hung does not.
        if matches!(result, Ok(_) | Err(Failure::Reported(_))) {
            ambient::lock(&pool.idle).push(instance);
        }
        result
    }

    /// Starts a program in place of a function: with its variables, and some that win over them.
    pub fn start_alone(
        &self,
        name: &str,
        binary: &str,
        variables: &[(&str, &str)],
    ) -> Result<Instance, Failure> {
        let pool = self.pools.get(name).ok_or(Failure::NoSuchFunction)?;
        self.start(&pool.function, binary, variables)
    }

    fn start(
        &self,
        function: &Function,
        binary: &str,
        variables: &[(&str, &str)],
    ) -> Result<Instance, Failure> {
        let (registration, requests) = self.registry.open(&function.name, self.log.clone());
        let path = self.settings.binaries.join(binary);
        let mut command = Command::new(&path);
        command
            .env_clear()
            .envs(self.variables(function, registration.id()))
            .envs(variables.iter().copied());
        self.group.add(&mut command);
        Instance::start(
            &mut command,
            &function.name,
            registration,
            requests,
            &self.log,
        )
        .map_err(|error| Failure::NotStarted(format!("{} does not start: {error}", path.display())))
    }

    fn variables(&self, function: &Function, instance: &str) -> BTreeMap<String, String> {
        let own = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let mut variables: BTreeMap<String, String> = own(&[
            ("AWS_LAMBDA_FUNCTION_NAME", &function.name),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            (
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
                &function.memory_megabytes.to_string(),
            ),
            (
                "AWS_LAMBDA_LOG_GROUP_NAME",
                &format!("/aws/lambda/local/{}", function.binary),
            ),
            ("AWS_LAMBDA_LOG_STREAM_NAME", instance),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            (
                "AWS_LAMBDA_RUNTIME_API",
                &format!("{}/rt/{instance}", self.settings.runtime_url),
            ),
            ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            // By which IAM recognises the function.
            ("AWS_ACCESS_KEY_ID", &function.name),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("_HANDLER", "bootstrap"),
            ("TZ", ":UTC"),
            (
                "LAMBDA_TASK_ROOT",
                &self.settings.binaries.display().to_string(),
            ),
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ])
        .into_iter()
        .collect();
        variables.extend(function.environment.clone());
        variables.extend(self.settings.environment.clone());
        variables.extend(self.settings.overrides.clone());
        variables
    }

    /// Has every instance ended, without waiting for it.
    pub fn release(&self) {
        self.group.release();
    }

    /// Ends every instance, at work or not.
    pub async fn end(&self) {
        self.group.end().await;
        for pool in self.pools.values() {
            let idle = std::mem::take(&mut *ambient::lock(&pool.idle));
            // Killed already, but perhaps after the leader of the group: each is waited for.
            for instance in idle {
                instance.end().await;
            }
        }
    }
}

impl Pool {
    /// The instance that was used last: a burst leaves the others to be forgotten.
    fn take_idle(&self) -> Option<Instance> {
        let mut idle = ambient::lock(&self.idle);
        loop {
            let mut instance = idle.pop()?;
            if instance.is_alive() {
                return Some(instance);
            }
        }
    }
}

/// For the person at the terminal.
fn explanation(function: &str, failure: &Failure) -> String {
    match failure {
        Failure::NoSuchFunction => format!("The template has no function {function}."),
        Failure::NotStarted(why) => format!(
            "{function} did not start: {why}\nCorrect the cause and send the request again: a function that ended is started anew."
        ),
        Failure::Died(why) => {
            format!("{function} ended while it worked: {why}\nThe next request starts it anew.")
        }
        Failure::TimedOut => {
            format!(
                "{function} did not answer within its Timeout and was ended. The next request starts it anew."
            )
        }
        Failure::Reported(error) => format!("{function} failed: {error}"),
    }
}

//! Lambda: starts instances of the functions on demand. An instance handles one event at a time, so
//! concurrent invocations of a function use several.

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

/// Concurrency limit of a function, for a single machine. Further invocations wait.
const INSTANCES: usize = 64;

/// The reason for a failed invocation.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    NoSuchFunction,
    /// The binary could not be started, or exited before it requested its first event.
    NotStarted(String),
    /// The process exited while it handled the event.
    Died(String),
    TimedOut,
    /// The error that the function reported, as Lambda returns it.
    Reported(Json),
}

/// Settings that all functions share.
pub struct RuntimeSettings {
    /// Folder of the functions' binaries.
    pub binaries: PathBuf,
    /// Variables of the stack, such as the endpoints of services; they override the template's.
    pub environment: BTreeMap<String, String>,
    /// Variables of the developer; they override all others.
    pub overrides: BTreeMap<String, String>,
    /// Base URL of the Runtime API.
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

    /// Logical id of the function with this logical id or binary name.
    pub fn resolve(&self, name: &str) -> Option<&str> {
        let known = |(own, pool): &(&String, &Pool)| *own == name || pool.function.binary == name;
        self.pools.iter().find(known).map(|(own, _)| own.as_str())
    }

    /// Invokes a function and waits for the result. Dropping the future kills the instance.
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
        // As on Lambda, an instance that reported an error is reused; one that exited or timed out
        // is not.
        if matches!(result, Ok(_) | Err(Failure::Reported(_))) {
            ambient::lock(&pool.idle).push(instance);
        }
        result
    }

    /// Starts `binary` with the environment of a function, and variables that override it.
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
        .map_err(|error| Failure::NotStarted(format!("running {} failed: {error}", path.display())))
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
            // Identifies the function to IAM.
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

    /// Kills all instances, without waiting for their end.
    pub fn release(&self) {
        self.group.release();
    }

    /// Kills all instances, idle or not, and waits for their end.
    pub async fn end(&self) {
        self.group.end().await;
        for pool in self.pools.values() {
            let idle = std::mem::take(&mut *ambient::lock(&pool.idle));
            // The group has been killed, but an instance may end later than the group's leader.
            for instance in idle {
                instance.end().await;
            }
        }
    }
}

impl Pool {
    /// The most recently used idle instance, so that the surplus of a burst stays idle.
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

/// The log message for a failed invocation.
fn explanation(function: &str, failure: &Failure) -> String {
    match failure {
        Failure::NoSuchFunction => format!("The template has no function {function}."),
        Failure::NotStarted(why) => format!(
            "{function} did not start: {why}\nFix the cause and send the request again, which starts a new instance."
        ),
        Failure::Died(why) => {
            format!(
                "{function} exited while handling a request: {why}\nThe next request starts a new instance."
            )
        }
        Failure::TimedOut => {
            format!(
                "{function} exceeded its Timeout and was killed. The next request starts a new instance."
            )
        }
        Failure::Reported(error) => format!("{function} failed: {error}"),
    }
}

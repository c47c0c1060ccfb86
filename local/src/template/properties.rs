//! The properties of functions. Those that the stack uses are read strictly, those that only affect
//! AWS are listed and ignored, and any other is rejected.

use super::{
    Function, Route, StreamSource, entries,
    intrinsics::{Resolver, stream_arn, text},
    policies,
};
use crate::Error;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value as Json;
use serde_yaml_ng::Value as Yaml;
use std::{collections::BTreeMap, time::Duration};

/// Properties that have no effect in the development stack, and `Policies`, which are read
/// unresolved because they need the names of the resources that they refer to.
const AWS_ONLY_FUNCTION: [&str; 5] = [
    "Architectures",
    "Description",
    "LoggingConfig",
    "Policies",
    "Tracing",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct FunctionProperties {
    handler: String,
    runtime: String,
    code_uri: String,
    memory_size: u32,
    timeout: u64,
    #[serde(default)]
    environment: Environment,
    permissions_boundary: Option<String>,
    #[serde(default)]
    event_invoke_config: EventInvokeConfig,
    /// A function without events is only invoked directly.
    #[serde(default)]
    events: BTreeMap<String, Event>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "PascalCase", default)]
struct EventInvokeConfig {
    maximum_retry_attempts: Option<u32>,
    /// Ignored: retries end much earlier here.
    #[serde(rename = "MaximumEventAgeInSeconds")]
    _maximum_age: Json,
    /// Ignored: dropped events are logged on the terminal.
    #[serde(rename = "DestinationConfig")]
    _destination: Json,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Environment {
    variables: BTreeMap<String, Json>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, tag = "Type", content = "Properties")]
enum Event {
    HttpApi(HttpApiEvent),
    DynamoDB(DynamoDbEvent),
    #[serde(rename = "EventBridgeRule")]
    Rule(RuleEvent),
    Schedule(ScheduleEvent),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct HttpApiEvent {
    #[serde(rename = "ApiId")]
    _api: String,
    method: String,
    path: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct RuleEvent {
    pattern: Json,
}

/// Ignored: the stack runs for minutes, and a test or a developer invokes the function.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct ScheduleEvent {
    #[serde(rename = "Schedule")]
    _schedule: String,
    #[serde(default, rename = "Description")]
    _description: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct DynamoDbEvent {
    stream: String,
    starting_position: String,
    #[serde(default)]
    filter_criteria: FilterCriteria,
    batch_size: u64,
    /// Ignored: a batch has one record.
    #[serde(default, rename = "BisectBatchOnFunctionError")]
    _bisect: bool,
    #[serde(default = "one")]
    parallelization_factor: usize,
    maximum_record_age_in_seconds: Option<i64>,
    maximum_retry_attempts: Option<i64>,
    /// Ignored: dropped records are logged on the terminal.
    #[serde(default, rename = "DestinationConfig")]
    _destination: Json,
}

fn one() -> usize {
    1
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct FilterCriteria {
    filters: Vec<Filter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Filter {
    pattern: String,
}

/// The properties of a resource, with their path in the template.
pub(super) type Properties<'a> = (String, &'a Yaml);

pub(super) fn function(
    name: &str,
    resource: &Yaml,
    at: &str,
    globals: &[(&str, &Yaml)],
    resolver: &Resolver,
) -> Result<Function, Error> {
    let at = format!("{at}.Properties");
    let mut merged: BTreeMap<&str, &Yaml> = globals.iter().copied().collect();
    let environment = super::environment(
        merged.get("Environment").copied(),
        &resource["Properties"]["Environment"],
    );
    for (key, value) in entries(&resource["Properties"], &at)? {
        merged.insert(
            key,
            if key == "Environment" {
                &environment
            } else {
                value
            },
        );
    }
    let properties: FunctionProperties = read(
        merged.into_iter().collect(),
        &AWS_ONLY_FUNCTION,
        &at,
        resolver,
    )?;
    for (key, found, known) in [
        ("Handler", &properties.handler, "bootstrap"),
        ("Runtime", &properties.runtime, "provided.al2023"),
        ("CodeUri", &properties.code_uri, "functions"),
    ] {
        only(&format!("{at}.{key}"), found, &[known])?;
    }
    let build = &resource["Metadata"];
    let binary = match (
        build["BuildMethod"].as_str(),
        build["BuildProperties"]["Binary"].as_str(),
    ) {
        (Some("rust-cargolambda"), Some(binary)) => binary.to_owned(),
        _ => {
            return Err(Error::new(format!(
                "Resources.{name}.Metadata: BuildMethod rust-cargolambda and BuildProperties.Binary are required"
            )));
        }
    };
    let mut function = Function {
        name: name.to_owned(),
        binary,
        timeout: Duration::from_secs(properties.timeout),
        memory_megabytes: properties.memory_size,
        environment: BTreeMap::new(),
        policies: policies::of_function(
            resource["Properties"].get("Policies"),
            &format!("{at}.Policies"),
            resolver,
        )?,
        permissions_boundary: properties.permissions_boundary,
        routes: Vec::new(),
        streams: Vec::new(),
        rules: Vec::new(),
        // Lambda's default is two.
        asynchronous_retries: properties
            .event_invoke_config
            .maximum_retry_attempts
            .unwrap_or(2),
    };
    for (variable, value) in properties.environment.variables {
        let value = text(&value).ok_or_else(|| {
            Error::new(format!(
                "{at}.Environment.Variables.{variable}: expected a string"
            ))
        })?;
        function.environment.insert(variable, value);
    }
    for (event, properties) in properties.events {
        let at = format!("{at}.Events.{event}");
        match properties {
            Event::HttpApi(HttpApiEvent { method, path, .. }) => {
                function.routes.push(Route {
                    method: method.to_uppercase(),
                    path,
                });
            }
            Event::DynamoDB(event) => function.streams.push(stream_source(&event, &at)?),
            Event::Rule(RuleEvent { pattern }) => {
                let pattern = crate::pattern::check(pattern)
                    .map_err(|error| Error::new(format!("{at}.Pattern: {error}")))?;
                function.rules.push(pattern);
            }
            Event::Schedule(ScheduleEvent { .. }) => {}
        }
    }
    Ok(function)
}

fn stream_source(event: &DynamoDbEvent, at: &str) -> Result<StreamSource, Error> {
    // Both positions are the same here, because the table and the event source mapping are created
    // together.
    only(
        &format!("{at}.StartingPosition"),
        &event.starting_position,
        &["TRIM_HORIZON", "LATEST"],
    )?;
    if event.batch_size != 1 {
        return Err(Error::new(format!("{at}.BatchSize: only 1 is supported")));
    }
    let table = event.stream.split('/').nth(1).unwrap_or_default();
    if event.stream != stream_arn(table) {
        return Err(Error::new(format!(
            "{at}.Stream: expected the StreamArn of a table of the template"
        )));
    }
    let patterns = event
        .filter_criteria
        .filters
        .iter()
        .map(|filter| crate::pattern::parse(&filter.pattern))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::new(format!("{at}.FilterCriteria: {error}")))?;
    // -1 means no limit.
    let limit = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    Ok(StreamSource {
        table: table.to_owned(),
        patterns,
        lanes: event.parallelization_factor.max(1),
        maximum_age: limit(event.maximum_record_age_in_seconds).map(Duration::from_secs),
        maximum_retries: limit(event.maximum_retry_attempts),
    })
}

/// Deserializes the properties, except those in `aws_only`. An unknown property is an error.
pub(super) fn read<T: DeserializeOwned>(
    properties: Vec<(&str, &Yaml)>,
    aws_only: &[&str],
    at: &str,
    resolver: &Resolver,
) -> Result<T, Error> {
    let acted_on = properties
        .into_iter()
        .filter(|(key, _)| !aws_only.contains(key))
        .map(|(key, value)| {
            Ok((
                key.to_owned(),
                resolver.resolve(value, &format!("{at}.{key}"))?,
            ))
        })
        .collect::<Result<serde_json::Map<_, _>, Error>>()?;
    serde_path_to_error::deserialize(Json::Object(acted_on))
        .map_err(|error| Error::new(format!("{at}.{}: {}", error.path(), error.inner())))
}

pub(super) fn only(at: &str, found: &str, known: &[&str]) -> Result<(), Error> {
    if known.contains(&found) {
        return Ok(());
    }
    Err(Error::new(format!(
        "{at}: {found} is not supported, only {}",
        known.join(" and ")
    )))
}

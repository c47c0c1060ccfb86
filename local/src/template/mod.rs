//! Reads template.yaml, as far as Latchkey's template uses CloudFormation and SAM. Anything else is
//! rejected with its path, so that the stack never silently behaves differently from AWS.

mod constraints;
mod intrinsics;
mod policies;
mod properties;
mod resources;

use crate::Error;
use intrinsics::Resolver;
use serde_yaml_ng::Value as Yaml;
use std::{collections::BTreeMap, path::Path, time::Duration};

pub use constraints::GivenValue;
pub use intrinsics::{arn, secret_arn, stream_arn, table_arn};
#[cfg(test)]
pub use policies::Resource;
pub use policies::{Condition, Operator, Statement};
pub use resources::{Cors, GenerateSecretString, KeyPart};

/// The resources of the template that the stack runs.
#[derive(Debug)]
pub struct Template {
    pub functions: Vec<Function>,
    pub tables: Vec<Table>,
    pub secrets: Vec<Secret>,
    pub configuration_sets: Vec<String>,
    pub event_destinations: Vec<EventDestination>,
    /// Managed policies by logical id.
    pub managed_policies: BTreeMap<String, Vec<Statement>>,
    pub cors: Option<Cors>,
}

#[derive(Debug, Clone)]
pub struct Function {
    pub name: String,
    pub binary: String,
    pub timeout: Duration,
    pub memory_megabytes: u32,
    pub environment: BTreeMap<String, String>,
    pub policies: Vec<Statement>,
    /// Logical id of the managed policy that is the permissions boundary.
    pub permissions_boundary: Option<String>,
    pub routes: Vec<Route>,
    pub streams: Vec<StreamSource>,
    /// Patterns of EventBridge rules. An event that matches one of them is delivered.
    pub rules: Vec<serde_json::Value>,
    /// Number of retries of a failed asynchronous invocation.
    pub asynchronous_retries: u32,
}

/// Event types that SES publishes for mails sent with a configuration set.
#[derive(Debug, Clone, PartialEq)]
pub struct EventDestination {
    pub configuration_set: String,
    /// Such as `bounce`.
    pub event_types: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// In upper case; `ANY` matches all methods.
    pub method: String,
    pub path: String,
}

/// An event source mapping: the stream of a table that a function processes.
#[derive(Debug, Clone)]
pub struct StreamSource {
    pub table: String,
    /// A record that matches one of them is delivered. If empty, all records are.
    pub patterns: Vec<serde_json::Value>,
    /// Number of records delivered concurrently (`ParallelizationFactor`). Records of one item are
    /// delivered in order.
    pub lanes: usize,
    pub maximum_age: Option<Duration>,
    pub maximum_retries: Option<u64>,
}

#[derive(Debug)]
pub struct Table {
    pub name: String,
    pub keys: Vec<KeyPart>,
    pub stream_view: Option<String>,
    pub ttl_attribute: Option<String>,
}

#[derive(Debug)]
pub struct Secret {
    pub name: String,
    pub generate: GenerateSecretString,
}

/// Resources without effect in the development stack, which logs to the terminal and has neither
/// dead-letter queues nor metrics and alarms.
const AWS_ONLY_RESOURCES: [&str; 6] = [
    "AWS::Logs::LogGroup",
    "AWS::SQS::Queue",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::SNS::Topic",
    "AWS::SNS::Subscription",
];

/// The sections that a template may have.
const SECTIONS: [&str; 9] = [
    "AWSTemplateFormatVersion",
    "Transform",
    "Description",
    "Metadata",
    "Parameters",
    "Conditions",
    "Globals",
    "Resources",
    "Outputs",
];

impl Template {
    /// Reads a template. `parameters` override the defaults of its parameters; names that it does
    /// not declare are ignored.
    pub fn read(path: &Path, parameters: &BTreeMap<String, String>) -> Result<Self, Error> {
        let refused = |error: &dyn std::fmt::Display| {
            Error::new(format!("{} cannot be used: {error}", path.display()))
                .advice("Correct the template, or extend the development stack (local/src/template) to support it.")
        };
        let text = std::fs::read_to_string(path).map_err(|error| refused(&error))?;
        // An error with its own advice is not caused by the template.
        Self::parse(&text, parameters).map_err(|error| {
            if error.has_advice() {
                error
            } else {
                refused(&error)
            }
        })
    }

    /// Checks values by the constraints of the template's parameters, as CloudFormation does before
    /// a deployment.
    pub fn check_values(path: &Path, given: &[GivenValue]) -> Result<(), Error> {
        let refused = |error: &dyn std::fmt::Display| {
            Error::new(format!("{} cannot be used: {error}", path.display()))
        };
        let text = std::fs::read_to_string(path).map_err(|error| refused(&error))?;
        let document: Yaml = serde_yaml_ng::from_str(&text).map_err(|error| refused(&error))?;
        constraints::check(&document, given)
    }

    fn parse(text: &str, parameters: &BTreeMap<String, String>) -> Result<Self, Error> {
        let document: Yaml =
            serde_yaml_ng::from_str(text).map_err(|error| Error::new(error.to_string()))?;
        for (section, _) in entries(&document, "the template")? {
            if !SECTIONS.contains(&section) {
                return Err(Error::new(format!(
                    "{section}: this section is not supported"
                )));
            }
        }
        let resolver = Resolver::new(&document, parameters)?;
        let globals = Globals::read(&document)?;
        let mut template = Self {
            functions: Vec::new(),
            tables: Vec::new(),
            secrets: Vec::new(),
            configuration_sets: Vec::new(),
            event_destinations: Vec::new(),
            managed_policies: BTreeMap::new(),
            cors: None,
        };
        let mut route_settings = Vec::new();
        for (name, resource) in entries(&document["Resources"], "Resources")? {
            let at = format!("Resources.{name}");
            if !resolver.is_wanted(resource, &at)? {
                continue;
            }
            let properties = (format!("{at}.Properties"), &resource["Properties"]);
            match intrinsics::resource_type(resource, &at)? {
                "AWS::Serverless::Function" => {
                    let function =
                        properties::function(name, resource, &at, &globals.function, &resolver)?;
                    template.functions.push(function);
                }
                "AWS::Serverless::HttpApi" => {
                    let api = resources::http_api(properties, &resolver)?;
                    template.cors = api.cors;
                    route_settings = api.route_settings;
                }
                "AWS::DynamoDB::Table" => template
                    .tables
                    .push(resources::table(name, properties, &resolver)?),
                "AWS::SecretsManager::Secret" => {
                    template
                        .secrets
                        .push(resources::secret(name, properties, &resolver)?);
                }
                "AWS::SES::ConfigurationSet" => template.configuration_sets.push(name.to_owned()),
                "AWS::SES::ConfigurationSetEventDestination" => {
                    template
                        .event_destinations
                        .extend(resources::event_destination(properties, &resolver)?);
                }
                "AWS::IAM::ManagedPolicy" => {
                    template
                        .managed_policies
                        .insert(name.to_owned(), policies::managed(properties, &resolver)?);
                }
                kind if AWS_ONLY_RESOURCES.contains(&kind) => {}
                kind => {
                    return Err(Error::new(format!("{at}.Type: {kind} is not supported")));
                }
            }
        }
        template.check()?;
        template.check_route_settings(&route_settings)?;
        Ok(template)
    }

    /// Checks that every route with settings exists: otherwise API Gateway rejects the stage.
    fn check_route_settings(&self, settings: &[(String, String)]) -> Result<(), Error> {
        let routes = self.functions.iter().flat_map(|function| &function.routes);
        for (at, key) in settings {
            let has_key = |route: &Route| *key == format!("{} {}", route.method, route.path);
            if !routes.clone().any(has_key) {
                return Err(Error::new(format!("{at}: no function has this route")));
            }
        }
        Ok(())
    }

    /// Checks references between resources.
    fn check(&self) -> Result<(), Error> {
        for function in &self.functions {
            for source in &function.streams {
                let table = self.tables.iter().find(|table| table.name == source.table);
                if table.is_none_or(|table| table.stream_view.is_none()) {
                    return Err(Error::new(format!(
                        "Resources.{}: the table {} has no stream",
                        function.name, source.table
                    )));
                }
            }
        }
        for function in &self.functions {
            if let Some(boundary) = &function.permissions_boundary
                && !self.managed_policies.contains_key(boundary)
            {
                return Err(Error::new(format!(
                    "Resources.{}.Properties.PermissionsBoundary: {boundary} is not a managed policy of the template",
                    function.name
                )));
            }
        }
        for EventDestination {
            configuration_set, ..
        } in &self.event_destinations
        {
            if !self.configuration_sets.contains(configuration_set) {
                return Err(Error::new(format!(
                    "an event destination refers to {configuration_set}, which is not a configuration set"
                )));
            }
        }
        Ok(())
    }
}

/// Default properties of all functions.
struct Globals<'a> {
    function: Vec<(&'a str, &'a Yaml)>,
}

impl<'a> Globals<'a> {
    fn read(document: &'a Yaml) -> Result<Self, Error> {
        let mut function = Vec::new();
        if let Some(globals) = document.get("Globals") {
            for (section, content) in entries(globals, "Globals")? {
                if section != "Function" {
                    return Err(Error::new(format!(
                        "Globals.{section}: only Function is supported"
                    )));
                }
                function = entries(content, "Globals.Function")?;
            }
        }
        Ok(Self { function })
    }
}

/// The entries of a mapping, in order. Keys must be strings.
fn entries<'a>(value: &'a Yaml, at: &str) -> Result<Vec<(&'a str, &'a Yaml)>, Error> {
    let mapping = value
        .as_mapping()
        .ok_or_else(|| Error::new(format!("{at}: expected a mapping")))?;
    mapping
        .iter()
        .map(|(key, value)| match key.as_str() {
            Some(key) => Ok((key, value)),
            None => Err(Error::new(format!("{at}: a key is not a string"))),
        })
        .collect()
}

/// The environment of all functions, with that of one function, which overrides it.
fn environment(all: Option<&Yaml>, own: &Yaml) -> Yaml {
    let mut environment = all.cloned().unwrap_or_else(|| own.clone());
    if let (Some(variables), Some(own)) = (
        environment["Variables"].as_mapping_mut(),
        own["Variables"].as_mapping(),
    ) {
        variables.extend(own.clone());
    }
    environment
}

#[cfg(test)]
mod tests;

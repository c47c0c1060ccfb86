//! CloudFormation's intrinsic functions, as far as the template uses them in values that the stack
//! reads.

use super::entries;
use crate::Error;
use serde_json::{Value as Json, json};
use serde_yaml_ng::Value as Yaml;
use std::collections::BTreeMap;

const REGION: &str = "us-east-1";
const ACCOUNT: &str = "000000000000";

/// The ARN of a resource in the stack's region and account, such as
/// `arn("ses", "identity/example.com")`.
pub fn arn(service: &str, resource: &str) -> String {
    format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}")
}

/// The ARN of a secret, given its name or ARN.
pub fn secret_arn(name: &str) -> String {
    if name.starts_with("arn:") {
        name.to_owned()
    } else {
        arn("secretsmanager", &format!("secret:{name}"))
    }
}

pub fn table_arn(table: &str) -> String {
    arn("dynamodb", &format!("table/{table}"))
}

pub fn stream_arn(table: &str) -> String {
    format!("{}/stream/local", table_arn(table))
}

/// The ARN of the account's default event bus.
pub fn default_bus_arn() -> String {
    arn("events", "event-bus/default")
}

pub fn resource_type<'a>(resource: &'a Yaml, at: &str) -> Result<&'a str, Error> {
    for (key, _) in entries(resource, at)? {
        // Attributes that control deployment and deletion have no effect here.
        if ![
            "Type",
            "Condition",
            "Properties",
            "Metadata",
            "DependsOn",
            "DeletionPolicy",
            "UpdateReplacePolicy",
        ]
        .contains(&key)
        {
            return Err(Error::new(format!("{at}.{key}: not supported")));
        }
    }
    resource["Type"]
        .as_str()
        .ok_or_else(|| Error::new(format!("{at}.Type: missing")))
}

/// Evaluates intrinsic functions.
pub struct Resolver {
    parameters: BTreeMap<String, Json>,
    conditions: BTreeMap<String, bool>,
    /// Logical id to type.
    resources: BTreeMap<String, String>,
}

impl Resolver {
    pub fn new(document: &Yaml, overrides: &BTreeMap<String, String>) -> Result<Self, Error> {
        let mut resolver = Self {
            parameters: BTreeMap::new(),
            conditions: BTreeMap::new(),
            resources: BTreeMap::new(),
        };
        if let Some(parameters) = document.get("Parameters") {
            for (name, parameter) in entries(parameters, "Parameters")? {
                let value = parameter_value(name, parameter, overrides)?;
                resolver.parameters.insert(name.to_owned(), value);
            }
        }
        for (name, resource) in entries(&document["Resources"], "Resources")? {
            let kind = resource_type(resource, &format!("Resources.{name}"))?;
            resolver.resources.insert(name.to_owned(), kind.to_owned());
        }
        if let Some(conditions) = document.get("Conditions") {
            for (name, condition) in entries(conditions, "Conditions")? {
                let at = format!("Conditions.{name}");
                let holds = resolver.resolve(condition, &at)?.as_bool().ok_or_else(|| {
                    Error::new(format!("{at}: only !Equals and !Not are supported"))
                })?;
                resolver.conditions.insert(name.to_owned(), holds);
            }
        }
        Ok(resolver)
    }

    /// Whether a resource exists: it has no condition, or its condition holds.
    pub fn is_wanted(&self, resource: &Yaml, at: &str) -> Result<bool, Error> {
        let Some(condition) = resource.get("Condition") else {
            return Ok(true);
        };
        let holds = condition
            .as_str()
            .and_then(|name| self.conditions.get(name));
        holds
            .copied()
            .ok_or_else(|| Error::new(format!("{at}.Condition: no such condition")))
    }

    /// The branch that an `!If` selects, unresolved; any other value is returned as it is. `None`
    /// for `AWS::NoValue`.
    pub fn choose<'a>(&self, value: &'a Yaml, at: &str) -> Result<Option<&'a Yaml>, Error> {
        let Yaml::Tagged(tagged) = value else {
            return Ok(Some(value));
        };
        if tagged.tag == "Ref" && tagged.value.as_str() == Some("AWS::NoValue") {
            return Ok(None);
        }
        match (
            tagged.tag == "If",
            tagged.value.as_sequence().map(Vec::as_slice),
        ) {
            (true, Some([Yaml::String(condition), then, otherwise]))
                if self.conditions.contains_key(condition) =>
            {
                self.choose(
                    if self.conditions[condition] {
                        then
                    } else {
                        otherwise
                    },
                    at,
                )
            }
            (true, _) => Err(Error::new(format!("{at}: unsupported !If"))),
            (false, _) => Ok(Some(value)),
        }
    }

    /// The value as JSON, with all intrinsic functions evaluated.
    pub fn resolve(&self, value: &Yaml, at: &str) -> Result<Json, Error> {
        match value {
            Yaml::Tagged(tagged) => {
                let tag = tagged.tag.to_string();
                self.call(tag.trim_start_matches('!'), &tagged.value, at)
            }
            Yaml::Mapping(mapping) if mapping.len() == 1 => {
                let (key, argument) = entries(value, at)?[0];
                match key.strip_prefix("Fn::") {
                    Some(function) => self.call(function, argument, at),
                    None if key == "Ref" => self.call(key, argument, at),
                    None => Ok(json!({ key: self.resolve(argument, &format!("{at}.{key}"))? })),
                }
            }
            Yaml::Mapping(_) => entries(value, at)?
                .into_iter()
                .map(|(key, value)| {
                    Ok((key.to_owned(), self.resolve(value, &format!("{at}.{key}"))?))
                })
                .collect::<Result<serde_json::Map<_, _>, Error>>()
                .map(Json::Object),
            Yaml::Sequence(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| self.resolve(item, &format!("{at}[{index}]")))
                .collect::<Result<Vec<_>, _>>()
                .map(Json::Array),
            scalar => {
                serde_json::to_value(scalar).map_err(|error| Error::new(format!("{at}: {error}")))
            }
        }
    }

    fn call(&self, function: &str, argument: &Yaml, at: &str) -> Result<Json, Error> {
        let malformed = || Error::new(format!("{at}: unsupported !{function}"));
        match (function, argument) {
            ("Ref", Yaml::String(name)) => self.reference(name).ok_or_else(malformed),
            ("GetAtt", Yaml::String(target)) => self.attribute(target).ok_or_else(malformed),
            ("Sub", Yaml::String(text)) => self.substitute(text).ok_or_else(malformed),
            ("Split", Yaml::Sequence(arguments)) => match arguments.as_slice() {
                [Yaml::String(delimiter), text] => {
                    let text = self.resolve(text, at)?;
                    Ok(text
                        .as_str()
                        .ok_or_else(malformed)?
                        .split(delimiter.as_str())
                        .collect())
                }
                _ => Err(malformed()),
            },
            ("If", Yaml::Sequence(arguments)) => match arguments.as_slice() {
                [Yaml::String(condition), then, otherwise] => {
                    let holds = *self.conditions.get(condition).ok_or_else(malformed)?;
                    self.resolve(if holds { then } else { otherwise }, at)
                }
                _ => Err(malformed()),
            },
            ("Equals", Yaml::Sequence(arguments)) => match arguments.as_slice() {
                [left, right] => {
                    let left = self.resolve(left, at)?;
                    let right = self.resolve(right, at)?;
                    Ok(json!(text(&left) == text(&right)))
                }
                _ => Err(malformed()),
            },
            ("Not", Yaml::Sequence(arguments)) => match arguments.as_slice() {
                [condition] => {
                    let holds = self
                        .resolve(condition, at)?
                        .as_bool()
                        .ok_or_else(malformed)?;
                    Ok(json!(!holds))
                }
                _ => Err(malformed()),
            },
            _ => Err(malformed()),
        }
    }

    fn reference(&self, name: &str) -> Option<Json> {
        if let Some(value) = self.parameters.get(name) {
            return Some(value.clone());
        }
        match name {
            "AWS::Region" => Some(json!(REGION)),
            "AWS::AccountId" => Some(json!(ACCOUNT)),
            "AWS::Partition" => Some(json!("aws")),
            "AWS::StackName" => Some(json!("local")),
            _ => match self.resources.get(name)?.as_str() {
                "AWS::SecretsManager::Secret" => Some(json!(secret_arn(name))),
                // The logical id, which is easy to recognise in logs and to type.
                _ => Some(json!(name)),
            },
        }
    }

    fn attribute(&self, target: &str) -> Option<Json> {
        let (name, attribute) = target.split_once('.')?;
        match (self.resources.get(name)?.as_str(), attribute) {
            ("AWS::DynamoDB::Table", "StreamArn") => Some(json!(stream_arn(name))),
            ("AWS::DynamoDB::Table", "Arn") => Some(json!(table_arn(name))),
            ("AWS::SQS::Queue", "Arn") => Some(json!(arn("sqs", name))),
            _ => None,
        }
    }

    fn substitute(&self, text: &str) -> Option<Json> {
        let mut pieces = text.split("${");
        let mut result = pieces.next()?.to_owned();
        for piece in pieces {
            let (name, rest) = piece.split_once('}')?;
            let value = if name.contains('.') {
                self.attribute(name)
            } else {
                self.reference(name)
            }?;
            result += &self::text(&value)?;
            result += rest;
        }
        Some(json!(result))
    }
}

/// A scalar as text, which is how CloudFormation passes scalars; `None` for any other value.
pub fn text(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(flag) => Some(flag.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

fn parameter_value(
    name: &str,
    parameter: &Yaml,
    overrides: &BTreeMap<String, String>,
) -> Result<Json, Error> {
    let at = format!("Parameters.{name}");
    let value = match overrides.get(name) {
        Some(value) => value.clone(),
        None => serde_json::to_value(&parameter["Default"])
            .ok()
            .and_then(|default| text(&default))
            .ok_or_else(|| {
                Error::new(format!(
                    "{at}: no default, and {} is not set",
                    variable_name(name)
                ))
            })?,
    };
    match parameter["Type"].as_str() {
        Some("String") => Ok(json!(value)),
        Some("Number") => serde_json::from_str::<serde_json::Number>(&value)
            .map(Json::Number)
            .map_err(|_| match overrides.get(name) {
                Some(_) => Error::new(format!(
                    "{}: {value:?} is not a number.",
                    variable_name(name)
                ))
                .advice("Set the variable to a number, or unset it."),
                None => Error::new(format!("{at}: {value:?} is not a number")),
            }),
        Some(kind) => Err(Error::new(format!("{at}.Type: {kind} is not supported"))),
        None => Err(Error::new(format!("{at}.Type: missing"))),
    }
}

/// The variable that sets a parameter: `IDENTITY_SESSION_NAME` for `SessionName`.
fn variable_name(parameter: &str) -> String {
    let mut name = "IDENTITY".to_owned();
    for letter in parameter.chars() {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

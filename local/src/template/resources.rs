//! The properties of resources other than functions.

use super::{
    EventDestination, Secret, Table, entries,
    intrinsics::{Resolver, default_bus_arn},
    properties::{Properties, only, read},
};
use crate::Error;
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// Billing, encryption, backups and deletion protection.
const AWS_ONLY_TABLE: [&str; 4] = [
    "BillingMode",
    "DeletionProtectionEnabled",
    "PointInTimeRecoverySpecification",
    "SSESpecification",
];
const AWS_ONLY_SECRET: [&str; 1] = ["Description"];
/// Throttling, access log, deployment, and the default URL, which the stack does not have.
const AWS_ONLY_API: [&str; 5] = [
    "AccessLogSettings",
    "DefaultRouteSettings",
    "Description",
    "DisableExecuteApiEndpoint",
    "FailOnWarnings",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct TableProperties {
    attribute_definitions: Vec<AttributeDefinition>,
    key_schema: Vec<KeySchemaElement>,
    stream_specification: Option<StreamSpecification>,
    time_to_live_specification: Option<TimeToLive>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct AttributeDefinition {
    attribute_name: String,
    attribute_type: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct KeySchemaElement {
    attribute_name: String,
    key_type: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct StreamSpecification {
    stream_view_type: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct TimeToLive {
    attribute_name: String,
    enabled: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct SecretProperties {
    generate_secret_string: GenerateSecretString,
}

#[derive(Deserialize, Debug, Clone)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub struct GenerateSecretString {
    pub password_length: usize,
    #[serde(default)]
    pub exclude_punctuation: bool,
    /// A JSON object, to which the generated password is added under `generate_string_key`.
    pub secret_string_template: Option<String>,
    pub generate_string_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct EventDestinationProperties {
    configuration_set_name: String,
    event_destination: EventDestinationDefinition,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct EventDestinationDefinition {
    enabled: bool,
    matching_event_types: Vec<String>,
    event_bridge_destination: EventBridgeDestination,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct EventBridgeDestination {
    event_bus_arn: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct ApiProperties {
    stage_name: String,
    definition_body: Option<Definition>,
    #[serde(default)]
    route_settings: BTreeMap<String, RouteSettings>,
}

/// Ignored: the stack does not throttle.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct RouteSettings {
    #[serde(rename = "ThrottlingRateLimit")]
    _rate: f64,
    #[serde(rename = "ThrottlingBurstLimit")]
    _burst: u32,
}

/// The properties of the API that have an effect, and those that are checked.
pub struct HttpApi {
    pub cors: Option<Cors>,
    /// Keys of the routes with settings of their own, such as `GET /a`, each with its path in the
    /// template.
    pub route_settings: Vec<(String, String)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Definition {
    #[serde(rename = "openapi")]
    _openapi: String,
    #[serde(rename = "info")]
    _info: Json,
    paths: BTreeMap<String, Json>,
    #[serde(rename = "x-amazon-apigateway-cors")]
    cors: Option<Cors>,
}

/// The CORS configuration of the API.
#[derive(Deserialize, Debug, Default, Clone, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Cors {
    pub allow_origins: Vec<String>,
    pub allow_credentials: bool,
    pub allow_methods: Vec<String>,
    pub allow_headers: Vec<String>,
    pub expose_headers: Vec<String>,
    pub max_age: u64,
}

/// An attribute of a table's primary key.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyPart {
    pub name: String,
    /// `HASH` or `RANGE`.
    pub role: String,
    /// `S`, `N` or `B`.
    pub kind: String,
}

pub(super) fn table(
    name: &str,
    (at, properties): Properties,
    resolver: &Resolver,
) -> Result<Table, Error> {
    let properties: TableProperties =
        read(entries(properties, &at)?, &AWS_ONLY_TABLE, &at, resolver)?;
    let keys = properties
        .key_schema
        .into_iter()
        .map(|key| {
            let definition = properties
                .attribute_definitions
                .iter()
                .find(|definition| definition.attribute_name == key.attribute_name)
                .ok_or_else(|| {
                    Error::new(format!(
                        "{at}.AttributeDefinitions: {} is missing",
                        key.attribute_name
                    ))
                })?;
            Ok(KeyPart {
                name: key.attribute_name,
                role: key.key_type,
                kind: definition.attribute_type.clone(),
            })
        })
        .collect::<Result<Vec<_>, Error>>()?;
    Ok(Table {
        name: name.to_owned(),
        keys,
        stream_view: properties
            .stream_specification
            .map(|stream| stream.stream_view_type),
        ttl_attribute: properties
            .time_to_live_specification
            .and_then(|ttl| ttl.enabled.then_some(ttl.attribute_name)),
    })
}

pub(super) fn secret(
    name: &str,
    (at, properties): Properties,
    resolver: &Resolver,
) -> Result<Secret, Error> {
    let properties: SecretProperties =
        read(entries(properties, &at)?, &AWS_ONLY_SECRET, &at, resolver)?;
    let generate = properties.generate_secret_string;
    let is_object = |text: &String| serde_json::from_str::<Map<String, Json>>(text).is_ok();
    match (
        &generate.secret_string_template,
        &generate.generate_string_key,
    ) {
        (None, None) => {}
        (Some(template), Some(_)) if is_object(template) => {}
        (Some(_), Some(_)) => {
            return Err(Error::new(format!(
                "{at}.GenerateSecretString.SecretStringTemplate: expected a JSON object"
            )));
        }
        (Some(_), None) | (None, Some(_)) => {
            return Err(Error::new(format!(
                "{at}.GenerateSecretString: SecretStringTemplate and GenerateStringKey require each other"
            )));
        }
    }
    Ok(Secret {
        name: name.to_owned(),
        generate,
    })
}

/// `None` if the event destination is not enabled.
pub(super) fn event_destination(
    (at, properties): Properties,
    resolver: &Resolver,
) -> Result<Option<EventDestination>, Error> {
    let properties: EventDestinationProperties =
        read(entries(properties, &at)?, &[], &at, resolver)?;
    let EventDestinationDefinition {
        enabled,
        matching_event_types: event_types,
        event_bridge_destination: to,
    } = properties.event_destination;
    let at = format!("{at}.EventDestination");
    only(
        &format!("{at}.EventBridgeDestination.EventBusArn"),
        &to.event_bus_arn,
        &[&default_bus_arn()],
    )?;
    for kind in &event_types {
        only(
            &format!("{at}.MatchingEventTypes"),
            kind,
            &["bounce", "complaint"],
        )?;
    }
    Ok(enabled.then_some(EventDestination {
        configuration_set: properties.configuration_set_name,
        event_types,
    }))
}

pub(super) fn http_api(
    (at, properties): Properties,
    resolver: &Resolver,
) -> Result<HttpApi, Error> {
    let properties: ApiProperties = read(entries(properties, &at)?, &AWS_ONLY_API, &at, resolver)?;
    only(
        &format!("{at}.StageName"),
        &properties.stage_name,
        &["$default"],
    )?;
    let definition = properties.definition_body;
    if definition
        .as_ref()
        .is_some_and(|definition| !definition.paths.is_empty())
    {
        return Err(Error::new(format!(
            "{at}.DefinitionBody.paths: not supported; declare routes as events of the functions"
        )));
    }
    let route_settings = properties.route_settings.into_keys();
    Ok(HttpApi {
        cors: definition.and_then(|definition| definition.cors),
        route_settings: route_settings
            .map(|route| (format!("{at}.RouteSettings.{route}"), route))
            .collect(),
    })
}

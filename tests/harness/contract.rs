//! openapi.yaml, and the comparison of answers with it.

use std::{
    collections::HashMap,
    fs,
    sync::{LazyLock, Mutex},
};

use jsonschema::Validator;
use serde_json::{Value, json};

use super::{Answer, workspace};

/// The parsed openapi.yaml.
pub static CONTRACT: LazyLock<Contract> = LazyLock::new(Contract::read);

pub struct Contract {
    pub document: Value,
    /// Compiled schemas by JSON pointer. Most answers share a few schemas.
    validators: Mutex<HashMap<String, Validator>>,
}

impl Contract {
    fn read() -> Self {
        let text = fs::read_to_string(workspace().join("openapi.yaml")).unwrap();
        Self {
            document: serde_yaml_ng::from_str(&text).unwrap(),
            validators: Mutex::default(),
        }
    }

    /// Method, path and JSON pointer of every operation.
    pub fn operations(&self) -> Vec<(String, String, String)> {
        let paths = self.document["paths"].as_object().unwrap();
        let operation = |path: &str, method: &str| {
            (
                method.to_uppercase(),
                path.to_owned(),
                format!("/paths/{}/{method}", path.replace('/', "~1")),
            )
        };
        paths
            .iter()
            .flat_map(|(path, item)| {
                item.as_object()
                    .unwrap()
                    .keys()
                    .map(|method| operation(path, method))
            })
            .collect()
    }

    /// Panics unless openapi.yaml describes the answer for the operation. Answers to other requests
    /// come from API Gateway and are not checked.
    pub fn describes(&self, method: &str, path: &str, answer: &Answer) {
        let operations = self.operations();
        let matching = operations
            .iter()
            .filter(|(known, template, _)| known == method && matches(template, path));
        // A path without parameters takes precedence.
        let Some((_, _, place)) = matching.max_by_key(|(_, template, _)| !template.contains('{'))
        else {
            return;
        };
        if let Err(difference) = self.difference(place, answer) {
            panic!(
                "openapi.yaml does not describe the answer to {method} {path}: {difference}\n{answer:?}"
            );
        }
    }

    fn difference(&self, operation: &str, answer: &Answer) -> Result<(), String> {
        let place = self
            .resolve(&format!("{operation}/responses/{}", answer.status))
            .ok_or("the status is not described")?;
        let response = self.at(&place);
        let described = response
            .get("headers")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        // API Gateway's own answers lack headers that the functions set.
        let is_gateways = answer.header("content-type") == Some("application/json")
            && answer.text().starts_with("{\"message\":");
        for name in described.keys() {
            let header = self.at(&self
                .resolve(&format!("{place}/headers/{name}"))
                .ok_or("the reference of a header does not resolve")?);
            match answer.header(&name.to_lowercase()) {
                Some(text) => {
                    let is_number = header["schema"]["type"] == "integer";
                    let value = if is_number {
                        text.parse::<i64>().map_or(Value::Null, Value::from)
                    } else {
                        json!(text)
                    };
                    self.validate(
                        &format!(
                            "{}/schema",
                            self.resolve(&format!("{place}/headers/{name}"))
                                .unwrap_or_default()
                        ),
                        &value,
                    )?;
                }
                None if header["required"] == true && !is_gateways => {
                    return Err(format!("{name} is absent"));
                }
                None => {}
            }
        }
        let significant = [
            "set-cookie",
            "retry-after",
            "total",
            "page",
            "per-page",
            "authorization",
            "x-auth-error",
            "location",
        ];
        let known = |name: &str| {
            described
                .keys()
                .any(|described| described.eq_ignore_ascii_case(name))
        };
        if let Some((name, _)) = answer
            .headers
            .iter()
            .find(|(name, _)| significant.contains(&name.as_str()) && !known(name))
        {
            return Err(format!("{name} is not described"));
        }
        match (response.get("content"), answer.header("content-type")) {
            (None, _) if answer.body.is_empty() => Ok(()),
            (None, _) => Err("an unexpected body".to_owned()),
            (Some(_), Some("application/json")) => self.validate(
                &format!("{place}/content/application~1json/schema"),
                &answer.json(),
            ),
            (Some(_), other) => Err(format!("the content type {other:?} is not described")),
        }
    }

    /// Validates a value against the schema at that JSON pointer.
    pub fn validate(&self, place: &str, value: &Value) -> Result<(), String> {
        let mut validators = self.validators.lock().unwrap();
        let validator = validators.entry(place.to_owned()).or_insert_with(|| {
            let mut schema = self.document.clone();
            schema["$ref"] = json!(format!("#{place}").replace('{', "%7B").replace('}', "%7D"));
            jsonschema::draft202012::new(&schema).unwrap_or_else(|error| panic!("{place}: {error}"))
        });
        validator
            .validate(value)
            .map_err(|error| format!("{error} (at {})", error.instance_path()))
    }

    pub fn at(&self, place: &str) -> &Value {
        self.document
            .pointer(place)
            .unwrap_or_else(|| panic!("nothing at {place}"))
    }

    /// Follows the `$ref` at a JSON pointer, if there is one.
    pub fn resolve(&self, place: &str) -> Option<String> {
        let reference = self
            .document
            .pointer(place)?
            .get("$ref")
            .and_then(Value::as_str);
        Some(
            reference
                .map_or(place, |reference| reference.trim_start_matches('#'))
                .to_owned(),
        )
    }
}

/// Whether a path matches a template: `{name}` stands for one segment, `{path}` at the end for any
/// number of segments.
fn matches(template: &str, path: &str) -> bool {
    if let Some(front) = template.strip_suffix("{path}") {
        return path
            .strip_prefix(front)
            .is_some_and(|rest| !rest.is_empty());
    }
    let (template, path): (Vec<&str>, Vec<&str>) =
        (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(path).all(|(wanted, segment)| {
            if wanted.starts_with('{') {
                !segment.is_empty()
            } else {
                *wanted == segment
            }
        })
}

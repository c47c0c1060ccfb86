//! The functions, parameters and variables of template.yaml.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_yaml_ng::Value;

/// The root of the checkout.
pub fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

pub struct Template {
    pub functions: Vec<Function>,
    /// Names of the parameters, with their defaults.
    pub parameters: BTreeMap<String, Option<String>>,
    /// The variables of all functions, with the parameter or resource that each refers to.
    pub variables: BTreeMap<String, String>,
}

pub struct Function {
    pub logical_id: String,
    pub binary: String,
    /// Method and path of its routes.
    pub routes: Vec<(String, String)>,
    /// The variables that only this function or few functions have.
    pub variables: BTreeMap<String, String>,
}

impl Template {
    /// The variables that at least one function has.
    pub fn all_variables(&self) -> BTreeMap<String, String> {
        let own = self
            .functions
            .iter()
            .flat_map(|function| function.variables.clone());
        own.chain(self.variables.clone()).collect()
    }

    pub fn read() -> Self {
        let text = fs::read_to_string(workspace().join("template.yaml")).unwrap();
        let document: Value = serde_yaml_ng::from_str(&text).unwrap();
        let resources = document["Resources"].as_mapping().unwrap();
        let functions = resources
            .iter()
            .filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function");
        let parameter = |(name, parameter): (&Value, &Value)| {
            (scalar(name), parameter.get("Default").map(scalar))
        };
        Self {
            functions: functions
                .map(|(id, resource)| Function::read(id, resource))
                .collect(),
            parameters: document["Parameters"]
                .as_mapping()
                .unwrap()
                .iter()
                .map(parameter)
                .collect(),
            variables: variables(&document["Globals"]["Function"]),
        }
    }
}

impl Function {
    fn read(id: &Value, resource: &Value) -> Self {
        let properties = &resource["Properties"];
        let events = properties
            .get("Events")
            .and_then(Value::as_mapping)
            .into_iter()
            .flat_map(|events| events.values());
        let route = |event: &Value| {
            (
                scalar(&event["Properties"]["Method"]),
                scalar(&event["Properties"]["Path"]),
            )
        };
        Self {
            logical_id: scalar(id),
            binary: scalar(&resource["Metadata"]["BuildProperties"]["Binary"]),
            routes: events
                .filter(|event| event["Type"] == "HttpApi")
                .map(route)
                .collect(),
            variables: variables(properties),
        }
    }

    /// The area and verb of the endpoint, its test and its binary, as `session` and `create`.
    pub fn place(&self) -> (String, String) {
        if self.binary == "pages" {
            return ("pages".to_owned(), "serve".to_owned());
        }
        let area = if ["authorize", "auth", "discovery", "jwks"].contains(&self.binary.as_str()) {
            "access"
        } else {
            "general"
        };
        let (area, verb) = self.binary.split_once('-').unwrap_or((area, &self.binary));
        (area.to_owned(), verb.replace('-', "_"))
    }
}

/// The variables of a function or of all, without those whose value depends on a condition.
fn variables(properties: &Value) -> BTreeMap<String, String> {
    properties["Environment"]["Variables"]
        .as_mapping()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !matches!(value, Value::Tagged(tagged) if tagged.tag == "If"))
        .map(|(name, value)| (scalar(name), reference(value)))
        .collect()
}

/// The name in `!Ref Name` or `!GetAtt Name.Arn`; the text of any other value.
fn reference(value: &Value) -> String {
    match value {
        Value::Tagged(tagged) if tagged.tag == "Ref" => scalar(&tagged.value),
        Value::Tagged(tagged) if tagged.tag == "GetAtt" => {
            scalar(&tagged.value).trim_end_matches(".Arn").to_owned()
        }
        Value::Tagged(tagged) => scalar(&tagged.value),
        plain => scalar(plain),
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        other => panic!("no scalar: {other:?}"),
    }
}

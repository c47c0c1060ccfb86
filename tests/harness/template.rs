//! What template.yaml says of the functions.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_yaml_ng::Value;

/// The folder of the checkout.
pub fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

pub struct Template {
    pub functions: Vec<Function>,
    /// Names of the parameters, with their defaults.
    pub parameters: BTreeMap<String, Option<String>>,
    /// The functions' variables, with what each refers to.
    pub variables: BTreeMap<String, String>,
}

pub struct Function {
    pub logical_id: String,
    pub binary: String,
    /// Method and path of its routes.
    pub routes: Vec<(String, String)>,
    /// `<action> <resource>` of each statement that it is granted.
    pub grants: Vec<String>,
}

impl Template {
    pub fn read() -> Self {
        let text = fs::read_to_string(workspace().join("template.yaml")).unwrap();
        let document: Value = serde_yaml_ng::from_str(&text).unwrap();
        let resources = document["Resources"].as_mapping().unwrap();
        let functions = resources.iter().filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function");
        let parameter = |(name, parameter): (&Value, &Value)| (scalar(name), parameter.get("Default").map(scalar));
        let variable = |(name, value): (&Value, &Value)| (scalar(name), reference(value));
        Self {
            functions: functions.map(|(id, resource)| Function::read(id, resource)).collect(),
            parameters: document["Parameters"].as_mapping().unwrap().iter().map(parameter).collect(),
            variables: document["Globals"]["Function"]["Environment"]["Variables"]
                .as_mapping()
                .unwrap()
                .iter()
                .map(variable)
                .collect(),
        }
    }
}

impl Function {
    fn read(id: &Value, resource: &Value) -> Self {
        let properties = &resource["Properties"];
        let events = properties.get("Events").and_then(Value::as_mapping).into_iter().flat_map(|events| events.values());
        let route = |event: &Value| (scalar(&event["Properties"]["Method"]), scalar(&event["Properties"]["Path"]));
        let policies = properties.get("Policies").and_then(Value::as_sequence).into_iter().flatten();
        Self {
            logical_id: scalar(id),
            binary: scalar(&resource["Metadata"]["BuildProperties"]["Binary"]),
            routes: events.filter(|event| event["Type"] == "HttpApi").map(route).collect(),
            grants: policies.flat_map(grants).collect(),
        }
    }

    /// Where the endpoint, its test and its binary are: area and verb, as `session` and `create`.
    pub fn place(&self) -> (String, String) {
        if self.binary == "pages" {
            return ("pages".to_owned(), "serve".to_owned());
        }
        let area = if ["authorize", "auth", "jwks"].contains(&self.binary.as_str()) { "access" } else { "general" };
        let (area, verb) = self.binary.split_once('-').unwrap_or((area, &self.binary));
        (area.to_owned(), verb.replace('-', "_"))
    }
}

/// What a policy grants, as `dynamodb:GetItem UsersTable`; of one that depends on a condition, what it may grant, and when not:
/// `dynamodb:GetItem UsersTable unless Condition`.
fn grants(policy: &Value) -> Vec<String> {
    if let Value::Tagged(tagged) = policy {
        let [condition, nothing, policy] = &list(&tagged.value)[..] else { panic!("not understood: {policy:?}") };
        assert!(tagged.tag == "If" && reference(nothing) == "AWS::NoValue", "not understood: {tagged:?}");
        return grants(policy).into_iter().map(|grant| format!("{grant} unless {}", scalar(condition))).collect();
    }
    let Some(statements) = policy.get("Statement") else {
        let (name, arguments) = policy.as_mapping().unwrap().iter().next().unwrap();
        return arguments
            .as_mapping()
            .unwrap()
            .values()
            .map(|argument| format!("{} {}", scalar(name), reference(argument)))
            .collect();
    };
    let statement = |statement: &Value| {
        let resources = list(&statement["Resource"]);
        let pairs = list(&statement["Action"]).into_iter().flat_map(move |action| {
            let action = scalar(&action);
            resources.clone().into_iter().map(move |resource| format!("{action} {}", reference(&resource)))
        });
        pairs.collect::<Vec<_>>()
    };
    list(statements).iter().flat_map(statement).collect()
}

fn list(value: &Value) -> Vec<Value> {
    value.as_sequence().cloned().unwrap_or_else(|| vec![value.clone()])
}

/// What an intrinsic refers to: `!Ref Name` and `!GetAtt Name.Arn` are `Name`; anything else is its text.
fn reference(value: &Value) -> String {
    match value {
        Value::Tagged(tagged) if tagged.tag == "Ref" => scalar(&tagged.value),
        Value::Tagged(tagged) if tagged.tag == "GetAtt" => scalar(&tagged.value).trim_end_matches(".Arn").to_owned(),
        Value::Tagged(tagged) => reference(&list(&tagged.value)[0]),
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

//! The size of each function's environment, against Lambda's limit

use std::{collections::BTreeMap, fs};

use serde_yaml_ng::Value;
use shared::config::MAX_LENGTHS;

use crate::harness::workspace;

/// Lambda's limit for names and values of variables, in bytes of a JSON object.
const LAMBDA_LIMIT: usize = 4096;
/// Bytes reserved for future variables.
const RESERVE: usize = 50;
/// Characters of a stack's name. CloudFormation allows 128; docs/DEPLOYMENT.md states this limit.
const STACK_NAME: usize = 64;
/// Characters that CloudFormation adds to a generated name: two hyphens and the random part.
const GENERATED: usize = 15;
/// `arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:TokenSecret-<12 characters>-<6
/// characters>`
const SECRET_ARN: usize = 95;
/// The longest name of an SES configuration set.
const CONFIGURATION_SET: usize = 64;
/// `https://<10 characters>.execute-api.ap-southeast-1.amazonaws.com.cn`
const API_URL: usize = 63;

fn template() -> Value {
    serde_yaml_ng::from_str(&fs::read_to_string(workspace().join("template.yaml")).unwrap())
        .unwrap()
}

fn mapping(value: &Value) -> BTreeMap<String, Value> {
    value
        .as_mapping()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str().unwrap().to_owned(), value.clone()))
        .collect()
}

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

/// The greatest number of bytes of a character in JSON, given the pattern of a parameter: its UTF-8
/// length, or 2 for an escaped character.
fn bytes_of_a_character(pattern: &str) -> usize {
    if pattern.contains("[^") {
        4
    } else if pattern.contains("[ -~") || pattern.contains("[!-~") {
        2
    } else {
        assert!(
            pattern.is_ascii() && pattern.starts_with('^') && pattern.ends_with('$'),
            "{pattern}"
        );
        1
    }
}

/// Bytes of the longest value of a parameter.
fn longest_value(name: &str, parameter: &Value) -> usize {
    if let Some(values) = parameter["AllowedValues"].as_sequence() {
        return values
            .iter()
            .map(|value| {
                serde_yaml_ng::to_string(value)
                    .unwrap()
                    .trim()
                    .trim_matches('\'')
                    .len()
            })
            .max()
            .unwrap();
    }
    if parameter["Type"] == "Number" {
        // A fraction has at most two significant decimal places, so three more characters.
        return parameter["MaxValue"].as_u64().unwrap().to_string().len() + 3;
    }
    let pattern = parameter["AllowedPattern"]
        .as_str()
        .unwrap_or_else(|| panic!("{name} has no AllowedPattern"));
    let characters = parameter
        .get("MaxLength")
        .unwrap_or_else(|| panic!("{name} has no MaxLength"));
    number(characters) * bytes_of_a_character(pattern)
}

fn longest(value: &Value, template: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Tagged(tagged) if tagged.tag == "Ref" => {
            let name = tagged.value.as_str().unwrap();
            if let Some(parameter) = template["Parameters"].get(name) {
                return longest_value(name, parameter);
            }
            match template["Resources"][name]["Type"].as_str().unwrap() {
                "AWS::SecretsManager::Secret" => SECRET_ARN,
                "AWS::SES::ConfigurationSet" => CONFIGURATION_SET,
                "AWS::DynamoDB::Table" => STACK_NAME + name.len() + GENERATED,
                kind => panic!("{name}: the length of a {kind} is not known"),
            }
        }
        Value::Tagged(tagged) if tagged.tag == "If" => tagged.value.as_sequence().unwrap()[1..]
            .iter()
            .map(|branch| longest(branch, template))
            .max()
            .unwrap(),
        Value::Tagged(tagged) if tagged.tag == "Sub" => match tagged.value.as_str().unwrap() {
            "Latchkey/${AWS::StackName}" => "Latchkey/".len() + STACK_NAME,
            text if text.starts_with("https://${HttpApi}.execute-api.") => API_URL,
            text => panic!("the length of {text} is not known"),
        },
        other => panic!("the length of {other:?} is not known"),
    }
}

#[test]
fn the_longest_values_of_all_parameters_fit_into_the_environment() {
    let template = template();
    let all = mapping(&template["Globals"]["Function"]["Environment"]["Variables"]);
    for (id, resource) in mapping(&template["Resources"])
        .iter()
        .filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function")
    {
        let mut variables = all.clone();
        variables.extend(mapping(&resource["Properties"]["Environment"]["Variables"]));
        // `"<name>":"<value>",`
        let bytes: usize = variables
            .iter()
            .map(|(name, value)| name.len() + longest(value, &template) + 6)
            .sum();
        assert!(bytes + RESERVE <= LAMBDA_LIMIT, "{id}: {bytes} bytes");
    }
}

#[test]
fn the_functions_enforce_the_lengths_of_the_template() {
    let template = template();
    for (variable, longest) in MAX_LENGTHS {
        let set = |function: &Value| function["Environment"]["Variables"].get(variable).cloned();
        let value = set(&template["Globals"]["Function"]).or_else(|| {
            mapping(&template["Resources"])
                .values()
                .find_map(|resource| set(&resource["Properties"]))
        });
        let Some(Value::Tagged(tagged)) = value else {
            panic!("{variable}: {value:?}")
        };
        let parameter = &template["Parameters"][tagged.value.as_str().unwrap()];
        assert_eq!(number(&parameter["MaxLength"]), longest, "{variable}");
    }
    // Where the pages are deployed, `PagesUrl` can replace the domain in links.
    let domain = MAX_LENGTHS
        .iter()
        .find(|(variable, _)| *variable == "IDENTITY_DOMAIN")
        .unwrap()
        .1;
    assert_eq!(
        number(&template["Parameters"]["PagesUrl"]["MaxLength"]),
        domain
    );
}

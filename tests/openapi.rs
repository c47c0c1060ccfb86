//! openapi.yaml, compared with the template and the error keys. Every answer in the tests is
//! compared with it in `harness/contract.rs`.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use crate::harness::{CONTRACT, Latchkey, Template, latchkey, workspace};

/// Collects every key that the document lists for `errors`.
fn described_keys(value: &Value, keys: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            if let Some(listed) = object
                .get("errors")
                .and_then(|errors| errors.pointer("/items/enum"))
                .and_then(Value::as_array)
            {
                keys.extend(listed.iter().map(|key| key.as_str().unwrap().to_owned()));
            }
            object
                .values()
                .for_each(|value| described_keys(value, keys));
        }
        Value::Array(list) => list.iter().for_each(|value| described_keys(value, keys)),
        _ => {}
    }
}

#[test]
fn openapi_describes_exactly_the_routes_of_the_template() {
    const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    let described: BTreeSet<(String, String)> = CONTRACT
        .operations()
        .into_iter()
        .map(|(method, path, _)| (method, path))
        .collect();
    // Pages are not part of the API.
    let functions = Template::read()
        .functions
        .into_iter()
        .filter(|function| function.binary != "pages");
    let routes = functions.flat_map(|function| function.routes);
    let served: BTreeSet<(String, String)> = routes
        .flat_map(|(method, path)| {
            let methods = if method == "ANY" {
                METHODS.map(str::to_owned).to_vec()
            } else {
                vec![method]
            };
            methods
                .into_iter()
                .map(move |method| (method, path.replace("+}", "}")))
        })
        .collect();
    assert_eq!(described, served);
}

#[test]
fn operation_ids_are_names_of_binaries() {
    let binaries: Vec<String> = Template::read()
        .functions
        .into_iter()
        .map(|function| function.binary)
        .collect();
    for (method, path, place) in CONTRACT.operations() {
        let name = CONTRACT.at(&place)["operationId"].as_str().unwrap();
        let name = if path.starts_with("/auth/") {
            name.strip_suffix(&format!("-{}", method.to_lowercase()))
                .unwrap()
        } else {
            name
        };
        assert!(binaries.iter().any(|binary| binary == name), "{name}");
    }
}

/// Every constant error key in shared/src/error.rs and its faults.
fn keys_of_the_table() -> BTreeSet<String> {
    let keys = |file: &str| {
        let source = fs::read_to_string(workspace().join(file)).unwrap();
        let table = source.split("#[cfg(test)]").next().unwrap();
        // Error keys are the string literals with a dot, without spaces and placeholders.
        let literals = table.split('"').skip(1).step_by(2);
        literals
            .filter(|text| text.contains('.') && !text.contains([' ', '{']))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    ["shared/src/error.rs", "shared/src/error/faults.rs"]
        .into_iter()
        .flat_map(keys)
        .collect()
}

#[test]
fn openapi_lists_every_action_of_the_activity_log() {
    let source = fs::read_to_string(workspace().join("shared/src/domain/activity.rs")).unwrap();
    let (_, actions) = source.split_once("pub enum Action {").unwrap();
    let (actions, _) = actions.split_once("\n}").unwrap();
    let recorded: BTreeSet<&str> = actions
        .split("rename = \"")
        .skip(1)
        .map(|rest| rest.split_once('"').unwrap().0)
        .collect();
    let listed = &CONTRACT.document["components"]["schemas"]["Activities"]["items"]["properties"]["action"]
        ["enum"];
    let listed: BTreeSet<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|action| action.as_str().unwrap())
        .collect();
    assert!(recorded.len() > 20);
    assert_eq!(recorded, listed);
}

#[test]
fn openapi_lists_every_error_key() {
    let mut described = BTreeSet::new();
    described_keys(&CONTRACT.document, &mut described);
    let keys = keys_of_the_table();
    assert!(
        keys.len() > 40 && keys.contains("record.not_found") && keys.contains("email.taken"),
        "{keys:?}"
    );
    let missing: Vec<&String> = keys.difference(&described).collect();
    assert!(missing.is_empty(), "{missing:?}");
    // All other keys name a parameter.
    for key in described.difference(&keys) {
        let (_, name) = key.rsplit_once('.').unwrap();
        assert!(
            ["missing_", "empty_", "too_long_"]
                .iter()
                .any(|kind| name.starts_with(kind))
                || ["invalid_captcha_format", "invalid_remember"].contains(&name),
            "{key}"
        );
    }
}

#[test]
fn examples_match_their_schemas() {
    let mut examples = 0;
    for (_, _, operation) in CONTRACT.operations() {
        let contents = |place: &str| {
            CONTRACT
                .at(place)
                .get("content")
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default()
        };
        let responses = CONTRACT.at(&operation)["responses"].as_object().unwrap();
        let responses = responses.keys().map(|status| {
            CONTRACT
                .resolve(&format!("{operation}/responses/{status}"))
                .unwrap()
        });
        let body = format!("{operation}/requestBody");
        let body = CONTRACT.document.pointer(&body).is_some().then_some(body);
        for place in responses.chain(body) {
            for (media_type, content) in contents(&place) {
                let schema = format!("{place}/content/{}/schema", media_type.replace('/', "~1"));
                let named = content
                    .get("examples")
                    .and_then(Value::as_object)
                    .cloned()
                    .unwrap_or_default();
                let named = named
                    .values()
                    .map(|example| CONTRACT.at(example["$ref"].as_str().unwrap().trim_start_matches('#'))["value"].clone());
                for example in content.get("example").cloned().into_iter().chain(named) {
                    CONTRACT
                        .validate(&schema, &example)
                        .unwrap_or_else(|error| panic!("{place}: {error}"));
                    examples += 1;
                }
            }
        }
    }
    assert!(examples > 100, "{examples}");
}

#[tokio::test]
async fn examples_of_requests_are_well_formed() {
    let latchkey: &Latchkey = latchkey().await;
    for (method, path, operation) in CONTRACT.operations() {
        let Some(content) = CONTRACT.document.pointer(&format!(
            "{operation}/requestBody/content/application~1json"
        )) else {
            continue;
        };
        let user = latchkey
            .signed_up(&format!(
                "openapi-{}",
                CONTRACT.at(&operation)["operationId"].as_str().unwrap()
            ))
            .await;
        let request = latchkey.by(&user, &method, &path).json(&content["example"]);
        let answer = request.send().await;
        // The operation may reject the values, but not their presence, length or format.
        assert!(
            ![413, 415, 500, 503].contains(&answer.status),
            "{path}: {answer:?}"
        );
        for form in ["missing_", "empty_", "too_long_", "malformed"] {
            assert!(!answer.text().contains(form), "{path}: {answer:?}");
        }
    }
}

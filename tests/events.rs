//! The sample events

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::harness::{Function, Latchkey, Template, workspace};

/// The event files of a function: `<binary>.json` and `<binary>-<case>.json`.
pub fn events_of(function: &Function, template: &Template) -> Vec<PathBuf> {
    let files = fs::read_dir(workspace().join("events"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut own: Vec<PathBuf> = files
        .filter(|path| {
            function_of(path, template).is_some_and(|owner| owner.binary == function.binary)
        })
        .collect();
    own.sort();
    own
}

/// The function of an event file: the one with the longest binary name that is a prefix of the
/// file's.
pub fn function_of<'a>(path: &Path, template: &'a Template) -> Option<&'a Function> {
    let stem = path.file_stem()?.to_str()?;
    let is_prefix = |function: &&Function| {
        stem.strip_prefix(&function.binary)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    template
        .functions
        .iter()
        .filter(is_prefix)
        .max_by_key(|function| function.binary.len())
}

#[tokio::test]
async fn every_sample_event_is_answered_by_its_function() {
    let template = Template::read();
    let latchkey = Latchkey::start(&[]).await;
    for function in &template.functions {
        for path in events_of(function, &template) {
            let event = read(&path);
            let answer = latchkey
                .invoke(&function.logical_id, event.clone())
                .await
                .unwrap_or_else(|error| panic!("{path:?}: {error}"));
            is_answered(function, &path, &event, &answer);
        }
    }
}

pub fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Asserts that the event is one of the function's routes, and that the handler accepted it.
#[track_caller]
pub fn is_answered(function: &Function, path: &Path, event: &Value, answer: &Value) {
    let path = path.display();
    assert!(answer.get("errorMessage").is_none(), "{path}: {answer}");
    let Some((method, route)) = function.routes.first() else {
        return;
    };
    assert_eq!(event["routeKey"], format!("{method} {route}"), "{path}");
    assert_eq!(event["version"], "2.0", "{path}");
    let status = answer["statusCode"]
        .as_u64()
        .unwrap_or_else(|| panic!("{path}: {answer}"));
    assert!(
        status < 500
            && ![413, 415].contains(&status)
            && !answer.to_string().contains("authz.cross_site_request")
            && !answer.to_string().contains("request.malformed_body"),
        "{path}: {answer}"
    );
    let header = |name: &str| answer["headers"][name].as_str();
    assert_eq!(
        (
            header("strict-transport-security"),
            header("x-content-type-options")
        ),
        (Some("max-age=63072000"), Some("nosniff")),
        "{path}: {answer}"
    );
    if !["configs", "version", "discovery", "jwks", "pages"].contains(&function.binary.as_str()) {
        assert_eq!(
            header("cache-control"),
            Some("no-store"),
            "{path}: {answer}"
        );
    }
}

#[tokio::test]
async fn the_sample_sign_up_succeeds() {
    let latchkey = Latchkey::start(&[]).await;
    let event = serde_json::from_str(
        &fs::read_to_string(workspace().join("events/user-create.json")).unwrap(),
    )
    .unwrap();
    assert_eq!(
        latchkey.invoke("UserCreateFunction", event).await.unwrap()["statusCode"],
        201
    );
}

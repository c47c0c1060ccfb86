//! What keeps template.yaml, the binaries, the tests and the events together

use std::{collections::BTreeSet, fs};

use shared::config::Config;

use crate::{
    events::{events_of, function_of},
    harness::{Template, workspace},
};

#[test]
fn every_binary_has_a_function_and_every_function_a_binary() {
    let files = fs::read_dir(workspace().join("functions/src/bin")).unwrap();
    let binaries: BTreeSet<String> =
        files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    let functions: BTreeSet<String> = Template::read().functions.into_iter().map(|function| function.binary).collect();
    assert_eq!(binaries, functions);
}

#[test]
fn every_function_has_its_endpoint_and_its_tests_at_one_place() {
    for function in Template::read().functions {
        let (area, verb) = function.place();
        for folder in ["functions/src", "tests"] {
            let file = workspace().join(folder).join(&area).join(format!("{verb}.rs"));
            assert!(file.is_file(), "{}: {file:?}", function.binary);
        }
        let test = fs::read_to_string(workspace().join("tests").join(&area).join(format!("{verb}.rs"))).unwrap();
        for (method, path) in &function.routes {
            assert!(
                test.starts_with(&format!("//! `{method} {path}`\n")),
                "{}: the test does not say which route it is of",
                function.binary
            );
            assert!(test.contains("#[tokio::test]"), "{}: no test", function.binary);
        }
    }
}

#[test]
fn every_function_has_an_event_and_every_event_a_function() {
    let template = Template::read();
    for function in &template.functions {
        assert!(!events_of(function, &template).is_empty(), "{}", function.binary);
    }
    for file in fs::read_dir(workspace().join("events")).unwrap() {
        let path = file.unwrap().path();
        assert!(path.ends_with("env.json") || function_of(&path, &template).is_some(), "{path:?}");
    }
}

#[test]
fn every_function_has_one_route_but_those_that_only_aws_calls() {
    for function in Template::read().functions {
        let has_route = !["mail-send", "mail-feedback", "manage-users", "authorize"].contains(&function.binary.as_str());
        assert_eq!(function.routes.len(), usize::from(has_route), "{}", function.binary);
    }
}

/// SAM lets API Gateway invoke the function of `/auth/{proxy+}` for `/auth/*`, but takes a greedy parameter of another name literally,
/// so that its requests would be refused.
#[test]
fn every_greedy_path_parameter_is_named_as_sam_expects() {
    for (_, path) in Template::read().functions.into_iter().flat_map(|function| function.routes) {
        assert!(!path.contains('+') || path.ends_with("/{proxy+}"), "{path}");
    }
}

/// Variables that are read before there is a configuration, and those of the SDK.
const NOT_OF_THE_CONFIGURATION: [&str; 4] =
    ["IDENTITY_METRICS_NAMESPACE", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SESV2", "AWS_ENDPOINT_URL_SECRETS_MANAGER"];

#[test]
fn every_variable_is_a_parameter_with_the_same_name_and_default() {
    let template = Template::read();
    let resources = ["IDENTITY_USERS_TABLE", "IDENTITY_GRANTS_TABLE", "IDENTITY_TOKEN_SECRET", "IDENTITY_MAIL_CONFIGURATION_SET"];
    let is_parameter = |variable: &str| !resources.contains(&variable) && !NOT_OF_THE_CONFIGURATION.contains(&variable);
    for (variable, refers_to) in template.variables.iter().filter(|(variable, _)| is_parameter(variable)) {
        let name: String = variable
            .trim_start_matches("IDENTITY_")
            .split('_')
            .map(|word| word[..1].to_owned() + &*word[1..].to_lowercase())
            .collect();
        assert_eq!(*refers_to, name, "{variable}");
        assert!(template.parameters.contains_key(&name), "{variable}");
    }
    let required = |variable: &str| match variable {
        "IDENTITY_DOMAIN" => Some("https://id.example".to_owned()),
        "IDENTITY_SENDER_EMAIL" => Some("noreply@id.example".to_owned()),
        name if resources.contains(&name) => Some("resource".to_owned()),
        _ => None,
    };
    let from_template = |variable: &str| {
        let default = || template.parameters.get(template.variables.get(variable)?)?.clone();
        required(variable).or_else(default).filter(|value| !value.is_empty())
    };
    assert_eq!(described(&Config::read(from_template).unwrap()), described(&Config::read(required).unwrap()));
}

/// Everything that a configuration says.
fn described(config: &Config) -> Vec<String> {
    vec![
        config.app_name.clone(),
        config.domain.clone(),
        config.uid_prefix.clone(),
        config.session_name.clone(),
        format!("{:?}", config.session_life),
        config.code_expire_time.to_string(),
        config.password_regexp.clone(),
        config.password_min_entropy.to_string(),
        format!("{:?}", config.argon2),
        config.default_language.as_str().to_owned(),
        config.sender.name.clone(),
        config.sender.email.as_typed().to_owned(),
        config.prevent_user_existence_errors.to_string(),
        format!("{:?}", config.limits),
        config.activity_life.to_string(),
        format!("{:?}", config.access_token),
        format!("{:?}", config.trusted_proxies),
        format!("{:?}", config.captcha),
        format!("{:?}", config.breached_passwords),
    ]
}

#[test]
fn every_variable_that_the_configuration_reads_is_set_by_the_template() {
    let read = std::cell::RefCell::new(BTreeSet::new());
    let value = |variable: &str| {
        read.borrow_mut().insert(variable.to_owned());
        match variable {
            "IDENTITY_DOMAIN" => Some("https://id.example".to_owned()),
            "IDENTITY_SENDER_EMAIL" => Some("noreply@id.example".to_owned()),
            "IDENTITY_USERS_TABLE" | "IDENTITY_GRANTS_TABLE" | "IDENTITY_TOKEN_SECRET" => Some("resource".to_owned()),
            _ => None,
        }
    };
    Config::read(value).unwrap();
    let mut set: BTreeSet<String> = Template::read().variables.into_keys().collect();
    assert!(NOT_OF_THE_CONFIGURATION.iter().all(|variable| set.remove(*variable)));
    assert_eq!(read.into_inner(), set);
}

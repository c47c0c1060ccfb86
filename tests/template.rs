//! What keeps template.yaml, the binaries, the tests and the events together

use std::{collections::BTreeSet, fs};

use shared::config::Config;

use crate::{
    events::{events_of, function_of},
    harness::{Template, workspace},
};

/// What each function does with AWS. One that is not here has no business there.
const GRANTS: &[(&str, &[&str])] = &[
    (
        "session-create",
        &[
            "GetSecretValue TokenSecret",
            "GetSecretValue CaptchaSecretArn unless NoCaptchaSecret",
            "dynamodb:GetItem UsersTable",
            "dynamodb:UpdateItem UsersTable",
            "dynamodb:UpdateItem GrantsTable",
            "dynamodb:BatchWriteItem GrantsTable",
            "dynamodb:PutItem GrantsTable",
            "dynamodb:DeleteItem GrantsTable",
        ],
    ),
    (
        "session-delete",
        &[
            "GetSecretValue TokenSecret",
            "dynamodb:BatchGetItem UsersTable",
            "dynamodb:BatchGetItem GrantsTable",
            "dynamodb:DeleteItem GrantsTable",
            "dynamodb:PutItem GrantsTable",
        ],
    ),
    (
        "user-me",
        &[
            "GetSecretValue TokenSecret",
            "dynamodb:BatchGetItem UsersTable",
            "dynamodb:BatchGetItem GrantsTable",
            "dynamodb:DeleteItem GrantsTable",
            "dynamodb:UpdateItem GrantsTable",
        ],
    ),
    (
        "user-activity",
        &[
            "GetSecretValue TokenSecret",
            "dynamodb:BatchGetItem UsersTable",
            "dynamodb:BatchGetItem GrantsTable",
            "dynamodb:DeleteItem GrantsTable",
            "dynamodb:Query GrantsTable",
            "dynamodb:UpdateItem GrantsTable",
        ],
    ),
    (
        "password-change",
        &[
            "GetSecretValue TokenSecret",
            "dynamodb:BatchGetItem UsersTable",
            "dynamodb:UpdateItem UsersTable",
            "dynamodb:BatchGetItem GrantsTable",
            "dynamodb:DeleteItem GrantsTable",
            "dynamodb:PutItem GrantsTable",
            "dynamodb:UpdateItem GrantsTable",
        ],
    ),
    (
        "session-list",
        &[
            "GetSecretValue TokenSecret",
            "dynamodb:BatchGetItem UsersTable",
            "dynamodb:BatchGetItem GrantsTable",
            "dynamodb:DeleteItem GrantsTable",
            "dynamodb:Query GrantsTable",
            "dynamodb:UpdateItem GrantsTable",
        ],
    ),
    (
        "session-end",
        &[
            "GetSecretValue TokenSecret",
            "dynamodb:BatchGetItem UsersTable",
            "dynamodb:BatchGetItem GrantsTable",
            "dynamodb:DeleteItem GrantsTable",
            "dynamodb:PutItem GrantsTable",
            "dynamodb:Query GrantsTable",
            "dynamodb:UpdateItem GrantsTable",
        ],
    ),
    (
        "session-end-others",
        &[
            "GetSecretValue TokenSecret",
            "dynamodb:BatchGetItem UsersTable",
            "dynamodb:UpdateItem UsersTable",
            "dynamodb:BatchGetItem GrantsTable",
            "dynamodb:DeleteItem GrantsTable",
            "dynamodb:PutItem GrantsTable",
            "dynamodb:UpdateItem GrantsTable",
        ],
    ),
    (
        "email-generate-code",
        &[
            "GetSecretValue CaptchaSecretArn unless NoCaptchaSecret",
            "dynamodb:BatchGetItem UsersTable",
            "dynamodb:BatchGetItem GrantsTable",
            "dynamodb:UpdateItem GrantsTable",
            "dynamodb:PutItem GrantsTable",
        ],
    ),
    (
        "email-confirm-code",
        &[
            "GetSecretValue TokenSecret",
            "dynamodb:BatchGetItem UsersTable",
            "dynamodb:UpdateItem UsersTable",
            "dynamodb:BatchGetItem GrantsTable",
            "dynamodb:DeleteItem GrantsTable",
            "dynamodb:PutItem GrantsTable",
        ],
    ),
    (
        "authorize",
        &[
            "GetSecretValue TokenSecret",
            "dynamodb:BatchGetItem UsersTable",
            "dynamodb:BatchGetItem GrantsTable",
            "dynamodb:UpdateItem GrantsTable",
            "dynamodb:DeleteItem GrantsTable",
        ],
    ),
    (
        "auth",
        &[
            "GetSecretValue TokenSecret",
            "dynamodb:BatchGetItem UsersTable",
            "dynamodb:BatchGetItem GrantsTable",
            "dynamodb:UpdateItem GrantsTable",
            "dynamodb:DeleteItem GrantsTable",
        ],
    ),
    ("jwks", &["GetSecretValue TokenSecret"]),
    (
        "password-generate-code",
        &[
            "GetSecretValue CaptchaSecretArn unless NoCaptchaSecret",
            "dynamodb:BatchGetItem UsersTable",
            "dynamodb:BatchGetItem GrantsTable",
            "dynamodb:UpdateItem GrantsTable",
            "dynamodb:PutItem GrantsTable",
        ],
    ),
    (
        "password-confirm-code",
        &[
            "GetSecretValue TokenSecret",
            "dynamodb:BatchGetItem UsersTable",
            "dynamodb:UpdateItem UsersTable",
            "dynamodb:BatchGetItem GrantsTable",
            "dynamodb:DeleteItem GrantsTable",
            "dynamodb:PutItem GrantsTable",
        ],
    ),
    (
        "otp-generate-qrcode",
        &[
            "GetSecretValue TokenSecret",
            "dynamodb:BatchGetItem UsersTable",
            "dynamodb:UpdateItem UsersTable",
            "dynamodb:BatchGetItem GrantsTable",
            "dynamodb:UpdateItem GrantsTable",
            "dynamodb:DeleteItem GrantsTable",
            "dynamodb:PutItem GrantsTable",
        ],
    ),
    (
        "otp-enable",
        &[
            "GetSecretValue TokenSecret",
            "dynamodb:BatchGetItem UsersTable",
            "dynamodb:GetItem UsersTable",
            "dynamodb:UpdateItem UsersTable",
            "dynamodb:BatchGetItem GrantsTable",
            "dynamodb:UpdateItem GrantsTable",
            "dynamodb:DeleteItem GrantsTable",
            "dynamodb:PutItem GrantsTable",
        ],
    ),
    (
        "otp-disable",
        &[
            "GetSecretValue TokenSecret",
            "dynamodb:BatchGetItem UsersTable",
            "dynamodb:GetItem UsersTable",
            "dynamodb:UpdateItem UsersTable",
            "dynamodb:BatchGetItem GrantsTable",
            "dynamodb:UpdateItem GrantsTable",
            "dynamodb:DeleteItem GrantsTable",
            "dynamodb:PutItem GrantsTable",
        ],
    ),
    (
        "otp-verify",
        &[
            "GetSecretValue TokenSecret",
            "dynamodb:BatchGetItem UsersTable",
            "dynamodb:UpdateItem UsersTable",
            "dynamodb:BatchGetItem GrantsTable",
            "dynamodb:UpdateItem GrantsTable",
            "dynamodb:DeleteItem GrantsTable",
        ],
    ),
    (
        "user-create",
        &[
            "GetSecretValue TokenSecret",
            "GetSecretValue CaptchaSecretArn unless NoCaptchaSecret",
            "dynamodb:BatchGetItem UsersTable",
            "dynamodb:PutItem UsersTable",
            "dynamodb:UpdateItem GrantsTable",
            "dynamodb:PutItem GrantsTable",
        ],
    ),
    ("captcha-register-geetest", &["GetSecretValue CaptchaSecretArn unless NoCaptchaSecret"]),
    (
        "mail-send",
        &[
            "GetSecretValue TokenSecret",
            "dynamodb:UpdateItem GrantsTable",
            "dynamodb:GetItem UsersTable",
            "ses:SendEmail identity",
            "ses:SendEmail configuration-set",
        ],
    ),
    ("mail-feedback", &["dynamodb:GetItem UsersTable", "dynamodb:UpdateItem UsersTable"]),
    (
        "manage-users",
        &[
            "dynamodb:GetItem UsersTable",
            "dynamodb:PutItem UsersTable",
            "dynamodb:UpdateItem UsersTable",
            "dynamodb:DeleteItem UsersTable",
            "dynamodb:Scan UsersTable",
            "dynamodb:Query GrantsTable",
            "dynamodb:BatchWriteItem GrantsTable",
        ],
    ),
];

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

#[test]
fn every_function_may_do_what_it_does_and_nothing_else() {
    let template = Template::read();
    for function in &template.functions {
        let expected = GRANTS.iter().find(|(binary, _)| *binary == function.binary).map_or(&[][..], |(_, grants)| *grants);
        let granted: BTreeSet<String> = function.grants.iter().map(|grant| short(grant)).collect();
        assert_eq!(granted, expected.iter().map(|grant| (*grant).to_owned()).collect(), "{}", function.binary);
    }
}

/// A grant without what is the same in every stack: SAM's name of a policy, the front of an ARN.
fn short(grant: &str) -> String {
    let (action, resource) = grant.split_once(' ').unwrap();
    let action = action.trim_start_matches("AWSSecretsManager").trim_end_matches("Policy");
    let resource = resource.rsplit(':').next().unwrap().split('/').next().unwrap();
    format!("{action} {resource}")
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

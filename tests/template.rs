//! Consistency of template.yaml, the binaries, the tests and the events

use std::{
    collections::BTreeSet,
    fs,
    sync::{Arc, Mutex},
};

use serde_yaml_ng::Value as Yaml;
use shared::{
    config::{
        AccessTokens, Accounts, Application, ConfigError, Mail, Passwords, Sessions, Tables,
        Variables, access_token_key, argon2, auth_method_is_own, browser_origins, captcha,
        cdn_secrets, closed_lifetime, data_secret, imported_hashes, limits, logo, pending_lifetime,
        relying_party, sign_in_notice, token_secret, trusted_proxies,
    },
    domain::{
        passkey::Passkey,
        user::{CredentialAccess, Exported, Withheld},
    },
};

use crate::{
    events::{events_of, function_of},
    harness::{Function, Template, workspace},
};

#[test]
fn every_binary_has_a_function_and_every_function_a_binary() {
    let files = fs::read_dir(workspace().join("functions/src/bin")).unwrap();
    let binaries: BTreeSet<String> = files
        .map(|file| {
            file.unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let functions: BTreeSet<String> = Template::read()
        .functions
        .into_iter()
        .map(|function| function.binary)
        .collect();
    assert_eq!(binaries, functions);
}

#[test]
fn every_function_has_an_endpoint_and_a_test_of_the_same_path() {
    for function in Template::read().functions {
        let (area, verb) = function.place();
        for folder in ["functions/src", "tests"] {
            let file = workspace()
                .join(folder)
                .join(&area)
                .join(format!("{verb}.rs"));
            assert!(file.is_file(), "{}: {file:?}", function.binary);
        }
        let test = fs::read_to_string(
            workspace()
                .join("tests")
                .join(&area)
                .join(format!("{verb}.rs")),
        )
        .unwrap();
        for (method, path) in &function.routes {
            assert!(
                test.starts_with(&format!("//! `{method} {path}`\n")),
                "{}: the test does not begin with its route",
                function.binary
            );
            assert!(
                test.contains("#[tokio::test]"),
                "{}: no test",
                function.binary
            );
        }
    }
}

#[test]
fn every_function_has_an_event_and_every_event_a_function() {
    let template = Template::read();
    for function in &template.functions {
        assert!(
            !events_of(function, &template).is_empty(),
            "{}",
            function.binary
        );
    }
    for file in fs::read_dir(workspace().join("events")).unwrap() {
        let path = file.unwrap().path();
        assert!(
            path.ends_with("env.json") || function_of(&path, &template).is_some(),
            "{path:?}"
        );
    }
}

#[test]
fn every_function_has_one_route_except_those_that_aws_invokes() {
    for function in Template::read().functions {
        let has_route = ![
            "account-erase",
            "mail-send",
            "mail-feedback",
            "manage-users",
            "authorize",
        ]
        .contains(&function.binary.as_str());
        assert_eq!(
            function.routes.len(),
            usize::from(has_route),
            "{}",
            function.binary
        );
    }
}

/// The functions that compute hashes have a whole processor; those that send mail are named.
#[test]
fn every_expensive_route_has_a_lower_limit() {
    let text = fs::read_to_string(workspace().join("template.yaml")).unwrap();
    let document: serde_yaml_ng::Value = serde_yaml_ng::from_str(&text).unwrap();
    let template = Template::read();
    let is_expensive = |function: &&Function| {
        let properties = &document["Resources"][function.logical_id.as_str()]["Properties"];
        properties["MemorySize"] == 1769
            || ["password-generate-code", "email-generate-code"].contains(&function.binary.as_str())
    };
    let expensive: BTreeSet<String> = template
        .functions
        .iter()
        .filter(is_expensive)
        .flat_map(|function| &function.routes)
        .map(|(method, path)| format!("{method} {path}"))
        .collect();
    let settings = document["Resources"]["HttpApi"]["Properties"]["RouteSettings"]
        .as_mapping()
        .unwrap();
    let limited = settings.keys().map(|key| key.as_str().unwrap().to_owned());
    assert_eq!(limited.collect::<BTreeSet<_>>(), expensive);
    for (route, own) in settings {
        for limit in ["ThrottlingRateLimit", "ThrottlingBurstLimit"] {
            let default = document["Parameters"][limit]["Default"].as_u64();
            assert!(own[limit].as_u64() < default, "{route:?} {limit}");
            assert!(own[limit].as_u64() > Some(0), "{route:?} {limit}");
        }
    }
}

/// SAM grants API Gateway the invocation of `/auth/*` only if the greedy parameter is `{proxy+}`.
/// It takes another name literally, and requests would be rejected.
#[test]
fn every_greedy_path_parameter_has_the_name_that_sam_expects() {
    for (_, path) in Template::read()
        .functions
        .into_iter()
        .flat_map(|function| function.routes)
    {
        assert!(!path.contains('+') || path.ends_with("/{proxy+}"), "{path}");
    }
}

/// Variables that are read before the configuration, and those of the SDK.
const NOT_OF_THE_CONFIGURATION: [&str; 4] = [
    "IDENTITY_METRICS_NAMESPACE",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_SESV2",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
];

#[test]
fn every_variable_is_a_parameter_with_the_same_name_and_default() {
    let template = Template::read();
    let resources = [
        "IDENTITY_USERS_TABLE",
        "IDENTITY_GRANTS_TABLE",
        "IDENTITY_TOKEN_SECRET",
        "IDENTITY_DATA_SECRET",
        "IDENTITY_MAIL_CONFIGURATION_SET",
    ];
    let is_parameter = |variable: &str| {
        !resources.contains(&variable) && !NOT_OF_THE_CONFIGURATION.contains(&variable)
    };
    let variables = template.all_variables();
    for (variable, refers_to) in variables
        .iter()
        .filter(|(variable, _)| is_parameter(variable))
    {
        let words: String = variable
            .trim_start_matches("IDENTITY_")
            .split('_')
            .map(|word| word[..1].to_owned() + &*word[1..].to_lowercase())
            .collect();
        let name = match words.as_str() {
            // The parameter also configures CORS.
            "AllowedOrigins" => "CorsAllowedOrigins".to_owned(),
            _ => words,
        };
        assert_eq!(*refers_to, name, "{variable}");
        assert!(template.parameters.contains_key(&name), "{variable}");
    }
    let parameters = template.parameters;
    let from_template = move |variable: &str| {
        let default = || parameters.get(variables.get(variable)?)?.clone();
        required(variable)
            .or_else(default)
            .filter(|value| !value.is_empty())
    };
    assert_eq!(
        described(&Variables::new(from_template)).unwrap(),
        described(&Variables::new(required)).unwrap()
    );
}

/// The variables without a default.
fn required(variable: &str) -> Option<String> {
    match variable {
        "IDENTITY_DOMAIN" => Some("https://id.example".to_owned()),
        "IDENTITY_SENDER_EMAIL" => Some("noreply@id.example".to_owned()),
        "IDENTITY_USERS_TABLE"
        | "IDENTITY_GRANTS_TABLE"
        | "IDENTITY_TOKEN_SECRET"
        | "IDENTITY_DATA_SECRET"
        | "IDENTITY_MAIL_CONFIGURATION_SET" => Some("resource".to_owned()),
        _ => None,
    }
}

/// Every section of the configuration, as text.
fn described(variables: &Variables) -> Result<Vec<String>, ConfigError> {
    let application = Application::read(variables)?;
    Ok(vec![
        format!("{application:?}"),
        format!("{:?}", Mail::read(variables, &application)?),
        format!("{:?}", AccessTokens::read(variables, &application)?),
        format!("{:?}", access_token_key(variables)?),
        format!("{:?}", auth_method_is_own(variables)?),
        format!("{:?}", Accounts::read(variables)?),
        format!("{:?}", pending_lifetime(variables)?),
        format!("{:?}", closed_lifetime(variables)?),
        format!("{:?}", sign_in_notice(variables)?),
        format!("{:?}", Sessions::read(variables)?),
        format!("{:?}", trusted_proxies(variables)?),
        format!("{:?}", browser_origins(variables)?),
        format!("{:?}", relying_party(variables)?),
        format!("{:?}", cdn_secrets(variables)?),
        format!("{:?}", Passwords::read(variables)?),
        format!("{:?}", argon2(variables)?),
        format!("{:?}", imported_hashes(variables)?),
        format!("{:?}", limits(variables)?),
        format!("{:?}", captcha(variables)?),
        format!("{:?}", logo(variables)?),
        format!("{:?}", Tables::read(variables)?),
        token_secret(variables)?,
        data_secret(variables)?,
    ])
}

#[test]
fn every_variable_that_the_configuration_reads_is_set_by_the_template() {
    let read = Arc::new(Mutex::new(BTreeSet::new()));
    let record = Arc::clone(&read);
    let variables = Variables::new(move |variable| {
        record.lock().unwrap().insert(variable.to_owned());
        required(variable)
    });
    described(&variables).unwrap();
    let mut set: BTreeSet<String> = Template::read().all_variables().into_keys().collect();
    assert!(
        NOT_OF_THE_CONFIGURATION
            .iter()
            .all(|variable| set.remove(*variable))
    );
    assert_eq!(*read.lock().unwrap(), set);
}

#[test]
fn only_the_functions_that_open_or_seal_otp_secrets_have_the_data_secret() {
    let text = fs::read_to_string(workspace().join("template.yaml")).unwrap();
    let document: Yaml = serde_yaml_ng::from_str(&text).unwrap();
    let functions = Template::read().functions.into_iter();
    let with_secret: BTreeSet<String> = functions
        .filter(|function| function.variables.contains_key("IDENTITY_DATA_SECRET"))
        .map(|function| function.binary)
        .collect();
    let granted: BTreeSet<String> = document["Resources"]
        .as_mapping()
        .unwrap()
        .values()
        .filter(|resource| {
            let policies = &resource["Properties"]["Policies"];
            policies.as_sequence().is_some_and(|policies| {
                policies.iter().any(|policy| {
                    let arn = &policy["AWSSecretsManagerGetSecretValuePolicy"]["SecretArn"];
                    matches!(arn, Yaml::Tagged(tagged) if tagged.value == "DataSecret")
                })
            })
        })
        .map(|resource| {
            let binary = &resource["Metadata"]["BuildProperties"]["Binary"];
            binary.as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(granted, with_secret);
    let expected = [
        "email-change",
        "manage-users",
        "otp-disable",
        "otp-enable",
        "otp-generate-qrcode",
        "otp-recovery-codes",
        "otp-verify",
        "session-create",
        "session-reauthenticate",
        "user-close",
    ];
    assert_eq!(with_secret, expected.map(str::to_owned).into());
}

#[test]
fn a_function_has_the_variables_of_the_sections_that_it_reads() {
    // A variable that the template does not set would silently have its default. So this holds for
    // each section with variables that are not in `Globals`, in both directions.
    let sections: [(&str, &[&str]); 13] = [
        (
            "Passwords::read(",
            &[
                "IDENTITY_BREACHED_PASSWORDS",
                "IDENTITY_BREACHED_PASSWORDS_URL",
            ],
        ),
        ("closed_lifetime(&variables)", &["IDENTITY_DELETED_DAYS"]),
        ("token_secret(&variables)", &["IDENTITY_TOKEN_SECRET"]),
        ("data_secret(&variables)", &["IDENTITY_DATA_SECRET"]),
        ("imported_hashes(&variables)", &["IDENTITY_IMPORTED_HASHES"]),
        (
            "AccessTokens::read(",
            &[
                "IDENTITY_ACCESS_TOKEN_ISSUER",
                "IDENTITY_ACCESS_TOKEN_AUDIENCE",
            ],
        ),
        (
            "access_token_key(&variables)",
            &["IDENTITY_ACCESS_TOKEN_KEY_ARN"],
        ),
        ("auth_method_is_own(&variables)", &["IDENTITY_AUTH_METHOD"]),
        ("trusted_proxies(&variables)", &["IDENTITY_TRUSTED_PROXIES"]),
        (
            "Mail::read(",
            &[
                "IDENTITY_SENDER_EMAIL",
                "IDENTITY_SENDER_NAME",
                "IDENTITY_SUPPORT_URL",
            ],
        ),
        ("logo(&variables)", &["IDENTITY_LOGO_URL"]),
        ("relying_party(&variables)", &["IDENTITY_PASSKEY_RP_ID"]),
        // Two functions of the section read it.
        (
            "relying_party(&variables)|related_origins(&variables)",
            &["IDENTITY_PASSKEY_ORIGINS"],
        ),
    ];
    let template = Template::read();
    let mut checked = BTreeSet::new();
    for function in &template.functions {
        let path = format!("functions/src/bin/{}.rs", function.binary);
        let code = fs::read_to_string(workspace().join(path)).unwrap();
        for (section, variables) in sections {
            for variable in variables {
                assert_eq!(
                    function.variables.contains_key(*variable),
                    section.split('|').any(|call| code.contains(call)),
                    "{} and {variable}",
                    function.binary
                );
                checked.insert((*variable).to_owned());
            }
        }
    }
    let own = template
        .functions
        .iter()
        .flat_map(|function| function.variables.keys().cloned());
    assert_eq!(own.collect::<BTreeSet<_>>(), checked);
}

/// The statements of a function's own policies.
fn statements(function: &Yaml) -> Vec<&Yaml> {
    let policies = function["Properties"]["Policies"].as_sequence();
    policies
        .into_iter()
        .flatten()
        .filter_map(|policy| policy.get("Statement")?.as_sequence())
        .flatten()
        .collect()
}

/// The texts of a value that is one text or a list.
fn texts(value: &Yaml) -> Vec<&str> {
    match value {
        Yaml::Sequence(values) => values.iter().map(|value| value.as_str().unwrap()).collect(),
        value => value.as_str().into_iter().collect(),
    }
}

/// The private key of access tokens is readable where tokens are signed or its public key is published.
#[test]
fn only_three_functions_can_read_the_key_of_access_tokens() {
    let text = fs::read_to_string(workspace().join("template.yaml")).unwrap();
    let template: Yaml = serde_yaml_ng::from_str(&text).unwrap();
    let resources = template["Resources"].as_mapping().unwrap();
    let readers: Vec<&str> = resources
        .iter()
        .filter(|(_, resource)| {
            let policies = format!("{:?}", resource["Properties"]["Policies"]);
            policies.contains("AccessTokenKeyArn")
        })
        .map(|(id, _)| id.as_str().unwrap())
        .collect();
    assert_eq!(
        readers,
        ["AuthorizeFunction", "AuthFunction", "JwksFunction"]
    );
}

/// A function that reads users without their credentials could otherwise be made to read them.
#[test]
fn functions_that_verify_no_credentials_cannot_read_them() {
    const READERS: [&str; 20] = [
        "AccountEraseFunction",
        "AuthFunction",
        "AuthorizeFunction",
        "LabelCreateFunction",
        "LabelDeleteFunction",
        "LabelListFunction",
        "LabelShowFunction",
        "LabelUpdateFunction",
        "PasskeyCreateFunction",
        "PasskeyDeleteFunction",
        "PasskeyUpdateFunction",
        "SessionDeleteFunction",
        "SessionEndFunction",
        "SessionEndOthersFunction",
        "SessionListFunction",
        "UserActivityFunction",
        "UserApiKeysFunction",
        "UserCreateFunction",
        "UserMeFunction",
        "UserUpdateFunction",
    ];
    /// Read passkeys too.
    const PASSKEY_READERS: [&str; 3] = [
        "PasskeyCreateOptionsFunction",
        "PasskeyListFunction",
        "PasskeySignInFunction",
    ];
    let permitted = |attributes: Option<&[&'static str]>| -> BTreeSet<&str> {
        let own = attributes.unwrap().iter();
        own.chain(&["pk", "keys", "revision", "user"])
            .copied()
            .collect()
    };
    let with_passkeys = |attributes| {
        let mut permitted = permitted(attributes);
        permitted.extend(Passkey::ATTRIBUTES);
        permitted
    };
    let readers = READERS.map(|function| (function, permitted(Withheld::ATTRIBUTES)));
    let of_passkeys =
        PASSKEY_READERS.map(|function| (function, with_passkeys(Withheld::ATTRIBUTES)));
    let export = ("UserExportFunction", with_passkeys(Exported::ATTRIBUTES));
    let text = fs::read_to_string(workspace().join("template.yaml")).unwrap();
    let template: Yaml = serde_yaml_ng::from_str(&text).unwrap();
    for (function, permitted) in readers.into_iter().chain(of_passkeys).chain([export]) {
        let mut reads = 0;
        for statement in statements(&template["Resources"][function]) {
            let is_read = texts(&statement["Action"]).iter().any(|action| {
                ["dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan"].contains(action)
            });
            if !is_read || !format!("{:?}", statement["Resource"]).contains("UsersTable") {
                continue;
            }
            let condition = &statement["Condition"];
            let attributes = texts(&condition["ForAllValues:StringEquals"]["dynamodb:Attributes"]);
            assert_eq!(
                attributes.into_iter().collect::<BTreeSet<_>>(),
                permitted,
                "{function}"
            );
            assert_eq!(
                condition["StringEqualsIfExists"]["dynamodb:Select"], "SPECIFIC_ATTRIBUTES",
                "{function}"
            );
            reads += 1;
        }
        assert_eq!(reads, 1, "{function}");
    }
}

/// A function that was taken over could otherwise publish a key of the attacker, or read items that it
/// does not need.
#[test]
fn every_statement_on_the_users_table_is_limited_to_prefixes() {
    const PREFIXES: [&str; 5] = ["USER#*", "UID#*", "PASSKEY#*", "KEYS#tokens", "KEYS#access"];
    let text = fs::read_to_string(workspace().join("template.yaml")).unwrap();
    let template: Yaml = serde_yaml_ng::from_str(&text).unwrap();
    let resources = template["Resources"].as_mapping().unwrap();
    let functions = resources
        .iter()
        .filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function");
    let mut checked = 0;
    for (id, function) in functions {
        for statement in statements(function) {
            let resource = format!("{:?}", statement["Resource"]);
            if !resource.contains("UsersTable") {
                continue;
            }
            // A scan has no key that a condition could restrict.
            if texts(&statement["Action"]) == ["dynamodb:Scan"] {
                assert_eq!(id, "ManageUsersFunction");
                continue;
            }
            let keys: Vec<&str> = ["ForAllValues:StringLike", "ForAllValues:StringEquals"]
                .iter()
                .flat_map(|operator| {
                    texts(&statement["Condition"][*operator]["dynamodb:LeadingKeys"])
                })
                .collect();
            assert!(!keys.is_empty(), "{id:?}: {statement:?}");
            assert!(
                keys.iter().all(|key| PREFIXES.contains(key)),
                "{id:?}: {keys:?}"
            );
            checked += 1;
        }
    }
    assert!(checked > 40, "{checked}");
}

//! Resources that remain after a failed deployment or a deletion of the stack

use std::{collections::BTreeSet, fs};

use serde_yaml_ng::Value;

use crate::harness::workspace;

fn template() -> Value {
    serde_yaml_ng::from_str(&fs::read_to_string(workspace().join("template.yaml")).unwrap())
        .unwrap()
}

/// The argument of an intrinsic function.
fn argument(value: &Value, tag: &str) -> Value {
    let Value::Tagged(tagged) = value else {
        panic!("expected !{tag}: {value:?}")
    };
    assert!(tagged.tag == tag, "{value:?}");
    tagged.value.clone()
}

/// The actions of every statement within the value.
fn actions(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Tagged(tagged) => actions(&tagged.value),
        Value::Sequence(values) => values.iter().flat_map(actions).collect(),
        Value::Mapping(mapping) => mapping
            .iter()
            .flat_map(|(name, value)| match (name.as_str(), value) {
                (Some("Action"), Value::String(action)) => BTreeSet::from([action.clone()]),
                (Some("Action"), Value::Sequence(list)) => list
                    .iter()
                    .map(|action| action.as_str().unwrap().to_owned())
                    .collect(),
                (Some("AWSSecretsManagerGetSecretValuePolicy"), _) => {
                    BTreeSet::from(["secretsmanager:GetSecretValue".to_owned()])
                }
                _ => actions(value),
            })
            .collect(),
        _ => BTreeSet::new(),
    }
}

#[test]
fn the_users_table_is_retained_except_after_a_failed_creation() {
    let template = template();
    let table = &template["Resources"]["UsersTable"];
    assert_eq!(table["DeletionPolicy"], "RetainExceptOnCreate");
    assert_eq!(table["UpdateReplacePolicy"], "Retain");
    // CloudFormation cannot delete a protected table, so the protection is optional.
    let protection = argument(&table["Properties"]["DeletionProtectionEnabled"], "If");
    assert_eq!(protection[0], "UsersAreProtected");
    assert_eq!(
        (protection[1].as_bool(), protection[2].as_bool()),
        (Some(true), Some(false))
    );
    let condition = argument(&template["Conditions"]["UsersAreProtected"], "Equals");
    assert_eq!(
        (argument(&condition[0], "Ref"), &condition[1]),
        (Value::from("DeletionProtection"), &Value::from("on"))
    );
    assert_eq!(
        template["Parameters"]["DeletionProtection"]["Default"],
        "on"
    );
}

#[test]
fn the_data_secret_is_retained_like_the_users_table() {
    let template = template();
    let secret = &template["Resources"]["DataSecret"];
    for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
        assert_eq!(secret[policy], template["Resources"]["UsersTable"][policy]);
    }
    // A change of these properties would make CloudFormation replace the keys.
    let generated = &secret["Properties"]["GenerateSecretString"];
    let expected = r#"
        SecretStringTemplate: '{"current": "1"}'
        GenerateStringKey: '1'
        PasswordLength: 64
        ExcludePunctuation: true
    "#;
    let expected: Value = serde_yaml_ng::from_str(expected).unwrap();
    assert_eq!(*generated, expected);
}

#[test]
fn no_function_can_create_a_log_group() {
    let template = template();
    assert_eq!(
        argument(
            &template["Globals"]["Function"]["PermissionsBoundary"],
            "Ref"
        ),
        "FunctionBoundary"
    );
    let resources = template["Resources"].as_mapping().unwrap();
    for (id, function) in resources
        .iter()
        .filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function")
    {
        let properties = &function["Properties"];
        // Either property would replace the boundary.
        assert!(
            properties.get("PermissionsBoundary").is_none() && properties.get("Role").is_none(),
            "{id:?}"
        );
        // The boundary allows writes to the function's log group.
        let group = argument(&properties["LoggingConfig"]["LogGroup"], "Ref");
        let name = argument(
            &template["Resources"][&group]["Properties"]["LogGroupName"],
            "Sub",
        );
        assert!(
            name.as_str()
                .unwrap()
                .starts_with("/aws/lambda/${AWS::StackName}/"),
            "{id:?}"
        );
    }
    let boundary =
        &template["Resources"]["FunctionBoundary"]["Properties"]["PolicyDocument"]["Statement"];
    let logs: BTreeSet<String> = actions(boundary)
        .into_iter()
        .filter(|action| action.starts_with("logs:"))
        .collect();
    assert_eq!(
        logs,
        ["logs:CreateLogStream", "logs:PutLogEvents"]
            .map(str::to_owned)
            .into()
    );
    for statement in boundary.as_sequence().unwrap().iter().filter(|statement| {
        actions(statement)
            .iter()
            .any(|action| logs.contains(action))
    }) {
        let groups = argument(&statement["Resource"], "Sub");
        assert!(
            groups
                .as_str()
                .unwrap()
                .ends_with(":log-group:/aws/lambda/${AWS::StackName}/*"),
            "{groups:?}"
        );
    }
}

#[test]
fn the_boundary_lists_every_action_of_the_functions_without_wildcards() {
    let template = template();
    let allowed =
        actions(&template["Resources"]["FunctionBoundary"]["Properties"]["PolicyDocument"]);
    assert!(
        !allowed.iter().any(|action| action.contains('*')),
        "{allowed:?}"
    );
    let resources = template["Resources"].as_mapping().unwrap();
    let mut granted = BTreeSet::new();
    for (id, function) in resources
        .iter()
        .filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function")
    {
        let actions = function["Properties"]
            .get("Policies")
            .map(actions)
            .unwrap_or_default();
        assert!(
            actions.is_subset(&allowed),
            "{id:?}: {:?}",
            actions.difference(&allowed)
        );
        granted.extend(actions);
    }
    assert!(
        granted.contains("ses:SendEmail") && granted.contains("dynamodb:BatchWriteItem"),
        "{granted:?}"
    );
    // Actions that SAM adds: traces, the stream and the failure queue.
    for action in [
        "xray:PutTraceSegments",
        "dynamodb:GetRecords",
        "dynamodb:ListStreams",
        "sqs:SendMessage",
    ] {
        assert!(allowed.contains(action), "{action}");
    }
}

//! docs/examples/pipeline-role.yaml, against the permissions that CloudFormation needs to create,
//! update and delete the stack

use std::{collections::BTreeMap, fs, path::PathBuf, process::Stdio};

use serde_json::Value as Json;
use serde_yaml_ng::Value;
use tokio::process::Command;

use super::programs::{found, sections};
use crate::harness::workspace;

/// IAM's quota for the inline policies of a role, in characters without white space.
const POLICY_QUOTA: usize = 10_240;

fn role() -> Value {
    let text = fs::read_to_string(workspace().join("docs/examples/pipeline-role.yaml")).unwrap();
    serde_yaml_ng::from_str(&text).unwrap()
}

/// The permissions that CloudFormation's resource providers need, by type of resource.
fn needs() -> Json {
    serde_json::from_str(
        &fs::read_to_string(workspace().join("tests/pipeline/cloudformation.json")).unwrap(),
    )
    .unwrap()
}

/// Allowed actions, each with a pattern of resources.
struct Grants(Vec<(String, String)>);

impl Grants {
    fn of(stack: &str) -> Self {
        let role = role();
        let statements =
            role["Resources"]["Role"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
                .as_sequence()
                .unwrap();
        let pairs = statements.iter().flat_map(|statement| {
            assert_eq!(statement["Effect"], "Allow");
            let resources: Vec<String> = list(&statement["Resource"])
                .iter()
                .map(|resource| substituted(resource, stack))
                .collect();
            let actions = list(&statement["Action"])
                .into_iter()
                .map(|action| action.as_str().unwrap().to_owned());
            actions.flat_map(move |action| {
                resources
                    .clone()
                    .into_iter()
                    .map(move |resource| (action.clone(), resource))
            })
        });
        Self(pairs.collect())
    }

    fn allow(&self, action: &str, resource: &str) -> bool {
        self.0.iter().any(|(actions, resources)| {
            matches(&actions.to_lowercase(), &action.to_lowercase()) && matches(resources, resource)
        })
    }
}

fn list(value: &Value) -> Vec<Value> {
    value
        .as_sequence()
        .cloned()
        .unwrap_or_else(|| vec![value.clone()])
}

/// A resource of the policy with pseudo parameters replaced.
fn substituted(resource: &Value, stack: &str) -> String {
    let text = match resource {
        Value::Tagged(tagged) if tagged.tag == "Sub" => tagged.value.as_str().unwrap(),
        plain => plain.as_str().unwrap(),
    };
    let text = text
        .replace("${AWS::Partition}", "aws")
        .replace("${AWS::Region}", "eu-central-1");
    let text = text
        .replace("${AWS::AccountId}", "123456789012")
        .replace("${StackName}", stack);
    assert!(!text.contains("${"), "{text}");
    text
}

/// Whether a text matches an IAM pattern, in which `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            (0..=text.len())
                .filter(|at| text.is_char_boundary(*at))
                .any(|at| matches(rest, &text[at..]))
        }),
    }
}

/// The name that CloudFormation generates, with 12 random characters at its end. If it would be too
/// long, both parts are truncated to half of the remaining length, unless one is shorter. The rule
/// is not documented; it was derived from observed names.
fn generated(stack: &str, resource: &str, longest: usize) -> String {
    let room = longest - 14;
    let stack_kept = (room - room / 2).max(room.saturating_sub(resource.len()));
    let resource_kept = (room / 2).max(room.saturating_sub(stack.len()));
    let cut = |text: &str, length: usize| text[..length.min(text.len())].to_owned();
    format!(
        "{}-{}-ABCDEFGHIJKL",
        cut(stack, stack_kept),
        cut(resource, resource_kept)
    )
}

/// The Python interpreter of the SAM CLI.
fn interpreter() -> Option<PathBuf> {
    let sam = found("sam", "aws-sam-cli")?;
    Some(
        fs::canonicalize(sam)
            .unwrap()
            .parent()
            .unwrap()
            .join("python3"),
    )
}

/// Logical ids and types of the stack's resources after SAM has expanded the template.
async fn resources(interpreter: PathBuf) -> BTreeMap<String, String> {
    let output = Command::new(interpreter)
        .arg(workspace().join("tests/pipeline/expand.py"))
        .arg(workspace().join("template.yaml"))
        .env("AWS_DEFAULT_REGION", "eu-central-1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Whether the action is listed as an exception for the type.
fn is_excepted(needs: &Json, kind: &str, action: &str) -> bool {
    needs["exceptions"]
        .as_array()
        .unwrap()
        .iter()
        .any(|exception| {
            let actions = exception["actions"].as_array().unwrap();
            exception["type"] == kind
                && actions
                    .iter()
                    .any(|pattern| matches(pattern.as_str().unwrap(), action))
        })
}

fn longest_stack_name() -> usize {
    usize::try_from(
        role()["Parameters"]["StackName"]["MaxLength"]
            .as_u64()
            .unwrap(),
    )
    .unwrap()
}

/// Actions that a stack of that name needs and the role does not allow.
fn missing(resources: &BTreeMap<String, String>, stack: &str) -> Vec<String> {
    let needs = needs();
    let grants = Grants::of(stack);
    let star: Vec<&str> = needs["only_on_all_resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|action| action.as_str().unwrap())
        .collect();
    let mut missing = Vec::new();
    for (id, kind) in resources {
        let need = &needs["types"][kind];
        assert!(
            need.is_object(),
            "{id}: tests/pipeline/cloudformation.json has no entry for {kind}"
        );
        let handlers = need["handlers"]
            .as_object()
            .unwrap()
            .values()
            .chain([&need["tagging"]]);
        let actions = handlers
            .flat_map(|actions| actions.as_array().unwrap())
            .map(|action| action.as_str().unwrap());
        for action in actions.filter(|action| !is_excepted(&needs, kind, action)) {
            let (service, _) = action.split_once(':').unwrap();
            let longest = usize::try_from(need["longest_name"].as_u64().unwrap()).unwrap();
            let name = if longest == 0 {
                String::new()
            } else {
                generated(stack, id, longest)
            };
            let arn = if star.contains(&action) {
                "*"
            } else {
                need["arns"][service].as_str().unwrap_or("*")
            };
            let arn = arn
                .replace("{name}", &name)
                .replace("{stack}", stack)
                .replace("{id}", id);
            if !grants.allow(action, &arn) {
                missing.push(format!("{kind}: {action} on {arn}"));
            }
        }
    }
    missing.sort();
    missing.dedup();
    missing
}

#[tokio::test]
async fn the_role_allows_everything_that_cloudformation_needs() {
    let Some(interpreter) = interpreter() else {
        return;
    };
    let resources = resources(interpreter).await;
    let longest = format!("latchkey-{}", "x".repeat(longest_stack_name() - 9));
    for stack in [longest.as_str(), "latchkey-dev", "latchkey"] {
        let missing = missing(&resources, stack);
        assert!(missing.is_empty(), "{stack}: {missing:#?}");
    }
    // Longer stack names lead to generated names that the role's patterns do not match.
    assert!(!missing(&resources, &"l".repeat(64)).is_empty());
}

#[tokio::test]
async fn every_exception_concerns_an_action_of_a_type_in_the_stack() {
    let Some(interpreter) = interpreter() else {
        return;
    };
    let resources = resources(interpreter).await;
    let needs = needs();
    for exception in needs["exceptions"].as_array().unwrap() {
        let kind = exception["type"].as_str().unwrap();
        assert!(resources.values().any(|used| used == kind), "{exception}");
        assert!(
            exception["reason"].as_str().unwrap().ends_with('.'),
            "{exception}"
        );
        let listed = needs["types"][kind].to_string();
        for pattern in exception["actions"].as_array().unwrap() {
            let start = pattern.as_str().unwrap().trim_end_matches('*');
            assert!(
                listed.contains(&format!("\"{start}")),
                "{exception}: no such action"
            );
        }
    }
    for kind in needs["types"].as_object().unwrap().keys() {
        assert!(resources.values().any(|used| used == kind), "{kind}");
    }
}

#[test]
fn the_role_allows_the_calls_of_the_smoke_test() {
    let grants = Grants::of("latchkey-dev");
    let name = generated("latchkey-dev", "ManageUsersFunction", 64);
    assert!(grants.allow(
        "lambda:InvokeFunction",
        &format!("arn:aws:lambda:eu-central-1:123456789012:function:{name}")
    ));
    let stack = "arn:aws:cloudformation:eu-central-1:123456789012:stack/latchkey-dev/0123";
    assert!(grants.allow("cloudformation:DescribeStacks", stack));
    // Functions of other stacks are not allowed.
    assert!(!grants.allow(
        "lambda:InvokeFunction",
        "arn:aws:lambda:eu-central-1:123456789012:function:shop-Function-ABC"
    ));
}

#[test]
fn the_role_supports_the_stack_names_of_samconfig() {
    for section in ["default", "prod"] {
        let name = sections()[section].clone();
        assert!(
            name.starts_with("latchkey") && name.len() <= longest_stack_name(),
            "{name}"
        );
    }
}

#[test]
fn the_policy_is_within_the_quota_of_iam() {
    let policies = &role()["Resources"]["Role"]["Properties"]["Policies"];
    let text = serde_yaml_ng::to_string(policies)
        .unwrap()
        .replace("${AWS::Partition}", "aws-us-gov");
    let text = text
        .replace("${AWS::Region}", "ap-southeast-1")
        .replace("${AWS::AccountId}", "123456789012");
    let text = text.replace("${StackName}", &"x".repeat(longest_stack_name()));
    // As JSON each entry has two quotation marks and a comma; a list in YAML has a hyphen.
    let size = text
        .chars()
        .filter(|character| !character.is_whitespace())
        .count()
        + 3 * text.lines().count();
    assert!(size < POLICY_QUOTA, "{size}");
}

#[test]
fn generated_names_match_observed_ones() {
    for (stack, resource, longest, name) in [
        (
            "ChineseboostAnalyticsStack",
            "RainlyticsSummariesJobFunctionRole",
            64,
            "ChineseboostAnalyticsStac-RainlyticsSummariesJobFun-",
        ),
        (
            "MyStackDev-MyNestedApplication-K87FLF",
            "MyLambdaFunctionName",
            64,
            "MyStackDev-MyNestedApplication-MyLambdaFunctionName-",
        ),
        ("latchkey", "UsersTable", 255, "latchkey-UsersTable-"),
    ] {
        assert_eq!(
            generated(stack, resource, longest),
            format!("{name}ABCDEFGHIJKL")
        );
    }
}

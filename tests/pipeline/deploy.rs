//! The steps of the deployment workflow, against fakes of AWS

use std::fs;

use super::{
    aws::{Aws, Call},
    programs::{found, sections},
    workflow::Step,
};
use crate::harness::{Folder, workspace};

const CONTEXT: [(&str, &str); 5] = [
    ("vars.DOMAIN", "https://id.example"),
    ("vars.SENDER_EMAIL", "noreply@id.example"),
    ("vars.API_URL", ""),
    ("matrix.architecture", "x86_64"),
    ("matrix.flags", ""),
];

/// The folder of the deployment job, with the packed and unpacked output of the build step. The
/// functions are an empty file.
async fn unpacked(name: &str) -> Folder {
    let built = Folder::new(&format!("{name}-built"));
    let folder = Folder::new(name);
    let file = |path: &str| format!("{}/{path}", built.path());
    let template = fs::read_to_string(workspace().join("template.yaml")).unwrap();
    fs::create_dir_all(file(".aws-sam/build/Function")).unwrap();
    fs::write(file(".aws-sam/build/Function/bootstrap"), "").unwrap();
    fs::write(
        file(".aws-sam/build/template.yaml"),
        template.replace("CodeUri: functions\n", "CodeUri: Function\n"),
    )
    .unwrap();
    fs::copy(workspace().join("samconfig.toml"), file("samconfig.toml")).unwrap();
    let packed = Step::of("pipeline.yml", "build", "tar ")
        .run(built.path(), &CONTEXT, &[])
        .await;
    assert!(packed.status.success(), "{packed:?}");
    let artefact = "latchkey-x86_64.tar.gz";
    fs::rename(file(artefact), format!("{}/{artefact}", folder.path())).unwrap();
    let unpacked = Step::of("deploy.yml", "deploy", "tar ")
        .run(folder.path(), &context("default", ""), &[])
        .await;
    assert!(unpacked.status.success(), "{unpacked:?}");
    folder
}

fn context(section: &'static str, parameters: &'static str) -> Vec<(&'static str, &'static str)> {
    [
        &CONTEXT[..],
        &[
            ("inputs.config-env", section),
            ("vars.PARAMETERS", parameters),
        ],
    ]
    .concat()
}

/// Example credentials and the endpoint of the fakes.
fn account(url: &str) -> [(&str, &str); 7] {
    [
        ("AWS_ENDPOINT_URL", url),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_DEFAULT_REGION", "eu-central-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_MAX_ATTEMPTS", "1"),
    ]
}

/// The value of a stack parameter in a call of `CreateChangeSet`.
fn parameter<'a>(call: &'a Call, name: &str) -> Option<&'a str> {
    let (key, _) = call
        .iter()
        .find(|(key, value)| key.ends_with(".ParameterKey") && *value == name)?;
    call.get(&key.replace(".ParameterKey", ".ParameterValue"))
        .map(String::as_str)
}

#[tokio::test]
async fn the_deploy_step_creates_a_change_set_for_its_section_of_samconfig() {
    if found("sam", "aws-sam-cli").is_none() {
        return;
    }
    let folder = unpacked("pipeline-deploy").await;
    let step = Step::of("deploy.yml", "deploy", "Deploy");
    let further = "AppName=\"My App\" MailsPerHour=3\r\nAlarmEmail=ops@id.example\n";
    for (section, parameters) in [("default", ""), ("prod", further)] {
        let (aws, url) = Aws::start(&[]).await;
        let output = step
            .run(folder.path(), &context(section, parameters), &account(&url))
            .await;
        assert!(output.status.success(), "{section}: {output:?}");

        let stack = &sections()[section];
        let [call] = &aws.calls("CreateChangeSet")[..] else {
            panic!("{output:?}")
        };
        assert_eq!(&call["StackName"], stack);
        assert_eq!(call["Capabilities.member.1"], "CAPABILITY_IAM");
        assert!(!call.contains_key("Capabilities.member.2"));
        for (name, value) in [
            ("Domain", "https://id.example"),
            ("SenderEmail", "noreply@id.example"),
            ("Architecture", "x86_64"),
        ] {
            assert_eq!(parameter(call, name), Some(value));
        }
        let expected = [
            ("AppName", "My App"),
            ("MailsPerHour", "3"),
            ("AlarmEmail", "ops@id.example"),
        ];
        for (name, value) in expected {
            assert_eq!(
                parameter(call, name).is_some_and(|found| found == value),
                !parameters.is_empty(),
                "{name}: {call:?}"
            );
        }
        // Template and functions are uploaded below the section's prefix, to the bucket that
        // `resolve_s3` finds.
        let prefix = format!("/source-bucket/{stack}/");
        let objects = aws.objects();
        assert!(
            objects.len() == 2 && objects.iter().all(|object| object.starts_with(&prefix)),
            "{objects:?}"
        );
        assert!(
            call["TemplateURL"].contains(&prefix) && call["TemplateURL"].ends_with(".template"),
            "{}",
            call["TemplateURL"]
        );
        // An empty change set is a success, without a prompt.
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("No changes to deploy"),
            "{output:?}"
        );
    }
}

#[tokio::test]
async fn the_deploy_step_fails_without_aws_or_for_an_unknown_section() {
    if found("sam", "aws-sam-cli").is_none() {
        return;
    }
    let folder = unpacked("pipeline-refused").await;
    let step = Step::of("deploy.yml", "deploy", "Deploy");
    let output = step
        .run(
            folder.path(),
            &context("default", ""),
            &account("http://127.0.0.1:9"),
        )
        .await;
    assert!(!output.status.success(), "{output:?}");
    let context = context("staging", "");
    let output = step
        .run(folder.path(), &context, &account("http://127.0.0.1:9"))
        .await;
    assert!(
        !output.status.success(),
        "the section is not in samconfig.toml: {output:?}"
    );
}

#[tokio::test]
async fn the_smoke_step_passes_the_outputs_of_its_stack_or_the_url_of_the_cdn_to_the_script() {
    if found("aws", "awscli").is_none() {
        return;
    }
    let folder = unpacked("pipeline-smoke").await;
    let file = |path: &str| format!("{}/{path}", folder.path());
    fs::create_dir(file("tests")).unwrap();
    fs::write(file("tests/smoke.sh"), "printf '%s\\n' \"$@\"").unwrap();
    let step = Step::of("deploy.yml", "deploy", "Smoke test");
    for (section, cdn, expected) in [
        ("default", "", "https://api.example\nmanage\n"),
        ("prod", "", "https://api.example\nmanage\n"),
        (
            "prod",
            "https://cdn.example",
            "https://cdn.example\nmanage\n",
        ),
    ] {
        let (aws, url) = Aws::start(&[
            ("ApiUrl", "https://api.example"),
            ("ManageUsersFunctionName", "manage"),
            ("Other", "x"),
        ])
        .await;
        // The first value of a name counts.
        let context = [&[("vars.API_URL", cdn)], &context(section, "")[..]].concat();
        let output = step.run(folder.path(), &context, &account(&url)).await;
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
        let calls = aws.calls("DescribeStacks");
        assert!(
            !calls.is_empty()
                && calls
                    .iter()
                    .all(|call| call["StackName"] == sections()[section]),
            "{calls:?}"
        );
    }
}

#[test]
fn the_workflows_use_the_version_of_sam_that_the_checks_test() {
    let read = |file: &str| fs::read_to_string(workspace().join(file)).unwrap();
    let checks = read(".ci/run");
    let version = checks
        .lines()
        .find_map(|line| line.strip_prefix("sam_version="))
        .unwrap();
    for workflow in ["deploy.yml", "pipeline.yml"] {
        let text = read(&format!(".github/workflows/{workflow}"));
        let pinned: Vec<&str> = text
            .split("aws-sam-cli==")
            .skip(1)
            .filter_map(|rest| rest.split_whitespace().next())
            .collect();
        assert_eq!(pinned, [version], "{workflow}");
    }
}

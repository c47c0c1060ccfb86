//! Enforcement of the policies in template.yaml. Calls are signed with a function's access key.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use local::{Log, Options, Stack};
use serde_json::{Value, json};
use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
};

struct Called {
    stack: Stack,
    denials: Arc<Mutex<Vec<String>>>,
    records: PathBuf,
}

impl Called {
    async fn start(name: &str) -> Self {
        let records =
            std::env::temp_dir().join(format!("latchkey-iam-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&records);
        let denials = Arc::<Mutex<Vec<String>>>::default();
        let options = Options {
            listen: ([127, 0, 0, 1], 0).into(),
            data_dir: None,
            grant_records: Some(records.clone()),
            denials: denials.clone(),
            log: Log::Captured(Arc::default()),
            ..Options::default()
        };
        Self {
            stack: Stack::start(options).await.unwrap(),
            denials,
            records,
        }
    }

    /// Sends a call signed with an access key. Returns the status and the body.
    async fn call(&self, key: &str, url: &str, target: &str, call: &Value) -> (u16, Value) {
        let credential = format!("{key}/20260101/us-east-1/service/aws4_request");
        let signature =
            format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=00");
        let request = reqwest::Client::new()
            .post(url)
            .header("authorization", signature)
            .header("x-amz-date", "20260101T000000Z")
            .header("x-amz-target", target)
            .header("content-type", "application/x-amz-json-1.0");
        let response = request.body(call.to_string()).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn dynamodb(&self, key: &str, operation: &str, call: &Value) -> (u16, Value) {
        self.call(
            key,
            self.stack.dynamodb_url(),
            &format!("DynamoDB_20120810.{operation}"),
            call,
        )
        .await
    }

    async fn mail(&self, key: &str, from: &str) -> (u16, Value) {
        let mail = json!({
            "FromEmailAddress": from,
            "Destination": { "ToAddresses": ["ann@example.org"] },
            "Content": { "Simple": { "Subject": { "Data": "Hello" }, "Body": { "Text": { "Data": "text" } } } },
            "ConfigurationSetName": "MailConfigurationSet",
        });
        self.call(
            key,
            &format!("{}/v2/email/outbound-emails", self.stack.aws_url()),
            "",
            &mail,
        )
        .await
    }

    fn recorded(&self) -> String {
        let files = fs::read_dir(&self.records).into_iter().flatten();
        files
            .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
            .collect()
    }
}

impl Drop for Called {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.records);
    }
}

fn get(table: &str, key: &str) -> Value {
    json!({ "TableName": table, "Key": { "pk": { "S": key } } })
}

#[tokio::test]
async fn a_call_that_the_policies_allow_succeeds_and_is_recorded() {
    let called = Called::start("allowed").await;
    let (status, _) = called
        .dynamodb(
            "SessionCreateFunction",
            "BatchGetItem",
            &json!({
                "RequestItems": {
                    "UsersTable": { "Keys": [{ "pk": { "S": "USER#ann@example.com" } }] },
                },
            }),
        )
        .await;
    assert_eq!(status, 200);
    assert_eq!(
        called
            .mail("MailSendFunction", "Latchkey <noreply@example.com>")
            .await
            .0,
        200
    );
    let secret =
        json!({ "SecretId": "arn:aws:secretsmanager:us-east-1:000000000000:secret:TokenSecret" });
    let aws = called.stack.aws_url().to_owned();
    assert_eq!(
        called
            .call(
                "SessionCreateFunction",
                &aws,
                "secretsmanager.GetSecretValue",
                &secret
            )
            .await
            .0,
        200
    );
    let recorded = called.recorded();
    for grant in [
        "used SessionCreateFunction: dynamodb:BatchGetItem on UsersTable if dynamodb:LeadingKeys is USER#*\n",
        "used SessionCreateFunction: secretsmanager:GetSecretValue on TokenSecret\n",
        "used MailSendFunction: ses:SendEmail on identity/*\n",
    ] {
        assert!(recorded.contains(grant), "{grant} {recorded}");
    }
    assert!(called.denials.lock().unwrap().is_empty());
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "most of it is one table")]
async fn any_other_call_is_denied_with_the_error_of_aws_and_changes_nothing() {
    let called = Called::start("denied").await;
    let item =
        json!({ "TableName": "UsersTable", "Item": { "pk": { "S": "USER#ann@example.com" } } });
    for (function, operation, call) in [
        (
            "SessionCreateFunction",
            "GetItem",
            get("UsersTable", "UID#ID1"),
        ),
        ("SessionCreateFunction", "PutItem", item.clone()),
        (
            "SessionCreateFunction",
            "TransactWriteItems",
            json!({ "TransactItems": [{ "Put": item.clone() }] }),
        ),
        (
            "SessionCreateFunction",
            "Scan",
            json!({ "TableName": "UsersTable" }),
        ),
        (
            "SessionCreateFunction",
            "DeleteTable",
            json!({ "TableName": "UsersTable" }),
        ),
        (
            "PingFunction",
            "GetItem",
            get("UsersTable", "USER#ann@example.com"),
        ),
        (
            "MailFeedbackFunction",
            "UpdateItem",
            json!({
                "TableName": "UsersTable",
                "Key": { "pk": { "S": "USER#ann@example.com" } },
                "UpdateExpression": "SET password_hash = :h",
                "ExpressionAttributeValues": { ":h": { "S": "hash" } },
            }),
        ),
    ] {
        let (status, answer) = called.dynamodb(function, operation, &call).await;
        let kind = answer["__type"].as_str().unwrap_or_default();
        assert_eq!(
            (status, kind),
            (400, "com.amazon.coral.service#AccessDeniedException"),
            "{function} {operation} {answer}"
        );
    }
    let (_, found) = called
        .dynamodb(
            "developer",
            "GetItem",
            &get("UsersTable", "USER#ann@example.com"),
        )
        .await;
    assert_eq!(found, json!({}));

    let aws = called.stack.aws_url().to_owned();
    for target in ["GetSecretValue", "PutSecretValue"] {
        let call = json!({ "SecretId": "TokenSecret", "SecretString": "x" });
        let (status, answer) = called
            .call(
                "PingFunction",
                &aws,
                &format!("secretsmanager.{target}"),
                &call,
            )
            .await;
        assert_eq!(
            (status, &answer["__type"]),
            (400, &json!("AccessDeniedException")),
            "{target}"
        );
    }
    assert_eq!(
        called
            .mail("MailSendFunction", "someone@example.com")
            .await
            .0,
        403,
        "another sender"
    );
    assert_eq!(
        called
            .mail("SessionCreateFunction", "noreply@example.com")
            .await
            .0,
        403
    );

    let denials = called.denials.lock().unwrap().clone();
    assert_eq!(denials.len(), 11, "{denials:#?}");
    assert!(
        denials[0].contains(
            "/SessionCreateFunction is not authorized to perform: dynamodb:GetItem on resource: "
        ),
        "{denials:#?}"
    );
    assert_eq!(
        called
            .recorded()
            .lines()
            .filter(|line| line.starts_with("denied "))
            .count(),
        11
    );
}

/// The functions that sign session tokens, mailed tokens or the states of ceremonies, or that publish
/// their keys.
const SIGNERS: [&str; 9] = [
    "EmailConfirmCodeFunction",
    "JwksFunction",
    "MailSendFunction",
    "PasskeyCreateOptionsFunction",
    "PasskeySignInFunction",
    "PasskeySignInOptionsFunction",
    "SessionCreateFunction",
    "SessionReauthenticateFunction",
    "UserCreateFunction",
];

/// The functions that sign only access tokens or device tokens, whose keys are not published here.
const OTHER_SIGNERS: [&str; 5] = [
    "AuthFunction",
    "AuthorizeFunction",
    "EmailConfirmChangeFunction",
    "PasswordChangeFunction",
    "PasswordConfirmCodeFunction",
];

/// The logical ids of all functions in template.yaml.
fn functions() -> Vec<String> {
    let template = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    let text = fs::read_to_string(template).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    lines
        .windows(2)
        .filter(|lines| lines[1] == "    Type: AWS::Serverless::Function")
        .map(|lines| lines[0].trim().trim_end_matches(':').to_owned())
        .collect()
}

/// Writes of every kind to an item of the Users table.
fn writes(key: &str) -> Vec<(&'static str, Value)> {
    let item = json!({ "pk": { "S": key } });
    let put = json!({ "TableName": "UsersTable", "Item": item });
    let delete = json!({ "TableName": "UsersTable", "Key": item });
    let mut update = delete.clone();
    update["UpdateExpression"] = json!("SET revision = :one");
    update["ExpressionAttributeValues"] = json!({ ":one": { "N": "1" } });
    let batch = |request: Value| json!({ "RequestItems": { "UsersTable": [request] } });
    vec![
        ("PutItem", put.clone()),
        ("UpdateItem", update.clone()),
        ("DeleteItem", delete.clone()),
        (
            "BatchWriteItem",
            batch(json!({ "PutRequest": { "Item": item } })),
        ),
        (
            "BatchWriteItem",
            batch(json!({ "DeleteRequest": { "Key": item } })),
        ),
        (
            "TransactWriteItems",
            json!({ "TransactItems": [{ "Put": put }] }),
        ),
        (
            "TransactWriteItems",
            json!({ "TransactItems": [{ "Update": update }] }),
        ),
        (
            "TransactWriteItems",
            json!({ "TransactItems": [{ "Delete": delete }] }),
        ),
    ]
}

#[tokio::test]
async fn only_signing_functions_can_publish_keys_and_only_by_a_put() {
    let called = Called::start("keys").await;
    let functions = functions();
    assert!(
        SIGNERS
            .iter()
            .all(|signer| functions.iter().any(|function| function == signer))
    );
    for function in &functions {
        for key in ["KEYS#tokens", "KEYS#access", "KEYS#other"] {
            for (operation, call) in writes(key) {
                let (status, answer) = called.dynamodb(function, operation, &call).await;
                let is_put =
                    matches!(operation, "PutItem") || !call["TransactItems"][0]["Put"].is_null();
                let is_publisher = match key {
                    "KEYS#tokens" => SIGNERS.contains(&function.as_str()),
                    "KEYS#access" => function == "JwksFunction",
                    _ => false,
                };
                let may = is_publisher && is_put;
                assert_eq!(status == 200, may, "{function} {operation} {key}: {answer}");
            }
        }
    }
}

#[tokio::test]
async fn only_signing_functions_can_read_the_token_secret() {
    let called = Called::start("secret").await;
    let aws = called.stack.aws_url().to_owned();
    let call = json!({ "SecretId": "TokenSecret" });
    for function in functions() {
        let target = "secretsmanager.GetSecretValue";
        let (status, answer) = called.call(&function, &aws, target, &call).await;
        let may =
            SIGNERS.contains(&function.as_str()) || OTHER_SIGNERS.contains(&function.as_str());
        assert_eq!(status == 200, may, "{function}: {answer}");
    }
}

#[tokio::test]
async fn calls_of_a_developer_are_always_allowed() {
    let called = Called::start("developer").await;
    assert_eq!(
        called
            .dynamodb("AKIAEXAMPLE", "Scan", &json!({ "TableName": "UsersTable" }))
            .await
            .0,
        200
    );
    let unsigned = reqwest::Client::new()
        .post(called.stack.aws_url())
        .header("x-amz-target", "secretsmanager.GetSecretValue");
    assert_eq!(
        unsigned
            .body(r#"{"SecretId":"TokenSecret"}"#)
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    assert_eq!(called.recorded(), "");
}

//! The costs that docs/OPERATIONS.md tells

use std::fs;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_yaml_ng::Value;

use crate::harness::{Latchkey, PASSWORD, Template, workspace};

/// US dollars for a million, of list prices in us-east-1.
const GATEWAY: f64 = 1.0;
const INVOCATION: f64 = 0.2;
const GIGABYTE_SECOND: f64 = 13.3334;
const READ: f64 = 0.125;
const WRITE: f64 = 0.625;
/// Two kilobytes of log.
const LOG: f64 = 1.0;

/// The table's rows: operation, and the numbers after it.
fn rows() -> Vec<(String, Vec<f64>)> {
    let manual = fs::read_to_string(workspace().join("docs/OPERATIONS.md")).unwrap();
    let (_, section) = manual.split_once("\n## What it costs\n").expect("the section");
    let table = section.split("\n## ").next().unwrap().lines().filter(|line| line.starts_with("| `"));
    let cells = table.map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    cells.map(|cells| (cells[0].to_owned(), cells[2..].iter().map(|cell| cell.parse().unwrap()).collect())).collect()
}

/// The binaries of a row: `session-create` of "`session-create`, second factor".
fn binaries(row: &str) -> impl Iterator<Item = &str> {
    row.split('`').skip(1).step_by(2)
}

#[test]
fn every_operation_has_its_costs_and_they_add_up() {
    let functions = Template::read().functions;
    let template: Value = serde_yaml_ng::from_str(&fs::read_to_string(workspace().join("template.yaml")).unwrap()).unwrap();
    let usual = template["Globals"]["Function"]["MemorySize"].as_f64().unwrap();
    let rows = rows();
    for function in &functions {
        let is_priced = rows.iter().any(|(row, _)| binaries(row).any(|binary| binary == function.binary));
        assert_eq!(is_priced, function.binary != "manage-users", "{}", function.binary);
    }
    for (row, numbers) in &rows {
        let [reads, writes, milliseconds, megabytes, dollars] = numbers[..] else { panic!("{row}") };
        for binary in binaries(row) {
            let function = functions.iter().find(|function| function.binary == binary).expect(row);
            let own = &template["Resources"][function.logical_id.as_str()]["Properties"]["MemorySize"];
            assert_eq!(own.as_f64().unwrap_or(usual).to_string(), megabytes.to_string(), "{binary}");
            let gateway = if function.routes.is_empty() { 0.0 } else { GATEWAY };
            let compute = milliseconds / 1000.0 * megabytes / 1024.0 * GIGABYTE_SECOND;
            let sum = gateway + INVOCATION + compute + reads * READ + writes * WRITE + LOG;
            assert!((sum - dollars).abs() < 0.0051, "{binary}: {sum:.2}");
        }
    }
}

/// Bytes of a value, as DynamoDB counts them.
fn size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(number) => number.len().div_ceil(2) + 1,
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        AttributeValue::L(values) => 3 + values.iter().map(|value| 1 + size(value)).sum::<usize>(),
        AttributeValue::M(values) => 3 + values.iter().map(|(name, value)| 1 + name.len() + size(value)).sum::<usize>(),
        AttributeValue::Bool(_) | AttributeValue::Null(_) => 1,
        other => panic!("not stored here: {other:?}"),
    }
}

#[tokio::test]
async fn what_is_stored_of_a_user_is_read_and_written_in_one_unit_an_item() {
    let latchkey = Latchkey::start(&[("IDENTITY_MAIL_INTERVAL", "1"), ("IDENTITY_REQUESTS_PER_MINUTE", "60")]).await;
    let user = latchkey.signed_up("units").await;
    latchkey.sign_in(&user.email, "Wrong-Horse-7-Battery").send().await.is_refused(404, &["identity.session.invalid_params"]);
    let browser = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5";
    assert_eq!(latchkey.sign_in(&user.email, PASSWORD).header("user-agent", browser).send().await.status, 201);
    latchkey.reset_mail(&user.email).await;
    let stored = latchkey.stored().await;
    for kind in ["USER#", "UID#", "SESSION#", "ACTIVITY#", "MAIL#", "RESET", "CONFIRM", "LIMIT#reset#", "LIMIT#requests#"] {
        assert!(stored.keys().any(|key| key.contains(kind)), "{kind}");
    }
    for (key, item) in &stored {
        let bytes: usize = item.iter().map(|(name, value)| name.len() + size(value)).sum();
        assert!(bytes <= 1024, "{key}: {bytes}");
    }
}

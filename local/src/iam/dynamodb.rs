//! The actions and resources of a DynamoDB call, as IAM evaluates them: a batch counts as one
//! action per table, a transaction as one action per item.
//!
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html>

use super::{Access, Context, expression};
use crate::template::table_arn;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// The name of each table's partition key, by table name.
pub type PartitionKeys = BTreeMap<String, String>;

pub fn accesses(operation: &str, call: &Json, keys: &PartitionKeys) -> Vec<Access> {
    match operation {
        "BatchGetItem" => tables(operation, call, keys, |request| {
            (list(&request["Keys"]).collect(), vec![request])
        }),
        "BatchWriteItem" => tables(operation, call, keys, |requests| {
            let written = |request: &'static str, part: &'static str| {
                list(requests).map(move |one| &one[request][part])
            };
            let items: Vec<&Json> = written("PutRequest", "Item")
                .chain(written("DeleteRequest", "Key"))
                .filter(|item| !item.is_null())
                .collect();
            (items, Vec::new())
        }),
        "TransactWriteItems" | "TransactGetItems" => {
            let parts = list(&call["TransactItems"])
                .flat_map(|part| part.as_object().into_iter().flatten());
            parts
                .map(|(part, request)| single(part_action(part), request, keys))
                .collect()
        }
        _ => vec![single(operation, call, keys)],
    }
}

fn part_action(part: &str) -> &str {
    match part {
        "Get" => "GetItem",
        "Put" => "PutItem",
        "Update" => "UpdateItem",
        "Delete" => "DeleteItem",
        "ConditionCheck" => "ConditionCheckItem",
        unknown => unknown,
    }
}

/// Returns one access per table of a batch. `parts` returns the items or keys of a table, and the
/// objects that contain its expressions.
fn tables<'a>(
    operation: &str,
    call: &'a Json,
    keys: &PartitionKeys,
    parts: impl Fn(&'a Json) -> (Vec<&'a Json>, Vec<&'a Json>),
) -> Vec<Access> {
    let tables = call["RequestItems"].as_object().into_iter().flatten();
    tables
        .map(|(table, request)| {
            let (items, expressions) = parts(request);
            let mut context = context(table, &items, &expressions, keys);
            context.extend(select(operation, request));
            access(operation, table, context)
        })
        .collect()
}

/// The key `dynamodb:Select` of a read: which attributes of the items it returns.
fn select(operation: &str, request: &Json) -> Option<(&'static str, BTreeSet<String>)> {
    const READS: [&str; 4] = ["BatchGetItem", "GetItem", "Query", "Scan"];
    let select = match (&request["Select"], &request["ProjectionExpression"]) {
        (Json::String(select), _) => select,
        (_, Json::String(_)) => "SPECIFIC_ATTRIBUTES",
        _ => "ALL_ATTRIBUTES",
    };
    READS
        .contains(&operation)
        .then(|| ("dynamodb:Select", BTreeSet::from([select.to_owned()])))
}

fn single(operation: &str, call: &Json, keys: &PartitionKeys) -> Access {
    let table = call["TableName"].as_str().unwrap_or_default();
    let items: Vec<&Json> = [&call["Key"], &call["Item"]]
        .into_iter()
        .filter(|item| !item.is_null())
        .collect();
    let mut context = context(table, &items, &[call], keys);
    context.extend(select(operation, call));
    if operation == "Query"
        && let Some(key) = keys.get(table)
    {
        let leading = expression::equal_to(key, call)
            .map(text)
            .unwrap_or_default();
        context.insert("dynamodb:LeadingKeys", BTreeSet::from([leading]));
    }
    access(operation, table, context)
}

fn access(operation: &str, table: &str, context: Context) -> Access {
    Access {
        action: format!("dynamodb:{operation}"),
        resource: table_arn(table),
        context,
    }
}

fn context(table: &str, items: &[&Json], expressions: &[&Json], keys: &PartitionKeys) -> Context {
    let mut context = Context::new();
    let leading: BTreeSet<String> = keys
        .get(table)
        .map(|key| items.iter().map(|item| text(&item[key])).collect())
        .unwrap_or_default();
    let named = items.iter().flat_map(|item| {
        item.as_object()
            .into_iter()
            .flat_map(|item| item.keys().cloned())
    });
    let attributes: BTreeSet<String> = named
        .chain(
            expressions
                .iter()
                .flat_map(|call| expression::attributes(call)),
        )
        .collect();
    for (key, values) in [
        ("dynamodb:LeadingKeys", leading),
        ("dynamodb:Attributes", attributes),
    ] {
        if !values.is_empty() {
            context.insert(key, values);
        }
    }
    context
}

/// The text of an attribute value, without its type.
fn text(value: &Json) -> String {
    let inner = value.as_object().and_then(|value| value.values().next());
    inner.and_then(Json::as_str).unwrap_or_default().to_owned()
}

fn list(value: &Json) -> impl Iterator<Item = &Json> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn requested(operation: &str, call: &Json) -> Vec<(String, String, Vec<String>, Vec<String>)> {
        let keys = [("Users", "pk"), ("Grants", "pk")]
            .map(|(table, key)| (table.to_owned(), key.to_owned()))
            .into();
        let values = |context: &Context, key: &str| {
            context
                .get(key)
                .into_iter()
                .flatten()
                .cloned()
                .collect::<Vec<_>>()
        };
        accesses(operation, call, &keys)
            .into_iter()
            .map(|access| {
                let (_, table) = access.resource.rsplit_once('/').unwrap();
                let leading = values(&access.context, "dynamodb:LeadingKeys");
                let attributes = values(&access.context, "dynamodb:Attributes");
                (
                    access.action.replace("dynamodb:", ""),
                    table.to_owned(),
                    leading,
                    attributes,
                )
            })
            .collect()
    }

    fn expected(
        action: &str,
        table: &str,
        leading: &[&str],
        attributes: &[&str],
    ) -> (String, String, Vec<String>, Vec<String>) {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        (
            action.to_owned(),
            table.to_owned(),
            owned(leading),
            owned(attributes),
        )
    }

    #[test]
    fn an_update_accesses_its_key_and_all_attributes_of_its_expressions() {
        let call = json!({
            "TableName": "Users",
            "Key": { "pk": { "S": "USER#a" } },
            "UpdateExpression": "SET #labels = :l, updated_at = if_not_exists(created_at, :n) REMOVE data.x[1]",
            "ConditionExpression": "uid = :uid AND NOT attribute_exists(closed_at)",
            "ExpressionAttributeNames": { "#labels": "labels" },
        });
        let attributes = [
            "closed_at",
            "created_at",
            "data",
            "labels",
            "pk",
            "uid",
            "updated_at",
        ];
        assert_eq!(
            requested("UpdateItem", &call),
            [expected("UpdateItem", "Users", &["USER#a"], &attributes)]
        );
    }

    #[test]
    fn a_batch_is_one_action_per_table() {
        let call = json!({ "RequestItems": {
            "Grants": { "Keys": [{ "pk": { "S": "ID1" }, "sk": { "S": "RESET" } }] },
            "Users": { "Keys": [{ "pk": { "S": "USER#a" } }, { "pk": { "S": "UID#1" } }] },
        } });
        let wanted = [
            expected("BatchGetItem", "Grants", &["ID1"], &["pk", "sk"]),
            expected("BatchGetItem", "Users", &["UID#1", "USER#a"], &["pk"]),
        ];
        assert_eq!(requested("BatchGetItem", &call), wanted);
        let call = json!({ "RequestItems": { "Grants": [
            { "PutRequest": { "Item": { "pk": { "S": "ID1" }, "sk": { "S": "S" }, "epoch": { "N": "1" } } } },
            { "DeleteRequest": { "Key": { "pk": { "S": "LIMIT#a" }, "sk": { "S": "-" } } } },
        ] } });
        let wanted = [expected(
            "BatchWriteItem",
            "Grants",
            &["ID1", "LIMIT#a"],
            &["epoch", "pk", "sk"],
        )];
        assert_eq!(requested("BatchWriteItem", &call), wanted);
    }

    #[test]
    fn a_read_without_a_projection_selects_all_attributes() {
        let selected = |operation: &str, call: &Json| {
            let access = accesses(operation, call, &PartitionKeys::new()).remove(0);
            access.context.get("dynamodb:Select").cloned()
        };
        let select = |text: &str| Some(BTreeSet::from([text.to_owned()]));
        let whole = json!({ "Keys": [{ "pk": { "S": "USER#a" } }] });
        let mut part = whole.clone();
        part["ProjectionExpression"] = json!("uid");
        for (request, expected) in [(whole, "ALL_ATTRIBUTES"), (part, "SPECIFIC_ATTRIBUTES")] {
            let batch = json!({ "RequestItems": { "Users": request } });
            assert_eq!(selected("BatchGetItem", &batch), select(expected));
        }
        let count = json!({ "TableName": "Grants", "Select": "COUNT" });
        assert_eq!(selected("Query", &count), select("COUNT"));
        assert_eq!(
            selected("UpdateItem", &json!({ "TableName": "Grants" })),
            None
        );
    }

    #[test]
    fn a_transaction_is_one_action_per_item() {
        let call = json!({ "TransactItems": [
            { "Put": { "TableName": "Users", "Item": { "pk": { "S": "USER#a" } } } },
            { "Update": { "TableName": "Users", "Key": { "pk": { "S": "UID#1" } }, "UpdateExpression": "SET a = :a" } },
            { "Delete": { "TableName": "Grants", "Key": { "pk": { "S": "ID1" } } } },
            { "ConditionCheck": { "TableName": "Grants", "Key": { "pk": { "S": "ID2" } }, "ConditionExpression": "b = :b" } },
        ] });
        let wanted = [
            expected("PutItem", "Users", &["USER#a"], &["pk"]),
            expected("UpdateItem", "Users", &["UID#1"], &["a", "pk"]),
            expected("DeleteItem", "Grants", &["ID1"], &["pk"]),
            expected("ConditionCheckItem", "Grants", &["ID2"], &["b", "pk"]),
        ];
        assert_eq!(requested("TransactWriteItems", &call), wanted);
    }

    #[test]
    fn a_query_accesses_the_key_of_its_condition_and_a_scan_accesses_no_key() {
        let call = json!({
            "TableName": "Grants",
            "KeyConditionExpression": "pk = :uid AND begins_with(sk, :prefix)",
            "ExpressionAttributeValues": { ":uid": { "S": "ID1" }, ":prefix": { "S": "SESSION#" } },
        });
        assert_eq!(
            requested("Query", &call),
            [expected("Query", "Grants", &["ID1"], &["pk", "sk"])]
        );
        let call = json!({ "TableName": "Users", "FilterExpression": "begins_with(pk, :user)" });
        assert_eq!(
            requested("Scan", &call),
            [expected("Scan", "Users", &[], &["pk"])]
        );
    }
}

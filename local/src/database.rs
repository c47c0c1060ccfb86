//! DynamoDB: an emulator in this process, with the tables of the template.

use crate::{
    Error,
    data::Data,
    log::Logger,
    template::{Table, Template},
};
use dynoxide::{Database, TableMetadata};
use serde_json::{Value as Json, json};
use std::time::Duration;

/// AWS may take days to delete expired items. A short interval reveals code that relies on items
/// after their expiry.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

pub fn open(data: &Data, template: &Template) -> Result<Database, Error> {
    let database = match data.database() {
        Some(path) => path
            .to_str()
            .ok_or_else(|| Error::new("The path of the data folder is not Unicode."))
            .and_then(|path| Database::new(path).map_err(failed))?,
        None => Database::memory().map_err(failed)?,
    };
    for table in &template.tables {
        match database.get_table_metadata(&table.name).map_err(failed)? {
            None => create(&database, table)?,
            Some(kept) if same(&kept, table) => {}
            Some(_) => {
                return Err(Error::new(format!(
                    "The table {} in the data folder does not match the template.",
                    table.name
                ))
                .advice("Choose another folder with --data-dir, or delete this one, which deletes its users."));
            }
        }
    }
    Ok(database)
}

/// Deletes expired items periodically.
pub async fn sweep(database: Database, log: Logger) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let database = database.clone();
        let swept = tokio::task::spawn_blocking(move || database.sweep_ttl()).await;
        if let Ok(Err(error)) = swept {
            log.problem(&format!("Deleting expired items failed: {error}"));
        }
    }
}

fn create(database: &Database, table: &Table) -> Result<(), Error> {
    let request = json!({
        "TableName": table.name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": key_schema(table),
        "AttributeDefinitions": attribute_definitions(table),
        "StreamSpecification": table.stream_view.as_ref().map(|view| json!({ "StreamEnabled": true, "StreamViewType": view })),
    });
    let request = serde_json::from_value(request).map_err(|error| Error::new(error.to_string()))?;
    database.create_table(request).map_err(failed)?;
    if let Some(attribute) = &table.ttl_attribute {
        let request = json!({
            "TableName": table.name,
            "TimeToLiveSpecification": { "AttributeName": attribute, "Enabled": true },
        });
        let request =
            serde_json::from_value(request).map_err(|error| Error::new(error.to_string()))?;
        database.update_time_to_live(request).map_err(failed)?;
    }
    Ok(())
}

fn same(kept: &TableMetadata, table: &Table) -> bool {
    let parsed = |text: &str| serde_json::from_str::<Json>(text).unwrap_or_default();
    let kept_stream = kept
        .stream_enabled
        .then_some(kept.stream_view_type.as_ref())
        .flatten();
    let kept_ttl = kept
        .ttl_enabled
        .then_some(kept.ttl_attribute.as_ref())
        .flatten();
    parsed(&kept.key_schema) == key_schema(table)
        && parsed(&kept.attribute_definitions) == attribute_definitions(table)
        && kept_stream == table.stream_view.as_ref()
        && kept_ttl == table.ttl_attribute.as_ref()
}

fn key_schema(table: &Table) -> Json {
    table
        .keys
        .iter()
        .map(|key| json!({ "AttributeName": key.name, "KeyType": key.role }))
        .collect()
}

fn attribute_definitions(table: &Table) -> Json {
    table
        .keys
        .iter()
        .map(|key| json!({ "AttributeName": key.name, "AttributeType": key.kind }))
        .collect()
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature that `map_err` expects"
)]
fn failed(error: dynoxide::DynoxideError) -> Error {
    Error::new(format!("The database in the data folder failed: {error}"))
        .advice("If its file is damaged, choose another folder with --data-dir, or delete this one, which deletes its users.")
}

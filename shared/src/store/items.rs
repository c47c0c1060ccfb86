//! Conversion of structs to items and back.

use std::any::type_name;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Serialize, de::DeserializeOwned};
use serde_dynamo::{from_item, to_item};

use super::Item;
use crate::Error;

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

/// The value as an item with this key.
pub(super) fn keyed(key: Item, value: &impl Serialize) -> Result<Item, Error> {
    let mut item: Item = to_item(value).map_err(Error::internal)?;
    item.extend(key);
    Ok(item)
}

/// The cause of an [`Error::Internal`] about an item that no retry can read, because something else
/// than this service changed it. The text contains no values of the item.
#[derive(Debug, thiserror::Error)]
#[error("a stored item {0}")]
pub struct UnreadableItem(String);

/// Deserialises an item. The error contains no values of the item, although serde's errors do.
pub(super) fn read<T: DeserializeOwned>(item: Item) -> Result<T, Error> {
    let unreadable = |reason: &str| {
        Error::internal(UnreadableItem(format!(
            "cannot be read as a {}{reason}",
            type_name::<T>()
        )))
    };
    // `serde_dynamo` panics on an unknown type.
    if item.values().any(has_unknown_type) {
        return Err(unreadable(": an attribute has an unknown type"));
    }
    from_item(item).map_err(|error| match missing_field(&error.to_string()) {
        Some(field) => unreadable(&format!(": the attribute {field} is missing")),
        None => unreadable(""),
    })
}

/// The field name in serde's error about a missing field, which contains no value.
fn missing_field(error: &str) -> Option<&str> {
    let name = error.strip_prefix("missing field `")?.strip_suffix('`')?;
    name.bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        .then_some(name)
}

/// The value of a required attribute.
pub(super) fn text_of<'a>(item: &'a Item, name: &str) -> Result<&'a str, Error> {
    let text = item.get(name).and_then(|value| value.as_s().ok());
    text.map(String::as_str)
        .ok_or_else(|| Error::internal(UnreadableItem(format!("has no string attribute {name}"))))
}

/// The text of a number attribute, if there is one.
pub(super) fn number_of<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    let number = item.get(name).and_then(|value| value.as_n().ok());
    number.map(String::as_str)
}

/// Whether an attribute or a nested value has a type that this version of the SDK does not know.
fn has_unknown_type(value: &AttributeValue) -> bool {
    match value {
        AttributeValue::L(list) => list.iter().any(has_unknown_type),
        AttributeValue::M(map) => map.values().any(has_unknown_type),
        value => value.is_unknown(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rate_limit::Failures;

    /// A value that no error may contain.
    const SECRET: &str = "secret";

    fn item(name: &str, value: AttributeValue) -> Item {
        [(name.to_owned(), value)].into()
    }

    /// `tests/faults/types.rs` covers values of a type that the SDK does not know.
    #[test]
    fn the_error_for_an_unreadable_item_contains_no_value() {
        let nested =
            |value: AttributeValue| AttributeValue::L(vec![AttributeValue::M(item(SECRET, value))]);
        for value in [
            text(SECRET),
            AttributeValue::N(SECRET.to_owned()),
            number(-1),
            number(1_i128 << 100),
            AttributeValue::Ss(vec![SECRET.to_owned()]),
            AttributeValue::Null(true),
            nested(text(SECRET)),
        ] {
            let error = read::<Failures>(item("count", value)).expect_err("no count");
            assert!(matches!(error, Error::Internal(_)), "{error:?}");
            assert!(!format!("{error} {error:?}").contains(SECRET), "{error:?}");
        }
        assert!(matches!(
            text_of(&item("user", number(1)), "user"),
            Err(Error::Internal(_))
        ));
        assert!(text_of(&Item::new(), "user").is_err());
        let missing = read::<Failures>(item("count", number(1))).expect_err("no time");
        assert!(
            missing
                .to_string()
                .ends_with("Failures: the attribute retry_at is missing"),
            "{missing}"
        );
        assert_eq!(missing_field("missing field `a` of `b`"), None);
    }
}

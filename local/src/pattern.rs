//! Event patterns of event source mappings and EventBridge rules: nested objects whose leaves list
//! the allowed values or prefixes.

use crate::Error;
use serde_json::Value as Json;

pub fn parse(text: &str) -> Result<Json, Error> {
    serde_json::from_str(text)
        .map_err(|error| Error::new(format!("{text}: {error}")))
        .and_then(check)
}

/// Returns the pattern, or an error if a part of it is not supported.
pub fn check(pattern: Json) -> Result<Json, Error> {
    if is_known(&pattern) {
        return Ok(pattern);
    }
    Err(Error::new(format!(
        "{pattern}: only strings and {{\"prefix\": string}} are supported"
    )))
}

fn is_known(pattern: &Json) -> bool {
    match pattern {
        Json::Object(fields) => fields.values().all(is_known),
        Json::Array(choices) => choices
            .iter()
            .all(|choice| choice.is_string() || prefix(choice).is_some()),
        _ => false,
    }
}

fn prefix(choice: &Json) -> Option<&str> {
    match choice.as_object()?.iter().collect::<Vec<_>>()[..] {
        [(key, Json::String(prefix))] if key == "prefix" => Some(prefix),
        _ => None,
    }
}

/// Whether the value matches. A list matches if one of its elements does.
pub fn matches(pattern: &Json, value: &Json) -> bool {
    if let (Json::Array(_), Json::Array(values)) = (pattern, value) {
        return values.iter().any(|value| matches(pattern, value));
    }
    match pattern {
        Json::Object(fields) => fields
            .iter()
            .all(|(key, pattern)| value.get(key).is_some_and(|value| matches(pattern, value))),
        Json::Array(choices) => choices.iter().any(|choice| match prefix(choice) {
            Some(prefix) => value.as_str().is_some_and(|text| text.starts_with(prefix)),
            None => choice == value,
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MAIL_INSERTS: &str =
        r#"{"eventName":["INSERT"],"dynamodb":{"Keys":{"sk":{"S":[{"prefix":"MAIL#"}]}}}}"#;

    fn record(event: &str, sk: &str) -> Json {
        json!({ "eventName": event, "dynamodb": { "Keys": { "pk": { "S": "ID1" }, "sk": { "S": sk } } } })
    }

    #[test]
    fn every_field_of_the_pattern_must_match() {
        let pattern = parse(MAIL_INSERTS).unwrap();
        assert!(matches(&pattern, &record("INSERT", "MAIL#1")));
        assert!(!matches(&pattern, &record("MODIFY", "MAIL#1")));
        assert!(!matches(&pattern, &record("INSERT", "SESSION#1")));
        assert!(!matches(&pattern, &json!({ "eventName": "INSERT" })));
    }

    #[test]
    fn one_matching_choice_is_enough() {
        let pattern = parse(r#"{"eventName":["INSERT","MODIFY"]}"#).unwrap();
        assert!(matches(&pattern, &record("MODIFY", "x")));
        assert!(!matches(&pattern, &record("REMOVE", "x")));
    }

    #[test]
    fn one_matching_element_of_a_list_is_enough() {
        let pattern = parse(r#"{"tags":{"set":["a"]}}"#).unwrap();
        assert!(matches(&pattern, &json!({ "tags": { "set": ["b", "a"] } })));
        assert!(!matches(&pattern, &json!({ "tags": { "set": ["b"] } })));
        assert!(!matches(&pattern, &json!({ "tags": { "set": [] } })));
    }

    #[test]
    fn an_unsupported_pattern_is_rejected() {
        for text in [
            r#"{"a":[{"exists":true}]}"#,
            r#"{"a":[1]}"#,
            r#"{"a":"b"}"#,
            "{",
            r#"{"a":[{"prefix":"a","suffix":"b"}]}"#,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

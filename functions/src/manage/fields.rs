//! Reads the members of a JSON object by name, and rejects members that were not read.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value, json};
use shared::Error;

/// The reason that an action had no effect.
#[derive(Debug)]
pub enum Failure {
    /// The event is invalid, or does not fit the state of the user.
    Refused(Refusal),
    /// The database or the function failed.
    Failed(Error),
}

/// The `error` of a response.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Refusal {
    /// The invalid member, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// For programs.
    pub code: &'static str,
    /// For operators. Contains no value of the event, because it may be a secret.
    pub message: String,
}

impl Refusal {
    pub fn of(field: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            field: Some(field.to_owned()),
            code,
            message: message.into(),
        }
    }

    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::of(field, "invalid", message)
    }

    pub fn without_field(code: &'static str, message: &str) -> Self {
        Self {
            field: None,
            code,
            message: message.to_owned(),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<shared::domain::password::HashingFailed> for Failure {
    fn from(error: shared::domain::password::HashingFailed) -> Self {
        Self::Failed(error.into())
    }
}

impl Failure {
    /// The response. The cause of a failure is only logged.
    pub fn into_response(self) -> Value {
        let refusal = match self {
            Self::Refused(refusal) => refusal,
            Self::Failed(error) => {
                tracing::error!(%error, "the action failed");
                match error {
                    Error::Unavailable(_) => Refusal::without_field(
                        "unavailable",
                        "The database did not respond or throttled the request. Try again.",
                    ),
                    _ => Refusal::without_field(
                        "internal",
                        "The action failed. The cause is in the log of the function.",
                    ),
                }
            }
        };
        json!({ "error": refusal })
    }
}

/// The members of an object that have not been read.
#[derive(Debug)]
pub struct Fields {
    members: Map<String, Value>,
    known: BTreeSet<&'static str>,
}

impl Fields {
    /// The members of an object, without null, empty strings and empty arrays; `None` if the value
    /// is not an object.
    pub fn of(value: Value) -> Option<Self> {
        let Value::Object(mut members) = value else {
            return None;
        };
        members.retain(|_, value| match value {
            Value::Null => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(list) => !list.is_empty(),
            _ => true,
        });
        Some(Self {
            members,
            known: BTreeSet::new(),
        })
    }

    /// Sets a member.
    pub fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.members.insert(name.to_owned(), value.into());
    }

    pub fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// A string, which remains to be taken.
    pub fn peek(&self, name: &str) -> Option<&str> {
        self.members.get(name)?.as_str()
    }

    /// Takes a member of any type.
    pub fn any(&mut self, name: &'static str) -> Option<Value> {
        self.known.insert(name);
        self.members.remove(name)
    }

    /// Takes a string.
    pub fn text(&mut self, name: &'static str) -> Result<Option<String>, Refusal> {
        match self.any(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refusal::invalid(name, "must be a string")),
        }
    }

    /// Takes a string that must be present.
    pub fn required(&mut self, name: &'static str) -> Result<String, Refusal> {
        self.text(name)?
            .ok_or_else(|| Refusal::of(name, "missing", "required"))
    }

    /// Takes `after`, the key with which an earlier page of users ended.
    pub fn scan_key(&mut self) -> Result<Option<String>, Refusal> {
        let after = self.text("after")?;
        let is_key = |key: &String| ["USER#", "UID#"].iter().any(|name| key.starts_with(name));
        if after.as_ref().is_none_or(is_key) {
            Ok(after)
        } else {
            Err(Refusal::invalid(
                "after",
                "must be the `next` of an earlier call",
            ))
        }
    }

    /// Takes a non-negative integer.
    pub fn number<T: TryFrom<u64>>(&mut self, name: &'static str) -> Result<Option<T>, Refusal> {
        let Some(value) = self.any(name) else {
            return Ok(None);
        };
        let number = value.as_u64().and_then(|number| T::try_from(number).ok());
        number
            .map(Some)
            .ok_or_else(|| Refusal::invalid(name, "must be a non-negative integer in range"))
    }

    /// Takes a boolean, which `MySQL` writes as 0 or 1.
    pub fn flag(&mut self, name: &'static str) -> Result<Option<bool>, Refusal> {
        self.any(name)
            .map(|value| {
                let number = || match value.as_u64()? {
                    0 => Some(false),
                    1 => Some(true),
                    _ => None,
                };
                value
                    .as_bool()
                    .or_else(number)
                    .ok_or_else(|| Refusal::invalid(name, "must be true or false"))
            })
            .transpose()
    }

    /// Takes an array; empty if it is absent.
    pub fn list(&mut self, name: &'static str) -> Result<Vec<Value>, Refusal> {
        match self.any(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => Ok(values),
            Some(_) => Err(Refusal::invalid(name, "must be an array")),
        }
    }

    /// Rejects a member that was not read, because it would have no effect.
    pub fn finish(self) -> Result<(), Refusal> {
        let Some(name) = self.members.keys().next() else {
            return Ok(());
        };
        let known = self.known.into_iter().collect::<Vec<_>>().join(", ");
        Err(Refusal::of(
            name,
            "unknown",
            format!("unknown field; the fields are {known}"),
        ))
    }
}

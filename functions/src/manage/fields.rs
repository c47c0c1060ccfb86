//! Reading the members of a JSON object, each by its name; what is left over is not understood, and
//! so refused.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value, json};
use shared::Error;

/// Why nothing was done.
#[derive(Debug)]
pub enum Failure {
    /// What was asked for cannot be.
    Refused(Refusal),
    /// Something did not work.
    Failed(Error),
}

/// What is wrong with what was asked for.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Refusal {
    /// Where, if that is one member of what was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// In a word, for programs.
    pub code: &'static str,
    /// For people. It never repeats a value, which may be a secret.
    pub message: String,
}

impl Refusal {
    /// One about a member.
    pub fn of(field: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            field: Some(field.to_owned()),
            code,
            message: message.into(),
        }
    }

    /// A value that cannot be.
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::of(field, "invalid", message)
    }

    /// One about what was asked for as a whole.
    pub fn whole(code: &'static str, message: &str) -> Self {
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
    /// What is answered. The cause of what did not work is logged, and not told.
    pub fn answer(self) -> Value {
        let refusal = match self {
            Self::Refused(refusal) => refusal,
            Self::Failed(error) => {
                tracing::error!(%error, "the action failed");
                match error {
                    Error::Unavailable(_) => Refusal::whole(
                        "unavailable",
                        "The database did not answer, or was too busy to. Try again.",
                    ),
                    _ => Refusal::whole(
                        "internal",
                        "The action failed. The log of the function tells why.",
                    ),
                }
            }
        };
        json!({ "error": refusal })
    }
}

/// The members of an object that were not read yet.
#[derive(Debug)]
pub struct Fields {
    members: Map<String, Value>,
    known: BTreeSet<&'static str>,
}

impl Fields {
    /// The members of an object. A null, an empty text and an empty list count as none.
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

    /// Puts a member in the place of others.
    pub fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.members.insert(name.to_owned(), value.into());
    }

    /// Whether there is such a member.
    pub fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// A member of any type.
    pub fn any(&mut self, name: &'static str) -> Option<Value> {
        self.known.insert(name);
        self.members.remove(name)
    }

    /// A text.
    pub fn text(&mut self, name: &'static str) -> Result<Option<String>, Refusal> {
        match self.any(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refusal::invalid(name, "not a text")),
        }
    }

    /// A text that must be there.
    pub fn required(&mut self, name: &'static str) -> Result<String, Refusal> {
        self.text(name)?
            .ok_or_else(|| Refusal::of(name, "missing", "required"))
    }

    /// A whole number that is not negative.
    pub fn number<T: TryFrom<u64>>(&mut self, name: &'static str) -> Result<Option<T>, Refusal> {
        let Some(value) = self.any(name) else {
            return Ok(None);
        };
        let number = value.as_u64().and_then(|number| T::try_from(number).ok());
        number
            .map(Some)
            .ok_or_else(|| Refusal::invalid(name, "not a whole number, or out of bounds"))
    }

    /// A yes or no.
    pub fn flag(&mut self, name: &'static str) -> Result<Option<bool>, Refusal> {
        self.any(name)
            .map(|value| {
                value
                    .as_bool()
                    .ok_or_else(|| Refusal::invalid(name, "neither true nor false"))
            })
            .transpose()
    }

    /// A list.
    pub fn list(&mut self, name: &'static str) -> Result<Vec<Value>, Refusal> {
        match self.any(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => Ok(values),
            Some(_) => Err(Refusal::invalid(name, "not a list")),
        }
    }

    /// Refuses what was not read: who wrote it relies on it.
    pub fn finish(self) -> Result<(), Refusal> {
        let Some(name) = self.members.keys().next() else {
            return Ok(());
        };
        let known = self.known.into_iter().collect::<Vec<_>>().join(", ");
        Err(Refusal::of(
            name,
            "unknown",
            format!("not known here; known are {known}"),
        ))
    }
}

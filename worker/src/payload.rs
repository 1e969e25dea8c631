//! Reads the JSON payloads of the demo handlers field by field, so that a refusal names the field,
//! what was found and what is allowed.

use sentinel_client::worker::{Context, HandlerError};
use serde_json::{Map, Value};

/// The fields of a payload that were not read yet.
pub(crate) struct Fields {
    left: Map<String, Value>,
}

impl Fields {
    pub(crate) fn of(job: &Context) -> Result<Self, HandlerError> {
        Self::parse(job.payload())
    }

    fn parse(payload: &[u8]) -> Result<Self, HandlerError> {
        if payload.is_empty() {
            return Ok(Self { left: Map::new() });
        }
        match serde_json::from_slice(payload) {
            Ok(Value::Object(left)) => Ok(Self { left }),
            Ok(other) => Err(bad(&format!("payload: expected an object, found {other}"))),
            Err(error) => Err(bad(&format!("payload: not JSON: {error}"))),
        }
    }

    pub(crate) fn number(
        &mut self,
        field: &str,
        default: Option<u64>,
        max: u64,
    ) -> Result<u64, HandlerError> {
        let expected = format!("a whole number 0..{max}");
        match (self.left.remove(field), default) {
            (None | Some(Value::Null), Some(default)) => Ok(default),
            (found, _) => found
                .as_ref()
                .and_then(Value::as_u64)
                .filter(|number| *number <= max)
                .ok_or_else(|| refusal(field, &expected, found.as_ref())),
        }
    }

    pub(crate) fn text(
        &mut self,
        field: &str,
        default: Option<&str>,
    ) -> Result<String, HandlerError> {
        match (self.left.remove(field), default) {
            (None | Some(Value::Null), Some(default)) => Ok(default.to_owned()),
            (Some(Value::String(text)), _) => Ok(text),
            (found, _) => Err(refusal(field, "a string", found.as_ref())),
        }
    }

    pub(crate) fn flag(&mut self, field: &str, default: bool) -> Result<bool, HandlerError> {
        match self.left.remove(field) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::Bool(flag)) => Ok(flag),
            found => Err(refusal(field, "true or false", found.as_ref())),
        }
    }

    /// Refuses what no handler asked for: a misspelt field must not pass as a default.
    pub(crate) fn end(self) -> Result<(), HandlerError> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(field) => Err(bad(&format!("payload.{field}: not a field of this kind"))),
        }
    }
}

fn refusal(field: &str, expected: &str, found: Option<&Value>) -> HandlerError {
    let found = found.map_or("nothing".to_owned(), Value::to_string);
    bad(&format!("payload.{field}: expected {expected}, found {found}"))
}

fn bad(text: &str) -> HandlerError {
    HandlerError::fatal(text).with_code("BAD_PAYLOAD")
}

#[cfg(test)]
mod tests;

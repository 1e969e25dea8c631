//! Parses the JSON payloads of the built-in handlers field by field. An error names the field, the
//! value and the allowed range.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sentinel_client::worker::{HandlerError, JobContext};
use serde_json::{Map, Value};

/// Maximum length of a value in an error message.
const SHOWN_CHARS: usize = 100;

/// The fields of a payload that have not been read yet.
pub(crate) struct Fields {
    left: Map<String, Value>,
}

impl Fields {
    pub(crate) fn of(job: &JobContext) -> Result<Self, HandlerError> {
        Self::parse(job.payload())
    }

    pub(crate) fn parse(payload: &[u8]) -> Result<Self, HandlerError> {
        if payload.is_empty() {
            return Ok(Self { left: Map::new() });
        }
        match serde_json::from_slice(payload) {
            Ok(Value::Object(left)) => Ok(Self { left }),
            Ok(other) => Err(bad_payload(&format!(
                "payload: expected an object, found {}",
                truncated(&other.to_string())
            ))),
            Err(error) => Err(bad_payload(&format!("payload: not JSON: {error}"))),
        }
    }

    /// Reads a whole number of at most `max`.
    pub(crate) fn number(
        &mut self,
        field: &str,
        default: Option<u64>,
        max: u64,
    ) -> Result<u64, HandlerError> {
        self.between(field, default, (0, max))
    }

    /// Reads a whole number between `min` and `max`.
    pub(crate) fn between(
        &mut self,
        field: &str,
        default: Option<u64>,
        (min, max): (u64, u64),
    ) -> Result<u64, HandlerError> {
        let expected = format!("a whole number {min}..{max}");
        match (self.left.remove(field), default) {
            (None | Some(Value::Null), Some(default)) => Ok(default),
            (found, _) => found
                .as_ref()
                .and_then(Value::as_u64)
                .filter(|number| (min..=max).contains(number))
                .ok_or_else(|| unexpected(field, &expected, found.as_ref())),
        }
    }

    /// Reads a string.
    pub(crate) fn text(
        &mut self,
        field: &str,
        default: Option<&str>,
    ) -> Result<String, HandlerError> {
        match (self.left.remove(field), default) {
            (None | Some(Value::Null), Some(default)) => Ok(default.to_owned()),
            (Some(Value::String(text)), _) => Ok(text),
            (found, _) => Err(unexpected(field, "a string", found.as_ref())),
        }
    }

    /// Reads a boolean.
    pub(crate) fn flag(&mut self, field: &str, default: bool) -> Result<bool, HandlerError> {
        match self.left.remove(field) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::Bool(flag)) => Ok(flag),
            found => Err(unexpected(field, "true or false", found.as_ref())),
        }
    }

    /// Reads an optional string.
    pub(crate) fn optional_text(&mut self, field: &str) -> Result<Option<String>, HandlerError> {
        match self.left.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            found => Err(unexpected(field, "a string", found.as_ref())),
        }
    }

    /// Reads bytes, as text in `field` or as base64 in `<field>_base64`.
    pub(crate) fn bytes(&mut self, field: &str) -> Result<Option<Bytes>, HandlerError> {
        let encoded_field = format!("{field}_base64");
        let encoded = self.optional_text(&encoded_field)?;
        match (self.optional_text(field)?, encoded) {
            (Some(_), Some(_)) => {
                Err(invalid(field, &format!("cannot be combined with payload.{encoded_field}")))
            }
            (Some(text), None) => Ok(Some(text.into())),
            (None, None) => Ok(None),
            (None, Some(encoded)) => match STANDARD.decode(encoded) {
                Ok(bytes) => Ok(Some(bytes.into())),
                Err(error) => {
                    Err(invalid(&encoded_field, &format!("is not valid base64: {error}")))
                }
            },
        }
    }

    /// Reads an optional list of at most `max` items.
    pub(crate) fn list(
        &mut self,
        field: &str,
        max: usize,
    ) -> Result<Option<Vec<Value>>, HandlerError> {
        match self.left.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(items)) if items.len() <= max => Ok(Some(items)),
            Some(Value::Array(items)) => {
                let text = format!("expected at most {max} items, found {}", items.len());
                Err(invalid(field, &text))
            }
            found => Err(unexpected(field, "a list", found.as_ref())),
        }
    }

    /// Reads an object of strings with at most `max_items` names. Names and values together have at
    /// most `max_bytes` bytes.
    pub(crate) fn texts_by_name(
        &mut self,
        field: &str,
        max_items: usize,
        max_bytes: usize,
    ) -> Result<Vec<(String, String)>, HandlerError> {
        let map = match self.left.remove(field) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Object(map)) => map,
            found => return Err(unexpected(field, "an object", found.as_ref())),
        };
        if map.len() > max_items {
            let text = format!("expected at most {max_items} names, found {}", map.len());
            return Err(invalid(field, &text));
        }
        let mut bytes = 0;
        let mut texts = Vec::with_capacity(map.len());
        for (name, value) in map {
            let Value::String(value) = value else {
                return Err(unexpected(&format!("{field}.{name}"), "a string", Some(&value)));
            };
            bytes += name.len() + value.len();
            texts.push((name, value));
        }
        if bytes > max_bytes {
            return Err(invalid(
                field,
                &format!("expected at most {max_bytes} bytes, found {bytes}"),
            ));
        }
        Ok(texts)
    }

    /// Checks that all fields were read, so that a misspelt field is not ignored.
    pub(crate) fn finish(self) -> Result<(), HandlerError> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(field) => Err(bad_payload(&format!("payload.{field}: not a field of this kind"))),
        }
    }
}

/// Returns the error for a value of another type or out of range.
pub(crate) fn unexpected(field: &str, expected: &str, found: Option<&Value>) -> HandlerError {
    let found = found.map_or("nothing".to_owned(), Value::to_string);
    invalid(field, &format!("expected {expected}, found {}", truncated(&found)))
}

/// Returns the error for an invalid field.
pub(crate) fn invalid(field: &str, reason: &str) -> HandlerError {
    bad_payload(&format!("payload.{field}: {reason}"))
}

fn truncated(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((at, _)) => format!("{}... ({} bytes)", &text[..at], text.len()),
        None => text.to_owned(),
    }
}

fn bad_payload(text: &str) -> HandlerError {
    HandlerError::non_retryable(text).with_code("BAD_PAYLOAD")
}

#[cfg(test)]
mod tests;

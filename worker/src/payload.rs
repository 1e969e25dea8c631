//! Reads the JSON payloads of the built-in handlers field by field, so that a refusal names the field,
//! what was found and what is allowed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sentinel_client::worker::{HandlerError, JobContext};
use serde_json::{Map, Value};

/// A refusal shows at most this much of what it found.
const SHOWN_CHARS: usize = 100;

/// The fields of a payload that were not read yet.
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
            Ok(other) => Err(bad(&format!(
                "payload: expected an object, found {}",
                shown(&other.to_string())
            ))),
            Err(error) => Err(bad(&format!("payload: not JSON: {error}"))),
        }
    }

    pub(crate) fn number(
        &mut self,
        field: &str,
        default: Option<u64>,
        max: u64,
    ) -> Result<u64, HandlerError> {
        self.between(field, default, (0, max))
    }

    /// A whole number of at least `min` and at most `max`.
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

    /// A string that may be missing.
    pub(crate) fn optional(&mut self, field: &str) -> Result<Option<String>, HandlerError> {
        match self.left.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            found => Err(refusal(field, "a string", found.as_ref())),
        }
    }

    /// Bytes, as text in `field` or encoded in `<field>_base64`.
    pub(crate) fn bytes(&mut self, field: &str) -> Result<Option<Bytes>, HandlerError> {
        let encoded_field = format!("{field}_base64");
        let encoded = self.optional(&encoded_field)?;
        match (self.optional(field)?, encoded) {
            (Some(_), Some(_)) => {
                Err(refused(field, &format!("excludes payload.{encoded_field}: give one of them")))
            }
            (Some(text), None) => Ok(Some(text.into())),
            (None, None) => Ok(None),
            (None, Some(encoded)) => match STANDARD.decode(encoded) {
                Ok(bytes) => Ok(Some(bytes.into())),
                Err(error) => Err(refused(&encoded_field, &format!("is not base64: {error}"))),
            },
        }
    }

    /// A list of at most `max` items; none when it is missing.
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
                Err(refused(field, &text))
            }
            found => Err(refusal(field, "a list", found.as_ref())),
        }
    }

    /// Strings by name, `max_items` and `max_bytes` at most, names and values together.
    pub(crate) fn texts_by_name(
        &mut self,
        field: &str,
        max_items: usize,
        max_bytes: usize,
    ) -> Result<Vec<(String, String)>, HandlerError> {
        let map = match self.left.remove(field) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Object(map)) => map,
            found => return Err(refusal(field, "an object", found.as_ref())),
        };
        if map.len() > max_items {
            let text = format!("expected at most {max_items} names, found {}", map.len());
            return Err(refused(field, &text));
        }
        let mut bytes = 0;
        let mut texts = Vec::with_capacity(map.len());
        for (name, value) in map {
            let Value::String(value) = value else {
                return Err(refusal(&format!("{field}.{name}"), "a string", Some(&value)));
            };
            bytes += name.len() + value.len();
            texts.push((name, value));
        }
        if bytes > max_bytes {
            return Err(refused(
                field,
                &format!("expected at most {max_bytes} bytes, found {bytes}"),
            ));
        }
        Ok(texts)
    }

    /// Refuses what no handler asked for: a misspelt field must not pass as a default.
    pub(crate) fn end(self) -> Result<(), HandlerError> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(field) => Err(bad(&format!("payload.{field}: not a field of this kind"))),
        }
    }
}

/// A value that is not what was expected.
pub(crate) fn refusal(field: &str, expected: &str, found: Option<&Value>) -> HandlerError {
    let found = found.map_or("nothing".to_owned(), Value::to_string);
    refused(field, &format!("expected {expected}, found {}", shown(&found)))
}

/// A value that can not be used, and why.
pub(crate) fn refused(field: &str, why: &str) -> HandlerError {
    bad(&format!("payload.{field}: {why}"))
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((at, _)) => format!("{}... ({} bytes)", &text[..at], text.len()),
        None => text.to_owned(),
    }
}

fn bad(text: &str) -> HandlerError {
    HandlerError::non_retryable(text).with_code("BAD_PAYLOAD")
}

#[cfg(test)]
mod tests;

//! Decodes JSON to a message. This is not a library's proto JSON decoder for two reasons: an
//! error names the field and what it takes, and a payload keeps the bytes that the caller sent.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use serde::Deserializer as _;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{descriptors, value};
use crate::error::GatewayError;

/// The members of a JSON object in their order, with the JSON text of each value.
pub(crate) type Members<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// The limit of items of a list and of members of an object: that of the largest list of the API,
/// the jobs of a batch.
pub(crate) const ITEMS_MAX: usize = 1_000;

/// The limit of values in a request, payloads not included. A full batch of jobs with all their
/// labels and dependencies has fewer.
const VALUES_MAX: u32 = 200_000;

/// The values that a request may still have. Decoded values take many times the memory of their
/// text, so they are counted before they are decoded.
pub(crate) struct ValueLimit(Cell<u32>);

impl Default for ValueLimit {
    fn default() -> Self {
        Self(Cell::new(VALUES_MAX))
    }
}

impl ValueLimit {
    fn take(&self, count: usize, at: &str) -> Result<(), GatewayError> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let left = self.0.get().checked_sub(count).ok_or_else(|| {
            let text = format!("the request has more than {VALUES_MAX} values");
            GatewayError::invalid_field(at, text)
        })?;
        self.0.set(left);
        Ok(())
    }
}

/// Checks that a text is one JSON value.
pub(crate) fn json(text: &str) -> Result<&RawValue, GatewayError> {
    serde_json::from_str(text).map_err(|error| {
        GatewayError::invalid_request(format!("the request body is not JSON: {error}"))
    })
}

/// Decodes an object to a message. `at` is the path of the object for errors, empty at the top.
pub(crate) fn message(
    descriptor: &MessageDescriptor,
    json: &RawValue,
    at: &str,
    limit: &ValueLimit,
) -> Result<DynamicMessage, GatewayError> {
    let mut message = DynamicMessage::new(descriptor.clone());
    fill(&mut message, json, at, limit)?;
    Ok(message)
}

/// Decodes an object into a message that may have fields already.
pub(crate) fn fill(
    message: &mut DynamicMessage,
    json: &RawValue,
    at: &str,
    limit: &ValueLimit,
) -> Result<(), GatewayError> {
    use prost_reflect::ReflectMessage as _;
    let descriptor = message.descriptor();
    let mut given: Vec<FieldDescriptor> = Vec::new();
    let members = members(json, at)?;
    limit.take(members.len(), at)?;
    for (name, json) in members {
        let path = join(at, &name);
        let field = field_by_name(&descriptor, &name)
            .ok_or_else(|| GatewayError::invalid_field(&path, unknown_field(&descriptor)))?;
        if given.contains(&field) {
            return Err(GatewayError::invalid_field(&path, "is given twice"));
        }
        let Some(value) = field_value(&field, json, &path, limit)? else { continue };
        let conflicting = field.containing_oneof().and_then(|oneof| {
            given.iter().find(|other| other.containing_oneof().as_ref() == Some(&oneof))
        });
        if let Some(other) = conflicting {
            return Err(GatewayError::invalid_field(
                &path,
                format!("cannot be combined with {}", other.json_name()),
            ));
        }
        message.set_field(&field, value);
        given.push(field);
    }
    Ok(())
}

/// Decodes the value of a field. Returns `None` for null, which means the field is not set.
pub(crate) fn field_value(
    field: &FieldDescriptor,
    json: &RawValue,
    at: &str,
    limit: &ValueLimit,
) -> Result<Option<Value>, GatewayError> {
    let text = json.get();
    if descriptors::holds_json(field) && !text.starts_with('"') {
        return Ok(Some(Value::Bytes(text.to_owned().into())));
    }
    if text == "null" {
        return Ok(None);
    }
    if field.is_map() {
        return map(field, json, at, limit).map(Some);
    }
    if field.is_list() {
        let items = items(json, at)?;
        limit.take(items.len(), at)?;
        let kind = field.kind();
        let items = items.into_iter().enumerate();
        let items =
            items.map(|(index, item)| single(&kind, item, &format!("{at}[{index}]"), limit));
        return items.collect::<Result<_, _>>().map(|items| Some(Value::List(items)));
    }
    single(&field.kind(), json, at, limit).map(Some)
}

/// Returns the field with a name, in the spelling of JSON or of the proto file.
pub(crate) fn field_by_name(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    message.get_field_by_json_name(name).or_else(|| message.get_field_by_name(name))
}

/// Returns the description of an unknown field of a message.
pub(crate) fn unknown_field(message: &MessageDescriptor) -> String {
    let names: Vec<_> = message.fields().map(|field| field.json_name().to_owned()).collect();
    if names.is_empty() {
        return "unknown field; no field is allowed here".to_owned();
    }
    format!("unknown field; known fields: {}", names.join(", "))
}

pub(crate) fn join(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

/// Returns the members of a JSON object.
pub(crate) fn members<'a>(json: &'a RawValue, at: &str) -> Result<Members<'a>, GatewayError> {
    let is_over = Cell::new(false);
    let mut reader = serde_json::Deserializer::from_str(json.get());
    reader
        .deserialize_map(MembersVisitor(&is_over))
        .map_err(|_| unexpected(at, is_over.get(), "expected an object"))
}

/// Returns the items of a JSON list.
fn items<'a>(json: &'a RawValue, at: &str) -> Result<Vec<&'a RawValue>, GatewayError> {
    let is_over = Cell::new(false);
    let mut reader = serde_json::Deserializer::from_str(json.get());
    reader
        .deserialize_seq(ItemsVisitor(&is_over))
        .map_err(|_| unexpected(at, is_over.get(), "expected a list"))
}

fn unexpected(at: &str, is_over: bool, expected: &str) -> GatewayError {
    if is_over {
        GatewayError::invalid_field(at, format!("has more than {ITEMS_MAX} items"))
    } else {
        GatewayError::invalid_field(at, expected)
    }
}

fn single(
    kind: &Kind,
    json: &RawValue,
    at: &str,
    limit: &ValueLimit,
) -> Result<Value, GatewayError> {
    let text = json.get();
    let invalid = |expected: String| GatewayError::invalid_field(at, expected);
    match kind {
        Kind::Message(message) if descriptors::is_well_known(message) => {
            value::well_known(message, text).map_err(invalid)
        }
        Kind::Message(descriptor) => message(descriptor, json, at, limit).map(Value::Message),
        _ if text.starts_with('"') => {
            let text: String = serde_json::from_str(text)
                .map_err(|_| GatewayError::invalid_field(at, "is not UTF-8"))?;
            value::from_text(kind, &text).map_err(invalid)
        }
        Kind::Bool if text == "true" || text == "false" => {
            value::from_text(kind, text).map_err(invalid)
        }
        // Text that is not a number is refused with what the kind expects.
        _ => value::from_number(kind, text).map_err(invalid),
    }
}

fn map(
    field: &FieldDescriptor,
    json: &RawValue,
    at: &str,
    limit: &ValueLimit,
) -> Result<Value, GatewayError> {
    let entry = field.kind();
    let entry = entry.as_message().expect("a map is a list of entry messages");
    let (key_kind, kind) =
        (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
    let mut map = HashMap::new();
    let members = members(json, at)?;
    limit.take(members.len(), at)?;
    for (name, json) in members {
        let path = join(at, &name);
        let key = value::key(&key_kind, &name)
            .map_err(|error| GatewayError::invalid_field(&path, error))?;
        if map.insert(key, single(&kind, json, &path, limit)?).is_some() {
            return Err(GatewayError::invalid_field(&path, "is given twice"));
        }
    }
    Ok(Value::Map(map))
}

/// Visits an object. Sets the flag when it has too many members.
struct MembersVisitor<'c>(&'c Cell<bool>);

impl<'de> Visitor<'de> for MembersVisitor<'_> {
    type Value = Members<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &RawValue>()? {
            if members.len() == ITEMS_MAX {
                self.0.set(true);
                return Err(A::Error::custom("too many members"));
            }
            members.push((name, value));
        }
        Ok(members)
    }
}

/// Visits a list. Sets the flag when it has too many items.
struct ItemsVisitor<'c>(&'c Cell<bool>);

impl<'de> Visitor<'de> for ItemsVisitor<'_> {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element::<&RawValue>()? {
            if items.len() == ITEMS_MAX {
                self.0.set(true);
                return Err(A::Error::custom("too many items"));
            }
            items.push(item);
        }
        Ok(items)
    }
}

/// The name of a member. It is borrowed unless it contains escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

//! JSON to a message of the contract. Written for this rather than taken from a library, so
//! that an error names the field and what it takes, and so that a caller's payload reaches the
//! handler as the bytes that were sent.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::contract;
use super::fault::Fault;
use super::value;

/// The members of one object, in their order, each as the text that it is.
pub(crate) type Members<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// Checks that text is one JSON value.
pub(crate) fn json(text: &str) -> Result<&RawValue, Fault> {
    serde_json::from_str(text)
        .map_err(|error| Fault::invalid("", format!("the body is not JSON: {error}")))
}

/// Reads an object as a message; `at` is the path of what it is in, empty at the top.
pub(crate) fn message(
    descriptor: &MessageDescriptor,
    json: &RawValue,
    at: &str,
) -> Result<DynamicMessage, Fault> {
    let mut message = DynamicMessage::new(descriptor.clone());
    fill(&mut message, json, at)?;
    Ok(message)
}

/// As [`message`], into one that may have fields of a path already.
pub(crate) fn fill(message: &mut DynamicMessage, json: &RawValue, at: &str) -> Result<(), Fault> {
    use prost_reflect::ReflectMessage as _;
    let descriptor = message.descriptor();
    let mut given: Vec<FieldDescriptor> = Vec::new();
    for (name, json) in members(json, at)? {
        let path = join(at, &name);
        let field = field_of(&descriptor, &name)
            .ok_or_else(|| Fault::invalid(&path, unknown(&descriptor)))?;
        if given.contains(&field) {
            return Err(Fault::invalid(&path, "is given twice"));
        }
        let Some(value) = field_value(&field, json, &path)? else { continue };
        let rival = field.containing_oneof().and_then(|oneof| {
            given.iter().find(|other| other.containing_oneof().as_ref() == Some(&oneof))
        });
        if let Some(rival) = rival {
            return Err(Fault::invalid(&path, format!("excludes {}", rival.json_name())));
        }
        message.set_field(&field, value);
        given.push(field);
    }
    Ok(())
}

/// The value of one field. `None`: null, which is as if it were not there.
pub(crate) fn field_value(
    field: &FieldDescriptor,
    json: &RawValue,
    at: &str,
) -> Result<Option<Value>, Fault> {
    let text = json.get();
    if contract::holds_json(field) && !text.starts_with('"') {
        return Ok(Some(Value::Bytes(text.to_owned().into())));
    }
    if text == "null" {
        return Ok(None);
    }
    if field.is_map() {
        return map(field, json, at).map(Some);
    }
    if field.is_list() {
        let items: Vec<&RawValue> =
            serde_json::from_str(text).map_err(|_| Fault::invalid(at, "expected a list"))?;
        let items = items.into_iter().enumerate();
        let items = items.map(|(n, item)| single(&field.kind(), item, &format!("{at}[{n}]")));
        return items.collect::<Result<_, _>>().map(|items| Some(Value::List(items)));
    }
    single(&field.kind(), json, at).map(Some)
}

/// The field that a name is of: as JSON writes it, or as the contract does.
pub(crate) fn field_of(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    message.get_field_by_json_name(name).or_else(|| message.get_field_by_name(name))
}

/// What to say of a name that is none.
pub(crate) fn unknown(message: &MessageDescriptor) -> String {
    let names: Vec<_> = message.fields().map(|field| field.json_name().to_owned()).collect();
    if names.is_empty() {
        return "is not known; nothing can be given here".to_owned();
    }
    format!("is not known; known are {}", names.join(", "))
}

pub(crate) fn join(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

/// The members of an object.
pub(crate) fn members<'a>(json: &'a RawValue, at: &str) -> Result<Members<'a>, Fault> {
    let wrong = |_| Fault::invalid(at, "expected an object");
    let mut reader = serde_json::Deserializer::from_str(json.get());
    reader.deserialize_map(InOrder).map_err(wrong)
}

fn single(kind: &Kind, json: &RawValue, at: &str) -> Result<Value, Fault> {
    let text = json.get();
    let wrong = |expected: String| Fault::invalid(at, expected);
    match kind {
        Kind::Message(message) if contract::is_well_known(message) => {
            value::well_known(message, text).map_err(wrong)
        }
        Kind::Message(descriptor) => message(descriptor, json, at).map(Value::Message),
        _ if text.starts_with('"') => {
            let text: String =
                serde_json::from_str(text).map_err(|_| Fault::invalid(at, "is not UTF-8"))?;
            value::from_text(kind, &text).map_err(wrong)
        }
        Kind::Bool if text == "true" || text == "false" => {
            value::from_text(kind, text).map_err(wrong)
        }
        // What is no number either is refused with the words of the kind.
        _ => value::from_number(kind, text).map_err(wrong),
    }
}

fn map(field: &FieldDescriptor, json: &RawValue, at: &str) -> Result<Value, Fault> {
    let entry = field.kind();
    let entry = entry.as_message().expect("a map is made of messages");
    let (key_kind, kind) =
        (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
    let mut map = HashMap::new();
    for (name, json) in members(json, at)? {
        let path = join(at, &name);
        let key = value::key(&key_kind, &name).map_err(|wrong| Fault::invalid(&path, wrong))?;
        if map.insert(key, single(&kind, json, &path)?).is_some() {
            return Err(Fault::invalid(&path, "is given twice"));
        }
    }
    Ok(Value::Map(map))
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Members<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &RawValue>()? {
            members.push((name, value));
        }
        Ok(members)
    }
}

/// A name, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

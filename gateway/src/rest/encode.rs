//! Encodes a message as JSON. Fields with a default value are included, so that readers see
//! them; only an optional field that is not set is left out.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage as _, Value};
use serde_json::value::RawValue;

use super::descriptors;

/// Returns the message as JSON on one line.
pub(crate) fn message(message: &DynamicMessage) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write_message(message, &mut out);
    out
}

fn write_message(message: &DynamicMessage, out: &mut Vec<u8>) {
    if descriptors::is_well_known(&message.descriptor()) {
        // A timestamp out of range has no JSON encoding.
        match serde_json::to_vec(message) {
            Ok(json) => out.extend(json),
            Err(_) => out.extend(b"null"),
        }
        return;
    }
    let mut is_first = true;
    out.push(b'{');
    for field in message.descriptor().fields() {
        if field.supports_presence() && !message.has_field(&field) {
            continue;
        }
        if !is_first {
            out.push(b',');
        }
        is_first = false;
        text(field.json_name(), out);
        out.push(b':');
        write_field(message, &field, out);
    }
    out.push(b'}');
}

fn write_field(message: &DynamicMessage, field: &FieldDescriptor, out: &mut Vec<u8>) {
    let value = message.get_field(field);
    let kind = field.kind();
    match &*value {
        Value::List(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(item, &kind, out);
            }
            out.push(b']');
        }
        Value::Map(map) => {
            let kind = kind.as_message().expect("a map is a list of entry messages");
            let kind = kind.map_entry_value_field().kind();
            let mut entries: Vec<_> =
                map.iter().map(|(key, value)| (key_text(key), value)).collect();
            entries.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
            out.push(b'{');
            for (index, (key, value)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                text(&key, out);
                out.push(b':');
                write_value(value, &kind, out);
            }
            out.push(b'}');
        }
        Value::Bytes(bytes) if descriptors::holds_json(field) => match as_json(message, bytes) {
            // Line breaks in valid JSON are whitespace between tokens.
            Some(json) => out.extend(json.bytes().map(|byte| match byte {
                b'\n' | b'\r' => b' ',
                other => other,
            })),
            None => text(&BASE64_STANDARD.encode(bytes), out),
        },
        value => write_value(value, &kind, out),
    }
}

/// Returns the JSON text in a field of type bytes. Returns `None` when the bytes are not JSON, or
/// are a JSON string, which a reader could not tell from base64.
fn as_json<'a>(message: &DynamicMessage, bytes: &'a [u8]) -> Option<&'a str> {
    let content_type = message.get_field_by_name("content_type");
    let content_type = content_type.as_deref().and_then(Value::as_str).unwrap_or_default();
    if !is_json(content_type) {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let json: &RawValue = serde_json::from_str(text).ok()?;
    (!json.get().starts_with('"')).then(|| json.get())
}

/// Returns whether a media type is JSON. An empty one is, because JSON is the default.
pub(crate) fn is_json(media_type: &str) -> bool {
    let name = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    name.is_empty() || name == "application/json" || name.ends_with("+json")
}

fn write_value(value: &Value, kind: &Kind, out: &mut Vec<u8>) {
    match value {
        Value::Bool(true) => out.extend(b"true"),
        Value::Bool(false) => out.extend(b"false"),
        Value::I32(number) => out.extend(number.to_string().bytes()),
        Value::U32(number) => out.extend(number.to_string().bytes()),
        // As strings: JavaScript rounds numbers above 2^53.
        Value::I64(number) => text(&number.to_string(), out),
        Value::U64(number) => text(&number.to_string(), out),
        Value::F32(number) => float(f64::from(*number), &number.to_string(), out),
        Value::F64(number) => float(*number, &number.to_string(), out),
        Value::String(string) => text(string, out),
        Value::Bytes(bytes) => text(&BASE64_STANDARD.encode(bytes), out),
        Value::EnumNumber(number) => {
            let name = kind.as_enum().and_then(|names| names.get_value(*number));
            match name {
                Some(name) => text(name.name(), out),
                None => out.extend(number.to_string().bytes()),
            }
        }
        Value::Message(message) => write_message(message, out),
        Value::List(_) | Value::Map(_) => unreachable!("proto has no nested lists or maps"),
    }
}

fn float(number: f64, shortest: &str, out: &mut Vec<u8>) {
    if number.is_finite() {
        out.extend(shortest.bytes());
    } else if number.is_nan() {
        out.extend(b"\"NaN\"");
    } else {
        text(if number > 0.0 { "Infinity" } else { "-Infinity" }, out);
    }
}

fn text(string: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, string).expect("writing to memory does not fail");
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

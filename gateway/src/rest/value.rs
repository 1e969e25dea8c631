//! Decodes the value of one field from text: of a path, a query parameter or a JSON value.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost_reflect::{DynamicMessage, EnumDescriptor, Kind, MapKey, MessageDescriptor, Value};

use super::descriptors;

const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, ANY_PADDING);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, ANY_PADDING);

/// The limit of a number in text. Every valid number is shorter.
const NUMBER_MAX_BYTES: usize = 64;

/// An error message that says which value was expected.
pub(super) type Expected = String;

/// Decodes a value of a kind from text.
pub(super) fn from_text(kind: &Kind, text: &str) -> Result<Value, Expected> {
    match kind {
        Kind::String => Ok(Value::String(text.to_owned())),
        Kind::Bytes => {
            let decoded = BASE64.decode(text).or_else(|_| BASE64_URL.decode(text));
            decoded
                .map(|bytes| Value::Bytes(bytes.into()))
                .map_err(|_| "expected base64".to_owned())
        }
        Kind::Bool => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err("expected true or false".to_owned()),
        },
        Kind::Enum(names) => enum_value(names, text),
        Kind::Message(message) if descriptors::is_well_known(message) => {
            let text = serde_json::to_string(text).expect("a string serializes");
            well_known(message, &text)
        }
        Kind::Message(message) => {
            Err(format!("expected an object; {} cannot be given as text", message.name()))
        }
        number => from_number(number, text),
    }
}

/// Decodes a number, or the number of an enum value. An integer may be written as 5.0.
pub(super) fn from_number(kind: &Kind, text: &str) -> Result<Value, Expected> {
    let expected = || match kind {
        Kind::Double | Kind::Float => "expected a number".to_owned(),
        Kind::Uint32 | Kind::Fixed32 => format!("expected an integer from 0 to {}", u32::MAX),
        Kind::Uint64 | Kind::Fixed64 => format!("expected an integer from 0 to {}", u64::MAX),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            format!("expected an integer from {} to {}", i64::MIN, i64::MAX)
        }
        Kind::Enum(names) => known_names(names),
        Kind::Bool => "expected true or false".to_owned(),
        Kind::Bytes | Kind::String => "expected text".to_owned(),
        Kind::Message(_) => "expected an object".to_owned(),
        _ => format!("expected an integer from {} to {}", i32::MIN, i32::MAX),
    };
    if text.len() > NUMBER_MAX_BYTES {
        return Err(expected());
    }
    let value = match kind {
        Kind::Double => text.parse().ok().filter(|one: &f64| one.is_finite()).map(Value::F64),
        Kind::Float => text.parse().ok().filter(|one: &f32| one.is_finite()).map(Value::F32),
        Kind::Uint32 | Kind::Fixed32 => {
            integer(text).and_then(|one| one.try_into().ok()).map(Value::U32)
        }
        Kind::Uint64 | Kind::Fixed64 => {
            integer(text).and_then(|one| one.try_into().ok()).map(Value::U64)
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            integer(text).and_then(|one| one.try_into().ok()).map(Value::I64)
        }
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            integer(text).and_then(|one| one.try_into().ok()).map(Value::I32)
        }
        Kind::Enum(names) => {
            let number = integer(text).and_then(|one| one.try_into().ok());
            number.filter(|one| names.get_value(*one).is_some()).map(Value::EnumNumber)
        }
        Kind::Bool | Kind::Bytes | Kind::String | Kind::Message(_) => None,
    };
    value.ok_or_else(expected)
}

/// Decodes the key of a map.
pub(super) fn key(kind: &Kind, text: &str) -> Result<MapKey, Expected> {
    let value = from_text(kind, text)?;
    value.into_map_key().ok_or_else(|| "is not a valid key".to_owned())
}

/// Decodes a well-known type from its special JSON encoding.
pub(super) fn well_known(message: &MessageDescriptor, json: &str) -> Result<Value, Expected> {
    let converted;
    let json = if message.name() == "FieldMask" {
        converted = to_camel_case(json);
        &converted
    } else {
        json
    };
    let mut reader = serde_json::Deserializer::from_str(json);
    let decoded = DynamicMessage::deserialize(message.clone(), &mut reader);
    decoded.map(Value::Message).map_err(|_| match message.name() {
        "Timestamp" => "expected a time such as 2026-01-31T12:00:00Z".to_owned(),
        "Duration" => "expected a duration in seconds such as 1.5s".to_owned(),
        "FieldMask" => "expected field names separated by commas".to_owned(),
        name => format!("expected a {name}"),
    })
}

/// Decodes a name with or without the prefix of its enum, in any case: `JOB_STATE_FAILED`,
/// `FAILED` and `failed` are the same value.
fn enum_value(names: &EnumDescriptor, text: &str) -> Result<Value, Expected> {
    if let Some(value) = names.get_value_by_name(text) {
        return Ok(Value::EnumNumber(value.number()));
    }
    let prefix = enum_prefix(names);
    let is_named = |name: &str| {
        let short = name.strip_prefix(prefix.as_str()).unwrap_or(name);
        name.eq_ignore_ascii_case(text) || short.eq_ignore_ascii_case(text)
    };
    match names.values().find(|value| is_named(value.name())) {
        Some(value) => Ok(Value::EnumNumber(value.number())),
        None => from_number(&Kind::Enum(names.clone()), text),
    }
}

/// Returns the prefix that all names of an enum share, such as `JOB_STATE_`.
fn enum_prefix(names: &EnumDescriptor) -> String {
    let zero = names.default_value();
    zero.name().strip_suffix("UNSPECIFIED").unwrap_or_default().to_owned()
}

fn known_names(names: &EnumDescriptor) -> Expected {
    let names: Vec<_> = names.values().map(|value| value.name().to_owned()).collect();
    format!("expected one of {}", names.join(", "))
}

/// Parses an integer. Takes also 5.0 and 5e3, which some languages write for an integer, in the
/// range in which a double is exact.
fn integer(text: &str) -> Option<i128> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if let Ok(number) = text.parse::<i128>() {
        return Some(number).filter(|_| !text.starts_with('+'));
    }
    let number: f64 = text.parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the value is an integer in the exact range"
    )]
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i128)
}

/// Converts names in the spelling of the proto file, which the decoder does not take.
fn to_camel_case(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letters.peek() {
            Some(next) if letter == '_' && next.is_ascii_lowercase() => {
                out.push(next.to_ascii_uppercase());
                letters.next();
            }
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_every_enum_has_a_short_name_in_any_case() {
        let mut checked = 0;
        for names in descriptors::pool().all_enums() {
            if names.parent_file().package_name().starts_with("google") {
                continue;
            }
            let prefix = enum_prefix(&names);
            assert!(!prefix.is_empty(), "{} has no UNSPECIFIED value", names.full_name());
            for value in names.values() {
                let short = value.name().strip_prefix(prefix.as_str());
                let short = short.unwrap_or_else(|| panic!("{} is not {prefix}", value.name()));
                let kind = Kind::Enum(names.clone());
                for text in
                    [value.name(), short, &short.to_lowercase(), &value.name().to_lowercase()]
                {
                    let decoded = from_text(&kind, text);
                    assert_eq!(decoded, Ok(Value::EnumNumber(value.number())), "{text}");
                }
                checked += 1;
            }
            assert!(from_text(&Kind::Enum(names.clone()), "no such name").is_err());
            assert!(from_text(&Kind::Enum(names), "").is_err());
        }
        assert!(checked > 20, "{checked} values");
    }
}

//! Sets fields of a message from path segments and query parameters, such as
//! `filter.labels.customer=42`.

use std::collections::{HashMap, HashSet};

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind};

use super::{decode, descriptors, template, value};
use crate::error::GatewayError;

/// The limit of query parameters. Lists of ids are much shorter.
const PARAMETERS_MAX: usize = 4_096;

/// Returns the names and values of a query string, decoded.
pub(crate) fn pairs(query: &str) -> Result<Vec<(String, String)>, GatewayError> {
    let pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    if pairs.len() > PARAMETERS_MAX {
        return Err(GatewayError::invalid_request(format!(
            "{} query parameters; the limit is {PARAMETERS_MAX}",
            pairs.len()
        )));
    }
    let decode_pair = |pair: &str| {
        let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
        let name = template::decode("", &name.replace('+', " "))?;
        let text = template::decode(&name, &text.replace('+', " "))?;
        Ok((name, text))
    };
    pairs.into_iter().map(decode_pair).collect()
}

/// Sets the field at a path such as `filter.labels.customer`.
pub(crate) fn set(
    message: &mut DynamicMessage,
    path: &str,
    text: &str,
) -> Result<(), GatewayError> {
    set_below(message, path, path, text)
}

fn set_below(
    message: &mut DynamicMessage,
    rest: &str,
    path: &str,
    text: &str,
) -> Result<(), GatewayError> {
    use prost_reflect::ReflectMessage as _;
    let descriptor = message.descriptor();
    let (name, below) = match rest.split_once('.') {
        Some((name, below)) => (name, Some(below)),
        None => (rest, None),
    };
    let field = decode::field_by_name(&descriptor, name)
        .ok_or_else(|| GatewayError::invalid_field(path, decode::unknown_field(&descriptor)))?;
    let conflicting = field
        .containing_oneof()
        .and_then(|oneof| oneof.fields().find(|other| *other != field && message.has_field(other)));
    if let Some(other) = conflicting {
        return Err(GatewayError::invalid_field(
            path,
            format!("cannot be combined with {}", other.json_name()),
        ));
    }
    match below {
        Some(key) if field.is_map() => set_entry(message, &field, key, path, text),
        Some(below) if !field.is_list() => match field.kind() {
            Kind::Message(kind) if !descriptors::is_well_known(&kind) => {
                let inner = message.get_field_mut(&field).as_message_mut();
                set_below(inner.expect("the field is a message"), below, path, text)
            }
            _ => Err(GatewayError::invalid_field(
                path,
                format!("{name} is not an object and has no fields"),
            )),
        },
        Some(_) => {
            Err(GatewayError::invalid_field(path, format!("{name} is a list and has no fields")))
        }
        None if field.is_map() => Err(GatewayError::invalid_field(
            path,
            format!("is a map; expected {path}.<key>=<value>"),
        )),
        // `?filter` selects an object of which no field is set.
        None if text.is_empty() && is_object(&field) => {
            message.get_field_mut(&field);
            Ok(())
        }
        None => set_value(message, &field, path, text),
    }
}

fn is_object(field: &FieldDescriptor) -> bool {
    let kind = field.kind();
    let message = kind.as_message().filter(|kind| !descriptors::is_well_known(kind));
    message.is_some() && !field.is_list()
}

fn set_value(
    message: &mut DynamicMessage,
    field: &FieldDescriptor,
    path: &str,
    text: &str,
) -> Result<(), GatewayError> {
    let value = value::from_text(&field.kind(), text)
        .map_err(|error| GatewayError::invalid_field(path, error))?;
    if field.is_list() {
        let list = message.get_field_mut(field).as_list_mut().expect("the field is a list");
        if list.len() >= decode::ITEMS_MAX {
            let text = format!("has more than {} items", decode::ITEMS_MAX);
            return Err(GatewayError::invalid_field(path, text));
        }
        list.push(value);
    } else {
        message.set_field(field, value);
    }
    Ok(())
}

fn set_entry(
    message: &mut DynamicMessage,
    field: &FieldDescriptor,
    key: &str,
    path: &str,
    text: &str,
) -> Result<(), GatewayError> {
    let invalid = |expected: String| GatewayError::invalid_field(path, expected);
    let entry = field.kind();
    let entry = entry.as_message().expect("a map is a list of entry messages");
    let key = value::key(&entry.map_entry_key_field().kind(), key).map_err(invalid)?;
    let value = value::from_text(&entry.map_entry_value_field().kind(), text).map_err(invalid)?;
    let map: &mut HashMap<_, _> =
        message.get_field_mut(field).as_map_mut().expect("the field is a map");
    if map.len() >= decode::ITEMS_MAX {
        let text = format!("has more than {} items", decode::ITEMS_MAX);
        return Err(GatewayError::invalid_field(path, text));
    }
    match map.insert(key, value) {
        Some(_) => Err(GatewayError::invalid_field(path, "is given twice")),
        None => Ok(()),
    }
}

/// Refuses a second value of a field that is not a list.
pub(crate) fn refuse_duplicates(
    names: &[(String, String)],
    input: &prost_reflect::MessageDescriptor,
) -> Result<(), GatewayError> {
    let mut seen = HashSet::new();
    for (name, _) in names {
        let Some(path) = single_value_path(input, name) else { continue };
        if !seen.insert(path) {
            return Err(GatewayError::invalid_field(name, "is given twice"));
        }
    }
    Ok(())
}

/// Returns the path of a field with its JSON names. Returns `None` when the field is unknown or
/// may have several values.
fn single_value_path(input: &prost_reflect::MessageDescriptor, path: &str) -> Option<String> {
    let mut message = input.clone();
    let mut names = Vec::new();
    let mut parts = path.split('.').peekable();
    while let Some(part) = parts.next() {
        let field = decode::field_by_name(&message, part)?;
        if field.is_list() || field.is_map() {
            return None;
        }
        names.push(field.json_name().to_owned());
        match field.kind() {
            Kind::Message(inner) if parts.peek().is_some() => message = inner,
            _ => {}
        }
    }
    Some(names.join("."))
}

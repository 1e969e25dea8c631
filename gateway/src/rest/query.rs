//! Paths and query parameters to fields of a message: `filter.labels.customer=42`.

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind};

use super::fault::Fault;
use super::template;
use super::{read, value};

/// More parameters are no list of ids any more.
const PARAMETERS_MAX: usize = 4_096;

/// The pairs of a query, decoded.
pub(crate) fn pairs(query: &str) -> Result<Vec<(String, String)>, Fault> {
    let pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    if pairs.len() > PARAMETERS_MAX {
        return Err(Fault::invalid("", format!("more than {PARAMETERS_MAX} query parameters")));
    }
    let decode = |pair: &str| {
        let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
        let name = template::decode("", &name.replace('+', " "))?;
        let text = template::decode(&name, &text.replace('+', " "))?;
        Ok((name, text))
    };
    pairs.into_iter().map(decode).collect()
}

/// Sets the field at a path.
pub(crate) fn set(message: &mut DynamicMessage, path: &str, text: &str) -> Result<(), Fault> {
    set_below(message, path, path, text)
}

fn set_below(
    message: &mut DynamicMessage,
    rest: &str,
    path: &str,
    text: &str,
) -> Result<(), Fault> {
    use prost_reflect::ReflectMessage as _;
    let descriptor = message.descriptor();
    let (name, below) = match rest.split_once('.') {
        Some((name, below)) => (name, Some(below)),
        None => (rest, None),
    };
    let field = read::field_of(&descriptor, name)
        .ok_or_else(|| Fault::invalid(path, read::unknown(&descriptor)))?;
    let rival = field
        .containing_oneof()
        .and_then(|oneof| oneof.fields().find(|other| *other != field && message.has_field(other)));
    if let Some(rival) = rival {
        return Err(Fault::invalid(path, format!("excludes {}", rival.json_name())));
    }
    match below {
        Some(key) if field.is_map() => set_entry(message, &field, key, path, text),
        Some(below) if !field.is_list() => match field.kind() {
            Kind::Message(kind) if !super::contract::is_well_known(&kind) => {
                let inner = message.get_field_mut(&field).as_message_mut();
                set_below(inner.expect("a message"), below, path, text)
            }
            _ => Err(Fault::invalid(path, format!("{name} has no fields"))),
        },
        Some(_) => Err(Fault::invalid(path, format!("{name} is a list and has no names in it"))),
        None if field.is_map() => {
            Err(Fault::invalid(path, format!("is a map: give {path}.<key>=<value>")))
        }
        // Of a selector all of whose fields are optional only this says that it is meant.
        None if text.is_empty() && is_object(&field) => {
            message.get_field_mut(&field);
            Ok(())
        }
        None => set_value(message, &field, path, text),
    }
}

fn is_object(field: &FieldDescriptor) -> bool {
    let kind = field.kind();
    let message = kind.as_message().filter(|kind| !super::contract::is_well_known(kind));
    message.is_some() && !field.is_list()
}

fn set_value(
    message: &mut DynamicMessage,
    field: &FieldDescriptor,
    path: &str,
    text: &str,
) -> Result<(), Fault> {
    let value =
        value::from_text(&field.kind(), text).map_err(|wrong| Fault::invalid(path, wrong))?;
    if field.is_list() {
        let list = message.get_field_mut(field).as_list_mut().expect("a list");
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
) -> Result<(), Fault> {
    let wrong = |wrong: String| Fault::invalid(path, wrong);
    let entry = field.kind();
    let entry = entry.as_message().expect("a map is made of messages");
    let key = value::key(&entry.map_entry_key_field().kind(), key).map_err(wrong)?;
    let value = value::from_text(&entry.map_entry_value_field().kind(), text).map_err(wrong)?;
    let map: &mut HashMap<_, _> = message.get_field_mut(field).as_map_mut().expect("a map");
    match map.insert(key, value) {
        Some(_) => Err(Fault::invalid(path, "is given twice")),
        None => Ok(()),
    }
}

/// Refuses a second value of a field that is no list.
pub(crate) fn refuse_twice(
    names: &[(String, String)],
    input: &prost_reflect::MessageDescriptor,
) -> Result<(), Fault> {
    let mut seen: HashMap<String, ()> = HashMap::new();
    for (name, _) in names {
        let Some(path) = canonical(input, name) else { continue };
        if seen.insert(path, ()).is_some() {
            return Err(Fault::invalid(name, "is given twice"));
        }
    }
    Ok(())
}

/// The path of a single field as JSON writes it; `None` for a list or what is not known.
fn canonical(input: &prost_reflect::MessageDescriptor, path: &str) -> Option<String> {
    let mut message = input.clone();
    let mut out = Vec::new();
    let mut parts = path.split('.').peekable();
    while let Some(part) = parts.next() {
        let field = read::field_of(&message, part)?;
        if field.is_list() || field.is_map() {
            return None;
        }
        out.push(field.json_name().to_owned());
        match field.kind() {
            Kind::Message(inner) if parts.peek().is_some() => message = inner,
            _ => {}
        }
    }
    Some(out.join("."))
}

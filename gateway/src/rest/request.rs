//! A request of HTTP to the message that the contract asks for: path, query and body.

use axum::extract::Request;
use http::{HeaderMap, Method, header};
use http_body_util::{BodyExt as _, LengthLimitError};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _, Value};
use serde_json::value::RawValue;

use super::fault::Fault;
use super::routes::{BodyRule, Route};
use super::template::Captures;
use super::{query, read, write};

/// How a page says where to go on, beside the header of that name.
pub(crate) const LAST_EVENT_ID: &str = "lastEventId";

/// Which fields a change concerns.
const MASK: &str = "update_mask";

/// Reads it. The second value is what the query said of the last event.
pub(crate) async fn message(
    route: &Route,
    captures: Captures<'_>,
    request: Request,
) -> Result<(DynamicMessage, Option<String>), Fault> {
    let (head, body) = request.into_parts();
    let mut pairs = query::pairs(head.uri.query().unwrap_or_default())?;
    let mut last_event = None;
    if route.call.is_server_streaming() {
        pairs.retain(|(name, text)| {
            let is_own = name == LAST_EVENT_ID;
            if is_own {
                last_event = Some(text.clone());
            }
            !is_own
        });
    }
    let body = body.collect().await.map_err(|error| unread(&error))?.to_bytes();
    let mut message = DynamicMessage::new(route.call.input());
    if body.is_empty() {
        refuse_missing(route)?;
    } else {
        check_media_type(route, &head.headers)?;
        let text =
            std::str::from_utf8(&body).map_err(|_| Fault::invalid("", "the body is not UTF-8"))?;
        fill(&mut message, route, read::json(text)?)?;
    }
    set_query(&mut message, route, &pairs)?;
    for (field, text) in captures {
        set_captured(&mut message, field, &text)?;
    }
    Ok((message, last_event))
}

fn unread(error: &axum::Error) -> Fault {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(one) = cause {
        if one.is::<LengthLimitError>() {
            return Fault::too_large("the body of the request is larger than is taken".to_owned());
        }
        cause = one.source();
    }
    Fault::invalid("", format!("the body of the request did not arrive whole: {error}"))
}

/// Without a body all fields have their defaults, which is right for some and never for a field
/// that the request is about.
fn refuse_missing(route: &Route) -> Result<(), Fault> {
    match &route.body {
        BodyRule::Field(name) => {
            Err(Fault::invalid("", format!("the body is empty; it holds the {name} as JSON")))
        }
        BodyRule::Everything | BodyRule::Nothing => Ok(()),
    }
}

fn check_media_type(route: &Route, headers: &HeaderMap) -> Result<(), Fault> {
    if route.body == BodyRule::Nothing {
        let message = "this call has no body; its fields are query parameters";
        return Err(Fault::invalid("", message));
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let given = text(header::CONTENT_TYPE);
    let charset = given.to_ascii_lowercase();
    let charset = charset
        .split(';')
        .skip(1)
        .find_map(|part| part.trim().strip_prefix("charset=").map(str::to_owned));
    let is_utf8 =
        charset.is_none_or(|name| matches!(name.trim_matches('"'), "utf-8" | "utf8" | "us-ascii"));
    if given.is_empty() || !write::is_json(given) || !is_utf8 {
        let given = if given.is_empty() { "none" } else { given };
        return Err(Fault::wrong_media_type(format!(
            "content-type is {given}; expected application/json, as curl sends with --json"
        )));
    }
    match text(header::CONTENT_ENCODING) {
        "" | "identity" => Ok(()),
        coding => Err(Fault::wrong_media_type(format!(
            "content-encoding is {coding}; bodies are taken as they are"
        ))),
    }
}

fn fill(message: &mut DynamicMessage, route: &Route, json: &RawValue) -> Result<(), Fault> {
    match &route.body {
        BodyRule::Nothing => {}
        BodyRule::Everything => read::fill(message, json, "")?,
        BodyRule::Field(name) => {
            let field = field(message, name);
            // Of a body that is the field itself, fields are named from there.
            if let Some(value) = read::field_value(&field, json, "")? {
                message.set_field(&field, value);
            }
        }
    }
    if route.method == Method::PATCH { name_changes(message, route, json) } else { Ok(()) }
}

/// A change that does not name its fields changes those that its JSON has. Without this an
/// empty mask would reset all of a queue's settings, which no PATCH does.
fn name_changes(message: &mut DynamicMessage, route: &Route, json: &RawValue) -> Result<(), Fault> {
    let Some(mask) = message.descriptor().get_field_by_name(MASK) else { return Ok(()) };
    if message.has_field(&mask) {
        return Ok(());
    }
    let (changed, json) = match &route.body {
        BodyRule::Field(name) => (field(message, name), json),
        _ => {
            let Some(changed) = resource(message) else { return Ok(()) };
            let found = read::members(json, "")?.into_iter().find(|(name, _)| {
                read::field_of(&message.descriptor(), name).as_ref() == Some(&changed)
            });
            match found {
                Some((_, json)) => (changed, json),
                None => return Ok(()),
            }
        }
    };
    let Kind::Message(kind) = changed.kind() else { return Ok(()) };
    let in_path: Vec<String> = route.template.fields().map(str::to_owned).collect();
    let names = read::members(json, changed.json_name())?;
    let names = names.into_iter().filter_map(|(name, _)| read::field_of(&kind, &name));
    let names =
        names.filter(|one| !in_path.contains(&format!("{}.{}", changed.name(), one.name())));
    let paths: Vec<Value> = names.map(|one| Value::String(one.name().to_owned())).collect();
    if paths.is_empty() {
        return Err(Fault::invalid(
            "",
            format!("names no field of the {} to change", changed.name()),
        ));
    }
    if let Some(inner) = message.get_field_mut(&mask).as_message_mut() {
        inner.set_field_by_name("paths", Value::List(paths));
    }
    Ok(())
}

/// The one message of a request that its mask is about.
fn resource(message: &DynamicMessage) -> Option<FieldDescriptor> {
    let descriptor = message.descriptor();
    let mut messages = descriptor.fields().filter(|field| {
        let kind = field.kind();
        let is_own = kind.as_message().is_some_and(|kind| !super::contract::is_well_known(kind));
        is_own && !field.is_list() && !field.is_map()
    });
    let first = messages.next()?;
    messages.next().is_none().then_some(first)
}

fn set_query(
    message: &mut DynamicMessage,
    route: &Route,
    pairs: &[(String, String)],
) -> Result<(), Fault> {
    query::refuse_twice(pairs, &route.call.input())?;
    for (name, text) in pairs {
        let first = name.split('.').next().unwrap_or_default();
        let first = read::field_of(&route.call.input(), first);
        let is_of_body = match &route.body {
            BodyRule::Nothing => false,
            BodyRule::Everything => true,
            BodyRule::Field(body) => first.as_ref().is_some_and(|field| field.name() == body),
        };
        if is_of_body {
            return Err(Fault::invalid(name, "is no query parameter here; it belongs in the body"));
        }
        query::set(message, name, text)?;
    }
    Ok(())
}

/// The path of a URL says it; the body may say the same, and nothing else.
fn set_captured(message: &mut DynamicMessage, path: &str, text: &str) -> Result<(), Fault> {
    let mut alone = DynamicMessage::new(message.descriptor());
    query::set(&mut alone, path, text)?;
    let (told, given) = (at(&alone, path), at(message, path));
    if given.as_ref().is_some_and(|given| Some(given) != told.as_ref()) {
        return Err(Fault::invalid(path, "is in the path of the URL, and differs from that"));
    }
    if given.is_none() {
        query::set(message, path, text)?;
    }
    Ok(())
}

/// The value of a field that is not its default.
fn at(message: &DynamicMessage, path: &str) -> Option<Value> {
    let (name, below) = match path.split_once('.') {
        Some((name, below)) => (name, Some(below)),
        None => (path, None),
    };
    let field = message.descriptor().get_field_by_name(name)?;
    if !message.has_field(&field) {
        return None;
    }
    let value = message.get_field(&field);
    match below {
        Some(below) => at(value.as_message()?, below),
        None => Some(value.into_owned()),
    }
}

fn field(message: &DynamicMessage, name: &str) -> FieldDescriptor {
    message.descriptor().get_field_by_name(name).expect("rules name fields; a test reads them all")
}

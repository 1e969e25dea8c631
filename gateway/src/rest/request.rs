//! Decodes an HTTP request to the request message of its call, from path, query and body.

use http::request::Parts;
use http::{HeaderMap, Method, header};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _, Value};
use serde_json::value::RawValue;

use super::decode::ValueLimit;
use super::routes::{BodyRule, Route};
use super::template::Captures;
use super::{decode, descriptors, encode, query};
use crate::error::GatewayError;

/// The query parameter with the same meaning as the header `last-event-id`.
pub(crate) const LAST_EVENT_ID: &str = "lastEventId";

/// The field that lists the fields to change.
const UPDATE_MASK: &str = "update_mask";

/// The request message, and the id of the last event from the query.
pub(crate) type Decoded = (DynamicMessage, Option<String>);

/// Decodes a request whose body is complete.
pub(crate) fn decode(
    route: &Route,
    captures: Captures<'_>,
    head: &Parts,
    body: &[u8],
) -> Result<Decoded, GatewayError> {
    let mut pairs = query::pairs(head.uri.query().unwrap_or_default())?;
    let mut last_event_id = None;
    if route.call.is_server_streaming() {
        pairs.retain(|(name, text)| {
            let is_last_event_id = name == LAST_EVENT_ID;
            if is_last_event_id {
                last_event_id = Some(text.clone());
            }
            !is_last_event_id
        });
    }
    let mut message = DynamicMessage::new(route.call.input());
    if body.is_empty() {
        check_body_is_optional(route)?;
    } else {
        check_media_type(route, &head.headers)?;
        let text = std::str::from_utf8(body)
            .map_err(|_| GatewayError::invalid_request("the request body is not UTF-8"))?;
        fill(&mut message, route, decode::json(text)?)?;
    }
    set_query(&mut message, route, &pairs)?;
    for (field, text) in captures {
        set_path_field(&mut message, field, &text)?;
    }
    Ok((message, last_event_id))
}

/// Refuses a missing body when the body is the resource that the request is about.
fn check_body_is_optional(route: &Route) -> Result<(), GatewayError> {
    match &route.body {
        BodyRule::Field(name) => Err(GatewayError::invalid_request(format!(
            "the request body is empty; expected the {name} as JSON"
        ))),
        BodyRule::Message | BodyRule::Empty => Ok(()),
    }
}

fn check_media_type(route: &Route, headers: &HeaderMap) -> Result<(), GatewayError> {
    if route.body == BodyRule::Empty {
        return Err(GatewayError::invalid_request(
            "this call takes no request body; its fields are query parameters",
        ));
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let content_type = text(header::CONTENT_TYPE);
    let charset = content_type.to_ascii_lowercase();
    let charset = charset
        .split(';')
        .skip(1)
        .find_map(|part| part.trim().strip_prefix("charset=").map(str::to_owned));
    let is_utf8 =
        charset.is_none_or(|name| matches!(name.trim_matches('"'), "utf-8" | "utf8" | "us-ascii"));
    if content_type.is_empty() || !encode::is_json(content_type) || !is_utf8 {
        let content_type = if content_type.is_empty() { "missing" } else { content_type };
        return Err(GatewayError::unsupported_media_type(format!(
            "the content-type is {content_type}; expected application/json, which curl --json sends"
        )));
    }
    match text(header::CONTENT_ENCODING) {
        "" | "identity" => Ok(()),
        coding => Err(GatewayError::unsupported_media_type(format!(
            "the content-encoding is {coding}; expected an uncompressed request body"
        ))),
    }
}

fn fill(message: &mut DynamicMessage, route: &Route, json: &RawValue) -> Result<(), GatewayError> {
    let limit = ValueLimit::default();
    match &route.body {
        BodyRule::Empty => {}
        BodyRule::Message => decode::fill(message, json, "", &limit)?,
        BodyRule::Field(name) => {
            let field = field(message, name);
            // The body is the field, so paths in errors start below the field.
            if let Some(value) = decode::field_value(&field, json, "", &limit)? {
                message.set_field(&field, value);
            }
        }
    }
    if route.method == Method::PATCH { set_update_mask(message, route, json) } else { Ok(()) }
}

/// Sets the update mask to the fields in the JSON when the request has no mask. The server takes
/// an empty mask as all fields, and a PATCH must not reset the fields that it leaves out.
fn set_update_mask(
    message: &mut DynamicMessage,
    route: &Route,
    json: &RawValue,
) -> Result<(), GatewayError> {
    let Some(mask) = message.descriptor().get_field_by_name(UPDATE_MASK) else { return Ok(()) };
    if message.has_field(&mask) {
        return Ok(());
    }
    let (resource, json) = match &route.body {
        BodyRule::Field(name) => (field(message, name), json),
        _ => {
            let Some(resource) = resource_field(message) else { return Ok(()) };
            let member = decode::members(json, "")?.into_iter().find(|(name, _)| {
                decode::field_by_name(&message.descriptor(), name).as_ref() == Some(&resource)
            });
            match member {
                Some((_, json)) => (resource, json),
                None => return Ok(()),
            }
        }
    };
    let Kind::Message(kind) = resource.kind() else { return Ok(()) };
    let in_path: Vec<String> = route.template.fields().map(str::to_owned).collect();
    let names = decode::members(json, resource.json_name())?;
    let names = names.into_iter().filter_map(|(name, _)| decode::field_by_name(&kind, &name));
    let names =
        names.filter(|one| !in_path.contains(&format!("{}.{}", resource.name(), one.name())));
    let paths: Vec<Value> = names.map(|one| Value::String(one.name().to_owned())).collect();
    if paths.is_empty() {
        return Err(GatewayError::invalid_request(format!(
            "the request changes no field of the {}; give at least one",
            resource.name()
        )));
    }
    if let Some(inner) = message.get_field_mut(&mask).as_message_mut() {
        inner.set_field_by_name("paths", Value::List(paths));
    }
    Ok(())
}

/// Returns the field with the resource to change: the only message in the request.
fn resource_field(message: &DynamicMessage) -> Option<FieldDescriptor> {
    let descriptor = message.descriptor();
    let mut messages = descriptor.fields().filter(|field| {
        let kind = field.kind();
        let is_resource = kind.as_message().is_some_and(|kind| !descriptors::is_well_known(kind));
        is_resource && !field.is_list() && !field.is_map()
    });
    let first = messages.next()?;
    messages.next().is_none().then_some(first)
}

fn set_query(
    message: &mut DynamicMessage,
    route: &Route,
    pairs: &[(String, String)],
) -> Result<(), GatewayError> {
    query::refuse_duplicates(pairs, &route.call.input())?;
    for (name, text) in pairs {
        let first = name.split('.').next().unwrap_or_default();
        let first = decode::field_by_name(&route.call.input(), first);
        let is_in_body = match &route.body {
            BodyRule::Empty => false,
            BodyRule::Message => true,
            BodyRule::Field(body) => first.as_ref().is_some_and(|field| field.name() == body),
        };
        if is_in_body {
            return Err(GatewayError::invalid_field(
                name,
                "is not a query parameter of this call; set it in the request body",
            ));
        }
        query::set(message, name, text)?;
    }
    Ok(())
}

/// Sets a field from the path of the URL. The body may repeat the value, but not contradict it.
fn set_path_field(
    message: &mut DynamicMessage,
    path: &str,
    text: &str,
) -> Result<(), GatewayError> {
    let mut from_url = DynamicMessage::new(message.descriptor());
    query::set(&mut from_url, path, text)?;
    let (in_url, in_body) = (field_at(&from_url, path), field_at(message, path));
    if in_body.as_ref().is_some_and(|in_body| Some(in_body) != in_url.as_ref()) {
        return Err(GatewayError::invalid_field(path, "differs from the value in the URL path"));
    }
    if in_body.is_none() {
        query::set(message, path, text)?;
    }
    Ok(())
}

/// Returns the value of the field at a path, or `None` when it has its default.
fn field_at(message: &DynamicMessage, path: &str) -> Option<Value> {
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
        Some(below) => field_at(value.as_message()?, below),
        None => Some(value.into_owned()),
    }
}

fn field(message: &DynamicMessage, name: &str) -> FieldDescriptor {
    message
        .descriptor()
        .get_field_by_name(name)
        .expect("a test checks the fields of all HTTP rules")
}

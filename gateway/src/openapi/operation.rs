//! Documents one HTTP rule as an OpenAPI operation.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Value, json};

use super::comments::Comments;
use super::schema::Schemas;
use crate::rest::descriptors;
use crate::rest::routes::{BodyRule, Route, all};
use crate::rest::template::last_segment;

/// How deep fields of nested messages are listed as query parameters.
const DEPTH_MAX: usize = 4;

pub(super) fn operation(route: &Route, comments: &Comments, schemas: &mut Schemas<'_>) -> Value {
    let service = route.call.parent_service();
    let comment = comments.get(&service.parent_file(), route.call.path());
    let mut fields = Vec::new();
    let mut maps = Vec::new();
    if route.body != BodyRule::Message {
        flatten(&route.call.input(), "", route, (&mut fields, &mut maps), DEPTH_MAX);
    }
    let mut parameters: Vec<Value> =
        route.template.fields().map(|path| path_parameter(route, path, schemas)).collect();
    parameters.extend(fields.iter().map(|(path, field)| query_parameter(path, field, schemas)));
    if route.call.is_server_streaming() {
        parameters.extend(resume_parameters());
    }
    let mut description = comment.to_owned();
    for map in maps {
        description.push_str(&format!("\n\nEach entry of {map} is a query parameter {map}.<key>."));
    }
    let mut operation = json!({
        "operationId": id(route),
        "tags": [service.name()],
        "summary": summary(comment),
        "description": description,
        "parameters": parameters,
        "responses": responses(route, schemas),
    });
    if let Some(schema) = body(route, schemas) {
        operation["requestBody"] = json!({
            "required": matches!(route.body, BodyRule::Field(_)),
            "content": {"application/json": {"schema": schema}},
        });
    }
    operation
}

/// Returns the name of the call for its first rule, and a numbered name for further rules.
fn id(route: &Route) -> String {
    let name = format!("{}_{}", route.call.parent_service().name(), route.call.name());
    let rules = all().iter().filter(|other| other.call == route.call);
    let index = rules.take_while(|other| !std::ptr::eq(*other, route)).count();
    if index == 0 { name } else { format!("{name}_{}", index + 1) }
}

/// Returns the first sentence of a comment.
fn summary(comment: &str) -> &str {
    let end = comment.find(['.', ':']).unwrap_or(comment.len());
    &comment[..end]
}

fn body(route: &Route, schemas: &mut Schemas<'_>) -> Option<Value> {
    let input = route.call.input();
    match &route.body {
        BodyRule::Empty => None,
        BodyRule::Message => {
            let in_path: Vec<&str> = route.template.fields().collect();
            Some(if in_path.is_empty() {
                schemas.message(&input)
            } else {
                schemas.object(&input, &in_path)
            })
        }
        BodyRule::Field(name) => {
            let field = input.get_field_by_name(name)?;
            Some(schemas.kind(&field.kind()))
        }
    }
}

fn responses(route: &Route, schemas: &mut Schemas<'_>) -> Value {
    let output = schemas.message(&route.call.output());
    let error = json!({"$ref": "#/components/responses/Error"});
    if !route.call.is_server_streaming() {
        let content = json!({"application/json": {"schema": output}});
        return json!({"200": {"description": "The call succeeded.", "content": content}, "default": error});
    }
    let item = json!({"schema": {"type": "string"}, "x-item-schema": output});
    json!({
        "200": {
            "description": "A stream of messages: lines of JSON, or server-sent events with such a line as data.",
            "content": {"application/x-ndjson": item, "text/event-stream": item},
        },
        "204": {"description": "The stream has ended. An EventSource stops reconnecting."},
        "default": error,
    })
}

fn path_parameter(route: &Route, path: &str, schemas: &mut Schemas<'_>) -> Value {
    let field = field_at(&route.call.input(), path);
    json!({
        "name": last_segment(path),
        "in": "path",
        "required": true,
        "schema": {"type": "string", "minLength": 1},
        "description": schemas.described(&field)["description"],
    })
}

fn query_parameter(path: &str, field: &FieldDescriptor, schemas: &mut Schemas<'_>) -> Value {
    let mut schema = schemas.described(field);
    let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
    json!({
        "name": path,
        "in": "query",
        "schema": schema,
        "description": description.unwrap_or_default(),
    })
}

fn resume_parameters() -> [Value; 2] {
    let description = "The id of the last received event. A stream with cursors resumes after it.";
    [("Last-Event-ID", "header"), ("lastEventId", "query")].map(|(name, location)| {
        json!({
            "name": name,
            "in": location,
            "schema": {"type": "string"},
            "description": description,
        })
    })
}

/// Collects the fields that can be query parameters, and separately the map fields, whose keys
/// are not known.
fn flatten(
    message: &MessageDescriptor,
    at: &str,
    route: &Route,
    (fields, maps): (&mut Vec<(String, FieldDescriptor)>, &mut Vec<String>),
    depth: usize,
) {
    for field in message.fields() {
        let join =
            |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
        let path = join(field.json_name());
        let is_in_path = route.template.fields().any(|name| name == join(field.name()));
        if is_in_path || route.body == BodyRule::Field(path.clone()) {
            continue;
        }
        if field.is_map() {
            maps.push(path);
            continue;
        }
        match field.kind() {
            Kind::Message(inner) if !descriptors::is_well_known(&inner) => {
                if !field.is_list() && depth > 0 {
                    flatten(&inner, &path, route, (&mut *fields, &mut *maps), depth - 1);
                }
            }
            _ => fields.push((path, field)),
        }
    }
}

fn field_at(message: &MessageDescriptor, path: &str) -> FieldDescriptor {
    let exists = "a test checks the fields of all HTTP rules";
    match path.split_once('.') {
        Some((name, below)) => {
            let kind = message.get_field_by_name(name).expect(exists).kind();
            field_at(kind.as_message().expect(exists), below)
        }
        None => message.get_field_by_name(path).expect(exists),
    }
}

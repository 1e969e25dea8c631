//! One HTTP rule as an operation: parameters, body, answers.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Value, json};

use super::comments::Comments;
use super::schema::Schemas;
use crate::rest::routes::{BodyRule, Route, all};
use crate::rest::{contract, last};

/// Fields of messages in messages, as query parameters name them.
const DEPTH_MAX: usize = 4;

pub(super) fn of(route: &Route, comments: &Comments, schemas: &mut Schemas<'_>) -> Value {
    let service = route.call.parent_service();
    let about = comments.of(&service.parent_file(), route.call.path());
    let mut fields = Vec::new();
    let mut maps = Vec::new();
    if route.body != BodyRule::Everything {
        flatten(&route.call.input(), "", route, (&mut fields, &mut maps), DEPTH_MAX);
    }
    let mut parameters: Vec<Value> =
        route.template.fields().map(|path| path_parameter(route, path, schemas)).collect();
    parameters.extend(fields.iter().map(|(path, field)| query_parameter(path, field, schemas)));
    if route.call.is_server_streaming() {
        parameters.extend(resume_parameters());
    }
    let mut description = about.to_owned();
    for map in maps {
        description.push_str(&format!("\n\nQuery parameters {map}.<key> are given one by one."));
    }
    let mut operation = json!({
        "operationId": id(route),
        "tags": [service.name()],
        "summary": summary(about),
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

/// The first rule of a call has its name, further ones are numbered.
fn id(route: &Route) -> String {
    let name = format!("{}_{}", route.call.parent_service().name(), route.call.name());
    let same = all().iter().filter(|other| other.call == route.call);
    let at = same.take_while(|other| !std::ptr::eq(*other, route)).count();
    if at == 0 { name } else { format!("{name}_{}", at + 1) }
}

fn summary(about: &str) -> &str {
    let end = about.find(['.', ':']).unwrap_or(about.len());
    &about[..end]
}

fn body(route: &Route, schemas: &mut Schemas<'_>) -> Option<Value> {
    let input = route.call.input();
    match &route.body {
        BodyRule::Nothing => None,
        BodyRule::Everything => {
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
        return json!({"200": {"description": "Done.", "content": content}, "default": error});
    }
    let item = json!({"schema": {"type": "string"}, "x-item-schema": output});
    json!({
        "200": {
            "description": "Messages as they come: lines of JSON, or server-sent events whose data is such a line.",
            "content": {"application/x-ndjson": item, "text/event-stream": item},
        },
        "204": {"description": "The stream had ended; an EventSource does not come again."},
        "default": error,
    })
}

fn path_parameter(route: &Route, path: &str, schemas: &mut Schemas<'_>) -> Value {
    let field = field_at(&route.call.input(), path);
    json!({
        "name": last(path),
        "in": "path",
        "required": true,
        "schema": {"type": "string", "minLength": 1},
        "description": schemas.described(&field)["description"],
    })
}

fn query_parameter(path: &str, field: &FieldDescriptor, schemas: &mut Schemas<'_>) -> Value {
    let mut schema = schemas.described(field);
    let about = schema.as_object_mut().and_then(|schema| schema.remove("description"));
    json!({
        "name": path,
        "in": "query",
        "schema": schema,
        "description": about.unwrap_or_default(),
    })
}

fn resume_parameters() -> [Value; 2] {
    let about = "The id of the last event that was seen; the stream goes on behind it where it has cursors.";
    [("Last-Event-ID", "header"), ("lastEventId", "query")].map(|(name, place)| {
        json!({"name": name, "in": place, "schema": {"type": "string"}, "description": about})
    })
}

/// The fields that queries can name, and the maps among them, whose keys only the caller knows.
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
        let is_taken = route.template.fields().any(|taken| taken == join(field.name()));
        if is_taken || route.body == BodyRule::Field(path.clone()) {
            continue;
        }
        if field.is_map() {
            maps.push(path);
            continue;
        }
        match field.kind() {
            Kind::Message(inner) if !contract::is_well_known(&inner) => {
                if !field.is_list() && depth > 0 {
                    flatten(&inner, &path, route, (&mut *fields, &mut *maps), depth - 1);
                }
            }
            _ => fields.push((path, field)),
        }
    }
}

fn field_at(message: &MessageDescriptor, path: &str) -> FieldDescriptor {
    let known = "a field of the request; a test reads them all";
    match path.split_once('.') {
        Some((name, below)) => {
            let kind = message.get_field_by_name(name).expect(known).kind();
            field_at(kind.as_message().expect(known), below)
        }
        None => message.get_field_by_name(path).expect(known),
    }
}

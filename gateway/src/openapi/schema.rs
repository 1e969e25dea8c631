//! Messages and enums of the API as JSON Schema.

use std::collections::BTreeMap;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::comments::Comments;
use crate::rest::descriptors;

/// The schemas that operations refer to, collected while the operations are documented.
pub(super) struct Schemas<'a> {
    comments: &'a Comments,
    schemas: BTreeMap<String, Value>,
}

impl<'a> Schemas<'a> {
    pub(super) fn new(comments: &'a Comments) -> Self {
        Self { comments, schemas: BTreeMap::from([("Error".to_owned(), error())]) }
    }

    pub(super) fn finish(self) -> Value {
        Value::Object(self.schemas.into_iter().collect())
    }

    /// Returns a reference to the schema of a message.
    pub(super) fn message(&mut self, message: &MessageDescriptor) -> Value {
        if let Some(schema) = well_known(message) {
            return schema;
        }
        let name = message.name().to_owned();
        if !self.schemas.contains_key(&name) {
            // Inserted before its fields, because a message may contain itself.
            self.schemas.insert(name.clone(), Value::Null);
            let schema = self.object(message, &[]);
            self.schemas.insert(name.clone(), schema);
        }
        reference(&name)
    }

    /// Returns the schema of a message without some of its fields.
    pub(super) fn object(&mut self, message: &MessageDescriptor, excluded: &[&str]) -> Value {
        let mut properties = Map::new();
        for field in message.fields().filter(|field| !excluded.contains(&field.name())) {
            let schema = self.described(&field);
            properties.insert(field.json_name().to_owned(), schema);
        }
        let mut description = self.comments.get(&message.parent_file(), message.path()).to_owned();
        for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            let names: Vec<_> = oneof.fields().map(|field| field.json_name().to_owned()).collect();
            description.push_str(&format!(" At most one of {}.", names.join(", ")));
        }
        json!({
            "type": "object",
            "description": description.trim(),
            "properties": properties,
            "additionalProperties": false,
        })
    }

    /// Returns the schema of a field with its comment as description.
    pub(super) fn described(&mut self, field: &FieldDescriptor) -> Value {
        let mut schema = self.field(field);
        let comment = self.comments.get(&field.parent_file(), field.path());
        if !comment.is_empty() {
            schema["description"] = comment.into();
        }
        schema
    }

    fn field(&mut self, field: &FieldDescriptor) -> Value {
        if descriptors::holds_json(field) {
            return json!({});
        }
        let kind = field.kind();
        if field.is_map() {
            let entry = kind.as_message().expect("a map is a list of entry messages");
            let value = self.kind(&entry.map_entry_value_field().kind());
            return json!({"type": "object", "additionalProperties": value});
        }
        let schema = self.kind(&kind);
        if field.is_list() { json!({"type": "array", "items": schema}) } else { schema }
    }

    pub(super) fn kind(&mut self, kind: &Kind) -> Value {
        match kind {
            Kind::Double => json!({"type": "number", "format": "double"}),
            Kind::Float => json!({"type": "number", "format": "float"}),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                json!({"type": "integer", "format": "int32", "minimum": i32::MIN, "maximum": i32::MAX})
            }
            Kind::Uint32 | Kind::Fixed32 => {
                json!({"type": "integer", "minimum": 0, "maximum": u32::MAX})
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                json!({"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$"})
            }
            Kind::Uint64 | Kind::Fixed64 => {
                json!({"type": "string", "format": "uint64", "pattern": "^[0-9]{1,20}$"})
            }
            Kind::Bool => json!({"type": "boolean"}),
            Kind::String => json!({"type": "string"}),
            Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
            Kind::Enum(descriptor) => self.enumeration(descriptor),
            Kind::Message(message) => self.message(message),
        }
    }

    fn enumeration(&mut self, descriptor: &EnumDescriptor) -> Value {
        let name = descriptor.name().to_owned();
        if !self.schemas.contains_key(&name) {
            let file = descriptor.parent_file();
            let mut description = self.comments.get(&file, descriptor.path()).to_owned();
            for value in descriptor.values() {
                let comment = self.comments.get(&file, value.path());
                description.push_str(&format!("\n\n{}: {comment}", value.name()));
            }
            let values: Vec<_> = descriptor.values().map(|value| value.name().to_owned()).collect();
            let schema =
                json!({"type": "string", "enum": values, "description": description.trim()});
            self.schemas.insert(name.clone(), schema);
        }
        reference(&name)
    }
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// Returns the schema of a message with a special JSON encoding.
fn well_known(message: &MessageDescriptor) -> Option<Value> {
    if !descriptors::is_well_known(message) {
        return None;
    }
    Some(match message.name() {
        "Timestamp" => json!({"type": "string", "format": "date-time"}),
        "Duration" => json!({
            "type": "string",
            "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$",
            "examples": ["1.5s"],
        }),
        "FieldMask" => json!({"type": "string", "examples": ["priority,runAt"]}),
        _ => json!({}),
    })
}

fn error() -> Value {
    let violation = json!({
        "type": "object",
        "required": ["field", "description"],
        "properties": {"field": {"type": "string"}, "description": {"type": "string"}},
    });
    json!({
        "type": "object",
        "description": "The reason why a call failed.",
        "required": ["error"],
        "additionalProperties": false,
        "properties": {"error": {
            "type": "object",
            "required": ["code", "message", "reason"],
            "properties": {
                "code": {"type": "string", "description": "The gRPC code, such as NOT_FOUND."},
                "message": {"type": "string", "description": "A description for people."},
                "reason": {"type": "string", "description": "A stable identifier for programs, such as JOB_NOT_FOUND."},
                "metadata": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                    "description": "Details of the reason.",
                },
                "fieldViolations": {
                    "type": "array",
                    "items": violation,
                    "description": "The fields of the request with an invalid value.",
                },
                "retryAfter": {
                    "type": "string",
                    "description": "The time to wait before retrying the call, such as 1.5s.",
                },
            },
        }},
    })
}

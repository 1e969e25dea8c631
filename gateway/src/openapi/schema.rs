//! Messages and enums of the contract as JSON Schema.

use std::collections::BTreeMap;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::comments::Comments;
use crate::rest::contract;

/// What operations refer to, found while they are written.
pub(super) struct Schemas<'a> {
    comments: &'a Comments,
    known: BTreeMap<String, Value>,
}

impl<'a> Schemas<'a> {
    pub(super) fn new(comments: &'a Comments) -> Self {
        Self { comments, known: BTreeMap::from([("Error".to_owned(), error())]) }
    }

    pub(super) fn finish(self) -> Value {
        Value::Object(self.known.into_iter().collect())
    }

    /// A reference to a message.
    pub(super) fn message(&mut self, message: &MessageDescriptor) -> Value {
        if let Some(own) = well_known(message) {
            return own;
        }
        let name = message.name().to_owned();
        if !self.known.contains_key(&name) {
            // Before its fields, for one of them may be of this very type.
            self.known.insert(name.clone(), Value::Null);
            let schema = self.object(message, &[]);
            self.known.insert(name.clone(), schema);
        }
        reference(&name)
    }

    /// A message as an object, without some of its fields.
    pub(super) fn object(&mut self, message: &MessageDescriptor, without: &[&str]) -> Value {
        let mut properties = Map::new();
        for field in message.fields().filter(|field| !without.contains(&field.name())) {
            let schema = self.described(&field);
            properties.insert(field.json_name().to_owned(), schema);
        }
        let mut about = self.comments.of(&message.parent_file(), message.path()).to_owned();
        for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            let names: Vec<_> = oneof.fields().map(|field| field.json_name().to_owned()).collect();
            about.push_str(&format!(" One of {} at most.", names.join(", ")));
        }
        json!({
            "type": "object",
            "description": about.trim(),
            "properties": properties,
            "additionalProperties": false,
        })
    }

    /// A field with its comment.
    pub(super) fn described(&mut self, field: &FieldDescriptor) -> Value {
        let mut schema = self.field(field);
        let about = self.comments.of(&field.parent_file(), field.path());
        if !about.is_empty() {
            schema["description"] = about.into();
        }
        schema
    }

    fn field(&mut self, field: &FieldDescriptor) -> Value {
        if contract::holds_json(field) {
            return json!({});
        }
        let kind = field.kind();
        if field.is_map() {
            let entry = kind.as_message().expect("a map is made of messages");
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
            Kind::Enum(names) => self.names(names),
            Kind::Message(message) => self.message(message),
        }
    }

    fn names(&mut self, names: &EnumDescriptor) -> Value {
        let name = names.name().to_owned();
        if !self.known.contains_key(&name) {
            let file = names.parent_file();
            let mut about = self.comments.of(&file, names.path()).to_owned();
            for value in names.values() {
                let words = self.comments.of(&file, value.path());
                about.push_str(&format!("\n\n{}: {words}", value.name()));
            }
            let values: Vec<_> = names.values().map(|value| value.name().to_owned()).collect();
            let schema = json!({"type": "string", "enum": values, "description": about.trim()});
            self.known.insert(name.clone(), schema);
        }
        reference(&name)
    }
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// The messages that proto JSON writes as something else than an object of their fields.
fn well_known(message: &MessageDescriptor) -> Option<Value> {
    if !contract::is_well_known(message) {
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
        "description": "Why a call did not succeed.",
        "required": ["error"],
        "additionalProperties": false,
        "properties": {"error": {
            "type": "object",
            "required": ["code", "message", "reason"],
            "properties": {
                "code": {"type": "string", "description": "The code of gRPC, such as NOT_FOUND."},
                "message": {"type": "string", "description": "For people."},
                "reason": {"type": "string", "description": "To branch on, such as JOB_NOT_FOUND."},
                "metadata": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                    "description": "What the reason is about.",
                },
                "fieldViolations": {
                    "type": "array",
                    "items": violation,
                    "description": "Which fields of the request are wrong, and how.",
                },
                "retryAfter": {
                    "type": "string",
                    "description": "How long to wait before the call is repeated, such as 1.5s.",
                },
            },
        }},
    })
}

//! JSON Schemas of the payloads of some demo kinds. The panel generates forms from them and
//! prefills a form with the first example. The handlers validate payloads on their own.

/// Kinds and the JSON Schema of their payload.
pub(super) const SCHEMAS: &[(&str, &str)] = &[
    (
        "demo.progress",
        r#"{
  "type": "object",
  "properties": {
    "steps": {"type": "integer", "minimum": 0, "maximum": 1000000, "default": 10, "description": "Number of steps."},
    "step_ms": {"type": "integer", "minimum": 0, "maximum": 86400000, "default": 100, "description": "Duration of a step in milliseconds."}
  },
  "additionalProperties": false,
  "examples": [{"steps": 50, "step_ms": 200}]
}"#,
    ),
    (
        "demo.sleep",
        r#"{
  "type": "object",
  "properties": {
    "ms": {"type": "integer", "minimum": 0, "maximum": 86400000, "default": 10000, "description": "Time to sleep in milliseconds."}
  },
  "required": ["ms"],
  "additionalProperties": false
}"#,
    ),
    (
        "demo.fail",
        r#"{
  "type": "object",
  "properties": {
    "message": {"type": "string", "default": "demo.fail fails", "description": "The error message."},
    "times": {"type": ["integer", "null"], "minimum": 0, "description": "Number of attempts that fail; all if empty."},
    "retryable": {"type": "boolean", "default": true, "description": "Whether a failed attempt is retried."}
  },
  "additionalProperties": false
}"#,
    ),
];

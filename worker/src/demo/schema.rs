//! What the payloads of some demo kinds hold, for forms; handlers check them anyway. The first
//! example is what a form begins with.

/// Kinds with the JSON Schema of their payload.
pub(super) const SCHEMAS: &[(&str, &str)] = &[
    (
        "demo.progress",
        r#"{
  "type": "object",
  "properties": {
    "steps": {"type": "integer", "minimum": 0, "maximum": 1000000, "default": 10, "description": "How many steps it takes."},
    "step_ms": {"type": "integer", "minimum": 0, "maximum": 86400000, "default": 100, "description": "How long a step takes, in milliseconds."}
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
    "ms": {"type": "integer", "minimum": 0, "maximum": 86400000, "default": 10000, "description": "How long it sleeps, in milliseconds."}
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
    "message": {"type": "string", "default": "demo.fail fails", "description": "What its error says."},
    "times": {"type": ["integer", "null"], "minimum": 0, "description": "How many attempts fail; all when empty."},
    "retryable": {"type": "boolean", "default": true, "description": "Whether the error allows another attempt."}
  },
  "additionalProperties": false
}"#,
    ),
];

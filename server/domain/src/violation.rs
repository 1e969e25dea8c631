//! What is wrong with a field of a request.

use std::fmt;

/// One field at fault, with the rule that it broke and the range that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path as in the contract, such as `spec.retry.max_attempts`.
    pub field: String,
    /// What is wrong and what is allowed.
    pub description: String,
}

impl FieldViolation {
    /// A field and what is allowed there.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self { field: field.into(), description: description.into() }
    }
}

impl fmt::Display for FieldViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.description)
    }
}

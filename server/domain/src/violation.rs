//! A violation of a field of a request.

use std::fmt;

/// An invalid field, with its value and the allowed range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// The path of the field, such as `spec.retry.max_attempts`.
    pub field: String,
    /// What is wrong, and what is allowed.
    pub description: String,
}

impl FieldViolation {
    /// Returns the violation of a field.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self { field: field.into(), description: description.into() }
    }
}

impl fmt::Display for FieldViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.description)
    }
}

//! Kinds of jobs as workers declare them.

use sentinel_domain::{Millis, Name};

/// A kind that at least one worker declared a handler for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKind {
    pub name: Name,
    pub description: Box<str>,
    /// The JSON Schema of the payload; empty if none was declared.
    pub input_schema: Box<str>,
    /// The start of the session whose declaration this is.
    pub declared_at: Millis,
    /// The last time a live worker had a handler for the kind, to about a minute.
    pub seen_at: Millis,
}

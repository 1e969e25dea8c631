//! Kinds as workers declare them, as the rest of the server asks for them.

use sentinel_domain::{Millis, Name};

/// A kind that some worker had a handler for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKind {
    pub name: Name,
    pub description: Box<str>,
    /// JSON Schema of the payload; empty where none was declared.
    pub input_schema: Box<str>,
    /// When the session began whose words these are.
    pub declared_at: Millis,
    /// When a live worker had it last, within a minute or so.
    pub seen_at: Millis,
}

//! The representation of time.

/// Milliseconds since the Unix epoch.
pub type Millis = i64;

//! ApiKeySnapshot and the audit trail, as the rest of the server asks for them.

use sentinel_domain::ApiKey;

/// All keys, at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeySnapshot {
    /// How often keys had changed.
    pub seq: u64,
    pub keys: Vec<ApiKey>,
}

/// What became of a key that was to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutKeyResult {
    Added,
    /// Another key has the id: throw another.
    IdTaken,
    /// There are [`sentinel_domain::limits::KEYS_MAX`] keys.
    Full,
}

//! API keys.

use sentinel_domain::ApiKey;

/// All API keys at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeySnapshot {
    /// The number of changes to API keys so far.
    pub seq: u64,
    pub keys: Vec<ApiKey>,
}

/// The result of [`crate::Ledger::put_api_key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutKeyResult {
    Added,
    /// Another key has the id: retry with a new random id.
    IdTaken,
    /// The limit of [`sentinel_domain::limits::KEYS_MAX`] keys is reached.
    Full,
}

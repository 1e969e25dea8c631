//! The errors of a store. Each variant determines what the caller may do.

/// Why a store did not complete a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The commit may or may not be applied. Repeat it under the same number.
    #[error("the store did not answer: {0}")]
    OutcomeUnknown(String),
    /// This attempt applied nothing; a later one may succeed. It says nothing about earlier
    /// attempts with [`Self::OutcomeUnknown`], so repeat the request under the same number.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// No attempt has applied anything, and the store has no space for new specs. Requests without
    /// such mutations may still succeed; see [`crate::Mutation::needs_space`].
    #[error("the store is full: {0}")]
    Full(String),
    /// The store is empty, older than expected, or another one. Acknowledged changes may be lost,
    /// and the outcome of this request is unknown. An operator must rebuild the store.
    #[error("{0}")]
    RolledBack(String),
    /// The stored data can not be read. An operator must intervene.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}

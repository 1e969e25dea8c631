//! Why a store could not answer. The type says what the caller may do about it.

/// Why a store could not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Whether the call was applied is not known: repeat it under the same number.
    #[error("the store did not answer: {0}")]
    OutcomeUnknown(String),
    /// Nothing was applied by this try; the same may work later. After an [`Self::OutcomeUnknown`]
    /// it says nothing about the tries before: go on under the same number.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// Nothing was applied, by tries before neither; there is no room for new jobs. A call without
    /// [`crate::Mutation::Create`] may still pass: repeat the rest of this one as such.
    #[error("the store is full: {0}")]
    Full(String),
    /// The store is empty, behind, or another one than was seen: what it lost may have been
    /// acknowledged. Whether this call was applied before that is not known. It stays so until
    /// somebody makes the store anew.
    #[error("{0}")]
    RolledBack(String),
    /// What the store holds can not be read. Somebody must look.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}

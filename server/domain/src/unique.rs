//! Unique keys: who holds one, and what an enqueue does when another job does.

use crate::{Job, Millis, Reason, Spec, State, Unique, UniqueMode, UniqueScope};

/// A key with its scope, as stores index it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UniqueKey(Box<[u8]>);

impl UniqueKey {
    /// As kept by a store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// From what a store kept.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl std::fmt::Debug for UniqueKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// Names hold no NUL, so parts never run into each other.
fn scoped(spec: &Spec, unique: &Unique) -> UniqueKey {
    let kind = match unique.scope {
        UniqueScope::Kind => spec.kind.as_bytes(),
        UniqueScope::Queue => b"",
    };
    UniqueKey([spec.queue.as_bytes(), kind, unique.key.as_bytes()].join(&0).into())
}

/// The key that a job asks for, if any.
pub fn unique_key(spec: &Spec) -> Option<UniqueKey> {
    spec.unique.as_deref().map(|unique| scoped(spec, unique))
}

/// The key that a job holds, and until when; no end means until it is final.
///
/// A retry makes a final or replaced job a holder again, so whoever commits a retry must
/// guard that the key is free or held by that job.
pub fn held_key(job: &Job) -> Option<(UniqueKey, Option<Millis>)> {
    let unique = job.spec.unique.as_deref()?;
    if matches!(job.status.reason, Reason::Replaced | Reason::Deleted) {
        return None;
    }
    match unique.ttl_ms {
        Some(ttl_ms) => {
            let until = job.spec.created_at.saturating_add_unsigned(ttl_ms);
            Some((scoped(&job.spec, unique), Some(until)))
        }
        None if job.status.state.is_terminal() => None,
        None => Some((scoped(&job.spec, unique), None)),
    }
}

/// What an enqueue does about the holder of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UniqueConflictAction {
    /// The holder is the answer.
    ReturnExisting,
    /// The enqueue is refused.
    Reject,
    /// The holder is replaced; the new job inherits this due time, or keeps its own.
    Replace { due: Option<Millis> },
}

/// The table of mode and holder's state that is part of the contract.
pub fn on_unique_conflict(mode: UniqueMode, holder: &Job) -> UniqueConflictAction {
    let state = holder.status.state;
    match mode {
        UniqueMode::ReturnExisting => UniqueConflictAction::ReturnExisting,
        UniqueMode::Reject => UniqueConflictAction::Reject,
        UniqueMode::ReplacePending | UniqueMode::Debounce if !state.is_waiting() => {
            UniqueConflictAction::ReturnExisting
        }
        UniqueMode::ReplacePending if state == State::Blocked => UniqueConflictAction::Replace { due: None },
        UniqueMode::ReplacePending => UniqueConflictAction::Replace { due: Some(holder.status.ready_at) },
        UniqueMode::Debounce => UniqueConflictAction::Replace { due: None },
    }
}

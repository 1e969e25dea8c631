//! Unique keys: their holders, and the resolution of conflicts.

use crate::{Job, Millis, Reason, Spec, State, Unique, UniqueMode, UniqueScope};

/// A unique key with its scope.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UniqueKey(Box<[u8]>);

impl UniqueKey {
    /// Returns the encoded key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the key with this encoding.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl std::fmt::Debug for UniqueKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// Joins the parts of a key by NUL, which names do not contain.
fn scoped(spec: &Spec, unique: &Unique) -> UniqueKey {
    let kind = match unique.scope {
        UniqueScope::Kind => spec.kind.as_bytes(),
        UniqueScope::Queue => b"",
    };
    UniqueKey([spec.queue.as_bytes(), kind, unique.key.as_bytes()].join(&0).into())
}

/// Returns the unique key of a spec, if it has one.
pub fn unique_key(spec: &Spec) -> Option<UniqueKey> {
    spec.unique.as_deref().map(|unique| scoped(spec, unique))
}

/// Returns the key that a job holds, and when it expires. Without an expiry, the job holds it until
/// it is terminal.
///
/// A retry makes a terminal or replaced job a holder again. Its transaction must require that the
/// key is free or held by the job.
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

/// The resolution of a conflict between a new job and the holder of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UniqueConflictAction {
    /// The enqueue returns the holder.
    ReturnExisting,
    /// The enqueue fails.
    Reject,
    /// The new job replaces the holder. It inherits the due time `due`, if there is one.
    Replace { due: Option<Millis> },
}

/// Resolves a conflict by the mode of the new job and the state of the holder.
pub fn on_unique_conflict(mode: UniqueMode, holder: &Job) -> UniqueConflictAction {
    let state = holder.status.state;
    match mode {
        UniqueMode::ReturnExisting => UniqueConflictAction::ReturnExisting,
        UniqueMode::Reject => UniqueConflictAction::Reject,
        UniqueMode::ReplacePending | UniqueMode::Debounce if !state.is_waiting() => {
            UniqueConflictAction::ReturnExisting
        }
        UniqueMode::ReplacePending if state == State::Blocked => {
            UniqueConflictAction::Replace { due: None }
        }
        UniqueMode::ReplacePending => {
            UniqueConflictAction::Replace { due: Some(holder.status.ready_at) }
        }
        UniqueMode::Debounce => UniqueConflictAction::Replace { due: None },
    }
}

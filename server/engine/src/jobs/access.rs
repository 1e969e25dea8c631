//! The access policy for new jobs.

use sentinel_domain::{NewJob, Scopes, UniqueScope};

use crate::EngineError;

/// Who creates jobs, and which queues it has access to.
#[derive(Clone, Copy, Debug)]
pub struct Submitter<'a> {
    pub actor: &'a str,
    pub scopes: &'a Scopes,
}

impl<'a> Submitter<'a> {
    /// Returns a submitter with access to every queue.
    pub const fn unrestricted(actor: &'a str) -> Self {
        Self { actor, scopes: &Scopes::ALL }
    }
}

/// Checks that a submitter may create a job, as far as the job itself tells.
///
/// Its parents are checked when they are read. A parent in another queue is refused as if it did
/// not exist: otherwise the new job would tell when the parent finishes.
///
/// # Errors
/// [`EngineError::QueueNotAllowed`], or a violation when the unique key could meet a job of a
/// queue out of scope.
pub(crate) fn check_new_job(scopes: &Scopes, path: &str, new: &NewJob) -> Result<(), EngineError> {
    if scopes.is_all() {
        return Ok(());
    }
    if !scopes.contains(&new.queue) {
        return Err(EngineError::QueueNotAllowed(new.queue.as_str().into()));
    }
    if new.unique_key.is_some() && new.unique_scope != Some(UniqueScope::Queue) {
        // The job that holds the key may be in any queue. It would be returned or replaced.
        let text = "must be UNIQUE_SCOPE_QUEUE, because the API key does not reach all queues";
        return Err(EngineError::invalid(format!("{path}.unique.scope"), text));
    }
    Ok(())
}

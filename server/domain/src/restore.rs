//! Recovery of jobs when a backup is restored.
//!
//! Changes since the backup are lost, but workers may still hold leases from that time. All of
//! these leases must be invalid.

use std::sync::Arc;

use crate::{Command, Job, JobId, Millis, OnLost, Reason, Spec, State, initial_state};

/// Returns the command for a job that was running when the backup was taken.
///
/// The attempt may have completed since then. A job that must not run twice is marked lost. Any
/// other job returns to its queue, and the attempt does not count, because its worker did not fail.
pub fn restore_command(job: &Job) -> Option<Command> {
    let lease = job.status.lease?;
    Some(match job.spec.on_lost {
        OnLost::Fail => Command::MarkLost { session: lease.id.session },
        OnLost::Retry => Command::NotReceived { lease: lease.id },
    })
}

/// Returns the job with its lease epoch raised to `floor`, the time of the restore in milliseconds.
///
/// The next epochs may have been granted since the backup. No counter has reached the floor.
/// Returns `None` if the job needs no change: it is running, or was enqueued after the restore.
pub fn raise_epoch(job: &Job, floor: u64) -> Option<Job> {
    let status = &job.status;
    let is_newer = job.id.created_at() >= floor.cast_signed();
    if status.epoch >= floor || is_newer || status.lease.is_some() {
        return None;
    }
    let mut raised = job.clone();
    raised.status.epoch = floor;
    Some(raised)
}

/// Returns a tombstone for a dependency that does not exist. It was deleted, and its tombstone was
/// lost in a crash.
pub fn missing_parent_tombstone(id: JobId, child: &Job, now: Millis) -> Job {
    let spec = Spec { depends_on: Box::default(), unique: None, ..Spec::clone(&child.spec) };
    let mut job = initial_state(id, Arc::new(spec), &[], now);
    job.status.state = State::Cancelled;
    job.status.reason = Reason::Deleted;
    job.status.finished_at = Some(now);
    job
}

#[cfg(test)]
mod tests;

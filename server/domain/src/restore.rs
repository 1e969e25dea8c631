//! What becomes of jobs when an older state is restored. The time since is lost, and workers
//! may still hold leases from it: none of them must count for anything.

use std::sync::Arc;

use crate::{Command, Job, JobId, Millis, OnLost, Reason, Spec, State, initial_state};

/// What to do about a job that was running when the backup was taken. The attempt may have done
/// its work since, so a job that must not run twice ends; another one goes back to its queue,
/// and the attempt is not counted: its worker did not fail.
pub fn restore_command(job: &Job) -> Option<Command> {
    let lease = job.status.lease?;
    Some(match job.spec.on_lost {
        OnLost::Fail => Command::MarkLost { session: lease.id.session },
        OnLost::Retry => Command::NotReceived { lease: lease.id },
    })
}

/// The job with its lease number raised to `floor`, the time of the restore in milliseconds,
/// which no counting from below has reached: the lost time may have given out the next numbers.
/// None where that changes nothing: it runs, or it came after the restore.
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

/// What a job that waits for one that nobody knows is to see of it: it was deleted, and the word
/// of that was lost in a crash.
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

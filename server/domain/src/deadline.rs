//! The deadlines of a job, and the commands that they trigger.

use crate::limits::RUN_TIMEOUT_SLACK_MS;
use crate::{Command, Entropy, Job, Millis, State};

/// Returns the earliest time at which [`deadline_command`] returns a command. Stores index it.
///
/// The due time of a SCHEDULED job is no deadline, because stores promote due jobs themselves.
pub fn next_deadline(job: &Job) -> Option<Millis> {
    match job.status.state {
        State::Scheduled | State::Blocked | State::Ready => start_deadline(job),
        State::Running => [timeout_at(job), revoke_at(job)].into_iter().flatten().min(),
        State::Succeeded | State::Failed | State::Cancelled | State::Expired => None,
    }
}

/// Returns the command for a job whose deadline has passed, if it has.
pub fn deadline_command(job: &Job, now: Millis, entropy: Entropy) -> Option<Command> {
    let is_due = |at: Option<Millis>| at.is_some_and(|at| at <= now);
    match job.status.state {
        State::Running if is_due(revoke_at(job)) => Some(Command::Revoke),
        State::Running if is_due(timeout_at(job)) => Some(Command::TimeOut { entropy }),
        State::Scheduled | State::Blocked | State::Ready if is_due(start_deadline(job)) => {
            Some(Command::Expire)
        }
        _ => None,
    }
}

/// Returns the start deadline of a job that has not started.
///
/// A snoozed attempt is a start, although it does not count. A returned attempt is not.
pub(crate) fn start_deadline(job: &Job) -> Option<Millis> {
    if has_started(job) { None } else { job.spec.start_deadline }
}

/// Returns whether a handler has run, in this run or an earlier one.
pub(crate) fn has_started(job: &Job) -> bool {
    let status = &job.status;
    status.run > 1 || status.attempt > 0 || status.was_snoozed
}

pub(crate) fn timeout_at(job: &Job) -> Option<Millis> {
    let timeout_ms = job.spec.run_timeout_ms?;
    let lease = job.status.lease?;
    Some(lease.granted_at.saturating_add_unsigned(timeout_ms.saturating_add(RUN_TIMEOUT_SLACK_MS)))
}

pub(crate) fn revoke_at(job: &Job) -> Option<Millis> {
    let cancel = job.status.cancel.as_deref()?;
    Some(cancel.at.saturating_add_unsigned(job.spec.cancel_grace_ms))
}

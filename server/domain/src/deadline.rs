//! When somebody must look at a job though nobody asked, and what to do then.

use crate::limits::RUN_TIMEOUT_SLACK_MS;
use crate::{Command, Entropy, Job, Millis, State};

/// The next time at which [`deadline_command`] has something to do. Stores keep an index of it.
/// The due time of a SCHEDULED job is not an alarm: stores promote by their own index.
pub fn next_deadline(job: &Job) -> Option<Millis> {
    match job.status.state {
        State::Scheduled | State::Blocked | State::Ready => start_deadline(job),
        State::Running => [timeout_at(job), revoke_at(job)].into_iter().flatten().min(),
        State::Succeeded | State::Failed | State::Cancelled | State::Expired => None,
    }
}

/// What to do about a job whose alarm went off.
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

/// A deadline is for the first start: a job that ran once is no longer late, also when that
/// attempt was snoozed and does not count. An attempt that was handed back is no start.
pub(crate) fn start_deadline(job: &Job) -> Option<Millis> {
    if has_started(job) { None } else { job.spec.start_deadline }
}

/// A handler had it, in this run or one before.
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

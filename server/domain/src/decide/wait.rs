//! The commands to a job that is not running.

use std::sync::Arc;

use super::{finish, next_status, with_status, without_attempt_end};
use crate::deadline::{has_started, start_deadline};
use crate::{CommandError, Decision, DependencyFailure, Job, JobId, Millis, Reason, Spec, State};

pub(super) fn expire(job: &Job, now: Millis) -> Result<Decision, CommandError> {
    if !job.status.state.is_waiting() {
        return Err(CommandError::WrongState);
    }
    match start_deadline(job) {
        Some(at) if at <= now => {
            let mut status = next_status(job, now);
            finish::finish(&mut status, State::Expired, Reason::StartDeadline, now);
            Ok(without_attempt_end(with_status(job, status)))
        }
        _ => Err(CommandError::NotDue),
    }
}

pub(super) fn unblock(
    job: &Job,
    parent: JobId,
    outcome: State,
    now: Millis,
) -> Result<Decision, CommandError> {
    if !job.status.waiting_for.contains(&parent) || !outcome.is_terminal() {
        return Err(CommandError::NotWaitingFor);
    }
    let mut status = next_status(job, now);
    let cancels = job.spec.on_dependency_failure == DependencyFailure::Cancel;
    if outcome != State::Succeeded && cancels {
        finish::finish(&mut status, State::Cancelled, Reason::DependencyFailed, now);
        return Ok(without_attempt_end(with_status(job, status)));
    }
    status.waiting_for = job.status.waiting_for.iter().copied().filter(|p| *p != parent).collect();
    if status.waiting_for.is_empty() {
        status.state = if status.ready_at > now { State::Scheduled } else { State::Ready };
        status.ready_at = status.ready_at.max(now);
    }
    Ok(without_attempt_end(with_status(job, status)))
}

/// Promotes a job before it is due. A job between two attempts keeps its reason.
pub(super) fn run_now(job: &Job, now: Millis) -> Result<Decision, CommandError> {
    if job.status.state != State::Scheduled {
        return Err(if job.is_deleted() {
            CommandError::Deleted
        } else {
            CommandError::NotScheduled
        });
    }
    let mut status = next_status(job, now);
    status.state = State::Ready;
    status.reason = job.status.reason;
    status.ready_at = job.status.ready_at.min(now);
    Ok(without_attempt_end(with_status(job, status)))
}

/// Replaces the spec of a job that has not started: an attempt must match the spec that it was
/// started with. A new due time or priority changes the job's place in the queue.
pub(super) fn update(job: &Job, spec: &Arc<Spec>, now: Millis) -> Result<Decision, CommandError> {
    if job.is_deleted() {
        return Err(CommandError::Deleted);
    }
    if !job.status.state.is_waiting() || has_started(job) {
        return Err(CommandError::AlreadyStarted);
    }
    let mut status = next_status(job, now);
    status.revision += 1;
    if spec.run_at != job.spec.run_at {
        status.ready_at = spec.run_at;
        if status.state != State::Blocked {
            status.state = if spec.run_at > now { State::Scheduled } else { State::Ready };
        }
    }
    // A returned job that now waits for a new due time has no other reason to wait.
    if status.state == job.status.state {
        status.reason = job.status.reason;
    }
    Ok(without_attempt_end(Job { id: job.id, spec: spec.clone(), status }))
}

pub(super) fn replace(job: &Job, now: Millis) -> Result<Decision, CommandError> {
    if !job.status.state.is_waiting() {
        return Err(CommandError::WrongState);
    }
    let mut status = next_status(job, now);
    finish::finish(&mut status, State::Cancelled, Reason::Replaced, now);
    Ok(without_attempt_end(with_status(job, status)))
}

//! Commands to a job that has not started.

use std::sync::Arc;

use super::{changed, finish, plain, with};
use crate::deadline::{has_started, start_deadline};
use crate::{Decision, DependencyFailure, Job, JobId, Millis, Reason, CommandError, Spec, State};

pub(super) fn expire(job: &Job, now: Millis) -> Result<Decision, CommandError> {
    if !job.status.state.is_waiting() {
        return Err(CommandError::WrongState);
    }
    match start_deadline(job) {
        Some(at) if at <= now => {
            let mut status = changed(job, now);
            finish::end(&mut status, State::Expired, Reason::StartDeadline, now);
            Ok(plain(with(job, status)))
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
    let mut status = changed(job, now);
    let spoils = job.spec.on_dependency_failure == DependencyFailure::Cancel;
    if outcome != State::Succeeded && spoils {
        finish::end(&mut status, State::Cancelled, Reason::DependencyFailed, now);
        return Ok(plain(with(job, status)));
    }
    status.waiting_for = job.status.waiting_for.iter().copied().filter(|p| *p != parent).collect();
    if status.waiting_for.is_empty() {
        status.state = if status.ready_at > now { State::Scheduled } else { State::Ready };
        status.ready_at = status.ready_at.max(now);
    }
    Ok(plain(with(job, status)))
}

/// What a promotion does, before its time; a job that waits between two attempts says why still.
pub(super) fn run_now(job: &Job, now: Millis) -> Result<Decision, CommandError> {
    if job.status.state != State::Scheduled {
        return Err(if job.is_deleted() { CommandError::Deleted } else { CommandError::NotScheduled });
    }
    let mut status = changed(job, now);
    status.state = State::Ready;
    status.reason = job.status.reason;
    status.ready_at = job.status.ready_at.min(now);
    Ok(plain(with(job, status)))
}

/// Only before its first run: an attempt that began shows what it was given. It takes its place
/// among the waiting anew where the new values ask for another one.
pub(super) fn update(job: &Job, spec: &Arc<Spec>, now: Millis) -> Result<Decision, CommandError> {
    if job.is_deleted() {
        return Err(CommandError::Deleted);
    }
    if !job.status.state.is_waiting() || has_started(job) {
        return Err(CommandError::AlreadyStarted);
    }
    let mut status = changed(job, now);
    status.revision += 1;
    if spec.run_at != job.spec.run_at {
        status.ready_at = spec.run_at;
        if status.state != State::Blocked {
            status.state = if spec.run_at > now { State::Scheduled } else { State::Ready };
        }
    }
    // One that was handed back and waits for a new time now waits for that alone.
    if status.state == job.status.state {
        status.reason = job.status.reason;
    }
    Ok(plain(Job { id: job.id, spec: spec.clone(), status }))
}

pub(super) fn replace(job: &Job, now: Millis) -> Result<Decision, CommandError> {
    if !job.status.state.is_waiting() {
        return Err(CommandError::WrongState);
    }
    let mut status = changed(job, now);
    finish::end(&mut status, State::Cancelled, Reason::Replaced, now);
    Ok(plain(with(job, status)))
}

//! The state machine of a job. A decision is the job after a command; the caller commits it.

mod finish;
mod wait;

use bytes::Bytes;

use crate::deadline::{revoke_at, start_deadline, timeout_at};
use crate::limits::CHECKPOINT_BYTES;
use crate::{
    AttemptEnd, AttemptOutcome, Cancel, Command, CommandError, Job, Lease, LeaseId, Millis, Name,
    Reason, SessionId, State, Status,
};

/// The result of an accepted command.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The job after the command.
    pub job: Job,
    /// Present if the command ended an attempt without success.
    pub attempt_end: Option<AttemptEnd>,
}

/// Applies a command to a job and returns the new job.
///
/// `now` must not decrease from one command of a job to the next.
///
/// # Errors
///
/// Returns why the command is refused. The job does not change then.
pub fn decide(job: &Job, command: &Command, now: Millis) -> Result<Decision, CommandError> {
    match command {
        Command::Promote => {
            promote(job, now).map(without_attempt_end).ok_or(match job.status.state {
                State::Scheduled => CommandError::NotDue,
                _ => CommandError::WrongState,
            })
        }
        Command::Expire => wait::expire(job, now),
        Command::Start { session, worker } => start(job, *session, worker, now)
            .map(without_attempt_end)
            .ok_or(CommandError::WrongState),
        Command::Unblock { parent, outcome } => wait::unblock(job, *parent, *outcome, now),
        Command::Replace => wait::replace(job, now),
        Command::Retry => retry(job, now),
        Command::RunNow => wait::run_now(job, now),
        Command::Update { spec } => wait::update(job, spec, now),
        Command::Delete => delete(job, now),
        Command::Cancel { reason, actor } => cancel(job, reason, actor, now),
        Command::Revoke => revoke(job, now),
        Command::TimeOut { entropy } => time_out(job, *entropy, now),
        Command::MarkLost { session } => mark_lost(job, *session, now),
        Command::Checkpoint { lease, data } => checkpoint(job, lease, data, now),
        Command::NotReceived { lease } => {
            let lease = current_lease(job, lease)?;
            Ok(finish::return_to_queue(job, &lease, AttemptOutcome::NotReceived, now))
        }
        Command::Release { lease } => {
            let lease = current_lease(job, lease)?;
            Ok(with_recorded_lease(
                finish::return_to_queue(job, &lease, AttemptOutcome::Released, now),
                &lease,
            ))
        }
        Command::Succeed { lease, started_at, result } => {
            let lease = current_lease(job, lease)?;
            Ok(with_recorded_lease(finish::succeed(job, &lease, *started_at, result, now), &lease))
        }
        Command::Fail { lease, started_at, failure } => {
            let lease = current_lease(job, lease)?;
            Ok(with_recorded_lease(finish::fail(job, &lease, *started_at, failure, now), &lease))
        }
        Command::Snooze { lease, started_at, delay_ms } => {
            let lease = current_lease(job, lease)?;
            Ok(with_recorded_lease(
                finish::snooze(job, &lease, *started_at, *delay_ms, now),
                &lease,
            ))
        }
        Command::Stop { lease, started_at, entropy } => {
            let lease = current_lease(job, lease)?;
            Ok(with_recorded_lease(finish::stop(job, &lease, *started_at, *entropy, now), &lease))
        }
    }
}

fn without_attempt_end(job: Job) -> Decision {
    Decision { job, attempt_end: None }
}

/// Returns the status with the next version and no reason.
fn next_status(job: &Job, now: Millis) -> Status {
    let mut status = job.status.clone();
    status.version += 1;
    status.updated_at = now;
    status.reason = Reason::None;
    status
}

fn with_status(job: &Job, status: Status) -> Job {
    Job { id: job.id, spec: job.spec.clone(), status }
}

/// Returns the current lease if `lease` identifies it.
fn current_lease(job: &Job, lease: &LeaseId) -> Result<Lease, CommandError> {
    match job.status.lease {
        Some(live) if live.id == *lease => Ok(live),
        _ if job.status.recorded_lease == Some((lease.epoch, lease.session)) => {
            Err(CommandError::Duplicate)
        }
        _ => Err(CommandError::Fenced),
    }
}

/// Records the lease of a report, to distinguish a repeated report from a stale one.
fn with_recorded_lease(mut decision: Decision, lease: &Lease) -> Decision {
    decision.job.status.recorded_lease = Some((lease.id.epoch, lease.id.session));
    decision
}

/// Moves a due job from SCHEDULED to READY. Stores call this without a command.
///
/// Returns `None` if the job is not SCHEDULED or not due.
pub fn promote(job: &Job, now: Millis) -> Option<Job> {
    if job.status.state != State::Scheduled || job.status.ready_at > now {
        return None;
    }
    let mut status = next_status(job, now);
    status.state = State::Ready;
    status.reason = job.status.reason;
    Some(with_status(job, status))
}

/// Moves a job from READY to RUNNING under a new lease. Stores call this for each claimed job.
///
/// Returns `None` if the job is not READY or its start deadline has passed.
pub fn start(job: &Job, session: SessionId, worker: &Name, now: Millis) -> Option<Job> {
    if job.status.state != State::Ready || start_deadline(job).is_some_and(|at| at <= now) {
        return None;
    }
    let mut status = next_status(job, now);
    status.state = State::Running;
    status.attempt += 1;
    status.epoch += 1;
    status.started_at = Some(now);
    status.progress = None;
    status.worker = Some(worker.clone());
    let (run, attempt, epoch) = (status.run, status.attempt, status.epoch);
    status.lease = Some(Lease { id: LeaseId { run, attempt, epoch, session }, granted_at: now });
    Some(with_status(job, status))
}

fn cancel(job: &Job, reason: &str, actor: &str, now: Millis) -> Result<Decision, CommandError> {
    if !job.status.state.can_be_cancelled() {
        return Err(CommandError::AlreadyTerminal);
    }
    if job.status.cancel.is_some() {
        return Err(CommandError::CancelAlreadyRequested);
    }
    let mut status = next_status(job, now);
    status.cancel = Some(Box::new(Cancel { at: now, reason: reason.into(), actor: actor.into() }));
    if job.status.state != State::Running {
        finish::finish(&mut status, State::Cancelled, Reason::CancelledByCaller, now);
    }
    Ok(without_attempt_end(with_status(job, status)))
}

fn revoke(job: &Job, now: Millis) -> Result<Decision, CommandError> {
    let (Some(lease), Some(at)) = (job.status.lease, revoke_at(job)) else {
        return Err(CommandError::WrongState);
    };
    if at > now {
        return Err(CommandError::NotDue);
    }
    let attempt_end = finish::attempt_end(job, &lease, AttemptOutcome::Revoked, now);
    let mut status = next_status(job, now);
    finish::finish(&mut status, State::Cancelled, Reason::CancelledByCaller, now);
    Ok(Decision { job: with_status(job, status), attempt_end: Some(attempt_end) })
}

fn time_out(job: &Job, entropy: u32, now: Millis) -> Result<Decision, CommandError> {
    let (Some(lease), Some(at)) = (job.status.lease, timeout_at(job)) else {
        return Err(CommandError::WrongState);
    };
    if at > now {
        return Err(CommandError::NotDue);
    }
    let failure = finish::unreported_timeout(entropy);
    Ok(finish::fail(job, &lease, None, &failure, now))
}

fn mark_lost(job: &Job, session: SessionId, now: Millis) -> Result<Decision, CommandError> {
    match job.status.lease {
        Some(lease) if lease.id.session == session => Ok(finish::mark_lost(job, &lease, now)),
        _ => Err(CommandError::Fenced),
    }
}

fn checkpoint(
    job: &Job,
    lease: &LeaseId,
    data: &Bytes,
    now: Millis,
) -> Result<Decision, CommandError> {
    // A report ends its lease, so a later checkpoint under it is stale and not a duplicate.
    current_lease(job, lease).map_err(|_| CommandError::Fenced)?;
    if data.len() as u64 > CHECKPOINT_BYTES {
        return Err(CommandError::CheckpointTooLarge);
    }
    let mut status = next_status(job, now);
    status.reason = job.status.reason;
    status.checkpoint = Some(data.clone());
    Ok(without_attempt_end(with_status(job, status)))
}

/// Turns the job into a tombstone. It is terminal, which unblocks its dependents. It finishes now,
/// so it is kept as long as any other finished job.
fn delete(job: &Job, now: Millis) -> Result<Decision, CommandError> {
    if job.is_deleted() {
        return Err(CommandError::Deleted);
    }
    let current = job.status.state;
    if !current.can_be_deleted() {
        return Err(CommandError::StillRunning);
    }
    let state = if current.is_terminal() { current } else { State::Cancelled };
    let mut status = next_status(job, now);
    finish::finish(&mut status, state, Reason::Deleted, now);
    status.result = None;
    status.checkpoint = None;
    Ok(without_attempt_end(with_status(job, status)))
}

fn retry(job: &Job, now: Millis) -> Result<Decision, CommandError> {
    if job.is_deleted() {
        return Err(CommandError::Deleted);
    }
    if !job.status.state.can_be_retried() {
        return Err(CommandError::NotTerminal);
    }
    let mut status = next_status(job, now);
    status.state = State::Ready;
    status.run += 1;
    status.attempt = 0;
    status.crashes = 0;
    status.was_snoozed = false;
    status.ready_at = now;
    status.started_at = None;
    status.finished_at = None;
    status.cancel = None;
    status.error = None;
    status.result = None;
    status.progress = None;
    status.worker = None;
    if job.status.state == State::Succeeded {
        status.checkpoint = None;
    }
    Ok(without_attempt_end(with_status(job, status)))
}

#[cfg(test)]
mod tests;

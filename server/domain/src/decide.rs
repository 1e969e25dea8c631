//! Every rule of a job's life. A decision is the job after the command; applying it, and
//! the effects of it, are other people's work.

mod finish;
mod wait;

use bytes::Bytes;

use crate::deadline::{revoke_at, start_deadline, timeout_at};
use crate::limits::CHECKPOINT_BYTES;
use crate::{
    AttemptEnd, AttemptOutcome, Cancel, Command, Job, Lease, LeaseId, Millis, Name, Reason, CommandError,
    SessionId, State, Status,
};

/// The job after a command that was accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub job: Job,
    /// There when the command ended an attempt without success.
    pub attempt_end: Option<AttemptEnd>,
}

/// Judges one command. `now` never runs backwards between two calls for one job.
pub fn decide(job: &Job, command: &Command, now: Millis) -> Result<Decision, CommandError> {
    match command {
        Command::Promote => promote(job, now).map(plain).ok_or(match job.status.state {
            State::Scheduled => CommandError::NotDue,
            _ => CommandError::WrongState,
        }),
        Command::Expire => wait::expire(job, now),
        Command::Start { session, worker } => {
            start(job, *session, worker, now).map(plain).ok_or(CommandError::WrongState)
        }
        Command::Unblock { parent, outcome } => wait::unblock(job, *parent, *outcome, now),
        Command::Replace => wait::replace(job, now),
        Command::Retry => retry(job, now),
        Command::RunNow => wait::run_now(job, now),
        Command::Update { spec } => wait::update(job, spec, now),
        Command::Delete => delete(job, now),
        Command::Cancel { reason, actor } => cancel(job, reason, actor, now),
        Command::Revoke => revoke(job, now),
        Command::TimeOut { entropy } => time_out(job, *entropy, now),
        Command::MarkLost { session } => lose(job, *session, now),
        Command::Checkpoint { lease, data } => checkpoint(job, lease, data, now),
        Command::NotReceived { lease } => {
            let lease = held(job, lease)?;
            Ok(finish::hand_back(job, &lease, AttemptOutcome::NotReceived, now))
        }
        Command::Release { lease } => {
            let lease = held(job, lease)?;
            Ok(recorded(finish::hand_back(job, &lease, AttemptOutcome::Released, now), &lease))
        }
        Command::Succeed { lease, started_at, result } => {
            let lease = held(job, lease)?;
            Ok(recorded(finish::succeed(job, &lease, *started_at, result, now), &lease))
        }
        Command::Fail { lease, started_at, failure } => {
            let lease = held(job, lease)?;
            Ok(recorded(finish::fail(job, &lease, *started_at, failure, now), &lease))
        }
        Command::Snooze { lease, started_at, delay_ms } => {
            let lease = held(job, lease)?;
            Ok(recorded(finish::snooze(job, &lease, *started_at, *delay_ms, now), &lease))
        }
        Command::Stop { lease, started_at, entropy } => {
            let lease = held(job, lease)?;
            Ok(recorded(finish::stop(job, &lease, *started_at, *entropy, now), &lease))
        }
    }
}

fn plain(job: Job) -> Decision {
    Decision { job, attempt_end: None }
}

/// The status after one more change.
fn changed(job: &Job, now: Millis) -> Status {
    let mut status = job.status.clone();
    status.version += 1;
    status.updated_at = now;
    status.reason = Reason::None;
    status
}

fn with(job: &Job, status: Status) -> Job {
    Job { id: job.id, spec: job.spec.clone(), status }
}

/// The live lease, if it is the one that the frame carries.
fn held(job: &Job, lease: &LeaseId) -> Result<Lease, CommandError> {
    match job.status.lease {
        Some(live) if live.id == *lease => Ok(live),
        _ if job.status.recorded_lease == Some((lease.epoch, lease.session)) => Err(CommandError::Duplicate),
        _ => Err(CommandError::Fenced),
    }
}

/// Remembers whose report this was, so that a repeat is told from a stale one.
fn recorded(mut decision: Decision, lease: &Lease) -> Decision {
    decision.job.status.recorded_lease = Some((lease.id.epoch, lease.id.session));
    decision
}

/// SCHEDULED to READY once its time has come; what stores do by themselves.
pub fn promote(job: &Job, now: Millis) -> Option<Job> {
    if job.status.state != State::Scheduled || job.status.ready_at > now {
        return None;
    }
    let mut status = changed(job, now);
    status.state = State::Ready;
    status.reason = job.status.reason;
    Some(with(job, status))
}

/// READY to RUNNING under a new lease; what stores do when a worker claims. None when the
/// job is not ready or its start deadline has passed.
pub fn start(job: &Job, session: SessionId, worker: &Name, now: Millis) -> Option<Job> {
    if job.status.state != State::Ready || start_deadline(job).is_some_and(|at| at <= now) {
        return None;
    }
    let mut status = changed(job, now);
    status.state = State::Running;
    status.attempt += 1;
    status.epoch += 1;
    status.started_at = Some(now);
    status.progress = None;
    status.worker = Some(worker.clone());
    let (run, attempt, epoch) = (status.run, status.attempt, status.epoch);
    status.lease = Some(Lease { id: LeaseId { run, attempt, epoch, session }, granted_at: now });
    Some(with(job, status))
}

fn cancel(job: &Job, reason: &str, actor: &str, now: Millis) -> Result<Decision, CommandError> {
    if !job.status.state.can_be_cancelled() {
        return Err(CommandError::AlreadyTerminal);
    }
    if job.status.cancel.is_some() {
        return Err(CommandError::CancelAlreadyRequested);
    }
    let mut status = changed(job, now);
    status.cancel = Some(Box::new(Cancel { at: now, reason: reason.into(), actor: actor.into() }));
    if job.status.state != State::Running {
        finish::end(&mut status, State::Cancelled, Reason::CancelledByCaller, now);
    }
    Ok(plain(with(job, status)))
}

fn revoke(job: &Job, now: Millis) -> Result<Decision, CommandError> {
    let (Some(lease), Some(at)) = (job.status.lease, revoke_at(job)) else {
        return Err(CommandError::WrongState);
    };
    if at > now {
        return Err(CommandError::NotDue);
    }
    let end = finish::ended(job, &lease, AttemptOutcome::Revoked, now);
    let mut status = changed(job, now);
    finish::end(&mut status, State::Cancelled, Reason::CancelledByCaller, now);
    Ok(Decision { job: with(job, status), attempt_end: Some(end) })
}

fn time_out(job: &Job, entropy: u32, now: Millis) -> Result<Decision, CommandError> {
    let (Some(lease), Some(at)) = (job.status.lease, timeout_at(job)) else {
        return Err(CommandError::WrongState);
    };
    if at > now {
        return Err(CommandError::NotDue);
    }
    let failure = finish::silent_timeout(entropy);
    Ok(finish::fail(job, &lease, None, &failure, now))
}

fn lose(job: &Job, session: SessionId, now: Millis) -> Result<Decision, CommandError> {
    match job.status.lease {
        Some(lease) if lease.id.session == session => Ok(finish::lose(job, &lease, now)),
        _ => Err(CommandError::Fenced),
    }
}

fn checkpoint(job: &Job, lease: &LeaseId, data: &Bytes, now: Millis) -> Result<Decision, CommandError> {
    // A report ends its lease: a checkpoint behind it is stale, not a repeat.
    held(job, lease).map_err(|_| CommandError::Fenced)?;
    if data.len() as u64 > CHECKPOINT_BYTES {
        return Err(CommandError::CheckpointTooLarge);
    }
    let mut status = changed(job, now);
    status.reason = job.status.reason;
    status.checkpoint = Some(data.clone());
    Ok(plain(with(job, status)))
}

/// What is left of a deleted job is final, so that whoever waits for it waits no longer, and
/// ended now, so that it stays as long as any end does.
fn delete(job: &Job, now: Millis) -> Result<Decision, CommandError> {
    if job.is_deleted() {
        return Err(CommandError::Deleted);
    }
    let is = job.status.state;
    if !is.can_be_deleted() {
        return Err(CommandError::StillRunning);
    }
    let state = if is.is_terminal() { is } else { State::Cancelled };
    let mut status = changed(job, now);
    finish::end(&mut status, state, Reason::Deleted, now);
    status.result = None;
    status.checkpoint = None;
    Ok(plain(with(job, status)))
}

fn retry(job: &Job, now: Millis) -> Result<Decision, CommandError> {
    if job.is_deleted() {
        return Err(CommandError::Deleted);
    }
    if !job.status.state.can_be_retried() {
        return Err(CommandError::NotTerminal);
    }
    let mut status = changed(job, now);
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
    Ok(plain(with(job, status)))
}

#[cfg(test)]
mod tests;

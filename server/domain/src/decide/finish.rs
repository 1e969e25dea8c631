//! Ends of attempts: what becomes of the job and what the history keeps.

use bytes::Bytes;

use super::{changed, plain, with};
use crate::command::Failure;
use crate::limits::{CRASHES_MAX, DELAY_MAX_MS, RESULT_BYTES, RETRY_CAP_MAX_MS};
use crate::{
    AttemptEnd, AttemptOutcome, Decision, Job, JobError, Lease, Millis, OnLost, Reason, State,
    Status,
};

/// Makes the status final.
pub(super) fn end(status: &mut Status, state: State, reason: Reason, now: Millis) {
    status.state = state;
    status.reason = reason;
    status.lease = None;
    status.finished_at = Some(now);
    status.waiting_for = Box::default();
}

/// The row of the history.
pub(super) fn ended(job: &Job, lease: &Lease, outcome: AttemptOutcome, now: Millis) -> AttemptEnd {
    AttemptEnd {
        run: lease.id.run,
        attempt: lease.id.attempt,
        epoch: lease.id.epoch,
        outcome,
        started_at: job.status.started_at,
        ended_at: now,
        worker: job.status.worker.clone(),
        error: None,
    }
}

/// A worker's clock may be off: an attempt starts neither before its lease nor after now.
fn started(lease: &Lease, started_at: Option<Millis>, now: Millis) -> Millis {
    started_at.unwrap_or(lease.granted_at).clamp(lease.granted_at.min(now), now)
}

pub(super) fn succeed(
    job: &Job,
    lease: &Lease,
    started_at: Option<Millis>,
    result: &Bytes,
    now: Millis,
) -> Decision {
    if result.len() as u64 > RESULT_BYTES {
        return fail(job, lease, started_at, &result_too_large(result.len()), now);
    }
    let mut status = changed(job, now);
    end(&mut status, State::Succeeded, Reason::None, now);
    status.started_at = Some(started(lease, started_at, now));
    status.result = Some(result.clone());
    status.error = None;
    plain(with(job, status))
}

fn result_too_large(len: usize) -> Failure {
    let message = format!("the result has {len} bytes: at most {RESULT_BYTES} bytes are kept");
    let error =
        JobError { message: message.into(), code: "RESULT_TOO_LARGE".into(), retryable: false };
    Failure { error, next_delay_ms: None, timed_out: false, entropy: 0 }
}

/// What a worker that says nothing about a run_timeout is taken to have said.
pub(super) fn silent_timeout(entropy: u32) -> Failure {
    let error = JobError {
        message: "run_timeout passed and the worker did not report".into(),
        code: "TIMEOUT".into(),
        retryable: true,
    };
    Failure { error, next_delay_ms: None, timed_out: true, entropy }
}

pub(super) fn fail(
    job: &Job,
    lease: &Lease,
    started_at: Option<Millis>,
    failure: &Failure,
    now: Millis,
) -> Decision {
    let outcome = if failure.timed_out { AttemptOutcome::TimedOut } else { AttemptOutcome::Failed };
    let started_at = started(lease, started_at, now);
    let error = Some(Box::new(failure.error.clone()));
    let end_of_attempt = AttemptEnd {
        started_at: Some(started_at),
        error: error.clone(),
        ..ended(job, lease, outcome, now)
    };
    let mut status = changed(job, now);
    status.started_at = Some(started_at);
    status.error = error;
    let cause = if failure.timed_out { Reason::Timeout } else { Reason::HandlerError };
    if job.status.cancel.is_some() {
        end(&mut status, State::Cancelled, Reason::CancelledByCaller, now);
    } else if !failure.error.retryable {
        end(&mut status, State::Failed, Reason::NotRetryable, now);
    } else if status.attempt >= job.spec.retry.max_attempts {
        end(&mut status, State::Failed, cause, now);
    } else {
        let backoff_ms = match failure.next_delay_ms {
            Some(delay_ms) => delay_ms.min(RETRY_CAP_MAX_MS),
            None => job.spec.retry.backoff_ms(status.attempt, failure.entropy),
        };
        wait(&mut status, cause, backoff_ms, now);
    }
    Decision { job: with(job, status), attempt_end: Some(end_of_attempt) }
}

/// Back to waiting: SCHEDULED for the pause, or READY at once.
fn wait(status: &mut Status, reason: Reason, backoff_ms: u64, now: Millis) {
    status.state = if backoff_ms == 0 { State::Ready } else { State::Scheduled };
    status.reason = reason;
    status.lease = None;
    status.ready_at = now.saturating_add_unsigned(backoff_ms);
}

pub(super) fn snooze(
    job: &Job,
    lease: &Lease,
    started_at: Option<Millis>,
    delay_ms: u64,
    now: Millis,
) -> Decision {
    let mut end_of_attempt = ended(job, lease, AttemptOutcome::Snoozed, now);
    end_of_attempt.started_at = Some(started(lease, started_at, now));
    let mut status = changed(job, now);
    if job.status.cancel.is_some() {
        end(&mut status, State::Cancelled, Reason::CancelledByCaller, now);
    } else {
        status.attempt -= 1;
        status.was_snoozed = true;
        wait(&mut status, Reason::Snoozed, delay_ms.min(DELAY_MAX_MS), now);
    }
    Decision { job: with(job, status), attempt_end: Some(end_of_attempt) }
}

/// The job was not run: the attempt does not count and its place in the queue stays.
pub(super) fn hand_back(
    job: &Job,
    lease: &Lease,
    outcome: AttemptOutcome,
    now: Millis,
) -> Decision {
    let end_of_attempt = AttemptEnd { started_at: None, ..ended(job, lease, outcome, now) };
    let mut status = changed(job, now);
    status.started_at = None;
    status.worker = None;
    if job.status.cancel.is_some() {
        end(&mut status, State::Cancelled, Reason::CancelledByCaller, now);
    } else {
        status.attempt -= 1;
        status.state = State::Ready;
        status.reason = Reason::Released;
        status.lease = None;
    }
    Decision { job: with(job, status), attempt_end: Some(end_of_attempt) }
}

pub(super) fn stop(
    job: &Job,
    lease: &Lease,
    started_at: Option<Millis>,
    entropy: u32,
    now: Millis,
) -> Decision {
    if job.status.cancel.is_none() {
        let error = JobError {
            message: "the handler stopped for a cancel that nobody had asked for".into(),
            code: "CANCELLED_UNASKED".into(),
            retryable: true,
        };
        let failure = Failure { error, next_delay_ms: None, timed_out: false, entropy };
        return fail(job, lease, started_at, &failure, now);
    }
    let mut end_of_attempt = ended(job, lease, AttemptOutcome::Cancelled, now);
    end_of_attempt.started_at = Some(started(lease, started_at, now));
    let mut status = changed(job, now);
    end(&mut status, State::Cancelled, Reason::CancelledByCaller, now);
    Decision { job: with(job, status), attempt_end: Some(end_of_attempt) }
}

/// The worker is lost. The attempt counts, and so does the crash, since the job may be why.
pub(super) fn lose(job: &Job, lease: &Lease, now: Millis) -> Decision {
    let error = Some(Box::new(JobError {
        message: "the worker was lost".into(),
        code: "WORKER_LOST".into(),
        retryable: true,
    }));
    let end_of_attempt =
        AttemptEnd { error: error.clone(), ..ended(job, lease, AttemptOutcome::Lost, now) };
    let mut status = changed(job, now);
    status.crashes += 1;
    status.error = error;
    if job.status.cancel.is_some() {
        end(&mut status, State::Cancelled, Reason::CancelledByCaller, now);
    } else if u64::from(status.crashes) >= CRASHES_MAX {
        end(&mut status, State::Failed, Reason::Poisoned, now);
    } else if job.spec.on_lost == OnLost::Fail || status.attempt >= job.spec.retry.max_attempts {
        end(&mut status, State::Failed, Reason::WorkerLost, now);
    } else {
        wait(&mut status, Reason::WorkerLost, 0, now);
    }
    Decision { job: with(job, status), attempt_end: Some(end_of_attempt) }
}

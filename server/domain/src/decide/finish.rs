//! The commands that end an attempt.

use bytes::Bytes;

use super::{next_status, with_status, without_attempt_end};
use crate::command::Failure;
use crate::limits::{CRASHES_MAX, DELAY_MAX_MS, RESULT_BYTES, RETRY_CAP_MAX_MS};
use crate::{
    AttemptEnd, AttemptOutcome, Decision, Job, JobError, Lease, Millis, OnLost, Reason, State,
    Status,
};

/// Moves a status to a terminal state.
pub(super) fn finish(status: &mut Status, state: State, reason: Reason, now: Millis) {
    status.state = state;
    status.reason = reason;
    status.lease = None;
    status.finished_at = Some(now);
    status.waiting_for = Box::default();
}

/// Returns the record of the attempt for the history.
pub(super) fn attempt_end(
    job: &Job,
    lease: &Lease,
    outcome: AttemptOutcome,
    now: Millis,
) -> AttemptEnd {
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

/// Returns the start of an attempt. The worker's clock may be wrong, so the time that it reports is
/// clamped to the range from the grant of the lease to `now`.
fn start_time(lease: &Lease, started_at: Option<Millis>, now: Millis) -> Millis {
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
    let mut status = next_status(job, now);
    finish(&mut status, State::Succeeded, Reason::None, now);
    status.started_at = Some(start_time(lease, started_at, now));
    status.result = Some(result.clone());
    status.error = None;
    without_attempt_end(with_status(job, status))
}

fn result_too_large(len: usize) -> Failure {
    let message = format!("the result has {len} bytes: at most {RESULT_BYTES} bytes are allowed");
    let error = JobError::new(message, "RESULT_TOO_LARGE", false);
    Failure { error, next_delay_ms: None, timed_out: false, entropy: 0 }
}

/// Returns the failure of an attempt whose worker did not report its run_timeout.
pub(super) fn unreported_timeout(entropy: u32) -> Failure {
    let error = JobError::new("run_timeout passed and the worker did not report", "TIMEOUT", true);
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
    let started_at = start_time(lease, started_at, now);
    let error = Some(Box::new(failure.error.clone()));
    let record = AttemptEnd {
        started_at: Some(started_at),
        error: error.clone(),
        ..attempt_end(job, lease, outcome, now)
    };
    let mut status = next_status(job, now);
    status.started_at = Some(started_at);
    status.error = error;
    let cause = if failure.timed_out { Reason::Timeout } else { Reason::HandlerError };
    if job.status.cancel.is_some() {
        finish(&mut status, State::Cancelled, Reason::CancelledByCaller, now);
    } else if !failure.error.retryable {
        finish(&mut status, State::Failed, Reason::NotRetryable, now);
    } else if status.attempt >= job.spec.retry.max_attempts {
        finish(&mut status, State::Failed, cause, now);
    } else {
        let backoff_ms = match failure.next_delay_ms {
            Some(delay_ms) => delay_ms.min(RETRY_CAP_MAX_MS),
            None => job.spec.retry.backoff_ms(status.attempt, failure.entropy),
        };
        reschedule(&mut status, cause, backoff_ms, now);
    }
    Decision { job: with_status(job, status), attempt_end: Some(record) }
}

/// Moves a status to SCHEDULED until the backoff has passed, or to READY without a backoff.
fn reschedule(status: &mut Status, reason: Reason, backoff_ms: u64, now: Millis) {
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
    let mut record = attempt_end(job, lease, AttemptOutcome::Snoozed, now);
    record.started_at = Some(start_time(lease, started_at, now));
    let mut status = next_status(job, now);
    if job.status.cancel.is_some() {
        finish(&mut status, State::Cancelled, Reason::CancelledByCaller, now);
    } else {
        status.attempt -= 1;
        status.was_snoozed = true;
        reschedule(&mut status, Reason::Snoozed, delay_ms.min(DELAY_MAX_MS), now);
    }
    Decision { job: with_status(job, status), attempt_end: Some(record) }
}

/// Returns the job of an attempt that did not run to its queue. The attempt does not count, and the
/// job keeps its place.
pub(super) fn return_to_queue(
    job: &Job,
    lease: &Lease,
    outcome: AttemptOutcome,
    now: Millis,
) -> Decision {
    let record = AttemptEnd { started_at: None, ..attempt_end(job, lease, outcome, now) };
    let mut status = next_status(job, now);
    status.started_at = None;
    status.worker = None;
    if job.status.cancel.is_some() {
        finish(&mut status, State::Cancelled, Reason::CancelledByCaller, now);
    } else {
        status.attempt -= 1;
        status.state = State::Ready;
        status.reason = Reason::Released;
        status.lease = None;
    }
    Decision { job: with_status(job, status), attempt_end: Some(record) }
}

pub(super) fn stop(
    job: &Job,
    lease: &Lease,
    started_at: Option<Millis>,
    entropy: u32,
    now: Millis,
) -> Decision {
    if job.status.cancel.is_none() {
        let error = JobError::new(
            "the handler stopped because of a cancel, but no cancel was requested",
            "CANCELLED_UNASKED",
            true,
        );
        let failure = Failure { error, next_delay_ms: None, timed_out: false, entropy };
        return fail(job, lease, started_at, &failure, now);
    }
    let mut record = attempt_end(job, lease, AttemptOutcome::Cancelled, now);
    record.started_at = Some(start_time(lease, started_at, now));
    let mut status = next_status(job, now);
    finish(&mut status, State::Cancelled, Reason::CancelledByCaller, now);
    Decision { job: with_status(job, status), attempt_end: Some(record) }
}

/// Ends the attempt of a lost worker. It counts as an attempt and as a crash, because the job may
/// be the cause.
pub(super) fn mark_lost(job: &Job, lease: &Lease, now: Millis) -> Decision {
    let error = Some(Box::new(JobError::new("the worker was lost", "WORKER_LOST", true)));
    let record =
        AttemptEnd { error: error.clone(), ..attempt_end(job, lease, AttemptOutcome::Lost, now) };
    let mut status = next_status(job, now);
    status.crashes += 1;
    status.error = error;
    if job.status.cancel.is_some() {
        finish(&mut status, State::Cancelled, Reason::CancelledByCaller, now);
    } else if u64::from(status.crashes) >= CRASHES_MAX {
        finish(&mut status, State::Failed, Reason::Poisoned, now);
    } else if job.spec.on_lost == OnLost::Fail || status.attempt >= job.spec.retry.max_attempts {
        finish(&mut status, State::Failed, Reason::WorkerLost, now);
    } else {
        reschedule(&mut status, Reason::WorkerLost, 0, now);
    }
    Decision { job: with_status(job, status), attempt_end: Some(record) }
}

//! Queries that are the same on every database.

use diesel::dsl::auto_type;
use diesel::prelude::*;
use sentinel_domain::{AttemptEnd, JobError};
use sentinel_store::codec::code;

use super::schema::{
    attempts, checkpoints, jobs, keys, labels, log_sizes, logs, outputs, producers, queues,
};
use crate::database_error::DatabaseError;

#[auto_type]
pub(crate) fn checkpoint() -> _ {
    checkpoints::table.find(0_i32).select((
        checkpoints::epoch,
        checkpoints::seq,
        checkpoints::at_ms,
    ))
}

/// The checkpoint, if it is at this position: fences concurrent projectors.
#[auto_type]
pub(crate) fn checkpoint_at(epoch: i64, seq: i64) -> _ {
    checkpoints::table
        .filter(checkpoints::shard.eq(0_i32))
        .filter(checkpoints::epoch.eq(epoch))
        .filter(checkpoints::seq.eq(seq))
}

/// The next queue in the index. DISTINCT would read the entry of every job, on MariaDB whenever
/// it estimates that the table is small.
#[auto_type]
pub(crate) fn queue_after<'a>(name: &'a str) -> _ {
    jobs::table.filter(jobs::queue.gt(name)).order(jobs::queue.asc()).select(jobs::queue)
}

/// Only ranges by state are read in ascending order: to load live jobs, and by retention.
#[auto_type]
pub(crate) fn state_ascending<'a>(queue: &'a str, state: i32, low: &'a [u8], limit: i64) -> _ {
    jobs::table
        .filter(jobs::queue.eq(queue))
        .filter(jobs::state.eq(state))
        .filter(jobs::id.gt(low))
        .order(jobs::id.asc())
        .limit(limit)
        .select(jobs::id)
}

#[auto_type]
pub(crate) fn all_descending<'a>(low: &'a [u8], high: &'a [u8], limit: i64) -> _ {
    jobs::table
        .filter(jobs::id.ge(low).and(jobs::id.lt(high)))
        .order(jobs::id.desc())
        .limit(limit)
        .select(jobs::id)
}

#[auto_type]
pub(crate) fn state_descending<'a>(
    queue: &'a str,
    state: i32,
    low: &'a [u8],
    high: &'a [u8],
    limit: i64,
) -> _ {
    jobs::table
        .filter(jobs::queue.eq(queue))
        .filter(jobs::state.eq(state))
        .filter(jobs::id.ge(low).and(jobs::id.lt(high)))
        .order(jobs::id.desc())
        .limit(limit)
        .select((jobs::id, jobs::kind))
}

#[auto_type]
pub(crate) fn kind_descending<'a>(kind: &'a str, low: &'a [u8], high: &'a [u8], limit: i64) -> _ {
    jobs::table
        .filter(jobs::kind.eq(kind))
        .filter(jobs::id.ge(low).and(jobs::id.lt(high)))
        .order(jobs::id.desc())
        .limit(limit)
        .select((jobs::id, jobs::state))
}

#[auto_type]
pub(crate) fn label_descending<'a>(
    key: &'a str,
    value: &'a str,
    low: &'a [u8],
    high: &'a [u8],
    limit: i64,
) -> _ {
    labels::table
        .inner_join(jobs::table.on(jobs::id.eq(labels::job)))
        .filter(labels::key.eq(key))
        .filter(labels::value.eq(value))
        .filter(labels::job.ge(low).and(labels::job.lt(high)))
        .order(labels::job.desc())
        .limit(limit)
        .select((labels::job, jobs::queue, jobs::kind, jobs::state))
}

#[auto_type]
pub(crate) fn jobs_in_state<'a>(queue: &'a str, state: i32) -> _ {
    jobs::table.filter(jobs::queue.eq(queue)).filter(jobs::state.eq(state))
}

#[auto_type]
pub(crate) fn held_unique_keys(now: i64) -> _ {
    keys::table.filter(keys::until_ms.gt(now))
}

#[auto_type]
pub(crate) fn producer_records(now: i64) -> _ {
    producers::table.filter(producers::until_ms.gt(now)).order(producers::until_ms)
}

#[auto_type]
pub(crate) fn queue_declarations() -> _ {
    queues::table.order(queues::name).select(queues::declaration)
}

#[auto_type]
pub(crate) fn attempts_of<'a>(job: &'a [u8], below: i64, limit: i64) -> _ {
    attempts::table
        .filter(attempts::job.eq(job))
        .filter(attempts::epoch.lt(below))
        .order(attempts::epoch.desc())
        .limit(limit)
}

/// The columns of [`AttemptRow`].
pub(crate) const ATTEMPT: AttemptColumns = (
    attempts::epoch,
    attempts::run,
    attempts::attempt,
    attempts::outcome,
    attempts::started_at_ms,
    attempts::ended_at_ms,
    attempts::worker,
    attempts::error_message,
    attempts::error_code,
    attempts::error_retryable,
    attempts::error_detail,
);

type AttemptColumns = (
    attempts::epoch,
    attempts::run,
    attempts::attempt,
    attempts::outcome,
    attempts::started_at_ms,
    attempts::ended_at_ms,
    attempts::worker,
    attempts::error_message,
    attempts::error_code,
    attempts::error_retryable,
    attempts::error_detail,
);

#[auto_type]
pub(crate) fn log_size<'a>(job: &'a [u8], run: i64, attempt: i64) -> _ {
    log_sizes::table.find((job, run, attempt)).select((log_sizes::bytes, log_sizes::first_seq))
}

#[auto_type]
pub(crate) fn attempts_with_logs<'a>(job: &'a [u8], run: i64) -> _ {
    log_sizes::table
        .filter(log_sizes::job.eq(job))
        .filter(log_sizes::run.ge(run))
        .order((log_sizes::run.asc(), log_sizes::attempt.asc()))
        .select((log_sizes::run, log_sizes::attempt))
}

#[auto_type]
pub(crate) fn log_lines_of<'a>(job: &'a [u8], run: i64, attempt: i64) -> _ {
    logs::table
        .filter(logs::job.eq(job))
        .filter(logs::run.eq(run))
        .filter(logs::attempt.eq(attempt))
}

#[auto_type]
pub(crate) fn log_lines<'a>(job: &'a [u8], run: i64, attempt: i64, after: i64, limit: i64) -> _ {
    let of: log_lines_of<'a> = log_lines_of(job, run, attempt);
    of.filter(logs::seq.gt(after)).order(logs::seq.asc()).limit(limit).select((
        logs::seq,
        logs::at_ms,
        logs::level,
        logs::text,
    ))
}

#[auto_type]
pub(crate) fn outputs_of<'a>(job: &'a [u8], run: i64, attempt: i64) -> _ {
    outputs::table
        .filter(outputs::job.eq(job))
        .filter(outputs::run.eq(run))
        .filter(outputs::attempt.eq(attempt))
}

/// The epoch of an attempt's newest lease with output.
#[auto_type]
pub(crate) fn newest_epoch_with_output<'a>(job: &'a [u8], run: i64, attempt: i64) -> _ {
    let of: outputs_of<'a> = outputs_of(job, run, attempt);
    of.order((outputs::epoch.desc(), outputs::piece.desc())).limit(1_i64).select(outputs::epoch)
}

/// The newest attempt of a run with output.
#[auto_type]
pub(crate) fn last_attempt_with_output<'a>(job: &'a [u8], run: i64) -> _ {
    outputs::table
        .filter(outputs::job.eq(job))
        .filter(outputs::run.eq(run))
        .order((outputs::attempt.desc(), outputs::epoch.desc(), outputs::piece.desc()))
        .limit(1_i64)
        .select(outputs::attempt)
}

/// The last chunk of a lease and its end.
#[auto_type]
pub(crate) fn output_end<'a>(job: &'a [u8], run: i64, attempt: i64, epoch: i64) -> _ {
    let of: outputs_of<'a> = outputs_of(job, run, attempt);
    of.filter(outputs::epoch.eq(epoch))
        .order(outputs::piece.desc())
        .limit(1_i64)
        .select((outputs::piece, outputs::end_byte))
}

/// The next chunks of a lease after one: at most 1 MiB.
#[auto_type]
pub(crate) fn outputs_after<'a>(
    job: &'a [u8],
    run: i64,
    attempt: i64,
    epoch: i64,
    after: i64,
) -> _ {
    let of: outputs_of<'a> = outputs_of(job, run, attempt);
    of.filter(outputs::epoch.eq(epoch))
        .filter(outputs::piece.gt(after))
        .order(outputs::piece.asc())
        .limit(16_i64)
        .select((outputs::piece, outputs::start_byte, outputs::data))
}

/// The first existing chunk of a job.
#[auto_type]
pub(crate) fn first_output<'a>(job: &'a [u8]) -> _ {
    outputs::table
        .filter(outputs::job.eq(job))
        .order((
            outputs::run.asc(),
            outputs::attempt.asc(),
            outputs::epoch.asc(),
            outputs::piece.asc(),
        ))
        .limit(1_i64)
        .select((outputs::run, outputs::attempt, outputs::epoch, outputs::piece))
}

/// A row of [`attempts_of`].
#[derive(Queryable)]
pub(crate) struct AttemptRow {
    epoch: i64,
    run: i64,
    attempt: i64,
    outcome: i32,
    started_at_ms: Option<i64>,
    ended_at_ms: i64,
    worker: Option<String>,
    error_message: Option<String>,
    error_code: Option<String>,
    error_retryable: Option<bool>,
    error_detail: Option<String>,
}

impl AttemptRow {
    pub(crate) fn into_end(self) -> Result<AttemptEnd, DatabaseError> {
        let error = match (self.error_message, self.error_code, self.error_retryable) {
            (Some(message), Some(code), Some(retryable)) => Some(Box::new(JobError {
                message: message.into(),
                code: code.into(),
                retryable,
                detail: self.error_detail.unwrap_or_default().into(),
            })),
            _ => None,
        };
        Ok(AttemptEnd {
            run: self.run as u32,
            attempt: self.attempt as u32,
            epoch: self.epoch.cast_unsigned(),
            outcome: code::to_outcome(self.outcome.cast_unsigned())?,
            started_at: self.started_at_ms,
            ended_at: self.ended_at_ms,
            worker: self.worker.map(Into::into),
            error,
        })
    }
}

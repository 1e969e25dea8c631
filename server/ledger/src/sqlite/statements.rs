//! The statements on SQLite. Each handles one job: SQLite would compile a list of keys again for
//! every length, and a statement needs no network round trip.

use std::collections::VecDeque;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};
use diesel::upsert::excluded;
use sentinel_domain::{AttemptEnd, Job, JobId, Label, Millis, Name, State};
use sentinel_store::codec::code;
use sentinel_store::{JournalEntry, Position};

use super::prepared::{InsertLabel, UpdateStatus, UpsertJob};
use crate::batch::{Batch, ChangedJob, CreatedJob};
use crate::connection::{
    AttemptKey, Candidate, Connection, DeleteScope, Direction, LeaseKey, LogLine, LogSize, RowLock,
    Source, StoredJob,
};
use crate::database_error::DatabaseError;
use crate::sql::candidates::{
    decode_all_columns, decode_ids, decode_ids_and_kinds, decode_ids_and_states,
};
use crate::sql::columns::{decode_id, id_bytes, state_code};
use crate::sql::schema::{attempts, checkpoints, jobs, keys, labels, log_sizes, logs, outputs};
use crate::sql::schema::{producers, queues, specs};
use crate::sql::selects;
use crate::types::logs::LogRow;

impl Connection for SqliteConnection {
    const BATCH_SIZE: usize = 1;

    async fn checkpoint(&mut self) -> Result<(Position, Millis), DatabaseError> {
        let (epoch, seq, at): (i64, i64, Millis) = selects::checkpoint().get_result(self)?;
        Ok((Position { epoch: epoch.cast_unsigned(), seq: seq.cast_unsigned() }, at))
    }

    async fn queue_after(&mut self, name: &str) -> Result<Option<Name>, DatabaseError> {
        let next: Option<String> = selects::queue_after(name).first(self).optional()?;
        Ok(next.map(Into::into))
    }

    async fn ranges(
        &mut self,
        ranges: &[(&Source, Direction)],
        limit: usize,
    ) -> Result<Vec<VecDeque<Candidate>>, DatabaseError> {
        ranges
            .iter()
            .map(|(source, direction)| match *direction {
                Direction::Ascending { after } => read_ascending(self, source, after, limit as i64),
                Direction::Descending { from, below } => {
                    let low = id_bytes(from.unwrap_or(JobId::from_u128(0)));
                    let high = id_bytes(below.unwrap_or(JobId::from_u128(u128::MAX)));
                    read_descending(self, source, (&low, &high), limit as i64)
                }
            })
            .collect()
    }

    async fn jobs_with_label(
        &mut self,
        ids: &[JobId],
        label: &Label,
    ) -> Result<Vec<JobId>, DatabaseError> {
        let mut found = Vec::new();
        for id in ids {
            let row: Option<Vec<u8>> = labels::table
                .find((&*label.key, &*label.value, &id_bytes(*id)[..]))
                .select(labels::job)
                .get_result(self)
                .optional()?;
            found.extend(row.map(|_| *id));
        }
        Ok(found)
    }

    async fn stored_jobs(
        &mut self,
        ids: &[JobId],
        _: RowLock,
    ) -> Result<Vec<Option<StoredJob>>, DatabaseError> {
        ids.iter().map(|id| stored_job(self, *id)).collect()
    }

    /// Looks for an entry beyond the cap first, because COUNT reads all entries.
    async fn count(
        &mut self,
        queue: &str,
        state: State,
        cap: Option<u64>,
    ) -> Result<u64, DatabaseError> {
        let in_state = selects::jobs_in_state(queue, state_code(state));
        if let Some(cap) = cap {
            let beyond: Option<Vec<u8>> = in_state
                .order(jobs::id.asc())
                .select(jobs::id)
                .limit(1)
                .offset(cap.cast_signed())
                .first(self)
                .optional()?;
            if beyond.is_some() {
                return Ok(cap + 1);
            }
        }
        let count: i64 = in_state.count().get_result(self)?;
        Ok(count.cast_unsigned())
    }

    async fn job_count_upper_bound(&mut self) -> Result<Option<u64>, DatabaseError> {
        let rowid = |text: &str| jobs::table.select(sql::<Nullable<BigInt>>(text));
        let lowest: Option<i64> = rowid("min(rowid)").get_result(self)?;
        let highest: Option<i64> = rowid("max(rowid)").get_result(self)?;
        let rows = highest.unwrap_or_default() - lowest.unwrap_or_default() + 1;
        Ok(Some(rows.cast_unsigned()))
    }

    async fn held_unique_keys(
        &mut self,
        now: Millis,
    ) -> Result<Vec<(Vec<u8>, JobId, Millis)>, DatabaseError> {
        let rows: Vec<(Vec<u8>, Vec<u8>, Millis)> = selects::held_unique_keys(now).load(self)?;
        rows.into_iter().map(|(key, job, until)| Ok((key, decode_id(&job)?, until))).collect()
    }

    async fn producer_records(
        &mut self,
        now: Millis,
    ) -> Result<Vec<(String, Vec<u8>, Millis)>, DatabaseError> {
        Ok(selects::producer_records(now).load(self)?)
    }

    async fn queues(&mut self) -> Result<Vec<Vec<u8>>, DatabaseError> {
        Ok(selects::queue_declarations().load(self)?)
    }

    async fn attempts(
        &mut self,
        id: JobId,
        below: i64,
        limit: i64,
    ) -> Result<Vec<AttemptEnd>, DatabaseError> {
        let rows: Vec<selects::AttemptRow> = selects::attempts_of(&id_bytes(id), below, limit)
            .select(selects::ATTEMPT)
            .load(self)?;
        rows.into_iter().map(selects::AttemptRow::into_end).collect()
    }

    async fn move_checkpoint(
        &mut self,
        from: Position,
        last: &JournalEntry,
    ) -> Result<bool, DatabaseError> {
        let at = selects::checkpoint_at(from.epoch.cast_signed(), from.seq.cast_signed());
        let moved = diesel::update(at)
            .set((
                checkpoints::epoch.eq(last.position.epoch.cast_signed()),
                checkpoints::seq.eq(last.position.seq.cast_signed()),
                checkpoints::at_ms.eq(last.at),
            ))
            .execute(self)?;
        Ok(moved == 1)
    }

    async fn delete_expired_unique_keys(&mut self, until: Millis) -> Result<(), DatabaseError> {
        diesel::delete(keys::table.filter(keys::until_ms.le(until))).execute(self)?;
        Ok(())
    }

    async fn delete_expired_producer_records(
        &mut self,
        until: Millis,
    ) -> Result<(), DatabaseError> {
        diesel::delete(producers::table.filter(producers::until_ms.le(until))).execute(self)?;
        Ok(())
    }

    async fn write(&mut self, batch: &Batch<'_>) -> Result<(), DatabaseError> {
        write(self, batch)
    }

    async fn delete_jobs(
        &mut self,
        jobs: &[Job],
        scope: DeleteScope,
    ) -> Result<usize, DatabaseError> {
        let mut rows = 0;
        for job in jobs {
            rows += delete_job(self, job, scope)?;
        }
        Ok(rows)
    }

    async fn log_size(
        &mut self,
        attempt: AttemptKey,
        _: RowLock,
    ) -> Result<Option<LogSize>, DatabaseError> {
        let size: Option<(i64, i64)> =
            selects::log_size(&id_bytes(attempt.job), attempt.run, attempt.attempt)
                .get_result(self)
                .optional()?;
        Ok(size.map(|(bytes, first_seq)| LogSize { bytes, first_seq }))
    }

    async fn attempts_with_logs(
        &mut self,
        job: JobId,
        run: i64,
    ) -> Result<Vec<(i64, i64)>, DatabaseError> {
        Ok(selects::attempts_with_logs(&id_bytes(job), run).load(self)?)
    }

    async fn log_lines(
        &mut self,
        attempt: AttemptKey,
        after: i64,
        limit: i64,
    ) -> Result<Vec<LogLine>, DatabaseError> {
        let rows: Vec<(i64, Millis, i32, String)> =
            selects::log_lines(&id_bytes(attempt.job), attempt.run, attempt.attempt, after, limit)
                .load(self)?;
        Ok(rows
            .into_iter()
            .map(|(seq, at, level, text)| LogLine { seq, at, level, text })
            .collect())
    }

    async fn oldest_lines(
        &mut self,
        attempt: AttemptKey,
        limit: i64,
    ) -> Result<Vec<(i64, i64)>, DatabaseError> {
        let rows: Vec<(i64, String)> =
            selects::log_lines_of(&id_bytes(attempt.job), attempt.run, attempt.attempt)
                .order(logs::seq.asc())
                .limit(limit)
                .select((logs::seq, logs::text))
                .load(self)?;
        Ok(rows.into_iter().map(|(seq, text)| (seq, text.len() as i64)).collect())
    }

    async fn seq_at(
        &mut self,
        attempt: AttemptKey,
        offset: i64,
    ) -> Result<Option<i64>, DatabaseError> {
        let row = selects::log_lines_of(&id_bytes(attempt.job), attempt.run, attempt.attempt)
            .order(logs::seq.asc())
            .offset(offset)
            .limit(1)
            .select(logs::seq)
            .first(self);
        Ok(row.optional()?)
    }

    async fn insert_lines(
        &mut self,
        attempt: AttemptKey,
        lines: &[(i64, &LogRow)],
    ) -> Result<i64, DatabaseError> {
        let mut bytes = 0;
        for (seq, row) in lines {
            let added = diesel::insert_into(logs::table)
                .values((
                    logs::job.eq(&id_bytes(attempt.job)[..]),
                    logs::run.eq(attempt.run),
                    logs::attempt.eq(attempt.attempt),
                    logs::seq.eq(seq),
                    logs::at_ms.eq(row.at),
                    logs::level.eq(i32::from(row.level)),
                    logs::text.eq(&row.text),
                ))
                .on_conflict_do_nothing()
                .execute(self)?;
            if added == 1 {
                bytes += row.text.len() as i64;
            }
        }
        Ok(bytes)
    }

    async fn delete_lines(
        &mut self,
        attempt: AttemptKey,
        below: Option<i64>,
    ) -> Result<usize, DatabaseError> {
        let job = id_bytes(attempt.job);
        let lines = selects::log_lines_of(&job, attempt.run, attempt.attempt);
        Ok(match below {
            Some(below) => diesel::delete(lines.filter(logs::seq.lt(below))).execute(self)?,
            None => diesel::delete(lines).execute(self)?,
        })
    }

    async fn put_log_size(
        &mut self,
        attempt: AttemptKey,
        size: LogSize,
    ) -> Result<(), DatabaseError> {
        diesel::insert_into(log_sizes::table)
            .values((
                log_sizes::job.eq(&id_bytes(attempt.job)[..]),
                log_sizes::run.eq(attempt.run),
                log_sizes::attempt.eq(attempt.attempt),
                log_sizes::bytes.eq(size.bytes),
                log_sizes::first_seq.eq(size.first_seq),
            ))
            .on_conflict((log_sizes::job, log_sizes::run, log_sizes::attempt))
            .do_update()
            .set((
                log_sizes::bytes.eq(excluded(log_sizes::bytes)),
                log_sizes::first_seq.eq(excluded(log_sizes::first_seq)),
            ))
            .execute(self)?;
        Ok(())
    }

    async fn delete_log_size(&mut self, attempt: AttemptKey) -> Result<(), DatabaseError> {
        let job = id_bytes(attempt.job);
        let size = log_sizes::table.find((&job[..], attempt.run, attempt.attempt));
        diesel::delete(size).execute(self)?;
        Ok(())
    }

    async fn output_end(
        &mut self,
        LeaseKey { attempt, epoch }: LeaseKey,
    ) -> Result<Option<(i64, i64)>, DatabaseError> {
        Ok(selects::output_end(&id_bytes(attempt.job), attempt.run, attempt.attempt, epoch)
            .get_result(self)
            .optional()?)
    }

    async fn insert_output(
        &mut self,
        LeaseKey { attempt, epoch }: LeaseKey,
        (chunk, start): (i64, i64),
        data: &[u8],
    ) -> Result<(), DatabaseError> {
        diesel::insert_into(outputs::table)
            .values((
                outputs::job.eq(&id_bytes(attempt.job)[..]),
                outputs::run.eq(attempt.run),
                outputs::attempt.eq(attempt.attempt),
                outputs::epoch.eq(epoch),
                outputs::piece.eq(chunk),
                outputs::start_byte.eq(start),
                outputs::end_byte.eq(start + data.len() as i64),
                outputs::data.eq(data),
            ))
            .on_conflict_do_nothing()
            .execute(self)?;
        Ok(())
    }

    async fn newest_epoch_with_output(
        &mut self,
        attempt: AttemptKey,
    ) -> Result<Option<i64>, DatabaseError> {
        let epoch =
            selects::newest_epoch_with_output(&id_bytes(attempt.job), attempt.run, attempt.attempt)
                .get_result(self);
        Ok(epoch.optional()?)
    }

    async fn last_attempt_with_output(
        &mut self,
        job: JobId,
        run: i64,
    ) -> Result<Option<i64>, DatabaseError> {
        Ok(selects::last_attempt_with_output(&id_bytes(job), run).get_result(self).optional()?)
    }

    async fn outputs(
        &mut self,
        LeaseKey { attempt, epoch }: LeaseKey,
        after: i64,
        beyond: i64,
    ) -> Result<Vec<(i64, i64, Vec<u8>)>, DatabaseError> {
        let job = id_bytes(attempt.job);
        let chunks = selects::outputs_after(&job, attempt.run, attempt.attempt, epoch, after)
            .filter(outputs::end_byte.gt(beyond));
        Ok(chunks.load(self)?)
    }

    async fn first_output(&mut self, job: JobId) -> Result<Option<(LeaseKey, i64)>, DatabaseError> {
        let first: Option<(i64, i64, i64, i64)> =
            selects::first_output(&id_bytes(job)).get_result(self).optional()?;
        Ok(first.map(|(run, attempt, epoch, chunk)| {
            (LeaseKey { attempt: AttemptKey { job, run, attempt }, epoch }, chunk)
        }))
    }

    async fn delete_outputs(
        &mut self,
        LeaseKey { attempt, epoch }: LeaseKey,
        below: i64,
    ) -> Result<usize, DatabaseError> {
        let job = id_bytes(attempt.job);
        let of_lease = selects::outputs_of(&job, attempt.run, attempt.attempt)
            .filter(outputs::epoch.eq(epoch));
        Ok(diesel::delete(of_lease.filter(outputs::piece.lt(below))).execute(self)?)
    }
}

fn read_ascending(
    connection: &mut SqliteConnection,
    source: &Source,
    after: Option<JobId>,
    limit: i64,
) -> Result<VecDeque<Candidate>, DatabaseError> {
    let Source::State(queue, state) = source else { return Ok(VecDeque::new()) };
    let low = after.map(id_bytes).unwrap_or_default();
    decode_ids(selects::state_ascending(queue, state_code(*state), &low, limit).load(connection)?)
}

fn read_descending(
    connection: &mut SqliteConnection,
    source: &Source,
    (low, high): (&[u8], &[u8]),
    limit: i64,
) -> Result<VecDeque<Candidate>, DatabaseError> {
    match source {
        Source::All => decode_ids(selects::all_descending(low, high, limit).load(connection)?),
        Source::State(queue, state) => {
            let state = state_code(*state);
            decode_ids_and_kinds(
                selects::state_descending(queue, state, low, high, limit).load(connection)?,
            )
        }
        Source::Kind(kind) => decode_ids_and_states(
            selects::kind_descending(kind, low, high, limit).load(connection)?,
        ),
        Source::Label(Label { key, value }) => decode_all_columns(
            selects::label_descending(key, value, low, high, limit).load(connection)?,
        ),
    }
}

/// No LIMIT: SQLite uses the bound limit when it plans, so it compiles the statement again for
/// each value.
fn stored_job(
    connection: &mut SqliteConnection,
    id: JobId,
) -> Result<Option<StoredJob>, DatabaseError> {
    let id = id_bytes(id);
    let row: Option<(Vec<u8>, Option<Vec<u8>>)> = jobs::table
        .find(&id[..])
        .select((jobs::status, jobs::spec))
        .get_result(connection)
        .optional()?;
    let Some((status, spec)) = row else { return Ok(None) };
    let spec = match spec {
        Some(spec) => spec,
        None => specs::table.find(&id[..]).select(specs::spec).get_result(connection)?,
    };
    Ok(Some(StoredJob { status, spec }))
}

fn write(connection: &mut SqliteConnection, batch: &Batch<'_>) -> Result<(), DatabaseError> {
    for CreatedJob { change: ChangedJob { id, state, status, .. }, queue, kind, spec, .. } in
        &batch.created
    {
        UpsertJob { id, queue, kind, state: *state, status, spec: *spec }.execute(connection)?;
    }
    for change in &batch.changed {
        let ChangedJob { id, state, status, .. } = change;
        let updated = UpdateStatus { id, state: *state, status }.execute(connection)?;
        if updated == 0 {
            return Err(change.missing());
        }
    }
    for (id, spec) in &batch.specs {
        diesel::insert_into(specs::table)
            .values((specs::id.eq(&id[..]), specs::spec.eq(spec)))
            .on_conflict_do_nothing()
            .execute(connection)?;
    }
    for (Label { key, value }, job) in &batch.labels {
        InsertLabel { key, value, job }.execute(connection)?;
    }
    for (id, end) in &batch.failed_attempts {
        insert_attempt(connection, id, end)?;
    }
    for (key, (job, until)) in &batch.unique_keys {
        diesel::insert_into(keys::table)
            .values((keys::key.eq(key), keys::job.eq(&job[..]), keys::until_ms.eq(until)))
            .on_conflict(keys::key)
            .do_update()
            .set((keys::job.eq(excluded(keys::job)), keys::until_ms.eq(excluded(keys::until_ms))))
            .execute(connection)?;
    }
    for (name, declaration) in &batch.queues {
        diesel::insert_into(queues::table)
            .values((queues::name.eq(name), queues::declaration.eq(declaration)))
            .on_conflict(queues::name)
            .do_update()
            .set(queues::declaration.eq(excluded(queues::declaration)))
            .execute(connection)?;
    }
    for (id, (response, until)) in &batch.producers {
        diesel::replace_into(producers::table)
            .values((
                producers::id.eq(id),
                producers::answer.eq(response),
                producers::until_ms.eq(until),
            ))
            .execute(connection)?;
    }
    Ok(())
}

fn insert_attempt(
    connection: &mut SqliteConnection,
    id: &[u8],
    end: &AttemptEnd,
) -> Result<(), DatabaseError> {
    let error = end.error.as_deref();
    diesel::insert_into(attempts::table)
        .values((
            attempts::job.eq(id),
            attempts::epoch.eq(end.epoch.cast_signed()),
            attempts::run.eq(i64::from(end.run)),
            attempts::attempt.eq(i64::from(end.attempt)),
            attempts::outcome.eq(code::from_outcome(end.outcome).cast_signed()),
            attempts::started_at_ms.eq(end.started_at),
            attempts::ended_at_ms.eq(end.ended_at),
            attempts::worker.eq(end.worker.as_deref()),
            attempts::error_message.eq(error.map(|e| &*e.message)),
            attempts::error_code.eq(error.map(|e| &*e.code)),
            attempts::error_retryable.eq(error.map(|e| e.retryable)),
            attempts::error_detail.eq(error.and_then(|error| error.detail())),
        ))
        .on_conflict_do_nothing()
        .execute(connection)?;
    Ok(())
}

fn delete_job(
    connection: &mut SqliteConnection,
    job: &Job,
    scope: DeleteScope,
) -> Result<usize, DatabaseError> {
    let id = id_bytes(job.id);
    let mut rows = 0;
    for label in &job.spec.labels {
        let row = labels::table.find((&*label.key, &*label.value, &id[..]));
        rows += diesel::delete(row).execute(connection)?;
    }
    rows += diesel::delete(specs::table.find(&id[..])).execute(connection)?;
    rows += diesel::delete(jobs::table.find(&id[..])).execute(connection)?;
    if scope == DeleteScope::Spec {
        return Ok(rows);
    }
    rows +=
        diesel::delete(attempts::table.filter(attempts::job.eq(&id[..]))).execute(connection)?;
    if let Some(unique) = sentinel_domain::unique_key(&job.spec) {
        let held = keys::table.find(unique.as_bytes()).filter(keys::job.eq(&id[..]));
        rows += diesel::delete(held).execute(connection)?;
    }
    Ok(rows)
}

//! The statements on SQLite. One job each: a list of keys would be compiled anew for every
//! length, and a statement costs no way.

use std::collections::VecDeque;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};
use diesel::upsert::excluded;
use sentinel_domain::{AttemptEnd, Job, JobId, Label, Millis, Name, State};
use sentinel_store::codec::code;
use sentinel_store::{JournalEntry, Position};

use super::statement::{PutJob, PutLabel, SetStatus};
use crate::LogRow;
use crate::rows::{
    Attempt, Candidate, Direction, Extent, Leased, Line, Lock, LogSize, Rows, Source, Stored,
};
use crate::sql::schema::{attempts, checkpoints, jobs, keys, labels, log_sizes, logs, outputs};
use crate::sql::schema::{producers, queues, specs};
use crate::sql::{Fault, job_id, key, of_all, of_ids, of_kinds, of_states, query, state_code};
use crate::work::batch::{Batch, Changed, Created};

impl Rows for SqliteConnection {
    const STEP: usize = 1;

    async fn checkpoint(&mut self) -> Result<(Position, Millis), Fault> {
        let (epoch, seq, at): (i64, i64, Millis) = query::checkpoint().get_result(self)?;
        Ok((Position { epoch: epoch.cast_unsigned(), seq: seq.cast_unsigned() }, at))
    }

    async fn queue_after(&mut self, name: &str) -> Result<Option<Name>, Fault> {
        let next: Option<String> = query::queue_after(name).first(self).optional()?;
        Ok(next.map(Into::into))
    }

    async fn ranges(
        &mut self,
        ranges: &[(&Source, Direction)],
        limit: usize,
    ) -> Result<Vec<VecDeque<Candidate>>, Fault> {
        ranges
            .iter()
            .map(|(source, direction)| match *direction {
                Direction::Rising { after } => rising(self, source, after, limit as i64),
                Direction::Falling { from, below } => {
                    let low = key(from.unwrap_or(JobId::from_u128(0)));
                    let high = key(below.unwrap_or(JobId::from_u128(u128::MAX)));
                    falling(self, source, (&low, &high), limit as i64)
                }
            })
            .collect()
    }

    async fn labelled(&mut self, ids: &[JobId], label: &Label) -> Result<Vec<JobId>, Fault> {
        let mut found = Vec::new();
        for id in ids {
            let row: Option<Vec<u8>> = labels::table
                .find((&*label.key, &*label.value, &key(*id)[..]))
                .select(labels::job)
                .get_result(self)
                .optional()?;
            found.extend(row.map(|_| *id));
        }
        Ok(found)
    }

    async fn stored(&mut self, ids: &[JobId], _: Lock) -> Result<Vec<Option<Stored>>, Fault> {
        ids.iter().map(|id| stored(self, *id)).collect()
    }

    /// The place of the entry after the cap is looked for first, since a plain count has no
    /// bound.
    async fn count(&mut self, queue: &str, state: State, cap: Option<u64>) -> Result<u64, Fault> {
        let of = query::of_state(queue, state_code(state));
        if let Some(cap) = cap {
            let beyond: Option<Vec<u8>> = of
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
        let count: i64 = of.count().get_result(self)?;
        Ok(count.cast_unsigned())
    }

    async fn jobs_at_most(&mut self) -> Result<Option<u64>, Fault> {
        let bound = |text: &str| jobs::table.select(sql::<Nullable<BigInt>>(text));
        let lowest: Option<i64> = bound("min(rowid)").get_result(self)?;
        let highest: Option<i64> = bound("max(rowid)").get_result(self)?;
        let rows = highest.unwrap_or_default() - lowest.unwrap_or_default() + 1;
        Ok(Some(rows.cast_unsigned()))
    }

    async fn held_keys(&mut self, now: Millis) -> Result<Vec<(Vec<u8>, JobId, Millis)>, Fault> {
        let rows: Vec<(Vec<u8>, Vec<u8>, Millis)> = query::held_keys(now).load(self)?;
        rows.into_iter().map(|(key, job, until)| Ok((key, job_id(&job)?, until))).collect()
    }

    async fn producers(&mut self, now: Millis) -> Result<Vec<(String, Vec<u8>, Millis)>, Fault> {
        Ok(query::producers_at(now).load(self)?)
    }

    async fn queues(&mut self) -> Result<Vec<Vec<u8>>, Fault> {
        Ok(query::declarations().load(self)?)
    }

    async fn attempts(
        &mut self,
        id: JobId,
        below: i64,
        limit: i64,
    ) -> Result<Vec<AttemptEnd>, Fault> {
        let rows: Vec<query::AttemptRow> =
            query::attempts_of(&key(id), below, limit).select(query::ATTEMPT).load(self)?;
        rows.into_iter().map(query::AttemptRow::into_end).collect()
    }

    async fn move_checkpoint(&mut self, from: Position, last: &JournalEntry) -> Result<bool, Fault> {
        let at = query::checkpoint_at(from.epoch.cast_signed(), from.seq.cast_signed());
        let moved = diesel::update(at)
            .set((
                checkpoints::epoch.eq(last.position.epoch.cast_signed()),
                checkpoints::seq.eq(last.position.seq.cast_signed()),
                checkpoints::at_ms.eq(last.at),
            ))
            .execute(self)?;
        Ok(moved == 1)
    }

    async fn drop_keys(&mut self, until: Millis) -> Result<(), Fault> {
        diesel::delete(keys::table.filter(keys::until_ms.le(until))).execute(self)?;
        Ok(())
    }

    async fn drop_producers(&mut self, until: Millis) -> Result<(), Fault> {
        diesel::delete(producers::table.filter(producers::until_ms.le(until))).execute(self)?;
        Ok(())
    }

    async fn write(&mut self, batch: &Batch<'_>) -> Result<(), Fault> {
        write(self, batch)
    }

    async fn delete(&mut self, jobs: &[Job], extent: Extent) -> Result<usize, Fault> {
        let mut rows = 0;
        for job in jobs {
            rows += delete(self, job, extent)?;
        }
        Ok(rows)
    }

    async fn log_size(&mut self, of: Attempt, _: Lock) -> Result<Option<LogSize>, Fault> {
        let size: Option<(i64, i64)> =
            query::log_size(&key(of.job), of.run, of.attempt).get_result(self).optional()?;
        Ok(size.map(|(bytes, first_seq)| LogSize { bytes, first_seq }))
    }

    async fn log_attempts(&mut self, job: JobId, run: i64) -> Result<Vec<(i64, i64)>, Fault> {
        Ok(query::log_attempts(&key(job), run).load(self)?)
    }

    async fn lines(&mut self, of: Attempt, after: i64, limit: i64) -> Result<Vec<Line>, Fault> {
        let rows: Vec<(i64, Millis, i32, String)> =
            query::lines(&key(of.job), of.run, of.attempt, after, limit).load(self)?;
        Ok(rows.into_iter().map(|(seq, at, level, text)| Line { seq, at, level, text }).collect())
    }

    async fn oldest_lines(&mut self, of: Attempt, limit: i64) -> Result<Vec<(i64, i64)>, Fault> {
        let rows: Vec<(i64, String)> = query::lines_of(&key(of.job), of.run, of.attempt)
            .order(logs::seq.asc())
            .limit(limit)
            .select((logs::seq, logs::text))
            .load(self)?;
        Ok(rows.into_iter().map(|(seq, text)| (seq, text.len() as i64)).collect())
    }

    async fn seq_at(&mut self, of: Attempt, offset: i64) -> Result<Option<i64>, Fault> {
        let row = query::lines_of(&key(of.job), of.run, of.attempt)
            .order(logs::seq.asc())
            .offset(offset)
            .limit(1)
            .select(logs::seq)
            .first(self);
        Ok(row.optional()?)
    }

    async fn put_lines(&mut self, of: Attempt, lines: &[(i64, &LogRow)]) -> Result<i64, Fault> {
        let mut bytes = 0;
        for (seq, row) in lines {
            let added = diesel::insert_into(logs::table)
                .values((
                    logs::job.eq(&key(of.job)[..]),
                    logs::run.eq(of.run),
                    logs::attempt.eq(of.attempt),
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

    async fn drop_lines(&mut self, of: Attempt, below: Option<i64>) -> Result<usize, Fault> {
        let job = key(of.job);
        let of = query::lines_of(&job, of.run, of.attempt);
        Ok(match below {
            Some(below) => diesel::delete(of.filter(logs::seq.lt(below))).execute(self)?,
            None => diesel::delete(of).execute(self)?,
        })
    }

    async fn put_log_size(&mut self, of: Attempt, size: LogSize) -> Result<(), Fault> {
        diesel::insert_into(log_sizes::table)
            .values((
                log_sizes::job.eq(&key(of.job)[..]),
                log_sizes::run.eq(of.run),
                log_sizes::attempt.eq(of.attempt),
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

    async fn drop_log_size(&mut self, of: Attempt) -> Result<(), Fault> {
        let job = key(of.job);
        let size = log_sizes::table.find((&job[..], of.run, of.attempt));
        diesel::delete(size).execute(self)?;
        Ok(())
    }

    async fn output_end(
        &mut self,
        Leased { of, epoch }: Leased,
    ) -> Result<Option<(i64, i64)>, Fault> {
        Ok(query::output_end(&key(of.job), of.run, of.attempt, epoch)
            .get_result(self)
            .optional()?)
    }

    async fn put_output(
        &mut self,
        Leased { of, epoch }: Leased,
        (piece, start): (i64, i64),
        data: &[u8],
    ) -> Result<(), Fault> {
        diesel::insert_into(outputs::table)
            .values((
                outputs::job.eq(&key(of.job)[..]),
                outputs::run.eq(of.run),
                outputs::attempt.eq(of.attempt),
                outputs::epoch.eq(epoch),
                outputs::piece.eq(piece),
                outputs::start_byte.eq(start),
                outputs::end_byte.eq(start + data.len() as i64),
                outputs::data.eq(data),
            ))
            .on_conflict_do_nothing()
            .execute(self)?;
        Ok(())
    }

    async fn newest_output(&mut self, of: Attempt) -> Result<Option<i64>, Fault> {
        let epoch = query::newest_output(&key(of.job), of.run, of.attempt).get_result(self);
        Ok(epoch.optional()?)
    }

    async fn last_with_output(&mut self, job: JobId, run: i64) -> Result<Option<i64>, Fault> {
        Ok(query::last_with_output(&key(job), run).get_result(self).optional()?)
    }

    async fn outputs(
        &mut self,
        Leased { of, epoch }: Leased,
        after: i64,
        beyond: i64,
    ) -> Result<Vec<(i64, i64, Vec<u8>)>, Fault> {
        let job = key(of.job);
        let pieces = query::outputs_after(&job, of.run, of.attempt, epoch, after)
            .filter(outputs::end_byte.gt(beyond));
        Ok(pieces.load(self)?)
    }

    async fn first_output(&mut self, job: JobId) -> Result<Option<(Leased, i64)>, Fault> {
        let first: Option<(i64, i64, i64, i64)> =
            query::first_output(&key(job)).get_result(self).optional()?;
        Ok(first.map(|(run, attempt, epoch, piece)| {
            (Leased { of: Attempt { job, run, attempt }, epoch }, piece)
        }))
    }

    async fn drop_outputs(
        &mut self,
        Leased { of, epoch }: Leased,
        below: i64,
    ) -> Result<usize, Fault> {
        let job = key(of.job);
        let of = query::outputs_of(&job, of.run, of.attempt).filter(outputs::epoch.eq(epoch));
        Ok(diesel::delete(of.filter(outputs::piece.lt(below))).execute(self)?)
    }
}

fn rising(
    connection: &mut SqliteConnection,
    source: &Source,
    after: Option<JobId>,
    limit: i64,
) -> Result<VecDeque<Candidate>, Fault> {
    let Source::State(queue, state) = source else { return Ok(VecDeque::new()) };
    let low = after.map(key).unwrap_or_default();
    of_ids(query::state_rising(queue, state_code(*state), &low, limit).load(connection)?)
}

fn falling(
    connection: &mut SqliteConnection,
    source: &Source,
    (low, high): (&[u8], &[u8]),
    limit: i64,
) -> Result<VecDeque<Candidate>, Fault> {
    match source {
        Source::All => of_ids(query::all_falling(low, high, limit).load(connection)?),
        Source::State(queue, state) => {
            let state = state_code(*state);
            of_kinds(query::state_falling(queue, state, low, high, limit).load(connection)?)
        }
        Source::Kind(kind) => {
            of_states(query::kind_falling(kind, low, high, limit).load(connection)?)
        }
        Source::Label(Label { key, value }) => {
            of_all(query::label_falling(key, value, low, high, limit).load(connection)?)
        }
    }
}

/// Without LIMIT: SQLite looks into a bound limit when it plans, and so compiles the statement
/// anew for each value.
fn stored(connection: &mut SqliteConnection, id: JobId) -> Result<Option<Stored>, Fault> {
    let id = key(id);
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
    Ok(Some(Stored { status, spec }))
}

fn write(connection: &mut SqliteConnection, batch: &Batch<'_>) -> Result<(), Fault> {
    for Created { change: Changed { id, state, status, .. }, queue, kind, spec, .. } in &batch.born
    {
        PutJob { id, queue, kind, state: *state, status, spec: *spec }.execute(connection)?;
    }
    for change in &batch.changed {
        let Changed { id, state, status, .. } = change;
        let known = SetStatus { id, state: *state, status }.execute(connection)?;
        if known == 0 {
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
        PutLabel { key, value, job }.execute(connection)?;
    }
    for (id, end) in &batch.ends {
        insert_attempt(connection, id, end)?;
    }
    for (key, (job, until)) in &batch.keys {
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
    for (id, (answer, until)) in &batch.producers {
        diesel::replace_into(producers::table)
            .values((
                producers::id.eq(id),
                producers::answer.eq(answer),
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
) -> Result<(), Fault> {
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
        ))
        .on_conflict_do_nothing()
        .execute(connection)?;
    Ok(())
}

fn delete(connection: &mut SqliteConnection, job: &Job, extent: Extent) -> Result<usize, Fault> {
    let id = key(job.id);
    let mut rows = 0;
    for label in &job.spec.labels {
        let row = labels::table.find((&*label.key, &*label.value, &id[..]));
        rows += diesel::delete(row).execute(connection)?;
    }
    rows += diesel::delete(specs::table.find(&id[..])).execute(connection)?;
    rows += diesel::delete(jobs::table.find(&id[..])).execute(connection)?;
    if extent == Extent::Spec {
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

//! The statements on MySQL. Each handles many jobs, because each needs a network round trip.

use std::collections::{HashMap, VecDeque};

use diesel::prelude::{ExpressionMethods, OptionalExtension, QueryDsl};
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use sentinel_domain::{AttemptEnd, Job, JobId, Label, Millis, Name, State};
use sentinel_store::{JournalEntry, Position};

use super::connection::MysqlSession;
use super::insert::Value;
use super::{union, write};
use crate::batch::Batch;
use crate::connection::{
    AttemptKey, Candidate, Connection, DeleteScope, Direction, LeaseKey, LogLine, LogSize, RowLock,
    STORED_BYTES_MAX, Source, StoredJob,
};
use crate::database_error::DatabaseError;
use crate::sql::candidates::{
    decode_all_columns, decode_ids, decode_ids_and_kinds, decode_ids_and_states,
};
use crate::sql::columns::{decode_id, id_bytes, state_code};
use crate::sql::schema::{
    checkpoints, jobs, keys, labels, log_sizes, logs, outputs, producers, specs,
};
use crate::sql::selects;
use crate::types::logs::LogRow;

diesel::table! {
    #[sql_name = "jobs"]
    /// The columns of a job that are read here.
    sized_jobs (id) {
        id -> Binary,
        status -> Binary,
        spec -> Nullable<Binary>,
        spec_bytes -> Integer,
    }
}

/// A row of `sized_jobs`.
type JobRow = (Vec<u8>, Vec<u8>, Option<Vec<u8>>, i32);

impl Connection for MysqlSession {
    const BATCH_SIZE: usize = 32;

    async fn checkpoint(&mut self) -> Result<(Position, Millis), DatabaseError> {
        let (epoch, seq, at): (i64, i64, Millis) =
            selects::checkpoint().get_result(&mut self.connection).await?;
        Ok((Position { epoch: epoch.cast_unsigned(), seq: seq.cast_unsigned() }, at))
    }

    async fn queue_after(&mut self, name: &str) -> Result<Option<Name>, DatabaseError> {
        let next = selects::queue_after(name).limit(1);
        let next: Option<String> = next.get_result(&mut self.connection).await.optional()?;
        Ok(next.map(Into::into))
    }

    async fn ranges(
        &mut self,
        ranges: &[(&Source, Direction)],
        limit: usize,
    ) -> Result<Vec<VecDeque<Candidate>>, DatabaseError> {
        let mut found = Vec::with_capacity(ranges.len());
        for part in ranges.chunks(union::RANGES_MAX) {
            match union::state_ranges(part) {
                Some(states) if part.len() > 1 => {
                    found.extend(union::read(&mut self.connection, &states, limit as i64).await?);
                }
                _ => {
                    for (source, direction) in part {
                        found.push(self.read_range(source, *direction, limit as i64).await?);
                    }
                }
            }
        }
        Ok(found)
    }

    async fn jobs_with_label(
        &mut self,
        ids: &[JobId],
        label: &Label,
    ) -> Result<Vec<JobId>, DatabaseError> {
        let ids: Vec<[u8; 16]> = ids.iter().map(|id| id_bytes(*id)).collect();
        let rows: Vec<Vec<u8>> = labels::table
            .filter(labels::key.eq(&*label.key))
            .filter(labels::value.eq(&*label.value))
            .filter(labels::job.eq_any(ids.iter().map(|id| &id[..])))
            .select(labels::job)
            .load(&mut self.connection)
            .await?;
        rows.iter().map(|id| decode_id(id)).collect()
    }

    async fn stored_jobs(
        &mut self,
        ids: &[JobId],
        lock: RowLock,
    ) -> Result<Vec<Option<StoredJob>>, DatabaseError> {
        let keys: Vec<[u8; 16]> = ids.iter().map(|id| id_bytes(*id)).collect();
        let query = sized_jobs::table
            .filter(sized_jobs::id.eq_any(keys.iter().map(|id| &id[..])))
            .select((sized_jobs::id, sized_jobs::status, sized_jobs::spec, sized_jobs::spec_bytes));
        let rows: Vec<JobRow> = match lock {
            RowLock::None => query.load(&mut self.connection).await?,
            RowLock::ForUpdate => query.for_update().load(&mut self.connection).await?,
        };
        let mut rows: HashMap<Vec<u8>, JobRow> =
            rows.into_iter().map(|row| (row.0.clone(), row)).collect();
        let mut bytes = 0;
        let fits = |id: &&[u8; 16]| {
            bytes +=
                rows.get(&id[..]).map_or(0, |(_, status, _, spec)| status.len() + *spec as usize);
            bytes <= STORED_BYTES_MAX
        };
        let count = keys.iter().take_while(fits).count().max(1);
        let keys = &keys[..count.min(keys.len())];
        let is_large = |id: &&[u8; 16]| rows.get(&id[..]).is_some_and(|row| row.2.is_none());
        let large: Vec<&[u8]> = keys.iter().filter(is_large).map(|id| &id[..]).collect();
        let mut specs: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        if !large.is_empty() {
            let query = specs::table.filter(specs::id.eq_any(large));
            let found: Vec<(Vec<u8>, Vec<u8>)> = query.load(&mut self.connection).await?;
            specs.extend(found);
        }
        let stored = keys.iter().map(|id| {
            let Some((_, status, spec, _)) = rows.remove(&id[..]) else { return Ok(None) };
            let spec = spec.or_else(|| specs.remove(&id[..]));
            let spec = spec.ok_or(DatabaseError::Sql(diesel::result::Error::NotFound))?;
            Ok(Some(StoredJob { status, spec }))
        });
        stored.collect()
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
            let beyond = in_state.order(jobs::id.asc()).select(jobs::id).limit(1);
            let beyond = beyond.offset(cap.cast_signed());
            let beyond: Option<Vec<u8>> =
                beyond.get_result(&mut self.connection).await.optional()?;
            if beyond.is_some() {
                return Ok(cap + 1);
            }
        }
        let count: i64 = in_state.count().get_result(&mut self.connection).await?;
        Ok(count.cast_unsigned())
    }

    /// The server only estimates the size of a table.
    async fn job_count_upper_bound(&mut self) -> Result<Option<u64>, DatabaseError> {
        Ok(None)
    }

    async fn held_unique_keys(
        &mut self,
        now: Millis,
    ) -> Result<Vec<(Vec<u8>, JobId, Millis)>, DatabaseError> {
        let rows: Vec<(Vec<u8>, Vec<u8>, Millis)> =
            selects::held_unique_keys(now).load(&mut self.connection).await?;
        rows.into_iter().map(|(key, job, until)| Ok((key, decode_id(&job)?, until))).collect()
    }

    async fn producer_records(
        &mut self,
        now: Millis,
    ) -> Result<Vec<(String, Vec<u8>, Millis)>, DatabaseError> {
        Ok(selects::producer_records(now).load(&mut self.connection).await?)
    }

    async fn queues(&mut self) -> Result<Vec<Vec<u8>>, DatabaseError> {
        Ok(selects::queue_declarations().load(&mut self.connection).await?)
    }

    async fn attempts(
        &mut self,
        id: JobId,
        below: i64,
        limit: i64,
    ) -> Result<Vec<AttemptEnd>, DatabaseError> {
        let rows: Vec<selects::AttemptRow> = selects::attempts_of(&id_bytes(id), below, limit)
            .select(selects::ATTEMPT)
            .load(&mut self.connection)
            .await?;
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
            .execute(&mut self.connection)
            .await?;
        Ok(moved == 1)
    }

    async fn delete_expired_unique_keys(&mut self, until: Millis) -> Result<(), DatabaseError> {
        let expired = diesel::delete(keys::table.filter(keys::until_ms.le(until)));
        expired.execute(&mut self.connection).await?;
        Ok(())
    }

    async fn delete_expired_producer_records(
        &mut self,
        until: Millis,
    ) -> Result<(), DatabaseError> {
        let expired = diesel::delete(producers::table.filter(producers::until_ms.le(until)));
        expired.execute(&mut self.connection).await?;
        Ok(())
    }

    async fn write(&mut self, batch: &Batch<'_>) -> Result<(), DatabaseError> {
        write::write(self, batch).await
    }

    async fn delete_jobs(
        &mut self,
        jobs: &[Job],
        scope: DeleteScope,
    ) -> Result<usize, DatabaseError> {
        write::delete(self, jobs, scope).await
    }

    async fn log_size(
        &mut self,
        attempt: AttemptKey,
        lock: RowLock,
    ) -> Result<Option<LogSize>, DatabaseError> {
        let job = id_bytes(attempt.job);
        let size = selects::log_size(&job, attempt.run, attempt.attempt);
        let size: Option<(i64, i64)> = match lock {
            RowLock::None => size.get_result(&mut self.connection).await.optional()?,
            RowLock::ForUpdate => {
                // A row that does not exist cannot be locked.
                let row = [
                    Value::Bytes(&job),
                    Value::Long(attempt.run),
                    Value::Long(attempt.attempt),
                    Value::Long(0),
                    Value::Long(0),
                ];
                write::insert(self, write::LOG_SIZES, &[row]).await?;
                size.for_update().get_result(&mut self.connection).await.optional()?
            }
        };
        Ok(size.map(|(bytes, first_seq)| LogSize { bytes, first_seq }))
    }

    async fn attempts_with_logs(
        &mut self,
        job: JobId,
        run: i64,
    ) -> Result<Vec<(i64, i64)>, DatabaseError> {
        Ok(selects::attempts_with_logs(&id_bytes(job), run).load(&mut self.connection).await?)
    }

    async fn log_lines(
        &mut self,
        attempt: AttemptKey,
        after: i64,
        limit: i64,
    ) -> Result<Vec<LogLine>, DatabaseError> {
        let rows: Vec<(i64, Millis, i32, String)> =
            selects::log_lines(&id_bytes(attempt.job), attempt.run, attempt.attempt, after, limit)
                .load(&mut self.connection)
                .await?;
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
        let bytes = diesel::dsl::sql::<BigInt>("CAST(LENGTH(`logs`.`text`) AS SIGNED)");
        let rows = selects::log_lines_of(&id_bytes(attempt.job), attempt.run, attempt.attempt)
            .order(logs::seq.asc())
            .limit(limit)
            .select((logs::seq, bytes))
            .load(&mut self.connection)
            .await?;
        Ok(rows)
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
            .get_result(&mut self.connection)
            .await;
        Ok(row.optional()?)
    }

    async fn insert_lines(
        &mut self,
        attempt: AttemptKey,
        lines: &[(i64, &LogRow)],
    ) -> Result<i64, DatabaseError> {
        write::insert_lines(self, attempt, lines).await
    }

    async fn delete_lines(
        &mut self,
        attempt: AttemptKey,
        below: Option<i64>,
    ) -> Result<usize, DatabaseError> {
        let job = id_bytes(attempt.job);
        let lines = selects::log_lines_of(&job, attempt.run, attempt.attempt);
        Ok(match below {
            Some(below) => {
                let below = lines.filter(logs::seq.lt(below));
                diesel::delete(below).execute(&mut self.connection).await?
            }
            None => diesel::delete(lines).execute(&mut self.connection).await?,
        })
    }

    async fn put_log_size(
        &mut self,
        attempt: AttemptKey,
        size: LogSize,
    ) -> Result<(), DatabaseError> {
        let job = id_bytes(attempt.job);
        let row = log_sizes::table.find((&job[..], attempt.run, attempt.attempt));
        diesel::update(row)
            .set((log_sizes::bytes.eq(size.bytes), log_sizes::first_seq.eq(size.first_seq)))
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    async fn delete_log_size(&mut self, attempt: AttemptKey) -> Result<(), DatabaseError> {
        let job = id_bytes(attempt.job);
        let size = log_sizes::table.find((&job[..], attempt.run, attempt.attempt));
        diesel::delete(size).execute(&mut self.connection).await?;
        Ok(())
    }

    async fn output_end(
        &mut self,
        LeaseKey { attempt, epoch }: LeaseKey,
    ) -> Result<Option<(i64, i64)>, DatabaseError> {
        let job = id_bytes(attempt.job);
        let end = selects::output_end(&job, attempt.run, attempt.attempt, epoch);
        Ok(end.get_result(&mut self.connection).await.optional()?)
    }

    async fn insert_output(
        &mut self,
        LeaseKey { attempt, epoch }: LeaseKey,
        (chunk, start): (i64, i64),
        data: &[u8],
    ) -> Result<(), DatabaseError> {
        let job = id_bytes(attempt.job);
        let row = [
            Value::Bytes(&job),
            Value::Long(attempt.run),
            Value::Long(attempt.attempt),
            Value::Long(epoch),
            Value::Long(chunk),
            Value::Long(start),
            Value::Long(start + data.len() as i64),
            Value::Bytes(data),
        ];
        write::insert(self, write::OUTPUTS, &[row]).await
    }

    async fn newest_epoch_with_output(
        &mut self,
        attempt: AttemptKey,
    ) -> Result<Option<i64>, DatabaseError> {
        let job = id_bytes(attempt.job);
        let epoch = selects::newest_epoch_with_output(&job, attempt.run, attempt.attempt);
        Ok(epoch.get_result(&mut self.connection).await.optional()?)
    }

    async fn last_attempt_with_output(
        &mut self,
        job: JobId,
        run: i64,
    ) -> Result<Option<i64>, DatabaseError> {
        let job = id_bytes(job);
        let last = selects::last_attempt_with_output(&job, run);
        Ok(last.get_result(&mut self.connection).await.optional()?)
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
        Ok(chunks.load(&mut self.connection).await?)
    }

    async fn first_output(&mut self, job: JobId) -> Result<Option<(LeaseKey, i64)>, DatabaseError> {
        let first: Option<(i64, i64, i64, i64)> = selects::first_output(&id_bytes(job))
            .get_result(&mut self.connection)
            .await
            .optional()?;
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
        let below = of_lease.filter(outputs::piece.lt(below));
        Ok(diesel::delete(below).execute(&mut self.connection).await?)
    }
}

impl MysqlSession {
    async fn read_range(
        &mut self,
        source: &Source,
        direction: Direction,
        limit: i64,
    ) -> Result<VecDeque<Candidate>, DatabaseError> {
        match direction {
            Direction::Ascending { after } => {
                let Source::State(queue, state) = source else { return Ok(VecDeque::new()) };
                let low = after.map(id_bytes).unwrap_or_default();
                let ids = selects::state_ascending(queue, state_code(*state), &low, limit);
                decode_ids(ids.load(&mut self.connection).await?)
            }
            Direction::Descending { from, below } => {
                let low = id_bytes(from.unwrap_or(JobId::from_u128(0)));
                let high = id_bytes(below.unwrap_or(JobId::from_u128(u128::MAX)));
                self.read_descending(source, (&low, &high), limit).await
            }
        }
    }

    async fn read_descending(
        &mut self,
        source: &Source,
        (low, high): (&[u8], &[u8]),
        limit: i64,
    ) -> Result<VecDeque<Candidate>, DatabaseError> {
        let connection = &mut self.connection;
        match source {
            Source::All => {
                decode_ids(selects::all_descending(low, high, limit).load(connection).await?)
            }
            Source::State(queue, state) => {
                let state = state_code(*state);
                let rows = selects::state_descending(queue, state, low, high, limit);
                decode_ids_and_kinds(rows.load(connection).await?)
            }
            Source::Kind(kind) => decode_ids_and_states(
                selects::kind_descending(kind, low, high, limit).load(connection).await?,
            ),
            Source::Label(Label { key, value }) => {
                let rows = selects::label_descending(key, value, low, high, limit);
                decode_all_columns(rows.load(connection).await?)
            }
        }
    }
}

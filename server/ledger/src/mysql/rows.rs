//! The statements on MySQL. Many jobs each: every statement is a way to the server and back.

use std::collections::{HashMap, HashSet, VecDeque};

use diesel::prelude::{ExpressionMethods, OptionalExtension, QueryDsl};
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use sentinel_domain::{AttemptEnd, Job, JobId, Label, Millis, Name, State};
use sentinel_store::{JournalEntry, Position};

use super::session::Session;
use super::statement::Value;
use super::{union, write};
use crate::LogRow;
use crate::rows::{
    Attempt, Candidate, Direction, Extent, Leased, Line, Lock, LogSize, Rows, STORED_BYTES, Source,
    Stored,
};
use crate::sql::schema::{
    checkpoints, jobs, keys, labels, log_sizes, logs, outputs, producers, specs,
};
use crate::sql::{Fault, job_id, key, of_all, of_ids, of_kinds, of_states, query, state_code};
use crate::work::batch::Batch;

diesel::table! {
    #[sql_name = "jobs"]
    /// What is read of a job here.
    sized_jobs (id) {
        id -> Binary,
        status -> Binary,
        spec -> Nullable<Binary>,
        spec_bytes -> Integer,
    }
}

/// A row of it.
type JobRow = (Vec<u8>, Vec<u8>, Option<Vec<u8>>, i32);

impl Rows for Session {
    const STEP: usize = 32;

    async fn checkpoint(&mut self) -> Result<(Position, Millis), Fault> {
        let (epoch, seq, at): (i64, i64, Millis) =
            query::checkpoint().get_result(&mut self.connection).await?;
        Ok((Position { epoch: epoch.cast_unsigned(), seq: seq.cast_unsigned() }, at))
    }

    async fn queue_after(&mut self, name: &str) -> Result<Option<Name>, Fault> {
        let next = query::queue_after(name).limit(1);
        let next: Option<String> = next.get_result(&mut self.connection).await.optional()?;
        Ok(next.map(Into::into))
    }

    async fn ranges(
        &mut self,
        ranges: &[(&Source, Direction)],
        limit: usize,
    ) -> Result<Vec<VecDeque<Candidate>>, Fault> {
        let mut found = Vec::with_capacity(ranges.len());
        for some in ranges.chunks(union::RANGES_MAX) {
            match union::of_states(some) {
                Some(states) if some.len() > 1 => {
                    found.extend(union::read(&mut self.connection, &states, limit as i64).await?);
                }
                _ => {
                    for (source, direction) in some {
                        found.push(self.range(source, *direction, limit as i64).await?);
                    }
                }
            }
        }
        Ok(found)
    }

    async fn labelled(&mut self, ids: &[JobId], label: &Label) -> Result<Vec<JobId>, Fault> {
        let ids: Vec<[u8; 16]> = ids.iter().map(|id| key(*id)).collect();
        let rows: Vec<Vec<u8>> = labels::table
            .filter(labels::key.eq(&*label.key))
            .filter(labels::value.eq(&*label.value))
            .filter(labels::job.eq_any(ids.iter().map(|id| &id[..])))
            .select(labels::job)
            .load(&mut self.connection)
            .await?;
        rows.iter().map(|id| job_id(id)).collect()
    }

    async fn stored(&mut self, ids: &[JobId], lock: Lock) -> Result<Vec<Option<Stored>>, Fault> {
        let keys: Vec<[u8; 16]> = ids.iter().map(|id| key(*id)).collect();
        let of = sized_jobs::table
            .filter(sized_jobs::id.eq_any(keys.iter().map(|id| &id[..])))
            .select((sized_jobs::id, sized_jobs::status, sized_jobs::spec, sized_jobs::spec_bytes));
        let rows: Vec<JobRow> = match lock {
            Lock::Free => of.load(&mut self.connection).await?,
            Lock::Held => of.for_update().load(&mut self.connection).await?,
        };
        let mut rows: HashMap<Vec<u8>, JobRow> =
            rows.into_iter().map(|row| (row.0.clone(), row)).collect();
        let mut bytes = 0;
        let fits = |id: &&[u8; 16]| {
            bytes +=
                rows.get(&id[..]).map_or(0, |(_, status, _, spec)| status.len() + *spec as usize);
            bytes <= STORED_BYTES
        };
        let count = keys.iter().take_while(fits).count().max(1);
        let keys = &keys[..count.min(keys.len())];
        let is_large = |id: &&[u8; 16]| rows.get(&id[..]).is_some_and(|row| row.2.is_none());
        let large: Vec<&[u8]> = keys.iter().filter(is_large).map(|id| &id[..]).collect();
        let mut specs: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        if !large.is_empty() {
            let of = specs::table.filter(specs::id.eq_any(large));
            let found: Vec<(Vec<u8>, Vec<u8>)> = of.load(&mut self.connection).await?;
            specs.extend(found);
        }
        let stored = keys.iter().map(|id| {
            let Some((_, status, spec, _)) = rows.remove(&id[..]) else { return Ok(None) };
            let spec = spec.or_else(|| specs.remove(&id[..]));
            let spec = spec.ok_or(Fault::Sql(diesel::result::Error::NotFound))?;
            Ok(Some(Stored { status, spec }))
        });
        stored.collect()
    }

    /// The place of the entry after the cap is looked for first, since a plain count has no
    /// bound.
    async fn count(&mut self, queue: &str, state: State, cap: Option<u64>) -> Result<u64, Fault> {
        let of = query::of_state(queue, state_code(state));
        if let Some(cap) = cap {
            let beyond = of.order(jobs::id.asc()).select(jobs::id).limit(1);
            let beyond = beyond.offset(cap.cast_signed());
            let beyond: Option<Vec<u8>> =
                beyond.get_result(&mut self.connection).await.optional()?;
            if beyond.is_some() {
                return Ok(cap + 1);
            }
        }
        let count: i64 = of.count().get_result(&mut self.connection).await?;
        Ok(count.cast_unsigned())
    }

    /// The server only guesses at the size of a table.
    async fn jobs_at_most(&mut self) -> Result<Option<u64>, Fault> {
        Ok(None)
    }

    async fn held_keys(&mut self, now: Millis) -> Result<Vec<(Vec<u8>, JobId, Millis)>, Fault> {
        let rows: Vec<(Vec<u8>, Vec<u8>, Millis)> =
            query::held_keys(now).load(&mut self.connection).await?;
        rows.into_iter().map(|(key, job, until)| Ok((key, job_id(&job)?, until))).collect()
    }

    async fn producers(&mut self, now: Millis) -> Result<Vec<(String, Vec<u8>, Millis)>, Fault> {
        Ok(query::producers_at(now).load(&mut self.connection).await?)
    }

    async fn queues(&mut self) -> Result<Vec<Vec<u8>>, Fault> {
        Ok(query::declarations().load(&mut self.connection).await?)
    }

    async fn attempts(
        &mut self,
        id: JobId,
        below: i64,
        limit: i64,
    ) -> Result<Vec<AttemptEnd>, Fault> {
        let rows: Vec<query::AttemptRow> = query::attempts_of(&key(id), below, limit)
            .select(query::ATTEMPT)
            .load(&mut self.connection)
            .await?;
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
            .execute(&mut self.connection)
            .await?;
        Ok(moved == 1)
    }

    async fn drop_keys(&mut self, until: Millis) -> Result<(), Fault> {
        let over = diesel::delete(keys::table.filter(keys::until_ms.le(until)));
        over.execute(&mut self.connection).await?;
        Ok(())
    }

    async fn drop_producers(&mut self, until: Millis) -> Result<(), Fault> {
        let over = diesel::delete(producers::table.filter(producers::until_ms.le(until)));
        over.execute(&mut self.connection).await?;
        Ok(())
    }

    async fn write(&mut self, batch: &Batch<'_>) -> Result<(), Fault> {
        write::write(self, batch).await
    }

    async fn delete(&mut self, jobs: &[Job], extent: Extent) -> Result<usize, Fault> {
        write::delete(self, jobs, extent).await
    }

    async fn log_size(&mut self, of: Attempt, lock: Lock) -> Result<Option<LogSize>, Fault> {
        let job = key(of.job);
        let size = query::log_size(&job, of.run, of.attempt);
        let size: Option<(i64, i64)> = match lock {
            Lock::Free => size.get_result(&mut self.connection).await.optional()?,
            Lock::Held => {
                // A row that is not there can not be locked.
                let row = [
                    Value::Bytes(&job),
                    Value::Long(of.run),
                    Value::Long(of.attempt),
                    Value::Long(0),
                    Value::Long(0),
                ];
                write::put(self, write::LOG_SIZES, &[row]).await?;
                size.for_update().get_result(&mut self.connection).await.optional()?
            }
        };
        Ok(size.map(|(bytes, first_seq)| LogSize { bytes, first_seq }))
    }

    async fn log_attempts(&mut self, job: JobId, run: i64) -> Result<Vec<(i64, i64)>, Fault> {
        Ok(query::log_attempts(&key(job), run).load(&mut self.connection).await?)
    }

    async fn lines(&mut self, of: Attempt, after: i64, limit: i64) -> Result<Vec<Line>, Fault> {
        let rows: Vec<(i64, Millis, i32, String)> =
            query::lines(&key(of.job), of.run, of.attempt, after, limit)
                .load(&mut self.connection)
                .await?;
        Ok(rows.into_iter().map(|(seq, at, level, text)| Line { seq, at, level, text }).collect())
    }

    async fn oldest_lines(&mut self, of: Attempt, limit: i64) -> Result<Vec<(i64, i64)>, Fault> {
        let bytes = diesel::dsl::sql::<BigInt>("CAST(LENGTH(`logs`.`text`) AS SIGNED)");
        let rows = query::lines_of(&key(of.job), of.run, of.attempt)
            .order(logs::seq.asc())
            .limit(limit)
            .select((logs::seq, bytes))
            .load(&mut self.connection)
            .await?;
        Ok(rows)
    }

    async fn seq_at(&mut self, of: Attempt, offset: i64) -> Result<Option<i64>, Fault> {
        let row = query::lines_of(&key(of.job), of.run, of.attempt)
            .order(logs::seq.asc())
            .offset(offset)
            .limit(1)
            .select(logs::seq)
            .get_result(&mut self.connection)
            .await;
        Ok(row.optional()?)
    }

    async fn put_lines(&mut self, of: Attempt, lines: &[(i64, &LogRow)]) -> Result<i64, Fault> {
        write::put_lines(self, of, lines).await
    }

    async fn drop_lines(&mut self, of: Attempt, below: Option<i64>) -> Result<usize, Fault> {
        let job = key(of.job);
        let of = query::lines_of(&job, of.run, of.attempt);
        Ok(match below {
            Some(below) => {
                let below = of.filter(logs::seq.lt(below));
                diesel::delete(below).execute(&mut self.connection).await?
            }
            None => diesel::delete(of).execute(&mut self.connection).await?,
        })
    }

    async fn put_log_size(&mut self, of: Attempt, size: LogSize) -> Result<(), Fault> {
        let job = key(of.job);
        let row = log_sizes::table.find((&job[..], of.run, of.attempt));
        diesel::update(row)
            .set((log_sizes::bytes.eq(size.bytes), log_sizes::first_seq.eq(size.first_seq)))
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    async fn drop_log_size(&mut self, of: Attempt) -> Result<(), Fault> {
        let job = key(of.job);
        let size = log_sizes::table.find((&job[..], of.run, of.attempt));
        diesel::delete(size).execute(&mut self.connection).await?;
        Ok(())
    }

    async fn output_end(
        &mut self,
        Leased { of, epoch }: Leased,
    ) -> Result<Option<(i64, i64)>, Fault> {
        let job = key(of.job);
        let end = query::output_end(&job, of.run, of.attempt, epoch);
        Ok(end.get_result(&mut self.connection).await.optional()?)
    }

    async fn put_output(
        &mut self,
        Leased { of, epoch }: Leased,
        (piece, start): (i64, i64),
        data: &[u8],
    ) -> Result<(), Fault> {
        let job = key(of.job);
        let row = [
            Value::Bytes(&job),
            Value::Long(of.run),
            Value::Long(of.attempt),
            Value::Long(epoch),
            Value::Long(piece),
            Value::Long(start),
            Value::Long(start + data.len() as i64),
            Value::Bytes(data),
        ];
        write::put(self, write::OUTPUTS, &[row]).await
    }

    async fn newest_output(&mut self, of: Attempt) -> Result<Option<i64>, Fault> {
        let job = key(of.job);
        let epoch = query::newest_output(&job, of.run, of.attempt);
        Ok(epoch.get_result(&mut self.connection).await.optional()?)
    }

    async fn last_with_output(&mut self, job: JobId, run: i64) -> Result<Option<i64>, Fault> {
        let job = key(job);
        let last = query::last_with_output(&job, run);
        Ok(last.get_result(&mut self.connection).await.optional()?)
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
        Ok(pieces.load(&mut self.connection).await?)
    }

    async fn first_output(&mut self, job: JobId) -> Result<Option<(Leased, i64)>, Fault> {
        let first: Option<(i64, i64, i64, i64)> =
            query::first_output(&key(job)).get_result(&mut self.connection).await.optional()?;
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
        let below = of.filter(outputs::piece.lt(below));
        Ok(diesel::delete(below).execute(&mut self.connection).await?)
    }
}

impl Session {
    async fn range(
        &mut self,
        source: &Source,
        direction: Direction,
        limit: i64,
    ) -> Result<VecDeque<Candidate>, Fault> {
        match direction {
            Direction::Rising { after } => {
                let Source::State(queue, state) = source else { return Ok(VecDeque::new()) };
                let low = after.map(key).unwrap_or_default();
                let ids = query::state_rising(queue, state_code(*state), &low, limit);
                of_ids(ids.load(&mut self.connection).await?)
            }
            Direction::Falling { from, below } => {
                let low = key(from.unwrap_or(JobId::from_u128(0)));
                let high = key(below.unwrap_or(JobId::from_u128(u128::MAX)));
                self.falling(source, (&low, &high), limit).await
            }
        }
    }

    async fn falling(
        &mut self,
        source: &Source,
        (low, high): (&[u8], &[u8]),
        limit: i64,
    ) -> Result<VecDeque<Candidate>, Fault> {
        let connection = &mut self.connection;
        match source {
            Source::All => of_ids(query::all_falling(low, high, limit).load(connection).await?),
            Source::State(queue, state) => {
                let state = state_code(*state);
                let rows = query::state_falling(queue, state, low, high, limit);
                of_kinds(rows.load(connection).await?)
            }
            Source::Kind(kind) => {
                of_states(query::kind_falling(kind, low, high, limit).load(connection).await?)
            }
            Source::Label(Label { key, value }) => {
                let rows = query::label_falling(key, value, low, high, limit);
                of_all(rows.load(connection).await?)
            }
        }
    }

    /// Which of these lines are there.
    pub(super) async fn known_seqs(
        &mut self,
        of: Attempt,
        seqs: &[i64],
    ) -> Result<HashSet<i64>, Fault> {
        let job = key(of.job);
        let known: Vec<i64> = query::lines_of(&job, of.run, of.attempt)
            .filter(logs::seq.eq_any(seqs))
            .select(logs::seq)
            .load(&mut self.connection)
            .await?;
        Ok(known.into_iter().collect())
    }
}

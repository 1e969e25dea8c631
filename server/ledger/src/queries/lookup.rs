//! Look-ups by key, and what an embedded store loads when it starts.

use bytes::Bytes;
use sentinel_domain::limits::PAGE_MAX;
use sentinel_domain::{AttemptEnd, Job, JobId, Millis, Queue, State, UniqueKey};
use sentinel_store::codec::{self, NamePool};
use sentinel_store::{IdempotencyRecord, Position, content_hash};

use super::merge::{Merge, queue_names};
use crate::connection::{Connection, Direction, RowLock, Source};
use crate::database_error::DatabaseError;
use crate::error::LedgerError;
use crate::ledger::{Ledger, with_conn};

impl Ledger {
    /// Returns the position up to which the journal is projected; the default if nothing is.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn checkpoint(&self) -> Result<Position, LedgerError> {
        with_conn!(self.history.read, |conn| async { Ok(conn.checkpoint().await?.0) })
    }

    /// Returns the commit time of the last projected entry; 0 if nothing is projected.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn as_of(&self) -> Result<Millis, LedgerError> {
        with_conn!(self.history.read, |conn| async { Ok(conn.checkpoint().await?.1) })
    }

    /// Returns the jobs in the order of `ids`; `None` for those that the ledger does not contain.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn get(&self, ids: Vec<JobId>) -> Result<Vec<Option<Job>>, LedgerError> {
        with_conn!(self.history.read, |conn| async {
            read_jobs(conn, &ids, RowLock::None, &mut NamePool::default()).await
        })
    }

    /// Returns at most `limit` non-terminal jobs after `after`, by ascending id. Fewer than
    /// `limit` means that these were the last.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn live_jobs(
        &self,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<Job>, LedgerError> {
        with_conn!(self.history.read, |conn| live_jobs(conn, after, limit))
    }

    /// Returns every declared queue, sorted by name.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn queues(&self) -> Result<Vec<Queue>, LedgerError> {
        with_conn!(self.history.read, |conn| async {
            let mut names = NamePool::default();
            let rows = conn.queues().await?;
            rows.into_iter()
                .map(|row| Ok(codec::decode_queue(Bytes::from(row), &mut names)?))
                .collect()
        })
    }

    /// Returns the unique keys with an expiry later than `now`: key, holder, expiry.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn held_unique_keys(
        &self,
        now: Millis,
    ) -> Result<Vec<(UniqueKey, JobId, Millis)>, LedgerError> {
        with_conn!(self.history.read, |conn| async {
            let rows = conn.held_unique_keys(now).await?;
            let key =
                |(key, job, until): (Vec<u8>, _, _)| (UniqueKey::from_bytes(&key), job, until);
            Ok(rows.into_iter().map(key).collect())
        })
    }

    /// Returns the offsets of producers, of the records that expire after `now`.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn producer_records(
        &self,
        now: Millis,
    ) -> Result<Vec<IdempotencyRecord>, LedgerError> {
        with_conn!(self.history.read, |conn| async {
            let rows = conn.producer_records(now).await?;
            let record = |(id, response, expires_at): (String, Vec<u8>, _)| IdempotencyRecord {
                content_hash: content_hash(&response),
                id: id.into(),
                response: response.into(),
                expires_at,
            };
            Ok(rows.into_iter().map(record).collect())
        })
    }

    /// Returns the attempts of a job that finished without success and have an epoch lower than
    /// `below`, newest first: at most `limit` and [`sentinel_domain::limits::PAGE_MAX`].
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn attempts(
        &self,
        id: JobId,
        below: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AttemptEnd>, LedgerError> {
        let below = below.map_or(i64::MAX, |epoch| i64::try_from(epoch).unwrap_or(i64::MAX));
        let limit = limit.clamp(1, PAGE_MAX as usize) as i64;
        with_conn!(self.history.read, |conn| conn.attempts(id, below, limit))
    }
}

/// Reads jobs in the order of `ids`, and shares names with the jobs that were read before.
pub(super) async fn read_jobs<C: Connection>(
    conn: &mut C,
    ids: &[JobId],
    lock: RowLock,
    names: &mut NamePool,
) -> Result<Vec<Option<Job>>, DatabaseError> {
    let mut found = Vec::with_capacity(ids.len());
    while found.len() < ids.len() {
        found.extend(read_first_jobs(conn, &ids[found.len()..], lock, names).await?);
    }
    Ok(found)
}

/// Reads the first of the jobs: as many as one statement returns.
pub(super) async fn read_first_jobs<C: Connection>(
    conn: &mut C,
    ids: &[JobId],
    lock: RowLock,
    names: &mut NamePool,
) -> Result<Vec<Option<Job>>, DatabaseError> {
    let stored = conn.stored_jobs(&ids[..ids.len().min(C::BATCH_SIZE)], lock).await?;
    let decoded = ids.iter().zip(stored).map(|(id, stored)| {
        let job = stored.map(|stored| {
            codec::decode_job(*id, Bytes::from(stored.spec), Bytes::from(stored.status), names)
        });
        Ok(job.transpose()?)
    });
    decoded.collect()
}

/// The index has a sorted range for each pair of queue and state, so the ranges are merged.
async fn live_jobs<C: Connection>(
    conn: &mut C,
    after: Option<JobId>,
    limit: usize,
) -> Result<Vec<Job>, DatabaseError> {
    let states = State::ALL.into_iter().filter(|state| !state.is_terminal());
    let mut sources = Vec::new();
    for queue in queue_names(conn).await? {
        sources.extend(states.clone().map(|state| Source::State(queue.clone(), state)));
    }
    let mut merge = Merge::new(sources, Direction::Ascending { after }, limit);
    let mut names = NamePool::default();
    let mut found = Vec::new();
    while found.len() < limit {
        let step = merge.take(conn, C::BATCH_SIZE.min(limit - found.len())).await?;
        if step.is_empty() {
            break;
        }
        let ids: Vec<JobId> = step.into_iter().map(|candidate| candidate.id).collect();
        let jobs = read_jobs(conn, &ids, RowLock::None, &mut names).await?;
        found.extend(jobs.into_iter().flatten());
    }
    Ok(found)
}

//! Look-ups by key, and what a start needs.

use bytes::Bytes;
use sentinel_domain::limits::PAGE_MAX;
use sentinel_domain::{AttemptEnd, Job, JobId, Millis, Queue, State, UniqueKey};
use sentinel_store::codec::{self, Names};
use sentinel_store::{IdempotencyRecord, Position, content_hash};

use super::scan::{Merge, queue_names};
use crate::rows::{Direction, Lock, Rows, Source};
use crate::sql::Fault;

/// How far the journal has been projected.
pub(crate) async fn checkpoint<R: Rows>(rows: &mut R) -> Result<Position, Fault> {
    Ok(rows.checkpoint().await?.0)
}

/// When the last projected entry was committed.
pub(crate) async fn as_of<R: Rows>(rows: &mut R) -> Result<Millis, Fault> {
    Ok(rows.checkpoint().await?.1)
}

/// The jobs in the order asked.
pub(crate) async fn get<R: Rows>(rows: &mut R, ids: &[JobId]) -> Result<Vec<Option<Job>>, Fault> {
    let mut names = Names::default();
    jobs(rows, ids, Lock::Free, &mut names).await
}

/// The same, in a walk that knows names already.
pub(super) async fn jobs<R: Rows>(
    rows: &mut R,
    ids: &[JobId],
    lock: Lock,
    names: &mut Names,
) -> Result<Vec<Option<Job>>, Fault> {
    let mut found = Vec::with_capacity(ids.len());
    while found.len() < ids.len() {
        found.extend(first_jobs(rows, &ids[found.len()..], lock, names).await?);
    }
    Ok(found)
}

/// As many of them as are read at once.
pub(super) async fn first_jobs<R: Rows>(
    rows: &mut R,
    ids: &[JobId],
    lock: Lock,
    names: &mut Names,
) -> Result<Vec<Option<Job>>, Fault> {
    let stored = rows.stored(&ids[..ids.len().min(R::STEP)], lock).await?;
    let decoded = ids.iter().zip(stored).map(|(id, stored)| {
        let job = stored.map(|stored| {
            codec::decode_job(*id, Bytes::from(stored.spec), Bytes::from(stored.status), names)
        });
        Ok(job.transpose()?)
    });
    decoded.collect()
}

/// Keys that are held beyond `now`, with their holders.
pub(crate) async fn held_keys<R: Rows>(
    rows: &mut R,
    now: Millis,
) -> Result<Vec<(UniqueKey, JobId, Millis)>, Fault> {
    let held = rows.held_keys(now).await?;
    Ok(held
        .into_iter()
        .map(|(key, job, until)| (UniqueKey::from_bytes(&key), job, until))
        .collect())
}

/// Where producers stand, of those that are remembered beyond `now`.
pub(crate) async fn producers<R: Rows>(
    rows: &mut R,
    now: Millis,
) -> Result<Vec<IdempotencyRecord>, Fault> {
    let found = rows.producers(now).await?;
    let memories = found.into_iter().map(|(id, answer, until)| IdempotencyRecord {
        content_hash: content_hash(&answer),
        id: id.into(),
        answer: answer.into(),
        until,
    });
    Ok(memories.collect())
}

/// Jobs that are not final, by rising id. Every queue and state has its own sorted range
/// in the index, so the ranges are merged.
pub(crate) async fn live<R: Rows>(
    rows: &mut R,
    after: Option<JobId>,
    limit: usize,
) -> Result<Vec<Job>, Fault> {
    let states = State::ALL.into_iter().filter(|state| !state.is_terminal());
    let mut sources = Vec::new();
    for queue in queue_names(rows).await? {
        sources.extend(states.clone().map(|state| Source::State(queue.clone(), state)));
    }
    let mut merge = Merge::new(sources, Direction::Rising { after }, limit);
    let mut names = Names::default();
    let mut found = Vec::new();
    while found.len() < limit {
        let step = merge.take(rows, R::STEP.min(limit - found.len())).await?;
        if step.is_empty() {
            break;
        }
        let ids: Vec<JobId> = step.into_iter().map(|candidate| candidate.id).collect();
        found.extend(jobs(rows, &ids, Lock::Free, &mut names).await?.into_iter().flatten());
    }
    Ok(found)
}

/// Every declared queue, by name.
pub(crate) async fn queues<R: Rows>(rows: &mut R) -> Result<Vec<Queue>, Fault> {
    let mut names = Names::default();
    let found = rows.queues().await?;
    found.into_iter().map(|row| Ok(codec::decode_queue(Bytes::from(row), &mut names)?)).collect()
}

/// The attempts of a job that ended without success, newest first, below an epoch.
pub(crate) async fn attempts<R: Rows>(
    rows: &mut R,
    id: JobId,
    below: Option<u64>,
    limit: usize,
) -> Result<Vec<AttemptEnd>, Fault> {
    let below = below.map_or(i64::MAX, |epoch| i64::try_from(epoch).unwrap_or(i64::MAX));
    rows.attempts(id, below, limit.clamp(1, PAGE_MAX as usize) as i64).await
}

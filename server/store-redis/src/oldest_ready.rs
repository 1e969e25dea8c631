//! The time since when the oldest ready job of a queue has been ready: the lowest score in the
//! queue's ready sets.

use bytes::{Buf, Bytes};
use redis::Value;
use sentinel_domain::{Millis, Name};
use sentinel_store::StoreError;

use crate::error::damaged;
use crate::job_record::take;
use crate::keys::Keys;
use crate::reader::Reader;
use crate::reply;

/// The maximum number of ready sets that one search reads, at least one per queue.
const READY_SETS_MAX: usize = 4_000;

/// The number of queues or ready sets per transaction, which blocks Redis.
const STEP: usize = 250;

/// Returns the times in the order of `queues`; `None` for a queue without ready jobs.
pub(crate) async fn oldest_ready(
    reader: &Reader,
    keys: &Keys,
    queues: Vec<Name>,
) -> Result<Vec<Option<Millis>>, StoreError> {
    let mut ready_sets: Vec<(usize, String)> = Vec::new();
    for (nth, part) in queues.chunks(STEP).enumerate() {
        let mut pipeline = reader.begin();
        for queue in part {
            pipeline.cmd("HGETALL").arg(keys.classes_of(queue));
        }
        let (_, replies) = reader.query(&pipeline).await?;
        for (at, (queue, classes)) in part.iter().zip(replies).enumerate() {
            let found = ready_sets_of(keys, queue, classes)?;
            let room = READY_SETS_MAX.saturating_sub(ready_sets.len()).max(1);
            ready_sets.extend(found.into_iter().take(room).map(|key| (nth * STEP + at, key)));
        }
    }
    let mut oldest: Vec<Option<Millis>> = vec![None; queues.len()];
    for part in ready_sets.chunks(STEP) {
        let mut pipeline = reader.begin();
        for (_, key) in part {
            pipeline.cmd("ZRANGE").arg(key).arg(0).arg(0).arg("WITHSCORES");
        }
        let (_, replies) = reader.query(&pipeline).await?;
        for ((queue, _), head) in part.iter().zip(replies) {
            // The ready set may have become empty in the meantime.
            let Some(score) = reply::array(head)?.into_iter().nth(1) else { continue };
            let ready_at = decode_score(&reply::bytes(score)?)?;
            oldest[*queue] = [oldest[*queue], Some(ready_at)].into_iter().flatten().min();
        }
    }
    Ok(oldest)
}

/// Returns the keys of the non-empty ready sets of a queue.
fn ready_sets_of(keys: &Keys, queue: &str, classes: Value) -> Result<Vec<String>, StoreError> {
    let mut values = reply::array(classes)?.into_iter();
    let mut found = Vec::new();
    while let (Some(kind), Some(row)) = (values.next(), values.next()) {
        let (kind, mut row) = (reply::bytes(kind)?, reply::bytes(row)?);
        // The number of waiting jobs, then the bit mask of priorities with ready jobs.
        take(&mut row, 8)?;
        let mask = take(&mut row, 2)?.get_u16();
        let kind = reply::text(&kind)?;
        let has_jobs = |priority: &u16| mask >> priority & 1 == 1;
        let priorities = (0..16).filter(has_jobs);
        found.extend(priorities.map(|priority| keys.ready_set(queue, kind, priority)));
    }
    Ok(found)
}

/// Decodes a score, which Redis may print with a fraction or an exponent.
fn decode_score(score: &Bytes) -> Result<Millis, StoreError> {
    let ms: f64 = reply::text(score)?.parse().map_err(damaged)?;
    Ok(ms as Millis)
}

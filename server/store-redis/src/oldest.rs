//! Since when the oldest ready job of a queue has been: from the heads of its lanes, which are
//! sorted by that.

use bytes::{Buf, Bytes};
use redis::Value;
use sentinel_domain::{Millis, Name};
use sentinel_store::StoreError;

use crate::error::damaged;
use crate::keys::Keys;
use crate::read::Reads;
use crate::record::take;
use crate::reply;

/// Lanes that one search looks at, of all queues; one of a queue is always looked at.
const LANES_MAX: usize = 4_000;

/// Queues of one step, and lanes of one: Redis does nothing else meanwhile.
const STEP: usize = 250;

/// In the order asked.
pub(crate) async fn ready(
    reads: &Reads,
    keys: &Keys,
    queues: Vec<Name>,
) -> Result<Vec<Option<Millis>>, StoreError> {
    let mut lanes: Vec<(usize, String)> = Vec::new();
    for (nth, some) in queues.chunks(STEP).enumerate() {
        let mut pipeline = reads.begin();
        for queue in some {
            pipeline.cmd("HGETALL").arg(keys.classes_of(queue));
        }
        let (_, answers) = reads.all(&pipeline).await?;
        for (at, (queue, classes)) in some.iter().zip(answers).enumerate() {
            let found = lanes_of(keys, queue, classes)?;
            let room = LANES_MAX.saturating_sub(lanes.len()).max(1);
            lanes.extend(found.into_iter().take(room).map(|lane| (nth * STEP + at, lane)));
        }
    }
    let mut oldest: Vec<Option<Millis>> = vec![None; queues.len()];
    for some in lanes.chunks(STEP) {
        let mut pipeline = reads.begin();
        for (_, lane) in some {
            pipeline.cmd("ZRANGE").arg(lane).arg(0).arg(0).arg("WITHSCORES");
        }
        let (_, answers) = reads.all(&pipeline).await?;
        for ((queue, _), head) in some.iter().zip(answers) {
            // A lane that was emptied meanwhile has none.
            let Some(score) = reply::array(head)?.into_iter().nth(1) else { continue };
            let ready_at = time(&reply::bytes(score)?)?;
            oldest[*queue] = [oldest[*queue], Some(ready_at)].into_iter().flatten().min();
        }
    }
    Ok(oldest)
}

/// The lanes of a queue that hold jobs.
fn lanes_of(keys: &Keys, queue: &str, classes: Value) -> Result<Vec<String>, StoreError> {
    let mut words = reply::array(classes)?.into_iter();
    let mut lanes = Vec::new();
    while let (Some(kind), Some(row)) = (words.next(), words.next()) {
        let (kind, mut row) = (reply::bytes(kind)?, reply::bytes(row)?);
        // How many wait is in front of which priorities have ready jobs.
        take(&mut row, 8)?;
        let mask = take(&mut row, 2)?.get_u16();
        let kind = reply::text(&kind)?;
        let has_jobs = |priority: &u16| mask >> priority & 1 == 1;
        lanes.extend((0..16).filter(has_jobs).map(|priority| keys.lane(queue, kind, priority)));
    }
    Ok(lanes)
}

/// A score, which Redis prints as a number that may have a fraction or an exponent.
fn time(score: &Bytes) -> Result<Millis, StoreError> {
    let ms: f64 = reply::text(score)?.parse().map_err(damaged)?;
    Ok(ms as Millis)
}

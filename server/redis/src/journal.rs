//! Entries of the journal, from the stream that holds them.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use prost::Message;
use redis::Value;
use sentinel_broker::codec::{self, Names};
use sentinel_broker::{Entry, JobEvent, Position, RequestMemory, StoreError, stored};

use crate::error::damaged;
use crate::record;
use crate::reply::{array, bytes, take_id, take_sized, text};

/// Where an entry is in the stream.
pub(crate) fn stream_id(position: Position) -> String {
    position.to_string()
}

/// The entries that XRANGE gave.
pub(crate) fn entries(value: Value, names: &mut Names) -> Result<Vec<Arc<Entry>>, StoreError> {
    array(value)?.into_iter().map(|value| entry(value, names).map(Arc::new)).collect()
}

fn entry(value: Value, names: &mut Names) -> Result<Entry, StoreError> {
    let strange = || damaged("an entry of the journal is not whole");
    let [id, fields] = <[Value; 2]>::try_from(array(value)?).map_err(|_| strange())?;
    let position = text(&bytes(id)?)?.parse().map_err(damaged)?;
    let [_, at, _, events] = <[Value; 4]>::try_from(array(fields)?).map_err(|_| strange())?;
    let at = text(&bytes(at)?)?.parse().map_err(damaged)?;
    let (jobs, queues, requests) = Default::default();
    let mut entry = Entry { position, at, jobs, queues, requests };
    let mut events = bytes(events)?;
    while events.has_remaining() {
        event(&mut events, &mut entry, names)?;
    }
    Ok(entry)
}

fn event(events: &mut Bytes, entry: &mut Entry, names: &mut Names) -> Result<(), StoreError> {
    match events.get_u8() {
        b'J' => {
            let id = take_id(events)?;
            let status = record::decode_next(events, names)?;
            entry.jobs.push(JobEvent { id, status, spec: None, new: None, end: None });
        }
        b'N' => {
            let spec = take_sized(events)?;
            let job = last(entry)?;
            job.spec = Some(Arc::new(codec::decode_spec(spec.clone(), names).map_err(damaged)?));
            job.new = Some(spec);
        }
        b'E' => {
            let end = stored::AttemptEnd::decode(take_sized(events)?).map_err(damaged)?;
            last(entry)?.end = Some(codec::to_end(end, names).map_err(damaged)?);
        }
        b'Q' => {
            let queue = take_sized(events)?;
            entry.queues.push(codec::decode_queue(queue, names).map_err(damaged)?);
        }
        b'M' => {
            let id = take_sized(events)?;
            let mut row = take_sized(events)?;
            let mut head = record::take(&mut row, 16)?;
            let (until, content_hash) = (head.get_i64(), head.get_u64());
            let id = text(&id)?.into();
            entry.requests.push(RequestMemory { id, content_hash, answer: row, until });
        }
        other => return Err(damaged(format!("an event of the unknown sort {other}"))),
    }
    Ok(())
}

fn last(entry: &mut Entry) -> Result<&mut JobEvent, StoreError> {
    entry.jobs.last_mut().ok_or_else(|| damaged("an event before its job"))
}

//! Entries of the journal, from the stream that holds them.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use prost::Message;
use redis::Value;
use sentinel_store::codec::{self, NamePool};
use sentinel_store::{JournalEntry, IdempotencyRecord, JobEvent, Position, StoreError, stored};

use crate::error::damaged;
use crate::record;
use crate::reply::{array, bytes, take_id, take_sized, text};

/// Where an entry is in the stream.
pub(crate) fn stream_id(position: Position) -> String {
    position.to_string()
}

/// The entries that XRANGE gave.
pub(crate) fn entries(value: Value, names: &mut NamePool) -> Result<Vec<Arc<JournalEntry>>, StoreError> {
    array(value)?.into_iter().map(|value| entry(value, names).map(Arc::new)).collect()
}

fn entry(value: Value, names: &mut NamePool) -> Result<JournalEntry, StoreError> {
    let strange = || damaged("an entry of the journal is not whole");
    let [id, fields] = <[Value; 2]>::try_from(array(value)?).map_err(|_| strange())?;
    let position = text(&bytes(id)?)?.parse().map_err(damaged)?;
    let (jobs, queues, requests) = Default::default();
    let mut entry = JournalEntry { position, at: 0, jobs, queues, idempotency_records: requests };
    let mut fields = array(fields)?.into_iter();
    while let (Some(field), Some(value)) = (fields.next(), fields.next()) {
        let (field, mut value) = (bytes(field)?, bytes(value)?);
        if &field[..] != b"+" {
            event(&field, value, &mut entry, names)?;
            continue;
        }
        // What was more than one entry takes fields.
        while value.has_remaining() {
            let (field, value) = (take_sized(&mut value)?, take_sized(&mut value)?);
            event(&field, value, &mut entry, names)?;
        }
    }
    Ok(entry)
}

/// A field and its value: the id of a job and the job, or a letter and what it stands for.
fn event(
    field: &Bytes,
    mut value: Bytes,
    entry: &mut JournalEntry,
    names: &mut NamePool,
) -> Result<(), StoreError> {
    match &field[..] {
        b"t" => entry.at = text(&value)?.parse().map_err(damaged)?,
        b"N" => {
            let spec = codec::decode_spec(value.clone(), names).map_err(damaged)?;
            let job = last(entry)?;
            job.spec = Some(Arc::new(spec));
            job.encoded_spec = Some(value);
        }
        b"E" => {
            let end = stored::AttemptEnd::decode(value).map_err(damaged)?;
            last(entry)?.attempt_end = Some(codec::to_attempt_end(end, names).map_err(damaged)?);
        }
        b"Q" => entry.queues.push(codec::decode_queue(value, names).map_err(damaged)?),
        b"M" => {
            let id = take_sized(&mut value)?;
            let mut head = record::take(&mut value, 16)?;
            let (until, content_hash) = (head.get_i64(), head.get_u64());
            let id = text(&id)?.into();
            entry.idempotency_records.push(IdempotencyRecord { id, content_hash, response: value, expires_at: until });
        }
        id if id.len() == 16 => {
            let id = take_id(&mut field.clone())?;
            let status = record::decode_status(value, names)?;
            entry.jobs.push(JobEvent { id, status, spec: None, encoded_spec: None, attempt_end: None });
        }
        // As in PNG: a small letter may be passed over by who does not know it.
        [letter] if letter.is_ascii_lowercase() => {}
        other => {
            let sort = other.escape_ascii();
            let reason = format!("an event of the unknown sort {sort}: start a newer version");
            return Err(damaged(reason));
        }
    }
    Ok(())
}

fn last(entry: &mut JournalEntry) -> Result<&mut JobEvent, StoreError> {
    entry.jobs.last_mut().ok_or_else(|| damaged("an event before its job"))
}

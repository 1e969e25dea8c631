//! Decodes journal entries from the Redis stream.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use prost::Message;
use redis::Value;
use sentinel_store::codec::{self, NamePool};
use sentinel_store::{IdempotencyRecord, JobEvent, JournalEntry, Position, StoreError, stored};

use crate::error::damaged;
use crate::job_record;
use crate::reply::{array, bytes, take_id, take_with_length, text};

/// Returns the stream id of an entry.
pub(crate) fn stream_id(position: Position) -> String {
    position.to_string()
}

/// Decodes the reply of XRANGE.
pub(crate) fn entries(
    value: Value,
    names: &mut NamePool,
) -> Result<Vec<Arc<JournalEntry>>, StoreError> {
    array(value)?.into_iter().map(|value| entry(value, names).map(Arc::new)).collect()
}

fn entry(value: Value, names: &mut NamePool) -> Result<JournalEntry, StoreError> {
    let truncated = || damaged("a truncated journal entry");
    let [id, fields] = <[Value; 2]>::try_from(array(value)?).map_err(|_| truncated())?;
    let position = text(&bytes(id)?)?.parse().map_err(damaged)?;
    let (jobs, queues, requests) = Default::default();
    let mut entry = JournalEntry { position, at: 0, jobs, queues, idempotency_records: requests };
    let mut fields = array(fields)?.into_iter();
    while let (Some(field), Some(value)) = (fields.next(), fields.next()) {
        let (field, mut value) = (bytes(field)?, bytes(value)?);
        if &field[..] != b"+" {
            decode_event(&field, value, &mut entry, names)?;
            continue;
        }
        // The events beyond the maximum number of fields.
        while value.has_remaining() {
            let (field, value) = (take_with_length(&mut value)?, take_with_length(&mut value)?);
            decode_event(&field, value, &mut entry, names)?;
        }
    }
    Ok(entry)
}

/// Decodes a field and its value: a job id and the job, or a letter and its data.
fn decode_event(
    field: &Bytes,
    mut value: Bytes,
    entry: &mut JournalEntry,
    names: &mut NamePool,
) -> Result<(), StoreError> {
    match &field[..] {
        b"t" => entry.at = text(&value)?.parse().map_err(damaged)?,
        b"N" => {
            let spec = codec::decode_spec(value.clone(), names).map_err(damaged)?;
            let job = last_job(entry)?;
            job.spec = Some(Arc::new(spec));
            job.encoded_spec = Some(value);
        }
        b"E" => {
            let end = stored::AttemptEnd::decode(value).map_err(damaged)?;
            last_job(entry)?.attempt_end =
                Some(codec::to_attempt_end(end, names).map_err(damaged)?);
        }
        b"Q" => entry.queues.push(codec::decode_queue(value, names).map_err(damaged)?),
        b"M" => {
            let id = take_with_length(&mut value)?;
            let mut head = job_record::take(&mut value, 16)?;
            let (until, content_hash) = (head.get_i64(), head.get_u64());
            let id = text(&id)?.into();
            entry.idempotency_records.push(IdempotencyRecord {
                id,
                content_hash,
                response: value,
                expires_at: until,
            });
        }
        id if id.len() == 16 => {
            let id = take_id(&mut field.clone())?;
            let status = job_record::decode_status(value, names)?;
            entry.jobs.push(JobEvent {
                id,
                status,
                spec: None,
                encoded_spec: None,
                attempt_end: None,
            });
        }
        // An unknown lower-case letter can be ignored, as in PNG.
        [letter] if letter.is_ascii_lowercase() => {}
        other => {
            let kind = other.escape_ascii();
            return Err(damaged(format!("an event of unknown kind {kind}: start a newer version")));
        }
    }
    Ok(())
}

fn last_job(entry: &mut JournalEntry) -> Result<&mut JobEvent, StoreError> {
    entry.jobs.last_mut().ok_or_else(|| damaged("an event without a job"))
}

//! The encoding of a job in Redis: a header of fixed layout, then a part that is opaque to scripts.
//! Scripts read the header and rewrite it for start, promotion and progress. `lua/record.lua` has
//! the same offsets.
//!
//! A missing time is [`NEVER`] if scripts compare it, and [`ABSENT`] otherwise.

use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use sentinel_domain::{
    Job, JobId, Millis, State, Status, held_key, limits::RUN_TIMEOUT_SLACK_MS, next_deadline,
};
use sentinel_store::codec::{self, NamePool, code};
use sentinel_store::{StoreError, stored};

use crate::error::damaged;

/// The version of the layout.
const FORMAT: u8 = 1;
/// The size of the header in bytes.
const HEADER_BYTES: usize = 132;

const NEVER: Millis = Millis::MAX;
const ABSENT: Millis = Millis::MIN;

/// Encodes a job id as a member or hash field.
pub(crate) fn id_bytes(id: JobId) -> [u8; 16] {
    id.as_u128().to_be_bytes()
}

/// Returns the message of the opaque part. The fields in the header are empty.
fn opaque_part(status: &Status) -> stored::Status {
    let mut rest = codec::from_status(status);
    rest.state = 0;
    rest.reason = 0;
    rest.version = 0;
    rest.run = 0;
    rest.attempt = 0;
    rest.crashes = 0;
    rest.epoch = 0;
    rest.ready_at_ms = 0;
    rest.updated_at_ms = 0;
    rest.started_at_ms = None;
    rest.finished_at_ms = None;
    rest.lease = None;
    rest.progress = None;
    rest.waiting_for.clear();
    rest.worker.clear();
    rest
}

/// Encodes progress: its sequence number, which scripts compare, then the message.
pub(crate) fn encode_progress(progress: &sentinel_domain::Progress) -> Vec<u8> {
    let message = stored::Progress {
        seq: 0,
        done: progress.done,
        total: progress.total,
        message: progress.message.to_string(),
    };
    let mut bytes = Vec::with_capacity(8 + message.encoded_len());
    bytes.put_u64(progress.seq);
    message.encode(&mut bytes).expect("a vector grows");
    bytes
}

fn decode_progress(mut bytes: Bytes) -> Result<Option<stored::Progress>, StoreError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.len() < 8 {
        return Err(damaged("progress without its sequence number"));
    }
    let seq = bytes.get_u64();
    let message = stored::Progress::decode(bytes).map_err(damaged)?;
    Ok(Some(stored::Progress { seq, ..message }))
}

/// Returns the timeout of a new lease, relative to its grant.
fn timeout_ms(job: &Job) -> Millis {
    let timeout_ms = job.spec.run_timeout_ms.map(|ms| ms.saturating_add(RUN_TIMEOUT_SLACK_MS));
    timeout_ms.map_or(NEVER, |ms| Millis::try_from(ms).unwrap_or(NEVER))
}

/// Encodes a job.
pub(crate) fn encode(job: &Job) -> Vec<u8> {
    let (status, spec) = (&job.status, &job.spec);
    let held = held_key(job);
    let held_until = held.as_ref().map_or(ABSENT, |(_, until)| until.unwrap_or(NEVER));
    // Always includes the unique key: a job that does not hold it now may hold it later.
    let key = sentinel_domain::unique_key(spec);
    let key = key.as_ref().map_or(&[][..], |key| key.as_bytes());
    let worker = status.worker.as_deref().unwrap_or_default();
    let progress = status.progress.as_deref().map(encode_progress).unwrap_or_default();
    let rest = opaque_part(status);
    let unknown_fields = status.unknown_fields.as_deref().unwrap_or_default();
    let rest_len = rest.encoded_len() + unknown_fields.len();
    let names = spec.queue.len() + 1 + spec.kind.len();
    let variable = names + key.len() + 16 * status.waiting_for.len() + worker.len();
    let mut bytes = Vec::with_capacity(HEADER_BYTES + variable + progress.len() + rest_len);
    bytes.put_u8(FORMAT);
    bytes.put_u8(code::from_state(status.state) as u8);
    bytes.put_u8(code::from_reason(status.reason) as u8);
    bytes.put_u8(spec.priority);
    bytes.put_u64(status.version);
    bytes.put_i64(status.updated_at);
    bytes.put_u64(status.epoch);
    bytes.put_u32(status.attempt);
    bytes.put_i64(status.started_at.unwrap_or(ABSENT));
    bytes.put_i64(next_deadline(job).unwrap_or(NEVER));
    bytes.put_i64(status.lease.map_or(ABSENT, |lease| lease.granted_at));
    bytes.put_u128(status.lease.map_or(0, |lease| lease.id.session.as_u128()));
    bytes.put_u32(status.run);
    bytes.put_u32(status.crashes);
    bytes.put_i64(status.ready_at);
    bytes.put_i64(status.finished_at.unwrap_or(ABSENT));
    bytes.put_i64(timeout_ms(job));
    bytes.put_i64(held_until);
    bytes.put_u32(spec.payload.len() as u32);
    bytes.put_u8(spec.queue.len() as u8);
    bytes.put_u8(spec.kind.len() as u8);
    bytes.put_u16(key.len() as u16);
    bytes.put_u16(status.waiting_for.len() as u16);
    bytes.put_u16(worker.len() as u16);
    bytes.put_u32(progress.len() as u32);
    bytes.put_u32(rest_len as u32);
    debug_assert_eq!(bytes.len(), HEADER_BYTES);
    bytes.put_slice(spec.queue.as_bytes());
    bytes.put_u8(0);
    bytes.put_slice(spec.kind.as_bytes());
    bytes.put_slice(key);
    for parent in &status.waiting_for {
        bytes.put_slice(&id_bytes(*parent));
    }
    bytes.put_slice(worker.as_bytes());
    bytes.put_slice(&progress);
    rest.encode(&mut bytes).expect("a vector grows");
    bytes.put_slice(unknown_fields);
    bytes
}

fn present(at: Millis) -> Option<Millis> {
    (at != ABSENT).then_some(at)
}

fn id_of(bits: u128) -> stored::Id {
    stored::Id { high: (bits >> 64) as u64, low: bits as u64 }
}

/// Splits off the next `len` bytes.
pub(crate) fn take(bytes: &mut Bytes, len: usize) -> Result<Bytes, StoreError> {
    if bytes.len() < len {
        return Err(damaged(format!("expected {len} bytes, found {}", bytes.len())));
    }
    Ok(bytes.split_to(len))
}

fn take_text(bytes: &mut Bytes, len: usize) -> Result<String, StoreError> {
    String::from_utf8(take(bytes, len)?.into()).map_err(damaged)
}

/// Decodes the status of a job.
pub(crate) fn decode_status(mut bytes: Bytes, names: &mut NamePool) -> Result<Status, StoreError> {
    let mut head = take(&mut bytes, HEADER_BYTES)?;
    let format = head.get_u8();
    if format != FORMAT {
        return Err(damaged(format!(
            "a job has format {format}, this version supports {FORMAT}: start a newer version"
        )));
    }
    let (state, reason) = (u32::from(head.get_u8()), u32::from(head.get_u8()));
    head.advance(1);
    let (version, updated_at_ms, epoch) = (head.get_u64(), head.get_i64(), head.get_u64());
    let (attempt, started_at, _deadline) = (head.get_u32(), head.get_i64(), head.get_i64());
    let (granted_at_ms, session) = (head.get_i64(), head.get_u128());
    let (run, crashes, ready_at_ms) = (head.get_u32(), head.get_u32(), head.get_i64());
    let finished_at = head.get_i64();
    head.advance(8 + 8 + 4);
    let names_len = usize::from(head.get_u8()) + 1 + usize::from(head.get_u8());
    let key_len = usize::from(head.get_u16());
    let parent_count = head.get_u16();
    let worker_len = usize::from(head.get_u16());
    let (progress_len, rest_len) = (head.get_u32() as usize, head.get_u32() as usize);
    take(&mut bytes, names_len + key_len)?;
    let mut parents = take(&mut bytes, usize::from(parent_count) * 16)?;
    let waiting_for = (0..parent_count).map(|_| id_of(parents.get_u128())).collect();
    let worker = take_text(&mut bytes, worker_len)?;
    let progress = decode_progress(take(&mut bytes, progress_len)?)?;
    let rest = take(&mut bytes, rest_len)?;
    let unknown_fields = codec::unknown_status_fields(&rest).map_err(damaged)?;
    let rest = stored::Status::decode(rest).map_err(damaged)?;
    let is_running = code::to_state(state).map_err(damaged)? == State::Running;
    let lease = is_running.then(|| stored::Lease { session: Some(id_of(session)), granted_at_ms });
    let whole = stored::Status {
        state,
        reason,
        version,
        run,
        attempt,
        crashes,
        epoch,
        ready_at_ms,
        updated_at_ms,
        started_at_ms: present(started_at),
        finished_at_ms: present(finished_at),
        lease,
        progress,
        waiting_for,
        worker,
        ..rest
    };
    Ok(Status { unknown_fields, ..codec::to_status(whole, names).map_err(damaged)? })
}

/// Decodes a job from its record and its spec.
pub(crate) fn decode(
    id: JobId,
    stored: Bytes,
    spec: Bytes,
    names: &mut NamePool,
) -> Result<Job, StoreError> {
    let spec = codec::decode_spec(spec, names).map_err(damaged)?;
    Ok(Job { id, spec: spec.into(), status: decode_status(stored, names)? })
}

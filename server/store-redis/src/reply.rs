//! Decodes replies, in particular that of the commit script.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use redis::Value;
use sentinel_domain::{Job, JobId, Millis, Name, SessionId, UniqueKey};
use sentinel_store::codec::{self, NamePool};
use sentinel_store::{CommitResult, Conflict, Position, ServerId, StoreError, TransactionResult};

use crate::error::damaged;
use crate::job_record::{self, take};

/// Returns the bytes of a reply.
pub(crate) fn bytes(value: Value) -> Result<Bytes, StoreError> {
    match value {
        Value::BulkString(bytes) => Ok(bytes.into()),
        Value::SimpleString(text) => Ok(text.into()),
        other => Err(damaged(format!("expected bytes, got {other:?}"))),
    }
}

/// Returns the bytes of a reply; `None` for nil.
pub(crate) fn maybe_bytes(value: Value) -> Result<Option<Bytes>, StoreError> {
    if value == Value::Nil { Ok(None) } else { bytes(value).map(Some) }
}

/// Returns the elements of an array reply.
pub(crate) fn array(value: Value) -> Result<Vec<Value>, StoreError> {
    match value {
        Value::Array(values) => Ok(values),
        other => Err(damaged(format!("expected an array, got {other:?}"))),
    }
}

/// Returns a number.
pub(crate) fn number(value: Value) -> Result<u64, StoreError> {
    let text = match value {
        Value::Int(number) => return u64::try_from(number).map_err(damaged),
        other => bytes(other)?,
    };
    let text = std::str::from_utf8(&text).map_err(damaged)?;
    text.parse().map_err(damaged)
}

/// Decodes a position from epoch and sequence number; `None` if they are missing.
pub(crate) fn maybe_position(value: Value) -> Result<Option<Position>, StoreError> {
    let mut words = array(value)?.into_iter();
    match (words.next().unwrap_or_default(), words.next().unwrap_or_default()) {
        (Value::Nil, _) | (_, Value::Nil) => Ok(None),
        (epoch, seq) => Ok(Some(Position { epoch: number(epoch)?, seq: number(seq)? })),
    }
}

pub(crate) fn take_u32(bytes: &mut Bytes) -> Result<usize, StoreError> {
    Ok(take(bytes, 4)?.get_u32() as usize)
}

/// Splits off bytes that `with_length` wrote.
pub(crate) fn take_with_length(bytes: &mut Bytes) -> Result<Bytes, StoreError> {
    let len = take_u32(bytes)?;
    take(bytes, len)
}

pub(crate) fn take_id(bytes: &mut Bytes) -> Result<JobId, StoreError> {
    Ok(JobId::from_u128(take(bytes, 16)?.get_u128()))
}

pub(crate) fn text(bytes: &[u8]) -> Result<&str, StoreError> {
    std::str::from_utf8(bytes).map_err(damaged)
}

/// Decodes jobs, each of which is an id, a stored job and a spec.
pub(crate) fn jobs(value: Value, names: &mut NamePool) -> Result<Vec<Arc<Job>>, StoreError> {
    let mut values = array(value)?.into_iter();
    let mut found = Vec::with_capacity(values.len() / 3);
    while let (Some(id), Some(job), Some(spec)) = (values.next(), values.next(), values.next()) {
        let id = take_id(&mut bytes(id)?)?;
        found.push(Arc::new(job_record::decode(id, bytes(job)?, bytes(spec)?, names)?));
    }
    Ok(found)
}

/// A reply of the commit script. It contains the claimed jobs only as ids.
pub(crate) struct CommitReply {
    pub(crate) position: Position,
    pub(crate) results: Vec<TransactionResult>,
    /// The claimed jobs of each claim.
    pub(crate) claimed: Vec<Vec<JobId>>,
    pub(crate) ready: Vec<(Name, Name)>,
    pub(crate) next_due_at: Option<Millis>,
}

impl CommitReply {
    /// Adds the claimed jobs, which must have the order of their ids.
    pub(crate) fn with_jobs(self, jobs: Vec<Arc<Job>>) -> CommitResult {
        let mut jobs = jobs.into_iter();
        let claimed = self.claimed.iter().map(|ids| jobs.by_ref().take(ids.len()).collect());
        CommitResult {
            position: self.position,
            results: self.results,
            claimed: claimed.collect(),
            ready: self.ready,
            next_due_at: self.next_due_at,
        }
    }
}

/// Decodes a reply.
pub(crate) fn decode(mut reply: Bytes, names: &mut NamePool) -> Result<CommitReply, StoreError> {
    let position = Position { epoch: take_decimal(&mut reply)?, seq: take_decimal(&mut reply)? };
    let count = take_u32(&mut reply)?;
    let results = (0..count).map(|_| take_result(&mut reply, names)).collect::<Result<_, _>>()?;
    let count = take_u32(&mut reply)?;
    let sizes = (0..count).map(|_| take_u32(&mut reply)).collect::<Result<Vec<_>, _>>()?;
    let mut claimed = Vec::with_capacity(sizes.len());
    for size in sizes {
        claimed.push((0..size).map(|_| take_id(&mut reply)).collect::<Result<_, _>>()?);
    }
    let ready = classes(&mut reply, names)?;
    let wake = take(&mut reply, 8)?.get_i64();
    let next_due_at = (wake != Millis::MAX).then_some(wake);
    Ok(CommitReply { position, results, claimed, ready, next_due_at })
}

/// Decodes classes, which are pairs of queue and kind, and sorts them.
pub(crate) fn classes(
    reply: &mut Bytes,
    names: &mut NamePool,
) -> Result<Vec<(Name, Name)>, StoreError> {
    let count = take_u32(reply)?;
    let mut found = Vec::new();
    for _ in 0..count {
        let class = take_with_length(reply)?;
        let (queue, kind) =
            text(&class)?.split_once('\0').ok_or_else(|| damaged("a class without a kind"))?;
        found.push((names.intern(queue), names.intern(kind)));
    }
    found.sort();
    Ok(found)
}

/// Splits off a decimal number and the space after it.
fn take_decimal(reply: &mut Bytes) -> Result<u64, StoreError> {
    let end = reply.iter().position(|byte| *byte == b' ');
    let number = take(reply, end.ok_or_else(|| damaged("a reply without a position"))?)?;
    reply.advance(1);
    text(&number)?.parse().map_err(damaged)
}

fn take_result(reply: &mut Bytes, names: &mut NamePool) -> Result<TransactionResult, StoreError> {
    let conflict = match take(reply, 1)?.get_u8() {
        b'c' => return Ok(TransactionResult::Committed),
        b'r' => return Ok(TransactionResult::Replayed(take_with_length(reply)?)),
        b'u' => return Ok(TransactionResult::IdempotencyKeyReused),
        b'j' => {
            let id = take_id(reply)?;
            let current = if take_flag(reply)? {
                let (stored, spec) = (take_with_length(reply)?, take_with_length(reply)?);
                Some(Arc::new(job_record::decode(id, stored, spec, names)?))
            } else {
                None
            };
            Conflict::Job { id, current }
        }
        b'k' => {
            let key = UniqueKey::from_bytes(&take_with_length(reply)?);
            let holder = if take_flag(reply)? { Some(take_id(reply)?) } else { None };
            Conflict::Key { key, holder }
        }
        b's' => {
            let session = SessionId::from_u128(take(reply, 16)?.get_u128());
            let owner =
                if take_flag(reply)? { Some(ServerId(take(reply, 8)?.get_u64())) } else { None };
            Conflict::Session { session, owner }
        }
        b'q' => {
            let queue = if take_flag(reply)? { Some(take_with_length(reply)?) } else { None };
            let queue = queue.map(|queue| codec::decode_queue(queue, names)).transpose();
            Conflict::Queue(queue.map_err(damaged)?)
        }
        b'm' => {
            let id = text(&take_with_length(reply)?)?.into();
            let response = if take_flag(reply)? { Some(take_with_length(reply)?) } else { None };
            Conflict::IdempotencyRecord { id, response }
        }
        b't' => {
            let queue = names.intern(text(&take_with_length(reply)?)?);
            let count = take_u32(reply)?;
            let mut kinds = Vec::with_capacity(count);
            for _ in 0..count {
                kinds.push(names.intern(text(&take_with_length(reply)?)?));
            }
            Conflict::TooManyKinds { queue, kinds }
        }
        other => return Err(damaged(format!("a transaction result of unknown kind {other}"))),
    };
    Ok(TransactionResult::Conflict(conflict))
}

fn take_flag(reply: &mut Bytes) -> Result<bool, StoreError> {
    Ok(take(reply, 1)?.get_u8() == 1)
}

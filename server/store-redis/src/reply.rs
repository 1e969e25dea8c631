//! What the commit script answers.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use redis::Value;
use sentinel_domain::{Job, JobId, Millis, Name, SessionId, UniqueKey};
use sentinel_store::codec::{self, NamePool};
use sentinel_store::{CommitResult, Conflict, Position, ServerId, StoreError, TransactionResult};

use crate::error::damaged;
use crate::record::{self, take};

/// The bytes of an answer.
pub(crate) fn bytes(value: Value) -> Result<Bytes, StoreError> {
    match value {
        Value::BulkString(bytes) => Ok(bytes.into()),
        Value::SimpleString(text) => Ok(text.into()),
        other => Err(damaged(format!("expected bytes, got {other:?}"))),
    }
}

/// The bytes of an answer, none where nothing is there.
pub(crate) fn maybe_bytes(value: Value) -> Result<Option<Bytes>, StoreError> {
    if value == Value::Nil { Ok(None) } else { bytes(value).map(Some) }
}

/// The parts of an answer.
pub(crate) fn array(value: Value) -> Result<Vec<Value>, StoreError> {
    match value {
        Value::Array(values) => Ok(values),
        other => Err(damaged(format!("expected an array, got {other:?}"))),
    }
}

/// A number.
pub(crate) fn number(value: Value) -> Result<u64, StoreError> {
    let text = match value {
        Value::Int(number) => return u64::try_from(number).map_err(damaged),
        other => bytes(other)?,
    };
    let text = std::str::from_utf8(&text).map_err(damaged)?;
    text.parse().map_err(damaged)
}

/// Where a store stands, from its epoch and its sequence number; none where it has neither.
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

/// What `sized` wrote.
pub(crate) fn take_sized(bytes: &mut Bytes) -> Result<Bytes, StoreError> {
    let len = take_u32(bytes)?;
    take(bytes, len)
}

pub(crate) fn take_id(bytes: &mut Bytes) -> Result<JobId, StoreError> {
    Ok(JobId::from_u128(take(bytes, 16)?.get_u128()))
}

pub(crate) fn text(bytes: &[u8]) -> Result<&str, StoreError> {
    std::str::from_utf8(bytes).map_err(damaged)
}

/// Jobs told as id, stored job and spec.
pub(crate) fn jobs(value: Value, names: &mut NamePool) -> Result<Vec<Arc<Job>>, StoreError> {
    let mut values = array(value)?.into_iter();
    let mut found = Vec::with_capacity(values.len() / 3);
    while let (Some(id), Some(job), Some(spec)) = (values.next(), values.next(), values.next()) {
        let id = take_id(&mut bytes(id)?)?;
        found.push(Arc::new(record::decode(id, bytes(job)?, bytes(spec)?, names)?));
    }
    Ok(found)
}

/// A reply as it is kept for a repeat: everything but the claimed jobs, of which it has the ids.
pub(crate) struct Told {
    pub(crate) position: Position,
    pub(crate) results: Vec<TransactionResult>,
    /// Per claim.
    pub(crate) claimed: Vec<Vec<JobId>>,
    pub(crate) ready: Vec<(Name, Name)>,
    pub(crate) next_due_at: Option<Millis>,
}

impl Told {
    /// Whole again, with the claimed jobs in the order of their ids.
    pub(crate) fn with(self, jobs: Vec<Arc<Job>>) -> CommitResult {
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

/// Reads a reply.
pub(crate) fn told(mut reply: Bytes, names: &mut NamePool) -> Result<Told, StoreError> {
    let position = Position { epoch: take_word(&mut reply)?, seq: take_word(&mut reply)? };
    let count = take_u32(&mut reply)?;
    let results = (0..count).map(|_| verdict(&mut reply, names)).collect::<Result<_, _>>()?;
    let count = take_u32(&mut reply)?;
    let sizes = (0..count).map(|_| take_u32(&mut reply)).collect::<Result<Vec<_>, _>>()?;
    let mut claimed = Vec::with_capacity(sizes.len());
    for size in sizes {
        claimed.push((0..size).map(|_| take_id(&mut reply)).collect::<Result<_, _>>()?);
    }
    let ready = classes(&mut reply, names)?;
    let wake = take(&mut reply, 8)?.get_i64();
    let next_due_at = (wake != Millis::MAX).then_some(wake);
    Ok(Told { position, results, claimed, ready, next_due_at })
}

/// Queues and kinds, sorted.
pub(crate) fn classes(
    reply: &mut Bytes,
    names: &mut NamePool,
) -> Result<Vec<(Name, Name)>, StoreError> {
    let count = take_u32(reply)?;
    let mut found = Vec::new();
    for _ in 0..count {
        let class = take_sized(reply)?;
        let (queue, kind) =
            text(&class)?.split_once('\0').ok_or_else(|| damaged("a class without its kind"))?;
        found.push((names.intern(queue), names.intern(kind)));
    }
    found.sort();
    Ok(found)
}

/// A decimal number and the space behind it.
fn take_word(reply: &mut Bytes) -> Result<u64, StoreError> {
    let end = reply.iter().position(|byte| *byte == b' ');
    let word = take(reply, end.ok_or_else(|| damaged("a reply without its position"))?)?;
    reply.advance(1);
    text(&word)?.parse().map_err(damaged)
}

fn verdict(reply: &mut Bytes, names: &mut NamePool) -> Result<TransactionResult, StoreError> {
    let conflict = match take(reply, 1)?.get_u8() {
        b'c' => return Ok(TransactionResult::Committed),
        b'r' => return Ok(TransactionResult::Replayed(take_sized(reply)?)),
        b'u' => return Ok(TransactionResult::IdempotencyKeyReused),
        b'j' => {
            let id = take_id(reply)?;
            let current = if is_there(reply)? {
                let (stored, spec) = (take_sized(reply)?, take_sized(reply)?);
                Some(Arc::new(record::decode(id, stored, spec, names)?))
            } else {
                None
            };
            Conflict::Job { id, current }
        }
        b'k' => {
            let key = UniqueKey::from_bytes(&take_sized(reply)?);
            let holder = if is_there(reply)? { Some(take_id(reply)?) } else { None };
            Conflict::Key { key, holder }
        }
        b's' => {
            let session = SessionId::from_u128(take(reply, 16)?.get_u128());
            let owner =
                if is_there(reply)? { Some(ServerId(take(reply, 8)?.get_u64())) } else { None };
            Conflict::Session { session, owner }
        }
        b'q' => {
            let queue = if is_there(reply)? { Some(take_sized(reply)?) } else { None };
            let queue = queue.map(|queue| codec::decode_queue(queue, names)).transpose();
            Conflict::Queue(queue.map_err(damaged)?)
        }
        b'm' => {
            let id = text(&take_sized(reply)?)?.into();
            let answer = if is_there(reply)? { Some(take_sized(reply)?) } else { None };
            Conflict::IdempotencyRecord { id, response: answer }
        }
        b't' => {
            let queue = names.intern(text(&take_sized(reply)?)?);
            let count = take_u32(reply)?;
            let mut kinds = Vec::with_capacity(count);
            for _ in 0..count {
                kinds.push(names.intern(text(&take_sized(reply)?)?));
            }
            Conflict::TooManyKinds { queue, kinds }
        }
        other => return Err(damaged(format!("a verdict of the unknown sort {other}"))),
    };
    Ok(TransactionResult::Conflict(conflict))
}

fn is_there(reply: &mut Bytes) -> Result<bool, StoreError> {
    Ok(take(reply, 1)?.get_u8() == 1)
}

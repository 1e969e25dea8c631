//! Converts between the types of the domain and the stored messages.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use sentinel_domain::{
    AttemptEnd, Cancel, Job, JobError, JobId, Label, Lease, LeaseId, Name, Progress, Queue,
    RetryPolicy, SessionId, Spec, Status, Unique,
};

use crate::{IdempotencyRecord, JobEvent, JournalEntry, Position, stored as s};

pub mod code;
mod unknown_fields;

/// Why bytes can not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("the stored record is malformed: {0}")]
    Malformed(#[from] prost::DecodeError),
    #[error("the stored record has the unknown {what} {code}: a newer version wrote it")]
    UnknownCode { what: &'static str, code: u32 },
    #[error("the stored record has no {0}")]
    Missing(&'static str),
}

fn id(bits: u128) -> s::Id {
    s::Id { high: (bits >> 64) as u64, low: bits as u64 }
}

fn bits(id: s::Id) -> u128 {
    u128::from(id.high) << 64 | u128::from(id.low)
}

fn text(name: Option<&str>) -> String {
    name.unwrap_or_default().to_owned()
}

fn non_empty(text: &str) -> Option<Box<str>> {
    (!text.is_empty()).then(|| text.into())
}

/// Interns names, so that equal names share one allocation. The table is cleared when it reaches
/// `NamePool::MAX` names.
#[derive(Default)]
pub struct NamePool(std::collections::HashSet<Name>);

impl NamePool {
    const MAX: usize = 100_000;

    /// Returns the shared copy of a name.
    pub fn intern(&mut self, text: &str) -> Name {
        if let Some(name) = self.0.get(text) {
            return name.clone();
        }
        if self.0.len() >= Self::MAX {
            self.0.clear();
        }
        let name: Name = text.into();
        self.0.insert(name.clone());
        name
    }
}

/// Encodes a spec.
pub fn encode_spec(spec: &Spec) -> Bytes {
    let mut bytes = s::Spec {
        queue: spec.queue.to_string(),
        kind: spec.kind.to_string(),
        payload: spec.payload.clone(),
        content_type: spec.content_type.to_string(),
        priority: spec.priority.into(),
        created_at_ms: spec.created_at,
        run_at_ms: spec.run_at,
        start_deadline_ms: spec.start_deadline,
        run_timeout_ms: spec.run_timeout_ms,
        retry: Some(s::Retry {
            max_attempts: spec.retry.max_attempts,
            backoff: code::from_backoff(spec.retry.backoff),
            base_ms: spec.retry.base_ms,
            cap_ms: spec.retry.cap_ms,
            jitter: code::from_jitter(spec.retry.jitter),
        }),
        labels: spec
            .labels
            .iter()
            .map(|l| s::Label { key: l.key.to_string(), value: l.value.to_string() })
            .collect(),
        unique: spec.unique.as_deref().map(|u| s::Unique {
            key: u.key.to_string(),
            scope: code::from_unique_scope(u.scope),
            mode: code::from_unique_mode(u.mode),
            ttl_ms: u.ttl_ms,
        }),
        depends_on: spec.depends_on.iter().map(|d| id(d.as_u128())).collect(),
        on_dependency_failure: code::from_dependency_failure(spec.on_dependency_failure),
        on_lost: code::from_on_lost(spec.on_lost),
        traceparent: text(spec.traceparent.as_deref()),
        cancel_grace_ms: spec.cancel_grace_ms,
        actor: text(spec.actor.as_deref()),
        ack: spec.ack.map_or(0, code::from_ack),
    }
    .encode_to_vec();
    bytes.extend(spec.unknown_fields.iter().flatten());
    bytes.into()
}

/// Decodes a spec. Its payload references `bytes` without a copy.
pub fn decode_spec(bytes: Bytes, names: &mut NamePool) -> Result<Spec, CodecError> {
    let unknown_fields = unknown_fields::above(unknown_fields::SPEC, &bytes)?;
    let spec = s::Spec::decode(bytes)?;
    let retry = spec.retry.ok_or(CodecError::Missing("retry policy"))?;
    let unique = match spec.unique {
        None => None,
        Some(u) => Some(Box::new(Unique {
            key: u.key.into(),
            scope: code::to_unique_scope(u.scope)?,
            mode: code::to_unique_mode(u.mode)?,
            ttl_ms: u.ttl_ms,
        })),
    };
    Ok(Spec {
        queue: names.intern(&spec.queue),
        kind: names.intern(&spec.kind),
        payload: spec.payload,
        content_type: names.intern(&spec.content_type),
        priority: u8::try_from(spec.priority)
            .map_err(|_| CodecError::UnknownCode { what: "priority", code: spec.priority })?,
        created_at: spec.created_at_ms,
        run_at: spec.run_at_ms,
        start_deadline: spec.start_deadline_ms,
        run_timeout_ms: spec.run_timeout_ms,
        retry: RetryPolicy {
            max_attempts: retry.max_attempts,
            backoff: code::to_backoff(retry.backoff)?,
            base_ms: retry.base_ms,
            cap_ms: retry.cap_ms,
            jitter: code::to_jitter(retry.jitter)?,
        },
        labels: spec
            .labels
            .into_iter()
            .map(|l| Label { key: names.intern(&l.key), value: l.value.into() })
            .collect(),
        unique,
        depends_on: spec.depends_on.into_iter().map(|d| JobId::from_u128(bits(d))).collect(),
        on_dependency_failure: code::to_dependency_failure(spec.on_dependency_failure)?,
        on_lost: code::to_on_lost(spec.on_lost)?,
        traceparent: non_empty(&spec.traceparent),
        cancel_grace_ms: spec.cancel_grace_ms,
        actor: non_empty(&spec.actor),
        ack: (spec.ack != 0).then(|| code::to_ack(spec.ack)).transpose()?,
        unknown_fields,
    })
}

fn from_error(error: &JobError) -> s::Error {
    s::Error {
        message: error.message.to_string(),
        code: error.code.to_string(),
        retryable: error.retryable,
        detail: error.detail.to_string(),
    }
}

fn to_error(error: s::Error) -> Box<JobError> {
    Box::new(JobError {
        message: error.message.into(),
        code: error.code.into(),
        retryable: error.retryable,
        detail: error.detail.into(),
    })
}

/// Converts a status to its message, for a store that keeps some fields elsewhere. The caller
/// appends [`Status::unknown_fields`], which the message does not contain, to its encoding.
pub fn from_status(status: &Status) -> s::Status {
    s::Status {
        state: code::from_state(status.state),
        reason: code::from_reason(status.reason),
        version: status.version,
        run: status.run,
        attempt: status.attempt,
        crashes: status.crashes,
        epoch: status.epoch,
        ready_at_ms: status.ready_at,
        updated_at_ms: status.updated_at,
        started_at_ms: status.started_at,
        finished_at_ms: status.finished_at,
        lease: status.lease.map(|l| s::Lease {
            session: Some(id(l.id.session.as_u128())),
            granted_at_ms: l.granted_at,
        }),
        cancel: status.cancel.as_deref().map(|c| s::CancelRequest {
            at_ms: c.at,
            reason: c.reason.to_string(),
            actor: c.actor.to_string(),
        }),
        error: status.error.as_deref().map(from_error),
        result: status.result.clone(),
        checkpoint: status.checkpoint.clone(),
        progress: status.progress.as_deref().map(|p| s::Progress {
            seq: p.seq,
            done: p.done,
            total: p.total,
            message: p.message.to_string(),
        }),
        waiting_for: status.waiting_for.iter().map(|w| id(w.as_u128())).collect(),
        worker: text(status.worker.as_deref()),
        recorded_lease: status.recorded_lease.map(|(epoch, session)| s::RecordedLease {
            epoch,
            session: Some(id(session.as_u128())),
        }),
        was_snoozed: status.was_snoozed,
        revision: status.revision,
    }
}

fn session(stored: Option<s::Id>) -> Result<SessionId, CodecError> {
    stored.map(|i| SessionId::from_u128(bits(i))).ok_or(CodecError::Missing("session"))
}

/// Returns the encoded fields of a stored status that this version does not know.
pub fn unknown_status_fields(message: &[u8]) -> Result<Option<Box<[u8]>>, CodecError> {
    Ok(unknown_fields::above(unknown_fields::STATUS, message)?)
}

/// Converts a complete message to a status, without [`Status::unknown_fields`].
pub fn to_status(status: s::Status, names: &mut NamePool) -> Result<Status, CodecError> {
    let lease = match status.lease {
        None => None,
        Some(l) => {
            let (run, attempt, epoch) = (status.run, status.attempt, status.epoch);
            let id = LeaseId { run, attempt, epoch, session: session(l.session)? };
            Some(Lease { id, granted_at: l.granted_at_ms })
        }
    };
    let recorded_lease = match status.recorded_lease {
        None => None,
        Some(r) => Some((r.epoch, session(r.session)?)),
    };
    Ok(Status {
        state: code::to_state(status.state)?,
        reason: code::to_reason(status.reason)?,
        version: status.version,
        run: status.run,
        attempt: status.attempt,
        crashes: status.crashes,
        epoch: status.epoch,
        was_snoozed: status.was_snoozed,
        revision: status.revision,
        ready_at: status.ready_at_ms,
        updated_at: status.updated_at_ms,
        started_at: status.started_at_ms,
        finished_at: status.finished_at_ms,
        lease,
        cancel: status.cancel.map(|c| {
            Box::new(Cancel { at: c.at_ms, reason: c.reason.into(), actor: c.actor.into() })
        }),
        error: status.error.map(to_error),
        result: status.result,
        checkpoint: status.checkpoint,
        progress: status.progress.map(|p| {
            Box::new(Progress {
                seq: p.seq,
                done: p.done,
                total: p.total,
                message: p.message.into(),
            })
        }),
        waiting_for: status.waiting_for.into_iter().map(|w| JobId::from_u128(bits(w))).collect(),
        worker: (!status.worker.is_empty()).then(|| names.intern(&status.worker)),
        recorded_lease,
        unknown_fields: None,
    })
}

/// Encodes a status.
pub fn encode_status(status: &Status) -> Vec<u8> {
    let mut bytes = from_status(status).encode_to_vec();
    bytes.extend(status.unknown_fields.iter().flatten());
    bytes
}

/// Decodes a status.
pub fn decode_status(bytes: Bytes, names: &mut NamePool) -> Result<Status, CodecError> {
    let unknown_fields = unknown_status_fields(&bytes)?;
    Ok(Status { unknown_fields, ..to_status(s::Status::decode(bytes)?, names)? })
}

/// Decodes a job from its stored spec and status.
pub fn decode_job(
    job: JobId,
    spec: Bytes,
    status: Bytes,
    names: &mut NamePool,
) -> Result<Job, CodecError> {
    let spec = Arc::new(decode_spec(spec, names)?);
    Ok(Job { id: job, spec, status: decode_status(status, names)? })
}

/// Converts the end of an attempt to its message.
pub fn from_attempt_end(end: &AttemptEnd) -> s::AttemptEnd {
    s::AttemptEnd {
        run: end.run,
        attempt: end.attempt,
        epoch: end.epoch,
        outcome: code::from_outcome(end.outcome),
        started_at_ms: end.started_at,
        ended_at_ms: end.ended_at,
        worker: text(end.worker.as_deref()),
        error: end.error.as_deref().map(from_error),
    }
}

/// Converts the end of an attempt from its message.
pub fn to_attempt_end(end: s::AttemptEnd, names: &mut NamePool) -> Result<AttemptEnd, CodecError> {
    Ok(AttemptEnd {
        run: end.run,
        attempt: end.attempt,
        epoch: end.epoch,
        outcome: code::to_outcome(end.outcome)?,
        started_at: end.started_at_ms,
        ended_at: end.ended_at_ms,
        worker: (!end.worker.is_empty()).then(|| names.intern(&end.worker)),
        error: end.error.map(to_error),
    })
}

fn from_queue(queue: &Queue) -> s::Queue {
    s::Queue {
        name: queue.name.to_string(),
        order: code::from_queue_order(queue.order),
        priority_boost_ms: queue.priority_boost_ms,
        description: queue.description.to_string(),
        created_at_ms: queue.created_at,
        mode: code::from_queue_mode(queue.mode),
        index_paths: queue.index_paths.iter().map(ToString::to_string).collect(),
    }
}

fn to_queue(queue: s::Queue, names: &mut NamePool) -> Result<Queue, CodecError> {
    Ok(Queue {
        name: names.intern(&queue.name),
        order: code::to_queue_order(queue.order)?,
        priority_boost_ms: queue.priority_boost_ms,
        description: queue.description.into(),
        created_at: queue.created_at_ms,
        mode: code::to_queue_mode(queue.mode)?,
        index_paths: queue.index_paths.into_iter().map(Into::into).collect(),
    })
}

/// Encodes a declared queue.
pub fn encode_queue(queue: &Queue) -> Vec<u8> {
    from_queue(queue).encode_to_vec()
}

/// Decodes a declared queue.
pub fn decode_queue(bytes: Bytes, names: &mut NamePool) -> Result<Queue, CodecError> {
    to_queue(s::Queue::decode(bytes)?, names)
}

/// Encodes a journal entry without its position.
pub fn encode_entry(entry: &JournalEntry) -> Vec<u8> {
    let job = |event: &JobEvent| s::JobChange {
        id: Some(id(event.id.as_u128())),
        spec: event.encoded_spec.clone(),
        status: Some(from_status(&event.status)),
        attempt_end: event.attempt_end.as_ref().map(from_attempt_end),
    };
    let record = |r: &IdempotencyRecord| s::IdempotencyRecord {
        id: r.id.to_string(),
        content_hash: r.content_hash,
        response: r.response.clone(),
        expires_at_ms: r.expires_at,
    };
    s::Entry {
        at_ms: entry.at,
        jobs: entry.jobs.iter().map(job).collect(),
        queues: entry.queues.iter().map(from_queue).collect(),
        idempotency_records: entry.idempotency_records.iter().map(record).collect(),
    }
    .encode_to_vec()
}

/// Decodes the journal entry at `position`. An event has its spec if the spec was stored.
pub fn decode_entry(
    position: Position,
    bytes: Bytes,
    names: &mut NamePool,
) -> Result<JournalEntry, CodecError> {
    let entry = s::Entry::decode(bytes)?;
    let mut jobs = Vec::with_capacity(entry.jobs.len());
    for change in entry.jobs {
        let spec = match &change.spec {
            None => None,
            Some(spec) => Some(Arc::new(decode_spec(spec.clone(), names)?)),
        };
        let attempt_end = change.attempt_end.map(|end| to_attempt_end(end, names)).transpose()?;
        let status = change.status.ok_or(CodecError::Missing("status"))?;
        jobs.push(JobEvent {
            id: JobId::from_u128(bits(change.id.ok_or(CodecError::Missing("id"))?)),
            status: to_status(status, names)?,
            spec,
            encoded_spec: change.spec,
            attempt_end,
        });
    }
    let queues = entry.queues.into_iter().map(|q| to_queue(q, names)).collect::<Result<_, _>>()?;
    let record = |r: s::IdempotencyRecord| IdempotencyRecord {
        id: r.id.into(),
        content_hash: r.content_hash,
        response: r.response,
        expires_at: r.expires_at_ms,
    };
    let idempotency_records = entry.idempotency_records.into_iter().map(record).collect();
    Ok(JournalEntry { position, at: entry.at_ms, jobs, queues, idempotency_records })
}

#[cfg(test)]
mod tests;

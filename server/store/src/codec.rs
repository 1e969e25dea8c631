//! Between the domain's types and the stored record.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use sentinel_domain::{
    AttemptEnd, Cancel, Job, JobError, JobId, Label, Lease, Name, Progress, Queue, RetryPolicy,
    SessionId, Spec, Status, Unique,
};

use crate::{Entry, IdempotencyRecord, JobEvent, Position, stored as s};

pub mod code;
mod unknown_fields;

/// Why bytes are not a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("not a stored record: {0}")]
    Wire(#[from] prost::DecodeError),
    #[error("a stored record has the unknown {what} {code}: it was written by a newer version")]
    Unknown { what: &'static str, code: u32 },
    #[error("a stored record lacks its {0}")]
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

fn filled(text: &str) -> Option<Box<str>> {
    (!text.is_empty()).then(|| text.into())
}

/// Shares equal names, so that a million jobs of one kind hold one string. Bounded: past
/// `Names::MAX` different ones it starts anew.
#[derive(Default)]
pub struct Names(std::collections::HashSet<Name>);

impl Names {
    const MAX: usize = 100_000;

    /// The shared copy.
    pub fn share(&mut self, text: &str) -> Name {
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

/// Encodes a spec, once in its life.
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
            scope: code::from_scope(u.scope),
            mode: code::from_mode(u.mode),
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

/// Decodes a spec. Its payload is a slice of `bytes`, not a copy.
pub fn decode_spec(bytes: Bytes, names: &mut Names) -> Result<Spec, CodecError> {
    let unknown_fields = unknown_fields::above(unknown_fields::SPEC, &bytes)?;
    let spec = s::Spec::decode(bytes)?;
    let retry = spec.retry.ok_or(CodecError::Missing("retry policy"))?;
    let unique = match spec.unique {
        None => None,
        Some(u) => Some(Box::new(Unique {
            key: u.key.into(),
            scope: code::to_scope(u.scope)?,
            mode: code::to_mode(u.mode)?,
            ttl_ms: u.ttl_ms,
        })),
    };
    Ok(Spec {
        queue: names.share(&spec.queue),
        kind: names.share(&spec.kind),
        payload: spec.payload,
        content_type: names.share(&spec.content_type),
        priority: u8::try_from(spec.priority)
            .map_err(|_| CodecError::Unknown { what: "priority", code: spec.priority })?,
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
            .map(|l| Label { key: names.share(&l.key), value: l.value.into() })
            .collect(),
        unique,
        depends_on: spec.depends_on.into_iter().map(|d| JobId::from_u128(bits(d))).collect(),
        on_dependency_failure: code::to_dependency_failure(spec.on_dependency_failure)?,
        on_lost: code::to_on_lost(spec.on_lost)?,
        traceparent: filled(&spec.traceparent),
        cancel_grace_ms: spec.cancel_grace_ms,
        actor: filled(&spec.actor),
        ack: (spec.ack != 0).then(|| code::to_ack(spec.ack)).transpose()?,
        unknown_fields,
    })
}

fn from_error(error: &JobError) -> s::Error {
    s::Error {
        message: error.message.to_string(),
        code: error.code.to_string(),
        retryable: error.retryable,
    }
}

fn to_error(error: s::Error) -> Box<JobError> {
    Box::new(JobError {
        message: error.message.into(),
        code: error.code.into(),
        retryable: error.retryable,
    })
}

/// A status as a message, for a store that keeps some of its fields elsewhere. The message has
/// no room for [`Status::unknown_fields`]: it goes behind the encoded one.
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
            session: Some(id(l.session.as_u128())),
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
        recorded: status
            .recorded
            .map(|(epoch, session)| s::Recorded { epoch, session: Some(id(session.as_u128())) }),
        was_snoozed: status.was_snoozed,
        revision: status.revision,
    }
}

fn session(stored: Option<s::Id>) -> Result<SessionId, CodecError> {
    stored.map(|i| SessionId::from_u128(bits(i))).ok_or(CodecError::Missing("session"))
}

/// What a stored message has beyond the fields of a status that this version knows.
pub fn foreign_of_status(message: &[u8]) -> Result<Option<Box<[u8]>>, CodecError> {
    Ok(unknown_fields::above(unknown_fields::STATUS, message)?)
}

/// A status from a message that is whole again, without [`Status::unknown_fields`].
pub fn to_status(status: s::Status, names: &mut Names) -> Result<Status, CodecError> {
    let lease = match status.lease {
        None => None,
        Some(l) => Some(Lease {
            run: status.run,
            attempt: status.attempt,
            epoch: status.epoch,
            session: session(l.session)?,
            granted_at: l.granted_at_ms,
        }),
    };
    let recorded = match status.recorded {
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
        worker: (!status.worker.is_empty()).then(|| names.share(&status.worker)),
        recorded,
        unknown_fields: None,
    })
}

/// Encodes a status, for a live column.
pub fn encode_status(status: &Status) -> Vec<u8> {
    let mut bytes = from_status(status).encode_to_vec();
    bytes.extend(status.unknown_fields.iter().flatten());
    bytes
}

/// Decodes a status.
pub fn decode_status(bytes: Bytes, names: &mut Names) -> Result<Status, CodecError> {
    let unknown_fields = foreign_of_status(&bytes)?;
    Ok(Status { unknown_fields, ..to_status(s::Status::decode(bytes)?, names)? })
}

/// Puts a job together from its two stored parts.
pub fn decode_job(
    job: JobId,
    spec: Bytes,
    status: Bytes,
    names: &mut Names,
) -> Result<Job, CodecError> {
    let spec = Arc::new(decode_spec(spec, names)?);
    Ok(Job { id: job, spec, status: decode_status(status, names)? })
}

/// How an attempt ended, as a message.
pub fn from_end(end: &AttemptEnd) -> s::AttemptEnd {
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

/// How an attempt ended, from its message.
pub fn to_end(end: s::AttemptEnd, names: &mut Names) -> Result<AttemptEnd, CodecError> {
    Ok(AttemptEnd {
        run: end.run,
        attempt: end.attempt,
        epoch: end.epoch,
        outcome: code::to_outcome(end.outcome)?,
        started_at: end.started_at_ms,
        ended_at: end.ended_at_ms,
        worker: (!end.worker.is_empty()).then(|| names.share(&end.worker)),
        error: end.error.map(to_error),
    })
}

fn from_queue(queue: &Queue) -> s::Queue {
    s::Queue {
        name: queue.name.to_string(),
        order: code::from_order(queue.order),
        priority_boost_ms: queue.priority_boost_ms,
        description: queue.description.to_string(),
        created_at_ms: queue.created_at,
        mode: code::from_mode_of_queue(queue.mode),
        index_paths: queue.index_paths.iter().map(ToString::to_string).collect(),
    }
}

fn to_queue(queue: s::Queue, names: &mut Names) -> Result<Queue, CodecError> {
    Ok(Queue {
        name: names.share(&queue.name),
        order: code::to_order(queue.order)?,
        priority_boost_ms: queue.priority_boost_ms,
        description: queue.description.into(),
        created_at: queue.created_at_ms,
        mode: code::to_mode_of_queue(queue.mode)?,
        index_paths: queue.index_paths.into_iter().map(Into::into).collect(),
    })
}

/// Encodes a declared queue.
pub fn encode_queue(queue: &Queue) -> Vec<u8> {
    from_queue(queue).encode_to_vec()
}

/// Decodes a declared queue.
pub fn decode_queue(bytes: Bytes, names: &mut Names) -> Result<Queue, CodecError> {
    to_queue(s::Queue::decode(bytes)?, names)
}

/// Encodes an entry; its position is kept beside it.
pub fn encode_entry(entry: &Entry) -> Vec<u8> {
    let job = |event: &JobEvent| s::JobChange {
        id: Some(id(event.id.as_u128())),
        spec: event.new.clone(),
        status: Some(from_status(&event.status)),
        end: event.end.as_ref().map(from_end),
    };
    let request = |r: &IdempotencyRecord| s::IdempotencyRecord {
        id: r.id.to_string(),
        content_hash: r.content_hash,
        answer: r.answer.clone(),
        until_ms: r.until,
    };
    s::Entry {
        at_ms: entry.at,
        jobs: entry.jobs.iter().map(job).collect(),
        queues: entry.queues.iter().map(from_queue).collect(),
        requests: entry.requests.iter().map(request).collect(),
    }
    .encode_to_vec()
}

/// Decodes an entry that was kept at `position`. Only new jobs have their spec.
pub fn decode_entry(
    position: Position,
    bytes: Bytes,
    names: &mut Names,
) -> Result<Entry, CodecError> {
    let entry = s::Entry::decode(bytes)?;
    let mut jobs = Vec::with_capacity(entry.jobs.len());
    for change in entry.jobs {
        let spec = match &change.spec {
            None => None,
            Some(spec) => Some(Arc::new(decode_spec(spec.clone(), names)?)),
        };
        let end = change.end.map(|end| to_end(end, names)).transpose()?;
        let status = change.status.ok_or(CodecError::Missing("status"))?;
        jobs.push(JobEvent {
            id: JobId::from_u128(bits(change.id.ok_or(CodecError::Missing("id"))?)),
            status: to_status(status, names)?,
            spec,
            new: change.spec,
            end,
        });
    }
    let queues = entry.queues.into_iter().map(|q| to_queue(q, names)).collect::<Result<_, _>>()?;
    let requests = entry
        .requests
        .into_iter()
        .map(|r| IdempotencyRecord {
            id: r.id.into(),
            content_hash: r.content_hash,
            answer: r.answer,
            until: r.until_ms,
        })
        .collect();
    Ok(Entry { position, at: entry.at_ms, jobs, queues, requests })
}

#[cfg(test)]
mod tests;

//! Converts protobuf messages into the engine's types. A value that the engine's types cannot
//! represent is rejected with the name of its field. The domain checks ranges.

use prost_types::{Duration, FieldMask, Timestamp};
use sentinel_domain::limits::{KEY_BYTES, TIME_RANGE_MS};
use sentinel_domain::{
    Ack, Backoff, DependencyFailure, Filter, Jitter, JobId, Label, Millis, NewJob, OnLost, Queue,
    QueueOrder, Scopes, SpecUpdate, State, UniqueMode, UniqueScope,
};
use sentinel_engine::{BulkAction, IdempotencyKey};
use sentinel_proto::admin::v1 as admin;
use sentinel_proto::jobs::v1 as wire;
use sentinel_store::{PRODUCER_OFFSET_PREFIX, content_hash};
use tonic::Status;

use super::status::invalid_field;
use crate::identity::Caller;

const NANOS: i32 = 1_000_000_000;

/// Converts a timestamp to milliseconds. Saturates.
fn millis(at: Timestamp) -> Millis {
    at.seconds.saturating_mul(1_000).saturating_add(i64::from(at.nanos) / 1_000_000)
}

/// Converts a client's timestamp to milliseconds. Rejects one that is not a valid Timestamp. The
/// domain checks how far in the future it may be.
pub(super) fn time(field: &str, at: Option<Timestamp>) -> Result<Option<Millis>, Status> {
    let Some(at) = at else { return Ok(None) };
    if !(0..NANOS).contains(&at.nanos) {
        let text = format!("nanos {} is out of range: 0..=999999999", at.nanos);
        return Err(invalid_field(field, text));
    }
    let ms = millis(at);
    if !(TIME_RANGE_MS.0..=TIME_RANGE_MS.1).contains(&ms) {
        return Err(invalid_field(field, "is out of range: 0001-01-01 to 9999-12-31"));
    }
    Ok(Some(ms))
}

/// Converts a worker's timestamp to milliseconds and clamps it to the valid range. An error is no
/// option: the attempt has finished even if the worker's clock is wrong.
pub(super) fn clamped_time(at: Timestamp) -> Millis {
    millis(at).clamp(TIME_RANGE_MS.0, TIME_RANGE_MS.1)
}

/// Converts a client's duration to milliseconds. Seconds and nanos must have the same sign.
fn duration(field: &str, duration: Option<Duration>) -> Result<Option<i64>, Status> {
    let Some(duration) = duration else { return Ok(None) };
    let Duration { seconds, nanos } = duration;
    let has_one_sign = (seconds >= 0 || nanos <= 0) && (seconds <= 0 || nanos >= 0);
    if !has_one_sign || !(1 - NANOS..NANOS).contains(&nanos) {
        let text =
            format!("nanos {nanos} is out of range: 0..=999999999, with the sign of the seconds");
        return Err(invalid_field(field, text));
    }
    Ok(Some(duration_ms(duration)))
}

/// Converts a duration to milliseconds, rounded up, so that 1 ns does not become 0.
pub(super) fn duration_ms(duration: Duration) -> i64 {
    let nanos = i64::from(duration.nanos);
    let round_up = i64::from(nanos % 1_000_000 > 0);
    duration.seconds.saturating_mul(1_000).saturating_add(nanos / 1_000_000 + round_up)
}

/// Truncates a text for an error message.
pub(super) fn truncated(text: &str) -> &str {
    &text[..text.floor_char_boundary(64)]
}

pub(super) fn job_id(field: &str, text: &str) -> Result<JobId, Status> {
    text.parse().map_err(|_| invalid_field(field, format!("{:?} is not a UUID", truncated(text))))
}

pub(super) fn job_ids(field: &str, texts: &[String]) -> Result<Vec<JobId>, Status> {
    let id = |(at, text): (usize, &String)| job_id(&format!("{field}[{at}]"), text);
    texts.iter().enumerate().map(id).collect()
}

/// Parses the position of a page. Returns `None` for the first page.
pub(super) fn page_token<T: std::str::FromStr>(token: &str) -> Result<Option<T>, Status> {
    let invalid = |_| invalid_field("page_token", "is not a next_page_token");
    (!token.is_empty()).then(|| token.parse().map_err(invalid)).transpose()
}

/// Converts an enum number. Rejects one that this version does not know.
fn enum_value<E: TryFrom<i32>>(field: &str, number: i32) -> Result<E, Status> {
    E::try_from(number)
        .map_err(|_| invalid_field(field, format!("{number} is not known to this version")))
}

pub(super) fn actor(actor: &str) -> Result<(), Status> {
    if actor.len() as u64 > KEY_BYTES {
        let text = format!("{} bytes is too long: at most {KEY_BYTES} bytes", actor.len());
        return Err(invalid_field("actor", text));
    }
    Ok(())
}

/// Returns the idempotency key: the request_id with a hash of the request. `request` must not have
/// its request_id set.
pub(super) fn request_key(
    id: &str,
    request: &impl prost::Message,
) -> Result<Option<IdempotencyKey>, Status> {
    if id.len() as u64 > KEY_BYTES {
        let text = format!("{} bytes is too long: at most {KEY_BYTES} bytes", id.len());
        return Err(invalid_field("request_id", text));
    }
    if id.starts_with(PRODUCER_OFFSET_PREFIX) {
        let text = format!("must not start with {PRODUCER_OFFSET_PREFIX:?}");
        return Err(invalid_field("request_id", text));
    }
    Ok((!id.is_empty()).then(|| IdempotencyKey {
        id: id.to_owned(),
        content_hash: content_hash(&request.encode_to_vec()),
    }))
}

/// Returns the idempotency key of an RPC whose request may encode like that of another RPC: the
/// hash includes the name of the RPC.
pub(super) fn request_key_of(
    rpc: &str,
    id: &str,
    request: &impl prost::Message,
) -> Result<Option<IdempotencyKey>, Status> {
    let key = request_key(id, request)?;
    Ok(key.map(|key| {
        let content = [rpc.as_bytes(), &key.content_hash.to_be_bytes()].concat();
        IdempotencyKey { content_hash: content_hash(&content), ..key }
    }))
}

/// Converts the specification of a new job.
pub(super) fn new_job(path: &str, spec: Option<wire::JobSpec>) -> Result<NewJob, Status> {
    let Some(spec) = spec else { return Err(invalid_field(path, "is required")) };
    let field = |name: &str| format!("{path}.{name}");
    let retry = spec.retry.unwrap_or_default();
    let mut new = NewJob {
        queue: spec.queue,
        kind: spec.kind,
        // Copied, since a slice would keep the receive buffer of the connection alive.
        payload: bytes::Bytes::copy_from_slice(&spec.payload),
        content_type: spec.content_type,
        priority: spec.priority,
        run_at: time(&field("run_at"), spec.run_at)?,
        delay_ms: duration(&field("delay"), spec.delay)?,
        start_deadline: time(&field("start_deadline"), spec.start_deadline)?,
        run_timeout_ms: duration(&field("run_timeout"), spec.run_timeout)?,
        max_attempts: retry.max_attempts,
        backoff: match enum_value(&field("retry.backoff"), retry.backoff)? {
            wire::BackoffKind::Unspecified => None,
            wire::BackoffKind::Fixed => Some(Backoff::Fixed),
            wire::BackoffKind::Exponential => Some(Backoff::Exponential),
        },
        retry_base_ms: duration(&field("retry.base"), retry.base)?,
        retry_cap_ms: duration(&field("retry.cap"), retry.cap)?,
        jitter: match enum_value(&field("retry.jitter"), retry.jitter)? {
            wire::Jitter::Unspecified => None,
            wire::Jitter::None => Some(Jitter::None),
            wire::Jitter::Full => Some(Jitter::Full),
        },
        labels: spec.labels.into_iter().collect(),
        depends_on: spec.depends_on,
        on_dependency_failure: match enum_value(
            &field("on_dependency_failure"),
            spec.on_dependency_failure,
        )? {
            wire::DependencyFailurePolicy::Unspecified => None,
            wire::DependencyFailurePolicy::Cancel => Some(DependencyFailure::Cancel),
            wire::DependencyFailurePolicy::Run => Some(DependencyFailure::Run),
        },
        on_lost: match enum_value(&field("on_lost"), spec.on_lost)? {
            wire::LostPolicy::Unspecified => None,
            wire::LostPolicy::Retry => Some(OnLost::Retry),
            wire::LostPolicy::Fail => Some(OnLost::Fail),
        },
        traceparent: spec.traceparent,
        cancel_grace_ms: duration(&field("cancel_grace"), spec.cancel_grace)?,
        ack: ack(&field("ack"), spec.ack)?,
        ..NewJob::default()
    };
    if let Some(unique) = spec.unique {
        set_unique(path, &mut new, unique)?;
    }
    Ok(new)
}

/// Converts a durability level. Returns `None` if the server's default applies.
pub(super) fn ack(field: &str, number: i32) -> Result<Option<Ack>, Status> {
    Ok(match enum_value(field, number)? {
        wire::AckLevel::Unspecified => None,
        wire::AckLevel::Store => Some(Ack::Store),
        wire::AckLevel::Replicated => Some(Ack::Replicated),
        wire::AckLevel::Ledger => Some(Ack::Ledger),
    })
}

fn set_unique(path: &str, new: &mut NewJob, unique: wire::Unique) -> Result<(), Status> {
    new.unique_key = Some(unique.key);
    new.unique_scope = match enum_value(&format!("{path}.unique.scope"), unique.scope)? {
        wire::UniqueScope::Unspecified => None,
        wire::UniqueScope::Kind => Some(UniqueScope::Kind),
        wire::UniqueScope::Queue => Some(UniqueScope::Queue),
    };
    new.unique_mode = match enum_value(&format!("{path}.unique.mode"), unique.mode)? {
        wire::UniqueMode::Unspecified => None,
        wire::UniqueMode::ReturnExisting => Some(UniqueMode::ReturnExisting),
        wire::UniqueMode::Reject => Some(UniqueMode::Reject),
        wire::UniqueMode::ReplacePending => Some(UniqueMode::ReplacePending),
        wire::UniqueMode::Debounce => Some(UniqueMode::Debounce),
    };
    new.unique_ttl_ms = duration(&format!("{path}.unique.ttl"), unique.ttl)?;
    Ok(())
}

fn state(field: &str, number: i32) -> Result<State, Status> {
    Ok(match enum_value(field, number)? {
        wire::JobState::Unspecified => {
            return Err(invalid_field(field, "must not be unspecified"));
        }
        wire::JobState::Scheduled => State::Scheduled,
        wire::JobState::Blocked => State::Blocked,
        wire::JobState::Ready => State::Ready,
        wire::JobState::Running => State::Running,
        wire::JobState::Succeeded => State::Succeeded,
        wire::JobState::Failed => State::Failed,
        wire::JobState::Cancelled => State::Cancelled,
        wire::JobState::Expired => State::Expired,
    })
}

pub(super) fn filter(filter: Option<wire::JobFilter>) -> Result<Filter, Status> {
    let filter = filter.unwrap_or_default();
    let label = |(key, value): (String, String)| Label { key: key.into(), value: value.into() };
    let states = filter.states.into_iter().map(|number| state("filter.states", number));
    Ok(Filter {
        queues: filter.queues.into_iter().map(Into::into).collect(),
        kinds: filter.kinds.into_iter().map(Into::into).collect(),
        states: states.collect::<Result<_, _>>()?,
        labels: filter.labels.into_iter().map(label).collect(),
        created_after: time("filter.created_after", filter.created_after)?,
        created_before: time("filter.created_before", filter.created_before)?,
        within: Scopes::ALL,
    })
}

/// Converts a filter and restricts it to the queues of the caller. The caller must reach each queue
/// that the filter names.
pub(super) fn filter_of(
    filter: Option<wire::JobFilter>,
    caller: &Caller,
) -> Result<Filter, Status> {
    let filter = self::filter(filter)?;
    for queue in &filter.queues {
        caller.check_queue(queue)?;
    }
    Ok(Filter { within: caller.scopes().clone(), ..filter })
}

/// Converts the action of a Bulk request.
pub(super) fn bulk_action(action: i32, reason: &str) -> Result<BulkAction, Status> {
    if reason.len() as u64 > KEY_BYTES {
        let text = format!("{} bytes is too long: at most {KEY_BYTES}", reason.len());
        return Err(invalid_field("reason", text));
    }
    Ok(match enum_value("action", action)? {
        wire::BulkAction::Unspecified => {
            return Err(invalid_field("action", "must not be unspecified"));
        }
        wire::BulkAction::Cancel => BulkAction::Cancel { reason: reason.into() },
        wire::BulkAction::Retry => BulkAction::Retry,
        wire::BulkAction::Delete => BulkAction::Delete,
    })
}

/// Describes a Bulk request for the audit log.
pub(super) fn bulk_target(request: &wire::BulkRequest) -> String {
    let action = request.action().as_str_name().trim_start_matches("BULK_ACTION_");
    let filter = request.filter.clone().unwrap_or_default();
    let states = filter.states().map(|state| state.as_str_name().trim_start_matches("JOB_STATE_"));
    let labels: Vec<String> =
        filter.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut target = action.to_lowercase();
    if request.dry_run {
        target.push_str(" (dry run)");
    }
    for (field, names) in [
        ("queues", filter.queues.join(",")),
        ("kinds", filter.kinds.join(",")),
        ("states", states.collect::<Vec<_>>().join(",")),
        ("labels", labels.join(",")),
    ] {
        if !names.is_empty() {
            target.push_str(&format!(" {field}={names}"));
        }
    }
    target
}

/// Checks a page size and replaces 0 by the default.
pub(super) fn page_size(requested: i32, default: u64) -> Result<usize, Status> {
    let max = sentinel_domain::limits::PAGE_MAX;
    match u64::try_from(requested) {
        Ok(0) => Ok(default as usize),
        Ok(size) if size <= max => Ok(size as usize),
        _ => Err(invalid_field("page_size", format!("{requested} is out of range: 0..={max}"))),
    }
}

/// The fields of a queue that an update changes.
#[derive(Clone, Copy)]
pub(super) struct QueueMask {
    pub(super) order: bool,
    pub(super) priority_boost: bool,
    pub(super) description: bool,
    pub(super) index_paths: bool,
}

pub(super) fn queue_mask(mask: Option<FieldMask>) -> Result<QueueMask, Status> {
    let paths = mask.unwrap_or_default().paths;
    let all = paths.is_empty() || paths == ["*"];
    let mut mask =
        QueueMask { order: all, priority_boost: all, description: all, index_paths: all };
    for path in paths.iter().filter(|_| !all) {
        match path.as_str() {
            "order" => mask.order = true,
            "priority_boost" => mask.priority_boost = true,
            "description" => mask.description = true,
            "index_paths" => mask.index_paths = true,
            other => {
                let text = format!(
                    "{other:?} is not one of order, priority_boost, description, index_paths"
                );
                return Err(invalid_field("update_mask", text));
            }
        }
    }
    Ok(mask)
}

/// Converts the fields of a specification that a mask names.
pub(super) fn new_values(
    spec: Option<wire::JobSpec>,
    mask: Option<FieldMask>,
) -> Result<SpecUpdate, Status> {
    let Some(spec) = spec else { return Err(invalid_field("spec", "is required")) };
    let paths = mask.unwrap_or_default().paths;
    let all = "priority, run_at, labels, payload, content_type";
    if paths.is_empty() {
        return Err(invalid_field("update_mask", format!("is empty; allowed: {all}")));
    }
    let mut values = SpecUpdate::default();
    for path in &paths {
        match path.as_str() {
            "priority" => values.priority = Some(spec.priority),
            "run_at" => values.run_at = Some(time("spec.run_at", spec.run_at)?),
            "labels" => values.labels = Some(spec.labels.clone().into_iter().collect()),
            "payload" => values.payload = Some(bytes::Bytes::copy_from_slice(&spec.payload)),
            "content_type" => values.content_type = Some(spec.content_type.clone()),
            other => {
                let text = format!("{other:?} is not one of {all}");
                return Err(invalid_field("update_mask", text));
            }
        }
    }
    Ok(values)
}

pub(super) fn queue(queue: Option<admin::Queue>) -> Result<Queue, Status> {
    let queue = queue.ok_or_else(|| invalid_field("queue", "is required"))?;
    let mut declared = Queue::with_defaults(queue.name.into(), 0);
    declared.description = queue.description.into();
    declared.index_paths = queue.index_paths.into_iter().map(Into::into).collect();
    declared.order = match enum_value("queue.order", queue.order)? {
        admin::QueueOrder::Unspecified | admin::QueueOrder::Aging => QueueOrder::Aging,
        admin::QueueOrder::Strict => QueueOrder::Strict,
    };
    if let Some(boost) = duration("queue.priority_boost", queue.priority_boost)? {
        // A negative duration becomes 0, which is out of range, too.
        declared.priority_boost_ms = u64::try_from(boost).unwrap_or(0);
    }
    Ok(declared)
}

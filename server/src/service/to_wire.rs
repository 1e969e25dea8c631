//! Converts the engine's types into protobuf messages.

use std::sync::Arc;

use prost_types::{Duration, Timestamp};
use sentinel_domain::{
    Ack, AttemptOutcome, Backoff, DependencyFailure, Jitter, Job, JobError, JobId, Millis, OnLost,
    Progress, Queue, QueueMode, QueueOrder, Reason, Spec, State, UniqueMode, UniqueScope,
};
use sentinel_engine::{
    Attempt, AttemptResult, BatchItemResult, BulkOutcome, BulkStep, Enqueued, ItemError, Kind,
    WorkerEntry,
};
use sentinel_ledger::{LogRow, QueueCount};
use sentinel_proto::admin::v1 as admin;
use sentinel_proto::jobs::v1 as wire;

/// Size of a message of a stream. The largest item still fits into a message on top of it.
const CHUNK_BYTES: usize = 2 << 20;

/// Splits messages into chunks of at most `max` messages. A chunk is full once it exceeds
/// [`CHUNK_BYTES`].
pub(super) fn in_chunks<M: prost::Message>(
    messages: impl IntoIterator<Item = M>,
    max: usize,
) -> Vec<Vec<M>> {
    let mut chunks: Vec<Vec<M>> = Vec::new();
    let mut bytes = 0;
    for message in messages {
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < max && bytes < CHUNK_BYTES => {
                bytes += message.encoded_len();
                chunk.push(message);
            }
            _ => {
                bytes = message.encoded_len();
                chunks.push(vec![message]);
            }
        }
    }
    chunks
}

pub(super) fn timestamp(at: Millis) -> Timestamp {
    Timestamp { seconds: at.div_euclid(1_000), nanos: (at.rem_euclid(1_000) * 1_000_000) as i32 }
}

pub(super) fn duration(ms: u64) -> Duration {
    Duration { seconds: (ms / 1_000).cast_signed(), nanos: ((ms % 1_000) * 1_000_000) as i32 }
}

pub(super) const fn state(state: State) -> wire::JobState {
    match state {
        State::Scheduled => wire::JobState::Scheduled,
        State::Blocked => wire::JobState::Blocked,
        State::Ready => wire::JobState::Ready,
        State::Running => wire::JobState::Running,
        State::Succeeded => wire::JobState::Succeeded,
        State::Failed => wire::JobState::Failed,
        State::Cancelled => wire::JobState::Cancelled,
        State::Expired => wire::JobState::Expired,
    }
}

const fn reason(reason: Reason) -> wire::StateReason {
    match reason {
        Reason::None => wire::StateReason::Unspecified,
        Reason::HandlerError => wire::StateReason::HandlerError,
        Reason::NotRetryable => wire::StateReason::NotRetryable,
        Reason::Timeout => wire::StateReason::Timeout,
        Reason::WorkerLost => wire::StateReason::WorkerLost,
        Reason::Poisoned => wire::StateReason::Poisoned,
        Reason::CancelledByCaller => wire::StateReason::CancelledByCaller,
        Reason::Replaced => wire::StateReason::Replaced,
        Reason::DependencyFailed => wire::StateReason::DependencyFailed,
        Reason::StartDeadline => wire::StateReason::StartDeadline,
        Reason::Snoozed => wire::StateReason::Snoozed,
        Reason::Released => wire::StateReason::Released,
        Reason::Deleted => wire::StateReason::Deleted,
    }
}

fn unique(unique: &sentinel_domain::Unique) -> wire::Unique {
    let scope = match unique.scope {
        UniqueScope::Kind => wire::UniqueScope::Kind,
        UniqueScope::Queue => wire::UniqueScope::Queue,
    };
    let mode = match unique.mode {
        UniqueMode::ReturnExisting => wire::UniqueMode::ReturnExisting,
        UniqueMode::Reject => wire::UniqueMode::Reject,
        UniqueMode::ReplacePending => wire::UniqueMode::ReplacePending,
        UniqueMode::Debounce => wire::UniqueMode::Debounce,
    };
    wire::Unique {
        key: unique.key.to_string(),
        scope: scope.into(),
        mode: mode.into(),
        ttl: unique.ttl_ms.map(duration),
    }
}

fn spec(spec: &Spec, is_full: bool) -> wire::JobSpec {
    let backoff = match spec.retry.backoff {
        Backoff::Fixed => wire::BackoffKind::Fixed,
        Backoff::Exponential => wire::BackoffKind::Exponential,
    };
    let jitter = match spec.retry.jitter {
        Jitter::None => wire::Jitter::None,
        Jitter::Full => wire::Jitter::Full,
    };
    let on_dependency_failure = match spec.on_dependency_failure {
        DependencyFailure::Cancel => wire::DependencyFailurePolicy::Cancel,
        DependencyFailure::Run => wire::DependencyFailurePolicy::Run,
    };
    let on_lost = match spec.on_lost {
        OnLost::Retry => wire::LostPolicy::Retry,
        OnLost::Fail => wire::LostPolicy::Fail,
    };
    let ack = match spec.ack {
        None => wire::AckLevel::Unspecified,
        Some(Ack::Store) => wire::AckLevel::Store,
        Some(Ack::Replicated) => wire::AckLevel::Replicated,
        Some(Ack::Ledger) => wire::AckLevel::Ledger,
    };
    wire::JobSpec {
        queue: spec.queue.to_string(),
        kind: spec.kind.to_string(),
        payload: if is_full { spec.payload.clone() } else { bytes::Bytes::new() },
        content_type: spec.content_type.to_string(),
        priority: spec.priority.into(),
        run_at: (spec.run_at > spec.created_at).then(|| timestamp(spec.run_at)),
        delay: None,
        start_deadline: spec.start_deadline.map(timestamp),
        run_timeout: spec.run_timeout_ms.map(duration),
        retry: Some(wire::RetryPolicy {
            max_attempts: spec.retry.max_attempts,
            backoff: backoff.into(),
            base: Some(duration(spec.retry.base_ms)),
            cap: Some(duration(spec.retry.cap_ms)),
            jitter: jitter.into(),
        }),
        labels: spec.labels.iter().map(|l| (l.key.to_string(), l.value.to_string())).collect(),
        unique: spec.unique.as_deref().map(unique),
        depends_on: spec.depends_on.iter().map(ToString::to_string).collect(),
        on_dependency_failure: on_dependency_failure.into(),
        on_lost: on_lost.into(),
        traceparent: spec.traceparent.as_deref().unwrap_or_default().to_owned(),
        cancel_grace: Some(duration(spec.cancel_grace_ms)),
        ack: ack.into(),
    }
}

pub(super) fn error(error: &JobError) -> wire::JobError {
    wire::JobError {
        message: error.message.to_string(),
        code: error.code.to_string(),
        retryable: error.retryable,
        detail: error.detail.to_string(),
    }
}

pub(super) fn progress(progress: &Progress) -> wire::Progress {
    wire::Progress {
        seq: progress.seq,
        done: progress.done,
        total: progress.total,
        message: progress.message.to_string(),
    }
}

/// Which fields of a job a response has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum JobDetail {
    /// All except payload, checkpoint and result.
    Basic,
    /// Basic and the result.
    Result,
    /// All.
    Full,
}

impl JobDetail {
    /// Converts a `JobView`; `default` is used if it is unspecified.
    pub(super) fn of(view: i32, default: Self) -> Self {
        match wire::JobView::try_from(view) {
            Ok(wire::JobView::Basic) => Self::Basic,
            Ok(wire::JobView::Full) => Self::Full,
            Ok(wire::JobView::Unspecified) | Err(_) => default,
        }
    }
}

pub(super) fn job(job: &Job, detail: JobDetail) -> wire::Job {
    let status = &job.status;
    let is_full = detail == JobDetail::Full;
    let is_waiting = matches!(status.state, State::Scheduled | State::Ready);
    let bytes = |is_shown: bool, bytes: &Option<bytes::Bytes>| match bytes {
        Some(bytes) if is_shown => bytes.clone(),
        _ => bytes::Bytes::new(),
    };
    wire::Job {
        id: job.id.to_string(),
        spec: Some(spec(&job.spec, is_full)),
        state: state(status.state).into(),
        reason: reason(status.reason).into(),
        version: status.version,
        run: status.run,
        attempt: status.attempt,
        crashes: status.crashes,
        cancel_requested: status.state == State::Running && status.cancel.is_some(),
        created_at: Some(timestamp(job.spec.created_at)),
        ready_at: is_waiting.then(|| timestamp(status.ready_at)),
        started_at: status.started_at.map(timestamp),
        finished_at: status.finished_at.map(timestamp),
        progress: status.progress.as_deref().map(progress),
        checkpoint: bytes(is_full, &status.checkpoint),
        result: bytes(is_full || detail == JobDetail::Result, &status.result),
        error: status.error.as_deref().map(error),
        worker: status.worker.as_deref().unwrap_or_default().to_owned(),
        pending_dependencies: status.waiting_for.len() as u32,
        updated_at: Some(timestamp(status.updated_at)),
    }
}

/// Converts the result for one id of a BatchGet.
pub(super) fn batch_get_result(
    id: JobId,
    found: Option<Arc<Job>>,
    detail: JobDetail,
) -> wire::BatchGetResult {
    use wire::batch_get_result::Outcome;
    let outcome = match found {
        Some(found) => Outcome::Job(job(&found, detail)),
        None => Outcome::MissingId(id.to_string()),
    };
    wire::BatchGetResult { outcome: Some(outcome) }
}

const fn attempt_outcome(result: AttemptResult) -> wire::AttemptOutcome {
    match result {
        AttemptResult::Running => wire::AttemptOutcome::Running,
        AttemptResult::Succeeded => wire::AttemptOutcome::Succeeded,
        AttemptResult::Unsuccessful(AttemptOutcome::Failed) => wire::AttemptOutcome::Failed,
        AttemptResult::Unsuccessful(AttemptOutcome::TimedOut) => wire::AttemptOutcome::TimedOut,
        AttemptResult::Unsuccessful(AttemptOutcome::Lost) => wire::AttemptOutcome::Lost,
        AttemptResult::Unsuccessful(AttemptOutcome::Snoozed) => wire::AttemptOutcome::Snoozed,
        AttemptResult::Unsuccessful(AttemptOutcome::Released) => wire::AttemptOutcome::Released,
        AttemptResult::Unsuccessful(AttemptOutcome::NotReceived) => {
            wire::AttemptOutcome::NotReceived
        }
        AttemptResult::Unsuccessful(AttemptOutcome::Cancelled) => wire::AttemptOutcome::Cancelled,
        AttemptResult::Unsuccessful(AttemptOutcome::Revoked) => wire::AttemptOutcome::Revoked,
    }
}

pub(super) fn attempt(attempt: &Attempt) -> wire::Attempt {
    wire::Attempt {
        run: attempt.run,
        attempt: attempt.attempt,
        epoch: attempt.epoch,
        outcome: attempt_outcome(attempt.result).into(),
        started_at: attempt.started_at.map(timestamp),
        finished_at: attempt.ended_at.map(timestamp),
        worker: attempt.worker.as_deref().unwrap_or_default().to_owned(),
        error: attempt.error.as_deref().map(error),
    }
}

const fn bulk_outcome(outcome: BulkOutcome) -> wire::BulkOutcome {
    match outcome {
        BulkOutcome::Cancelled => wire::BulkOutcome::Cancelled,
        BulkOutcome::Requested => wire::BulkOutcome::Requested,
        BulkOutcome::Retried => wire::BulkOutcome::Retried,
        BulkOutcome::Deleted => wire::BulkOutcome::Deleted,
        BulkOutcome::Changed => wire::BulkOutcome::Changed,
        BulkOutcome::Refused => wire::BulkOutcome::Refused,
    }
}

pub(super) fn bulk_step(step: BulkStep) -> wire::BulkResponse {
    let count = |(outcome, count)| wire::BulkCount { outcome: bulk_outcome(outcome).into(), count };
    let refusal = |(id, refused): (JobId, ItemError)| wire::BulkRefusal {
        id: id.to_string(),
        error: Some(item_error(refused)),
    };
    wire::BulkResponse {
        counts: step.counts.into_iter().map(count).collect(),
        refusals: step.refusals.into_iter().map(refusal).collect(),
        next_page_token: step.next.map(|id| id.to_string()).unwrap_or_default(),
        ..wire::BulkResponse::default()
    }
}

fn item_error(refused: ItemError) -> wire::ItemError {
    wire::ItemError { reason: refused.reason, message: refused.message, field: refused.field }
}

pub(super) fn batch_result(item: BatchItemResult) -> wire::EnqueueBatchResult {
    use wire::enqueue_batch_result::Outcome;
    let outcome = match item {
        Ok(Enqueued { job, deduplicated }) => Outcome::Job(wire::EnqueuedJob {
            id: job.id.to_string(),
            state: state(job.status.state).into(),
            deduplicated,
        }),
        Err(refused) => Outcome::Error(item_error(refused)),
    };
    wire::EnqueueBatchResult { outcome: Some(outcome) }
}

/// Groups counts by queue. They must be sorted by queue.
pub(super) fn counts(counts: Vec<QueueCount>) -> Vec<wire::QueueCounts> {
    let mut queues: Vec<wire::QueueCounts> = Vec::new();
    for count in counts {
        if queues.last().is_none_or(|last| *last.queue != *count.queue) {
            queues.push(wire::QueueCounts { queue: count.queue.to_string(), states: Vec::new() });
        }
        if let Some(queue) = queues.last_mut() {
            queue.states.push(state_count(&count));
        }
    }
    queues
}

pub(super) fn state_count(count: &QueueCount) -> wire::StateCount {
    wire::StateCount { state: state(count.state).into(), count: count.count, capped: count.capped }
}

pub(super) fn log_line(row: &LogRow) -> wire::LogLine {
    wire::LogLine {
        attempt: row.attempt,
        seq: row.line(),
        time: Some(timestamp(row.at)),
        level: i32::from(row.level),
        text: row.text.clone(),
        run: row.run,
    }
}

pub(super) fn queue(queue: &Queue) -> admin::Queue {
    let order = match queue.order {
        QueueOrder::Aging => admin::QueueOrder::Aging,
        QueueOrder::Strict => admin::QueueOrder::Strict,
    };
    let mode = match queue.mode {
        QueueMode::Open => admin::QueueMode::Open,
        QueueMode::Paused => admin::QueueMode::Paused,
        QueueMode::Draining => admin::QueueMode::Draining,
    };
    admin::Queue {
        name: queue.name.to_string(),
        order: order.into(),
        priority_boost: Some(duration(queue.priority_boost_ms)),
        description: queue.description.to_string(),
        index_paths: queue.index_paths.iter().map(ToString::to_string).collect(),
        created_at: Some(timestamp(queue.created_at)),
        mode: mode.into(),
    }
}

pub(super) fn worker(worker: WorkerEntry) -> admin::Worker {
    let WorkerEntry { id, info: about, is_draining, last_heartbeat_at, running } = worker;
    admin::Worker {
        id: id.to_string(),
        instance: about.instance.into(),
        build: about.build.into(),
        queues: about.queues.iter().map(ToString::to_string).collect(),
        kinds: about.kinds.iter().map(|kind| kind.name.to_string()).collect(),
        labels: about.labels.iter().map(|l| (l.key.to_string(), l.value.to_string())).collect(),
        capabilities: about.capabilities.into_iter().map(Into::into).collect(),
        server: about.server.into(),
        since: Some(timestamp(about.since)),
        last_seen: Some(timestamp(last_heartbeat_at)),
        draining: is_draining,
        running_jobs: u32::try_from(running).unwrap_or(u32::MAX),
        slots: about.slots,
    }
}

pub(super) fn kind(kind: Kind) -> wire::JobKind {
    let Kind { known, workers, schemas } = kind;
    wire::JobKind {
        name: known.name.to_string(),
        description: known.description.into(),
        input_schema: known.input_schema.into(),
        workers: u32::try_from(workers).unwrap_or(u32::MAX),
        schemas: u32::try_from(schemas).unwrap_or(u32::MAX),
        last_seen: Some(timestamp(known.seen_at)),
        declared_at: Some(timestamp(known.declared_at)),
    }
}

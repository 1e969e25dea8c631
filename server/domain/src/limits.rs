//! All limits on input and all defaults. docs/limits.md is generated from [`TABLE`]; every limit
//! is tested.

/// A limit or a default, for the documentation.
pub struct Limit {
    /// The name of the constant.
    pub name: &'static str,
    /// What it limits.
    pub what: &'static str,
    /// The value in `unit`.
    pub value: u64,
    /// `bytes`, `ms`, or the counted items.
    pub unit: &'static str,
    /// The effect of exceeding it; `-` for a default.
    pub beyond: &'static str,
}

macro_rules! limits {
    ($(#[doc = $doc:literal] $name:ident: $value:expr, $unit:literal, $beyond:literal;)*) => {
        $(#[doc = $doc] pub const $name: u64 = $value;)*
        /// All limits, in the order of the documentation.
        pub const TABLE: &[Limit] = &[
            $(Limit {
                name: stringify!($name),
                what: $doc.trim_ascii(),
                value: $value,
                unit: $unit,
                beyond: $beyond,
            },)*
        ];
    };
}

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The range of a `google.protobuf.Timestamp`, in milliseconds since the Unix epoch: from
/// 0001-01-01 to the end of 9999-12-31.
pub const TIME_RANGE_MS: (i64, i64) = (-62_135_596_800_000, 253_402_300_799_999);

limits! {
    /// Payload of a job. Configurable.
    PAYLOAD_BYTES: 1 << 20, "bytes", "INVALID_ARGUMENT";
    /// The highest payload limit that can be configured.
    PAYLOAD_MAX_BYTES: 16 << 20, "bytes", "the server does not start";
    /// Result of one attempt.
    RESULT_BYTES: 1 << 20, "bytes", "the attempt fails, code RESULT_TOO_LARGE";
    /// Message of an error.
    ERROR_BYTES: 16 << 10, "bytes", "truncated";
    /// Code of an error.
    ERROR_CODE_BYTES: 128, "bytes", "truncated";
    /// Detail of an error: its stack trace or chain of causes.
    ERROR_DETAIL_BYTES: 16 << 10, "bytes", "truncated";
    /// Message of a progress report.
    PROGRESS_BYTES: 4 << 10, "bytes", "truncated";
    /// Checkpoint of a job.
    CHECKPOINT_BYTES: 64 << 10, "bytes", "FENCED: the checkpoint is refused";
    /// A log line.
    LOG_LINE_BYTES: 64 << 10, "bytes", "split";
    /// Logs of an attempt.
    LOG_ATTEMPT_BYTES: 10 << 20, "bytes", "the oldest lines are dropped, which leaves a gap in seq";
    /// A chunk of output.
    OUTPUT_CHUNK_BYTES: 64 << 10, "bytes", "the stream ends with INVALID_ARGUMENT";
    /// Output of one lease of an attempt.
    OUTPUT_ATTEMPT_BYTES: 10 << 20, "bytes", "further output is dropped";
    /// Chunks of output of one lease of an attempt.
    OUTPUT_CHUNKS: 10_000, "chunks", "further output is dropped";
    /// Names of queues and kinds, keys of labels: `[A-Za-z0-9._-]`.
    NAME_BYTES: 128, "bytes", "INVALID_ARGUMENT";
    /// Unique keys, request ids, label values, actors, traceparents.
    KEY_BYTES: 256, "bytes", "INVALID_ARGUMENT";
    /// Media type of a payload.
    CONTENT_TYPE_BYTES: 128, "bytes", "INVALID_ARGUMENT";
    /// Description of a queue or a kind.
    DESCRIPTION_BYTES: 1024, "bytes", "INVALID_ARGUMENT";
    /// JSON Schema of a kind's payload.
    KIND_SCHEMA_BYTES: 16 << 10, "bytes", "INVALID_ARGUMENT";
    /// Labels of a job or a worker.
    LABELS: 16, "labels", "INVALID_ARGUMENT";
    /// Labels of a filter.
    FILTER_LABELS: 4, "labels", "INVALID_ARGUMENT";
    /// Queues or kinds of a filter.
    FILTER_NAMES: 20, "names", "INVALID_ARGUMENT";
    /// Dependencies of a job.
    DEPENDENCIES: 100, "jobs", "INVALID_ARGUMENT";
    /// Jobs of a batch.
    BATCH_JOBS: 1_000, "jobs", "INVALID_ARGUMENT";
    /// Payloads of a batch in total.
    BATCH_BYTES: 4 << 20, "bytes", "INVALID_ARGUMENT";
    /// Unacknowledged items of an ingest stream. The rejections of as many items are kept.
    INGEST_WINDOW_ITEMS: 1_000, "items", "the stream ends with INVALID_ARGUMENT";
    /// Unacknowledged items of an ingest stream in total, as encoded specs. One item may exceed it.
    INGEST_WINDOW_BYTES: 8 << 20, "bytes", "the stream ends with INVALID_ARGUMENT";
    /// Ingest streams of a server.
    INGEST_STREAMS: 1_000, "streams", "RESOURCE_EXHAUSTED";
    /// Uncommitted items of all ingest streams of a server in total.
    INGEST_BYTES: 256 << 20, "bytes", "the streams wait";
    /// How long the offset of a producer is kept after its last commit or Start.
    PRODUCER_OFFSET_TTL_MS: 7 * DAY, "ms", "the producer starts at offset 0";
    /// Jobs of one step of a bulk action if page_size is 0.
    BULK_DEFAULT: 100, "jobs", "-";
    /// Jobs that the preview of a bulk action scans.
    BULK_PREVIEW_JOBS: 100_000, "jobs", "capped is set";
    /// Jobs of a watch by ids.
    WATCH_JOBS: 100, "jobs", "INVALID_ARGUMENT";
    /// Jobs in the snapshot of a watch by filter.
    WATCH_SNAPSHOT_JOBS: 1_000, "jobs", "truncated is set";
    /// Queues of a summary that names its queues.
    SUMMARY_QUEUES: 100, "queues", "INVALID_ARGUMENT";
    /// Queues of a summary that names no queue.
    SUMMARY_QUEUES_DEFAULT: 1_000, "queues", "the first ones by name are included";
    /// Items of a page.
    PAGE_MAX: 1_000, "items", "INVALID_ARGUMENT";
    /// Jobs of a page if page_size is 0.
    PAGE_DEFAULT: 50, "items", "-";
    /// Count of jobs per queue and state.
    COUNT_CAP: 1_000_000, "jobs", "capped is set";
    /// Kinds with waiting jobs in a queue.
    KINDS_PER_QUEUE: 256, "kinds", "RESOURCE_EXHAUSTED";
    /// Queues of a worker.
    WORKER_QUEUES: 100, "queues", "INVALID_ARGUMENT";
    /// Kinds of a worker.
    WORKER_KINDS: 1_000, "kinds", "INVALID_ARGUMENT";
    /// Capabilities of a worker in ListWorkers, of at most 128 bytes each.
    WORKER_CAPABILITIES: 32, "names", "the others are omitted";
    /// Kinds in the registry.
    KINDS_MAX: 10_000, "kinds", "the least recently seen ones are removed";
    /// How long a kind without a live worker is kept.
    KIND_RETENTION_MS: 90 * DAY, "ms", "removed; then NOT_FOUND";
    /// Credits of a worker: the jobs that it accepts at the same time.
    WORKER_CREDITS: 100_000, "jobs", "INVALID_ARGUMENT";
    /// The highest priority; 0 is the lowest.
    PRIORITY_MAX: 9, "level", "INVALID_ARGUMENT";
    /// Default of max_attempts.
    ATTEMPTS_DEFAULT: 3, "attempts", "-";
    /// The highest max_attempts.
    ATTEMPTS_MAX: 1_000, "attempts", "INVALID_ARGUMENT";
    /// Attempts of one run whose worker is lost.
    CRASHES_MAX: 3, "attempts", "FAILED, reason POISONED";
    /// Default of retry.base, the first backoff.
    RETRY_BASE_MS: SECOND, "ms", "-";
    /// The longest retry.base.
    RETRY_BASE_MAX_MS: DAY, "ms", "INVALID_ARGUMENT";
    /// Default of retry.cap, the longest backoff.
    RETRY_CAP_MS: 10 * MINUTE, "ms", "-";
    /// The longest retry.cap, and the longest next_delay of a handler.
    RETRY_CAP_MAX_MS: 30 * DAY, "ms", "INVALID_ARGUMENT; reduced to the limit in a report";
    /// The longest delay and snooze, and how far in the future run_at may be.
    DELAY_MAX_MS: 366 * DAY, "ms", "INVALID_ARGUMENT; reduced to the limit in a report";
    /// The longest run_timeout.
    RUN_TIMEOUT_MAX_MS: 30 * DAY, "ms", "INVALID_ARGUMENT";
    /// Time after the run_timeout until the server ends the attempt itself.
    RUN_TIMEOUT_SLACK_MS: 5 * SECOND, "ms", "the attempt fails, reason TIMEOUT";
    /// Default of cancel_grace, the time that a handler has to stop after a cancel.
    CANCEL_GRACE_MS: 30 * SECOND, "ms", "-";
    /// The longest cancel_grace.
    CANCEL_GRACE_MAX_MS: HOUR, "ms", "INVALID_ARGUMENT";
    /// The shortest unique.ttl.
    UNIQUE_TTL_MIN_MS: SECOND, "ms", "INVALID_ARGUMENT";
    /// The longest unique.ttl.
    UNIQUE_TTL_MAX_MS: 30 * DAY, "ms", "INVALID_ARGUMENT";
    /// How long the response to a request_id is kept.
    IDEMPOTENCY_TTL_MS: 10 * MINUTE, "ms", "the call is executed again";
    /// Idempotency records: responses to request ids, and offsets of producers.
    IDEMPOTENCY_RECORDS_MAX: 1_000_000, "records", "the oldest are removed";
    /// Responses in idempotency records in total.
    IDEMPOTENCY_BYTES: 256 << 20, "bytes", "the oldest are removed";
    /// Default of priority_boost, the waiting time that one priority level is worth.
    PRIORITY_BOOST_MS: MINUTE, "ms", "-";
    /// The highest priority_boost.
    PRIORITY_BOOST_MAX_MS: DAY, "ms", "INVALID_ARGUMENT";
    /// Index paths of a queue.
    INDEX_PATHS: 8, "paths", "INVALID_ARGUMENT";
    /// An index path. With the prefix `payload.`, it is the key of a label.
    INDEX_PATH_BYTES: 120, "bytes", "INVALID_ARGUMENT";
    /// Queues of a cluster.
    QUEUES_MAX: 10_000, "queues", "RESOURCE_EXHAUSTED";
    /// API keys of a cluster, including those that ended in the last 90 days.
    KEYS_MAX: 10_000, "keys", "RESOURCE_EXHAUSTED";
    /// Queues or prefixes of an API key.
    KEY_QUEUES: 20, "queues", "INVALID_ARGUMENT";
    /// Entries of the audit log, and up to 10,000 more for each server.
    AUDIT_MAX: 1_000_000, "entries", "the oldest entries are removed";
    /// Audit entries about refused calls per key and minute.
    AUDIT_REFUSALS: 60, "entries", "one entry NOT_ALL_NOTED is written, and no others";
    /// How long entries of the audit log are kept.
    AUDIT_RETENTION_MS: 366 * DAY, "ms", "the oldest entries are removed";
    /// How long an expired or revoked API key is listed.
    KEY_RETENTION_MS: 90 * DAY, "ms", "removed when a key is created";
    /// How long the history keeps a SUCCEEDED job. Configurable.
    SUCCEEDED_RETENTION_MS: 30 * DAY, "ms", "removed; then NOT_FOUND";
    /// How long the history keeps a FAILED, CANCELLED or EXPIRED job. Configurable.
    UNSUCCESSFUL_RETENTION_MS: 90 * DAY, "ms", "removed; then NOT_FOUND";
    /// Terminal jobs of a queue in the history. Configurable.
    KEEP_TERMINAL_MAX: 10_000_000, "jobs", "the oldest are removed; then NOT_FOUND";
}

//! Every bound on input and every default, once. docs/limits.md is rendered from
//! [`TABLE`]; each boundary is tested.

/// A bound or a default as people read it.
pub struct Limit {
    /// The field or thing it bounds.
    pub name: &'static str,
    /// What it is for, as a sentence.
    pub what: &'static str,
    /// The value in `unit`.
    pub value: u64,
    /// `bytes`, `ms`, or what is counted.
    pub unit: &'static str,
    /// What happens beyond it.
    pub beyond: &'static str,
}

macro_rules! limits {
    ($(#[doc = $doc:literal] $name:ident: $value:expr, $unit:literal, $beyond:literal;)*) => {
        $(#[doc = $doc] pub const $name: u64 = $value;)*
        /// All of them, in the order of the document.
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

/// The times that a `google.protobuf.Timestamp` can say, in ms since the Unix epoch:
/// 0001-01-01 to the end of 9999-12-31.
pub const TIME_RANGE_MS: (i64, i64) = (-62_135_596_800_000, 253_402_300_799_999);

limits! {
    /// Payload of one job, unless the server is configured otherwise.
    PAYLOAD_BYTES: 1 << 20, "bytes", "INVALID_ARGUMENT";
    /// The highest payload limit that a server can be configured to.
    PAYLOAD_MAX_BYTES: 16 << 20, "bytes", "refused at start";
    /// Result of one attempt.
    RESULT_BYTES: 1 << 20, "bytes", "the attempt fails, code RESULT_TOO_LARGE";
    /// Text of an error.
    ERROR_BYTES: 16 << 10, "bytes", "cut";
    /// Class of an error.
    ERROR_CODE_BYTES: 128, "bytes", "cut";
    /// Message of a progress report.
    PROGRESS_BYTES: 4 << 10, "bytes", "cut";
    /// State for the next attempt.
    CHECKPOINT_BYTES: 64 << 10, "bytes", "FENCED: the checkpoint is refused";
    /// One line of a log.
    LOG_LINE_BYTES: 64 << 10, "bytes", "split";
    /// Logs of one attempt.
    LOG_ATTEMPT_BYTES: 10 << 20, "bytes", "the oldest lines are dropped, a gap in seq shows it";
    /// One piece of output.
    OUTPUT_CHUNK_BYTES: 64 << 10, "bytes", "the stream ends with INVALID_ARGUMENT";
    /// Output of one lease of an attempt.
    OUTPUT_ATTEMPT_BYTES: 10 << 20, "bytes", "what goes beyond is not taken";
    /// Pieces of output of one lease of an attempt.
    OUTPUT_CHUNKS: 10_000, "pieces", "what goes beyond is not taken";
    /// Queues, kinds, label keys: `[A-Za-z0-9._-]`.
    NAME_BYTES: 128, "bytes", "INVALID_ARGUMENT";
    /// Unique keys, request ids, label values, actors, traceparent.
    KEY_BYTES: 256, "bytes", "INVALID_ARGUMENT";
    /// Media type of a payload.
    CONTENT_TYPE_BYTES: 128, "bytes", "INVALID_ARGUMENT";
    /// Description of a queue or a kind.
    DESCRIPTION_BYTES: 1024, "bytes", "INVALID_ARGUMENT";
    /// JSON Schema of a kind's payload.
    KIND_SCHEMA_BYTES: 16 << 10, "bytes", "INVALID_ARGUMENT";
    /// Labels of one job or worker.
    LABELS: 16, "labels", "INVALID_ARGUMENT";
    /// Labels of one filter.
    FILTER_LABELS: 4, "labels", "INVALID_ARGUMENT";
    /// Queues or kinds of one filter.
    FILTER_NAMES: 20, "names", "INVALID_ARGUMENT";
    /// Jobs that one job may depend on.
    DEPENDENCIES: 100, "jobs", "INVALID_ARGUMENT";
    /// Jobs of one batch.
    BATCH_JOBS: 1_000, "jobs", "INVALID_ARGUMENT";
    /// Payloads of one batch together.
    BATCH_BYTES: 4 << 20, "bytes", "INVALID_ARGUMENT";
    /// Items of a producer's stream on the way; of so many committed ones refusals are told again.
    INGEST_WINDOW_ITEMS: 1_000, "items", "the stream ends with INVALID_ARGUMENT";
    /// Encoded specs of a producer's items on the way together, unless it is a single item.
    INGEST_WINDOW_BYTES: 8 << 20, "bytes", "the stream ends with INVALID_ARGUMENT";
    /// Streams of producers on one server.
    INGEST_STREAMS: 1_000, "streams", "RESOURCE_EXHAUSTED";
    /// Items of all producers' streams of one server that wait to be committed.
    INGEST_BYTES: 256 << 20, "bytes", "the streams wait";
    /// How long the position of a producer is remembered after its last commit or Start.
    PRODUCER_OFFSET_TTL_MS: 7 * DAY, "ms", "the producer stands at 0";
    /// Jobs of one step of a bulk action when page_size is 0.
    BULK_DEFAULT: 100, "jobs", "-";
    /// Jobs that the preview of a bulk action looks at.
    BULK_PREVIEW_JOBS: 100_000, "jobs", "capped is set";
    /// Jobs of one watch by ids.
    WATCH_JOBS: 100, "jobs", "INVALID_ARGUMENT";
    /// Jobs in the snapshot of a watch by filter.
    WATCH_SNAPSHOT_JOBS: 1_000, "jobs", "truncated is set";
    /// Queues that one summary of a watch names.
    SUMMARY_QUEUES: 100, "queues", "INVALID_ARGUMENT";
    /// Queues in a summary that names none.
    SUMMARY_QUEUES_DEFAULT: 1_000, "queues", "the first by name";
    /// The largest page of a list.
    PAGE_MAX: 1_000, "items", "INVALID_ARGUMENT";
    /// A page of jobs when page_size is 0.
    PAGE_DEFAULT: 50, "items", "-";
    /// Jobs that Counts counts per queue and state.
    COUNT_CAP: 1_000_000, "jobs", "capped is set";
    /// Kinds with waiting jobs in one queue.
    KINDS_PER_QUEUE: 256, "kinds", "RESOURCE_EXHAUSTED";
    /// Queues that one worker serves.
    WORKER_QUEUES: 100, "queues", "INVALID_ARGUMENT";
    /// Kinds that one worker serves.
    WORKER_KINDS: 1_000, "kinds", "INVALID_ARGUMENT";
    /// Capabilities of a worker that ListWorkers shows, of at most 128 bytes each.
    WORKER_CAPABILITIES: 32, "names", "dropped from the list";
    /// Kinds that are remembered.
    KINDS_MAX: 10_000, "kinds", "those that were not seen for longest are forgotten";
    /// How long a kind is remembered that no live worker has.
    KIND_RETENTION_MS: 90 * DAY, "ms", "forgotten; then NOT_FOUND";
    /// Slots that one worker may grant in all.
    WORKER_CREDITS: 100_000, "jobs", "INVALID_ARGUMENT";
    /// The highest priority; 0 is the lowest.
    PRIORITY_MAX: 9, "level", "INVALID_ARGUMENT";
    /// Attempts when a job says nothing.
    ATTEMPTS_DEFAULT: 3, "attempts", "-";
    /// Attempts that a job may ask for.
    ATTEMPTS_MAX: 1_000, "attempts", "INVALID_ARGUMENT";
    /// Attempts of one run that take their worker down until the job is given up.
    CRASHES_MAX: 3, "attempts", "FAILED, reason POISONED";
    /// First pause between attempts when a job says nothing.
    RETRY_BASE_MS: SECOND, "ms", "-";
    /// The longest first pause.
    RETRY_BASE_MAX_MS: DAY, "ms", "INVALID_ARGUMENT";
    /// Longest pause between attempts when a job says nothing.
    RETRY_CAP_MS: 10 * MINUTE, "ms", "-";
    /// The longest pause that a job or a handler may ask for.
    RETRY_CAP_MAX_MS: 30 * DAY, "ms", "INVALID_ARGUMENT; cut in a report";
    /// How far ahead run_at, delay and snooze may lie.
    DELAY_MAX_MS: 366 * DAY, "ms", "INVALID_ARGUMENT; cut in a report";
    /// The longest run_timeout.
    RUN_TIMEOUT_MAX_MS: 30 * DAY, "ms", "INVALID_ARGUMENT";
    /// What a handler gets beyond its run_timeout before the server takes the lease.
    RUN_TIMEOUT_SLACK_MS: 5 * SECOND, "ms", "the attempt fails, reason TIMEOUT";
    /// How long a handler may go on after a cancel when a job says nothing.
    CANCEL_GRACE_MS: 30 * SECOND, "ms", "-";
    /// The longest cancel_grace.
    CANCEL_GRACE_MAX_MS: HOUR, "ms", "INVALID_ARGUMENT";
    /// The shortest ttl of a unique key.
    UNIQUE_TTL_MIN_MS: SECOND, "ms", "INVALID_ARGUMENT";
    /// The longest ttl of a unique key.
    UNIQUE_TTL_MAX_MS: 30 * DAY, "ms", "INVALID_ARGUMENT";
    /// How long a request_id is remembered.
    IDEMPOTENCY_TTL_MS: 10 * MINUTE, "ms", "the call is carried out again";
    /// Request ids and positions of producers that are remembered.
    IDEMPOTENCY_RECORDS_MAX: 1_000_000, "requests", "the oldest are forgotten";
    /// Answers to request ids that are remembered, together.
    IDEMPOTENCY_BYTES: 256 << 20, "bytes", "the oldest are forgotten";
    /// What one priority level is worth when a queue says nothing.
    PRIORITY_BOOST_MS: MINUTE, "ms", "-";
    /// The highest priority_boost.
    PRIORITY_BOOST_MAX_MS: DAY, "ms", "INVALID_ARGUMENT";
    /// Paths into the payload that one queue indexes.
    INDEX_PATHS: 8, "paths", "INVALID_ARGUMENT";
    /// One path into the payload: with `payload.` before it, it is the key of a label.
    INDEX_PATH_BYTES: 120, "bytes", "INVALID_ARGUMENT";
    /// Queues of one installation.
    QUEUES_MAX: 10_000, "queues", "RESOURCE_EXHAUSTED";
    /// API keys of one installation, those that ended in the last 90 days included.
    KEYS_MAX: 10_000, "keys", "RESOURCE_EXHAUSTED";
    /// Queues or prefixes of one API key.
    KEY_QUEUES: 20, "queues", "INVALID_ARGUMENT";
    /// Entries of the audit trail, and up to 10,000 more for each server.
    AUDIT_MAX: 1_000_000, "entries", "the oldest entries are removed";
    /// Entries of one key in a minute about calls that were refused.
    AUDIT_REFUSALS: 60, "entries", "one more says NOT_ALL_NOTED, and no others are written";
    /// How long the audit trail is kept.
    AUDIT_RETENTION_MS: 366 * DAY, "ms", "the oldest entries are removed";
    /// How long a key that ended is still listed.
    KEY_RETENTION_MS: 90 * DAY, "ms", "removed when a key is made";
    /// How long the history keeps a SUCCEEDED job, unless the server is configured otherwise.
    SUCCEEDED_RETENTION_MS: 30 * DAY, "ms", "removed; then NOT_FOUND";
    /// How long the history keeps a FAILED, CANCELLED or EXPIRED job, unless configured otherwise.
    UNSUCCESSFUL_RETENTION_MS: 90 * DAY, "ms", "removed; then NOT_FOUND";
    /// Finished jobs of one queue in the history, unless the server is configured otherwise.
    KEEP_TERMINAL_MAX: 10_000_000, "jobs", "the oldest are removed; then NOT_FOUND";
}

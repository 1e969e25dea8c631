//! Maps errors to gRPC statuses: the code, the reason that clients branch on, and the details.
//! docs/errors.md is generated from [`CATALOGUE`].

use std::time::Duration;

use sentinel_domain::{FieldViolation, KeyId, KeyRejection, Role};
use sentinel_engine::EngineError;
use sentinel_ledger::LedgerError;
use sentinel_store::StoreError;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::to_wire;

/// The `domain` of every ErrorInfo.
pub const DOMAIN: &str = "sentinel";

/// Maximum length of a message. A status is sent in HTTP/2 headers, the message twice, and clients
/// accept 8 KiB of headers by default. A longer one would arrive as a transport error without
/// reason.
const MESSAGE_BYTES: usize = 1_024;

/// Maximum total length of field violations.
const VIOLATIONS_BYTES: usize = 2_048;

/// A reason that clients can branch on.
pub struct Reason {
    pub name: &'static str,
    pub code: Code,
    /// The other details of the status.
    pub details: &'static str,
    pub meaning: &'static str,
    pub remedy: &'static str,
}

macro_rules! catalogue {
    ($($name:ident: $code:ident, $details:literal, $meaning:literal, $remedy:literal;)*) => {
        $(const $name: Reason = Reason {
            name: stringify!($name),
            code: Code::$code,
            details: $details,
            meaning: $meaning,
            remedy: $remedy,
        };)*

        /// All reasons, in the order of docs/errors.md.
        pub const CATALOGUE: &[&Reason] = &[$(&$name,)*];
    };
}

catalogue! {
    INVALID_FIELD: InvalidArgument, "BadRequest",
        "One or more fields are invalid. The details list all of them, up to 2 KiB.",
        "Correct the fields. Do not repeat the call unchanged.";
    JOB_NOT_FOUND: NotFound, "",
        "No job has this id.",
        "Check the id. Retention may have removed the job.";
    QUEUE_NOT_FOUND: NotFound, "",
        "No queue has this name, and the server does not create queues automatically.",
        "Create the queue, or correct the name.";
    KIND_NOT_FOUND: NotFound, "",
        "No worker has declared this kind in the last 90 days.",
        "Check the name, and that a worker with a handler for the kind is running.";
    WORKER_NOT_FOUND: NotFound, "",
        "No connected worker has this id.",
        "List the workers again: an id belongs to one session.";
    QUEUE_EXISTS: AlreadyExists, "",
        "A queue with this name exists and has other settings.",
        "Read the queue, then update it or change the request.";
    QUEUE_DRAINING: FailedPrecondition, "",
        "The queue is draining and accepts no new jobs.",
        "Resume the queue, or use another one.";
    TOO_MANY_QUEUES: ResourceExhausted, "",
        "The cluster has the maximum number of queues.",
        "Use labels instead of queues to distinguish jobs.";
    TOO_MANY_KINDS: ResourceExhausted, "",
        "The jobs waiting in one queue have too many different kinds.",
        "Use the payload or labels instead of kinds to distinguish jobs.";
    UNIQUE_KEY_HELD: AlreadyExists, "ErrorInfo.metadata.holder",
        "Another job holds the unique key.",
        "Use the job in `holder`, or wait until it has finished.";
    REQUEST_ID_REUSED: FailedPrecondition, "",
        "The request_id was used before with a different request.",
        "Use a new request_id for each new request.";
    JOB_NOT_TERMINAL: FailedPrecondition, "",
        "Only a job in a terminal state can be retried.",
        "Wait until the job has finished, or cancel it first.";
    JOB_RUNNING: FailedPrecondition, "",
        "A running job cannot be deleted.",
        "Cancel the job and delete it after it has finished.";
    JOB_NOT_SCHEDULED: FailedPrecondition, "ErrorInfo.metadata.state",
        "Only a SCHEDULED job can be started early. `state` is the state of the job.",
        "Nothing if the job is READY or RUNNING. Retry it if it is in a terminal state.";
    JOB_STARTED: FailedPrecondition, "ErrorInfo.metadata.state",
        "A job can only be changed before its first attempt. `state` is the state of the job.",
        "Enqueue another job, or retry this one unchanged.";
    JOB_VERSION: Aborted, "ErrorInfo.metadata.version",
        "The job has another version than the request expects. `version` is the version of the job.",
        "Read the job again and decide whether to repeat the call.";
    PRODUCER_MOVED: Aborted, "",
        "Another Ingest stream with the same producer_id was opened. This stream commits no further jobs.",
        "Nothing if another instance of the program has taken over. Otherwise give each program its own producer_id.";
    CONTENDED: Aborted, "",
        "The job was changed concurrently, and several attempts to apply the call failed.",
        "Repeat the call.";
    OVERLOADED: ResourceExhausted, "RetryInfo",
        "The server is overloaded: too many commits are pending. New jobs are rejected first.",
        "Repeat the call after the delay in RetryInfo.";
    TOO_MANY_PRODUCERS: ResourceExhausted, "RetryInfo",
        "The server has the maximum number of Ingest streams.",
        "Close streams that send nothing, or connect to another server.";
    SHUTTING_DOWN: Unavailable, "RetryInfo",
        "The server is shutting down.",
        "Repeat the call. It reaches another server, or this one after its restart.";
    STORE_UNAVAILABLE: Unavailable, "RetryInfo",
        "The store or the ledger is unavailable. A call with a request_id can be repeated safely.",
        "Repeat the call after the delay in RetryInfo.";
    STORE_FULL: ResourceExhausted, "RetryInfo",
        "There is no space for new jobs: the disk is full, Redis is out of memory, or the journal entries that the ledger does not have yet exceed `journal_max_bytes`. Reports of running jobs are still accepted.",
        "Free disk space, give Redis more memory, or find out why the ledger is behind. The server then accepts jobs again without a restart.";
    STORE_ROLLED_BACK: Unavailable, "RetryInfo",
        "Redis restarted without its data, with older data, or was replaced by another instance. Acknowledged changes may be lost, so nothing is read or written.",
        "Run `sentinel rebuild`. The servers then continue without a restart. Calls can be repeated until then.";
    NOT_YET_SAFE: Unavailable, "RetryInfo",
        "The change is committed, but the durability level in `ack` was not reached in time: too few Redis replicas have it, or the ledger is unavailable.",
        "Repeat the call with the same request_id. It waits again and does not apply the change twice.";
    STORE_DAMAGED: DataLoss, "",
        "A stored record cannot be decoded.",
        "Read the log of the server. Restore a backup if the log says so.";
    CREDENTIAL_MISSING: Unauthenticated, "",
        "The call has no `authorization: Bearer <key>`, and the server requires an API key.",
        "Send an API key. The command line, workers and SDKs read `SENTINEL_CREDENTIAL`.";
    CREDENTIAL_INVALID: Unauthenticated, "",
        "The credential is not an API key of this cluster.",
        "Check that the whole key was copied and that it belongs to this cluster.";
    CREDENTIAL_EXPIRED: Unauthenticated, "",
        "The API key has expired. Streams opened with it end with this error.",
        "Get a new key.";
    CREDENTIAL_REVOKED: Unauthenticated, "",
        "The API key was revoked. Streams opened with it end with this error.",
        "Get a new key.";
    ROLE_NOT_ALLOWED: PermissionDenied, "",
        "The role of the API key does not allow this call.",
        "Use a key with another role. docs/security.md has the table of roles.";
    QUEUE_NOT_ALLOWED: PermissionDenied, "",
        "The API key does not reach this queue, or the call needs a key that reaches all queues.",
        "Use a key that reaches the queue. For a job of another queue the error is JOB_NOT_FOUND.";
    KEYS_UNKNOWN: Unavailable, "RetryInfo",
        "The server could not read the API keys from the ledger for 24 h and accepts no cached keys.",
        "Make the ledger available again.";
    KEY_NOT_FOUND: NotFound, "",
        "No API key has this id.",
        "Check the id. Expired and revoked keys are removed after 90 days.";
    TOO_MANY_KEYS: ResourceExhausted, "",
        "The cluster has the maximum number of API keys.",
        "Revoke unused keys. They are removed after 90 days.";
    SESSION_PROTOCOL: InvalidArgument, "",
        "A worker sent a frame that the session protocol does not allow.",
        "Update the SDK of the worker.";
}

/// Returns the code and the ErrorInfo of a reason.
fn error_info(reason: &Reason, metadata: &[(&str, String)]) -> (Code, ErrorDetails) {
    let metadata: std::collections::HashMap<String, String> =
        metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    (reason.code, ErrorDetails::with_error_info(reason.name, DOMAIN, metadata))
}

fn status(code: Code, message: String, details: ErrorDetails) -> Status {
    Status::with_error_details(code, truncate(message, MESSAGE_BYTES), details)
}

/// Truncates a text at a character boundary and appends ` ...`.
fn truncate(mut text: String, max: usize) -> String {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max));
        text.push_str(" ...");
    }
    text
}

fn simple(reason: &Reason, message: String) -> Status {
    let (code, details) = error_info(reason, &[]);
    status(code, message, details)
}

fn with_retry(reason: &Reason, message: String, delay: Duration) -> Status {
    let (code, mut details) = error_info(reason, &[]);
    details.set_retry_info(Some(delay));
    status(code, message, details)
}

/// Returns INVALID_FIELD with all violations that fit.
pub fn invalid(violations: Vec<FieldViolation>) -> Status {
    let (code, mut details) = error_info(&INVALID_FIELD, &[]);
    let mut message = String::new();
    let mut bytes = 0;
    let count = violations.len();
    for (listed, FieldViolation { field, description }) in violations.into_iter().enumerate() {
        // Truncated, so that the first violation always fits.
        let (field, description) = (truncate(field, 256), truncate(description, 512));
        bytes += field.len() + description.len();
        if bytes > VIOLATIONS_BYTES {
            message = format!("{} more; {message}", count - listed);
            break;
        }
        if !message.is_empty() {
            message.push_str("; ");
        }
        message.push_str(&format!("{field}: {description}"));
        details.add_bad_request_violation(field, description);
    }
    status(code, message, details)
}

/// Returns INVALID_FIELD with one violation.
pub fn invalid_field(field: &str, description: impl Into<String>) -> Status {
    invalid(vec![FieldViolation::new(field, description)])
}

/// Returns SESSION_PROTOCOL.
pub fn protocol_error(message: impl Into<String>) -> Status {
    simple(&SESSION_PROTOCOL, message.into())
}

/// Returns CREDENTIAL_MISSING.
pub fn credential_missing() -> Status {
    simple(&CREDENTIAL_MISSING, "API key required: send authorization: Bearer <key>".to_owned())
}

/// Returns CREDENTIAL_INVALID.
pub fn credential_invalid() -> Status {
    simple(&CREDENTIAL_INVALID, "the credential is not an API key of this cluster".to_owned())
}

/// Returns CREDENTIAL_EXPIRED or CREDENTIAL_REVOKED.
pub fn credential_ended(reason: Option<KeyRejection>) -> Status {
    match reason {
        Some(KeyRejection::Expired) => {
            simple(&CREDENTIAL_EXPIRED, "the API key has expired".to_owned())
        }
        Some(KeyRejection::Revoked) | None => {
            simple(&CREDENTIAL_REVOKED, "the API key was revoked".to_owned())
        }
    }
}

/// Returns KEYS_UNKNOWN: the cached keys are too old.
pub fn keys_stale() -> Status {
    let message = "the API keys could not be read from the ledger for 24 h".to_owned();
    with_retry(&KEYS_UNKNOWN, message, Duration::from_secs(5))
}

/// Returns ROLE_NOT_ALLOWED.
pub fn role_not_allowed(role: Role, call: &str) -> Status {
    simple(&ROLE_NOT_ALLOWED, format!("an API key with role {role} may not call {call}"))
}

/// Returns QUEUE_NOT_ALLOWED for a queue that the key does not reach.
pub fn queue_not_allowed(queue: &str) -> Status {
    let queue = truncate(queue.to_owned(), 128);
    simple(&QUEUE_NOT_ALLOWED, format!("the API key does not reach queue {queue:?}"))
}

/// Returns QUEUE_NOT_ALLOWED for a call that needs a key for all queues.
pub fn all_queues_required(call: &str) -> Status {
    simple(&QUEUE_NOT_ALLOWED, format!("{call} needs an API key that reaches all queues"))
}

/// Returns KEY_NOT_FOUND.
pub fn key_not_found(id: KeyId) -> Status {
    simple(&KEY_NOT_FOUND, format!("no API key has the id {id}"))
}

/// Returns TOO_MANY_KEYS.
pub fn too_many_keys(message: String) -> Status {
    simple(&TOO_MANY_KEYS, message)
}

/// Returns the reason of a status, or the name of its code if it has no ErrorInfo.
pub fn reason_of(status: &Status) -> String {
    match status.get_details_error_info() {
        Some(info) => info.reason,
        None => crate::ops::rpc::code_name(status.code()).to_owned(),
    }
}

/// Returns SHUTTING_DOWN.
pub fn shutting_down() -> Status {
    to_status(EngineError::ShuttingDown)
}

/// Converts an error of the engine.
pub fn to_status(error: EngineError) -> Status {
    let message = error.to_string();
    let delay = Duration::from_millis(500);
    match error {
        EngineError::Invalid(violations) => invalid(violations),
        EngineError::JobNotFound(_) => simple(&JOB_NOT_FOUND, message),
        EngineError::QueueNotFound(_) => simple(&QUEUE_NOT_FOUND, message),
        EngineError::QueueNotAllowed(queue) => queue_not_allowed(&queue),
        EngineError::KindNotFound(_) => simple(&KIND_NOT_FOUND, message),
        EngineError::WorkerNotFound(_) => simple(&WORKER_NOT_FOUND, message),
        EngineError::QueueExists(_) => simple(&QUEUE_EXISTS, message),
        EngineError::QueueDraining(_) => simple(&QUEUE_DRAINING, message),
        EngineError::TooManyQueues { .. } => simple(&TOO_MANY_QUEUES, message),
        EngineError::TooManyKinds { .. } => simple(&TOO_MANY_KINDS, message),
        EngineError::KeyHeld { holder } => {
            let (code, details) = error_info(&UNIQUE_KEY_HELD, &[("holder", holder.to_string())]);
            status(code, message, details)
        }
        EngineError::RequestIdReused => simple(&REQUEST_ID_REUSED, message),
        EngineError::NotTerminal(_) => simple(&JOB_NOT_TERMINAL, message),
        EngineError::JobRunning(_) => simple(&JOB_RUNNING, message),
        EngineError::NotScheduled { state, .. } => {
            let state = to_wire::state(state).as_str_name().to_owned();
            let (code, details) = error_info(&JOB_NOT_SCHEDULED, &[("state", state)]);
            status(code, message, details)
        }
        EngineError::AlreadyStarted { state, .. } => {
            let state = to_wire::state(state).as_str_name().to_owned();
            let (code, details) = error_info(&JOB_STARTED, &[("state", state)]);
            status(code, message, details)
        }
        EngineError::VersionMismatch { actual, .. } => {
            let (code, details) = error_info(&JOB_VERSION, &[("version", actual.to_string())]);
            status(code, message, details)
        }
        EngineError::ProducerTakenOver => simple(&PRODUCER_MOVED, message),
        EngineError::Contended => simple(&CONTENDED, message),
        EngineError::Overloaded => with_retry(&OVERLOADED, message, delay),
        EngineError::TooManyProducers => with_retry(&TOO_MANY_PRODUCERS, message, delay),
        EngineError::ShuttingDown | EngineError::Store(StoreError::Closed) => {
            with_retry(&SHUTTING_DOWN, message, delay)
        }
        EngineError::Store(StoreError::Full(_)) | EngineError::Ledger(LedgerError::Full { .. }) => {
            with_retry(&STORE_FULL, message, Duration::from_secs(5))
        }
        EngineError::Store(StoreError::RolledBack(_)) => {
            with_retry(&STORE_ROLLED_BACK, message, Duration::from_secs(5))
        }
        EngineError::NotYetSafe { .. } => with_retry(&NOT_YET_SAFE, message, delay),
        EngineError::Store(StoreError::Damaged(_)) => simple(&STORE_DAMAGED, message),
        EngineError::Store(StoreError::OutcomeUnknown(_) | StoreError::Unavailable(_))
        | EngineError::Ledger(LedgerError::Unavailable { .. } | LedgerError::Superseded { .. }) => {
            with_retry(&STORE_UNAVAILABLE, message, delay)
        }
        EngineError::Ledger(_) => simple(&STORE_DAMAGED, message),
    }
}

/// Renders docs/errors.md.
pub fn to_markdown() -> String {
    let mut out = String::from(
        "# Errors\n\nEvery error of every call has one `google.rpc.ErrorInfo` with the domain \
         `sentinel`. Branch on its `reason`, never on the message. The items of a batch that is \
         not atomic have the same reasons.\n\n\
         A request that cannot be decoded is rejected by the transport without an ErrorInfo: \
         OUT_OF_RANGE if it is larger than 20 MiB (4 MiB in QueueService), INVALID_ARGUMENT if it \
         is not valid protobuf. A request with far more items than any call accepts is rejected \
         with INVALID_FIELD before it is decoded. A worker session that receives such a frame \
         ends with SESSION_PROTOCOL.\n\n\
         | reason | gRPC code | other details | meaning | what to do |\n\
         |---|---|---|---|---|\n",
    );
    for reason in CATALOGUE {
        let Reason { name, code, details, meaning, remedy } = reason;
        out.push_str(&format!("| {name} | {code:?} | {details} | {meaning} | {remedy} |\n"));
    }
    out
}

#[cfg(test)]
mod tests;

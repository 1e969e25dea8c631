//! The one table from errors to answers: gRPC code, reason to branch on, and what else the
//! caller needs. docs/errors.md is rendered from [`CATALOGUE`].

use std::time::Duration;

use sentinel_domain::{KeyRejection, KeyId, Role, FieldViolation};
use sentinel_engine::EngineError;
use sentinel_ledger::LedgerError;
use sentinel_store::StoreError;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::to_wire;

/// The `domain` of every ErrorInfo.
pub const DOMAIN: &str = "sentinel";

/// A status travels in headers, twice in part, and clients take 8 KiB of those by default: a
/// longer one would reach them as an error of the transport, without its reason.
const MESSAGE_BYTES: usize = 1_024;

/// Fields at fault with their descriptions.
const VIOLATIONS_BYTES: usize = 2_048;

/// A reason that callers may branch on.
pub struct Reason {
    pub name: &'static str,
    pub code: Code,
    /// Other details that come with it.
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

        /// Every reason, in the order of the document.
        pub const CATALOGUE: &[&Reason] = &[$(&$name,)*];
    };
}

catalogue! {
    INVALID_FIELD: InvalidArgument, "BadRequest",
        "One or more fields are out of their range; all of them are listed, as far as 2 KiB hold.",
        "Correct the fields; do not repeat the call unchanged.";
    JOB_NOT_FOUND: NotFound, "",
        "No job has this id.",
        "Check the id. Retention may have removed the job.";
    QUEUE_NOT_FOUND: NotFound, "",
        "No queue has this name, and the server does not create queues by itself.",
        "Create the queue, or correct the name.";
    KIND_NOT_FOUND: NotFound, "",
        "No worker had this kind in the last 90 days.",
        "Check the name, and that a worker with a handler for it runs.";
    WORKER_NOT_FOUND: NotFound, "",
        "No live worker has this id.",
        "List the workers again: an id is that of one session.";
    QUEUE_EXISTS: AlreadyExists, "",
        "A queue of this name exists with other settings.",
        "Read the queue and decide whose settings are right.";
    QUEUE_DRAINING: FailedPrecondition, "",
        "The queue takes no new jobs until it is resumed.",
        "Resume the queue, or use another one.";
    TOO_MANY_QUEUES: ResourceExhausted, "",
        "The installation has as many queues as it can have.",
        "Use labels to tell jobs apart, not queues.";
    TOO_MANY_KINDS: ResourceExhausted, "",
        "Jobs of too many kinds wait in one queue.",
        "Use the payload or labels to tell jobs apart, not kinds.";
    UNIQUE_KEY_HELD: AlreadyExists, "ErrorInfo.metadata.holder",
        "Another job holds the unique key.",
        "Use the holder, or wait for it.";
    REQUEST_ID_REUSED: FailedPrecondition, "",
        "The request_id was used for a request with another content.",
        "Make a new request_id for each request that is meant anew.";
    JOB_NOT_FINAL: FailedPrecondition, "",
        "Only a final job can be retried.",
        "Wait for the job, or cancel it first.";
    JOB_RUNNING: FailedPrecondition, "",
        "A running job can not be deleted.",
        "Cancel it and delete it when it has ended.";
    JOB_NOT_SCHEDULED: FailedPrecondition, "",
        "Only a SCHEDULED job can be started ahead of its time; the metadata say in which `state` the job is.",
        "Nothing, if it is READY or RUNNING. Retry a final job.";
    JOB_STARTED: FailedPrecondition, "",
        "Values of a job can be changed before its first start only; the metadata say in which `state` the job is.",
        "Enqueue another job, or retry this one as it is.";
    JOB_VERSION: Aborted, "",
        "The job has another version than the call asked for; the metadata say which `version`.",
        "Read the job again, and decide again.";
    PRODUCER_MOVED: Aborted, "",
        "Another Ingest stream of this producer was opened, and this one commits nothing more.",
        "Nothing, if that is the program's next instance; else give each program a producer_id of its own.";
    CONTENDED: Aborted, "",
        "The job changed again and again while the call was decided.",
        "Repeat the call.";
    OVERLOADED: ResourceExhausted, "RetryInfo",
        "Too much waits to be committed; new jobs are turned away first.",
        "Repeat the call after the pause of RetryInfo.";
    TOO_MANY_PRODUCERS: ResourceExhausted, "RetryInfo",
        "So many producers have streams to this server that it takes no other one.",
        "End streams that send nothing, or begin again on another server.";
    SHUTTING_DOWN: Unavailable, "RetryInfo",
        "The server shuts down.",
        "Repeat the call; it reaches another server, or this one when it is back.";
    STORE_UNAVAILABLE: Unavailable, "RetryInfo",
        "The store did not take the call. With a request_id a repeat is safe.",
        "Repeat the call after the pause of RetryInfo.";
    STORE_FULL: ResourceExhausted, "RetryInfo",
        "No room for new jobs: the disk is full, the memory of Redis is short, or more of the journal than `journal_max_bytes` waits for the ledger. Reports of running jobs still pass.",
        "Free disk space, give Redis memory, or see why the ledger is behind; then it goes on by itself.";
    STORE_ROLLED_BACK: Unavailable, "RetryInfo",
        "Redis came back empty, behind or as another store: what it lost may have been acknowledged, so nothing is read or written.",
        "Run `sentinel rebuild`; servers go on by themselves then. Calls may be repeated until that is done.";
    NOT_YET_SAFE: Unavailable, "RetryInfo",
        "The change is applied, but not yet as safe as `ack` asks: too few replicas of Redis have it, or the ledger is away.",
        "Repeat the call with the same request_id: it waits again and changes nothing twice.";
    STORE_DAMAGED: DataLoss, "",
        "A stored record can not be read.",
        "Read the server's log; restore from a backup if it says so.";
    CREDENTIAL_MISSING: Unauthenticated, "",
        "The call has no `authorization: Bearer <key>`, and the server asks for one.",
        "Send a key: `SENTINEL_CREDENTIAL` for the command line, workers and SDKs.";
    CREDENTIAL_INVALID: Unauthenticated, "",
        "The credential is no key, or no key of this installation.",
        "Check that the whole key was copied, and which installation it is of.";
    CREDENTIAL_EXPIRED: Unauthenticated, "",
        "The time of the key is over. A stream that was opened with it ends with this too.",
        "Ask for a new key.";
    CREDENTIAL_REVOKED: Unauthenticated, "",
        "The key was revoked. A stream that was opened with it ends with this too.",
        "Ask for a new key.";
    ROLE_NOT_ALLOWED: PermissionDenied, "",
        "The role of the key does not make this call.",
        "Use a key of another role; docs/security.md has the table.";
    QUEUE_NOT_ALLOWED: PermissionDenied, "",
        "The key does not reach the queue, or the call concerns all queues and the key does not.",
        "Use a key of this queue. A job of another queue is JOB_NOT_FOUND.";
    KEYS_UNKNOWN: Unavailable, "RetryInfo",
        "The server has not reached its ledger for a day, and trusts no key that long.",
        "Bring the ledger back.";
    KEY_NOT_FOUND: NotFound, "",
        "No key has this id.",
        "Check the id. A key that ended is forgotten after 90 days.";
    TOO_MANY_KEYS: ResourceExhausted, "",
        "The installation has as many keys as it can have.",
        "Revoke keys that are not used; they are forgotten after 90 days.";
    SESSION_PROTOCOL: InvalidArgument, "",
        "A worker sent a frame that the protocol does not allow there.",
        "Update the worker's SDK.";
}

/// A status with its ErrorInfo, before other details.
fn begin(reason: &Reason, metadata: &[(&str, String)]) -> (Code, ErrorDetails) {
    let metadata: std::collections::HashMap<String, String> =
        metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    (reason.code, ErrorDetails::with_error_info(reason.name, DOMAIN, metadata))
}

fn status(code: Code, message: String, details: ErrorDetails) -> Status {
    Status::with_error_details(code, cut(message, MESSAGE_BYTES), details)
}

/// Cut at a character, and marked where it was.
fn cut(mut text: String, max: usize) -> String {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max));
        text.push_str(" ...");
    }
    text
}

fn simple(reason: &Reason, message: String) -> Status {
    let (code, details) = begin(reason, &[]);
    status(code, message, details)
}

fn later(reason: &Reason, message: String, pause: Duration) -> Status {
    let (code, mut details) = begin(reason, &[]);
    details.set_retry_info(Some(pause));
    status(code, message, details)
}

/// Fields out of their range.
pub fn invalid(violations: Vec<FieldViolation>) -> Status {
    let (code, mut details) = begin(&INVALID_FIELD, &[]);
    let mut message = String::new();
    let mut bytes = 0;
    let count = violations.len();
    for (listed, FieldViolation { field, description }) in violations.into_iter().enumerate() {
        // A single one is told in any case, cut.
        let (field, description) = (cut(field, 256), cut(description, 512));
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

/// One field out of its range.
pub fn invalid_field(field: &str, description: impl Into<String>) -> Status {
    invalid(vec![FieldViolation::new(field, description)])
}

/// A frame that the session protocol does not allow.
pub fn protocol_error(message: impl Into<String>) -> Status {
    simple(&SESSION_PROTOCOL, message.into())
}

/// No credential where there must be one.
pub fn credential_missing() -> Status {
    simple(&CREDENTIAL_MISSING, "this call needs a key: authorization: Bearer <key>".to_owned())
}

/// A credential of nobody.
pub fn credential_invalid() -> Status {
    simple(&CREDENTIAL_INVALID, "the credential is no key of this installation".to_owned())
}

/// A key that was taken once.
pub fn credential_ended(how: Option<KeyRejection>) -> Status {
    match how {
        Some(KeyRejection::Expired) => simple(&CREDENTIAL_EXPIRED, "the key has expired".to_owned()),
        Some(KeyRejection::Revoked) | None => {
            simple(&CREDENTIAL_REVOKED, "the key was revoked".to_owned())
        }
    }
}

/// Nobody can tell whether the key still holds.
pub fn keys_stale() -> Status {
    let message = "the ledger has not told of keys for a day".to_owned();
    later(&KEYS_UNKNOWN, message, Duration::from_secs(5))
}

/// A call that the role does not make.
pub fn role_not_allowed(role: Role, call: &str) -> Status {
    simple(&ROLE_NOT_ALLOWED, format!("a key of role {role} does not call {call}"))
}

/// A queue that the key does not reach.
pub fn queue_not_allowed(queue: &str) -> Status {
    let queue = cut(queue.to_owned(), 128);
    simple(&QUEUE_NOT_ALLOWED, format!("the key does not reach the queue {queue:?}"))
}

/// A call about all queues, by a key of some.
pub fn all_queues_required(call: &str) -> Status {
    simple(&QUEUE_NOT_ALLOWED, format!("{call} needs a key that reaches all queues"))
}

/// No key has the id.
pub fn key_not_found(id: KeyId) -> Status {
    simple(&KEY_NOT_FOUND, format!("no key has the id {id}"))
}

/// No room for another key.
pub fn too_many_keys(message: String) -> Status {
    simple(&TOO_MANY_KEYS, message)
}

/// The reason of an error made here; the name of its code for one of the transport.
pub fn reason_of(status: &Status) -> String {
    match status.get_details_error_info() {
        Some(info) => info.reason,
        None => crate::ops::rpc::code_name(status.code()).to_owned(),
    }
}

/// The server closes its streams.
pub fn shutting_down() -> Status {
    to_status(EngineError::ShuttingDown)
}

/// The answer to an error.
pub fn to_status(error: EngineError) -> Status {
    let message = error.to_string();
    let pause = Duration::from_millis(500);
    match error {
        EngineError::Invalid(violations) => invalid(violations),
        EngineError::JobNotFound(_) => simple(&JOB_NOT_FOUND, message),
        EngineError::QueueNotFound(_) => simple(&QUEUE_NOT_FOUND, message),
        EngineError::KindNotFound(_) => simple(&KIND_NOT_FOUND, message),
        EngineError::WorkerNotFound(_) => simple(&WORKER_NOT_FOUND, message),
        EngineError::QueueExists(_) => simple(&QUEUE_EXISTS, message),
        EngineError::QueueDraining(_) => simple(&QUEUE_DRAINING, message),
        EngineError::TooManyQueues { .. } => simple(&TOO_MANY_QUEUES, message),
        EngineError::TooManyKinds { .. } => simple(&TOO_MANY_KINDS, message),
        EngineError::KeyHeld { holder } => {
            let (code, details) = begin(&UNIQUE_KEY_HELD, &[("holder", holder.to_string())]);
            status(code, message, details)
        }
        EngineError::RequestReused => simple(&REQUEST_ID_REUSED, message),
        EngineError::NotFinal(_) => simple(&JOB_NOT_FINAL, message),
        EngineError::Running(_) => simple(&JOB_RUNNING, message),
        EngineError::NotScheduled { state, .. } => {
            let state = to_wire::state(state).as_str_name().to_owned();
            let (code, details) = begin(&JOB_NOT_SCHEDULED, &[("state", state)]);
            status(code, message, details)
        }
        EngineError::Started { state, .. } => {
            let state = to_wire::state(state).as_str_name().to_owned();
            let (code, details) = begin(&JOB_STARTED, &[("state", state)]);
            status(code, message, details)
        }
        EngineError::OtherVersion { found, .. } => {
            let (code, details) = begin(&JOB_VERSION, &[("version", found.to_string())]);
            status(code, message, details)
        }
        EngineError::ProducerMoved => simple(&PRODUCER_MOVED, message),
        EngineError::Contended => simple(&CONTENDED, message),
        EngineError::Overloaded => later(&OVERLOADED, message, pause),
        EngineError::TooManyProducers => later(&TOO_MANY_PRODUCERS, message, pause),
        EngineError::ShuttingDown | EngineError::Store(StoreError::Closed) => {
            later(&SHUTTING_DOWN, message, pause)
        }
        EngineError::Store(StoreError::Full(_)) | EngineError::Ledger(LedgerError::Full { .. }) => {
            later(&STORE_FULL, message, Duration::from_secs(5))
        }
        EngineError::Store(StoreError::RolledBack(_)) => {
            later(&STORE_ROLLED_BACK, message, Duration::from_secs(5))
        }
        EngineError::NotYetSafe { .. } => later(&NOT_YET_SAFE, message, pause),
        EngineError::Store(StoreError::Damaged(_)) => simple(&STORE_DAMAGED, message),
        EngineError::Store(StoreError::OutcomeUnknown(_) | StoreError::Unavailable(_))
        | EngineError::Ledger(LedgerError::Unavailable { .. } | LedgerError::Superseded { .. }) => {
            later(&STORE_UNAVAILABLE, message, pause)
        }
        EngineError::Ledger(_) => simple(&STORE_DAMAGED, message),
    }
}

/// docs/errors.md.
pub fn to_markdown() -> String {
    let mut out = String::from(
        "# Errors\n\nEvery error of every call carries one `google.rpc.ErrorInfo` of domain \
         `sentinel`. Branch on its `reason`, never on the message. Items of a batch that is \
         not atomic carry the same reasons.\n\n\
         A message that can not be read is refused by the transport, without an ErrorInfo: \
         OUT_OF_RANGE over 20 MiB (4 MiB in QueueService), INTERNAL where it is no protobuf, \
         INVALID_ARGUMENT with far more items than any call takes. A worker's session that \
         sends one ends with SESSION_PROTOCOL.\n\n\
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

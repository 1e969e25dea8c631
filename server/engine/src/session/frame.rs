//! The frames between worker and engine, independent of the wire format.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sentinel_domain::{
    Command, Failure, Job, JobError, KeyId, Label, Millis, Name, Progress, Scopes, SessionId,
};

use crate::DeclaredKind;
use crate::dispatch::HeldLease;

/// Who opens a session. A session is resumed only by the principal that opened it, and reports of
/// jobs in other queues are fenced: the ids of sessions and leases are no credentials.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The API key. None if none is required.
    pub key_id: Option<KeyId>,
    pub scopes: Scopes,
}

/// The first frame of a worker.
#[derive(Clone, Debug)]
pub struct Hello {
    pub principal: Principal,
    pub instance: String,
    pub queues: Vec<Name>,
    pub kinds: Vec<Name>,
    pub details: WorkerDetails,
    /// The session to resume, after its stream was lost.
    pub session: Option<SessionId>,
    pub held: Vec<HeldLease>,
    pub credit_jobs: usize,
    /// None: no limit.
    pub credit_bytes: Option<i64>,
}

/// Information about a worker for people. It does not affect scheduling.
#[derive(Clone, Debug, Default)]
pub struct WorkerDetails {
    pub build: Box<str>,
    /// The name of the server that the worker is connected to.
    pub server: Box<str>,
    pub labels: Vec<Label>,
    pub capabilities: Vec<Box<str>>,
    /// The kinds with a description or a schema. Others may be left out.
    pub kinds: Vec<DeclaredKind>,
}

/// The answer to Hello.
#[derive(Clone, Debug)]
pub struct Welcome {
    pub session: SessionId,
    pub ping: Duration,
    pub ttl: Duration,
    /// One per lease of the Hello, in its order.
    pub held: Vec<HeldLeaseVerdict>,
}

/// The state of a lease after the stream was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldLeaseVerdict {
    Keep,
    Revoked,
    AlreadyRecorded,
}

/// A frame from the worker.
#[derive(Clone, Debug)]
pub enum FromWorker {
    Credit { jobs: usize, bytes: Option<i64> },
    Received { assign_seq: u64 },
    Report(Vec<ReportItem>),
    Progress(Vec<(HeldLease, Progress)>),
    Checkpoint { held: HeldLease, seq: u64, data: Bytes },
    Log { held: HeldLease, lines: Vec<LogLine> },
    Output { held: HeldLease, offset: u64, data: Bytes },
    CancelAck(Vec<HeldLease>),
    Ping { nonce: u64 },
    Drain,
    Bye,
}

/// The end of one attempt. The command contains the lease.
#[derive(Clone, Debug)]
pub struct ReportItem {
    pub held: HeldLease,
    pub command: Command,
}

/// A log line.
#[derive(Clone, Debug)]
pub struct LogLine {
    pub seq: u64,
    pub at: Millis,
    pub level: u8,
    pub text: String,
}

/// A frame to the worker.
#[derive(Clone, Debug)]
pub enum ToWorker {
    Welcome(Welcome),
    Assign { assign_seq: u64, jobs: Vec<Arc<Job>> },
    ReportAck(Vec<(HeldLease, ReportVerdict)>),
    CheckpointAck { held: HeldLease, seq: u64, verdict: ReportVerdict },
    LogAck { held: HeldLease, seq: u64 },
    OutputAck { held: HeldLease, offset: u64, verdict: ReportVerdict, stored: u64 },
    Cancel(Vec<Arc<Job>>),
    Pong { nonce: u64, cancels: Vec<Arc<Job>> },
    Revoked(Vec<HeldLease>),
    DrainAck { last_assign_seq: u64 },
    GoAway { reconnect_within: Duration },
}

/// The result of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportVerdict {
    Recorded,
    Duplicate,
    Fenced,
    RetryLater,
}

impl ReportVerdict {
    /// Returns the name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Duplicate => "duplicate",
            Self::Fenced => "fenced",
            Self::RetryLater => "retry_later",
        }
    }
}

/// Why a stream closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// The worker sent Bye.
    Bye,
    /// There was no Bye: the worker crashed, or the connection broke.
    Eof,
    /// No frame arrived for the TTL of the session.
    Silent,
    /// Another stream took the session over.
    Superseded,
    /// This server drains. The worker keeps its leases.
    Drained,
}

/// Returns the failure of a report. The session draws its entropy when the report arrives.
pub fn failure(error: JobError, next_delay_ms: Option<u64>, timed_out: bool) -> Failure {
    Failure { error, next_delay_ms, timed_out, entropy: 0 }
}

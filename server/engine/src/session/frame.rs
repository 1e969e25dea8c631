//! What worker and engine say to each other, free of the wire.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sentinel_domain::{
    Command, Entropy, Job, JobError, JobId, Label, Lease, Millis, Name, Progress, SessionId,
};

use crate::DeclaredKind;

/// A lease with its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    pub id: JobId,
    pub lease: Lease,
}

/// Who the worker is and what it can run.
#[derive(Clone, Debug)]
pub struct Hello {
    pub instance: String,
    pub queues: Vec<Name>,
    pub kinds: Vec<Name>,
    pub about: About,
    /// The session before, when its stream was lost.
    pub session: Option<SessionId>,
    pub held: Vec<Held>,
    pub credit_jobs: usize,
    /// None: no bound.
    pub credit_bytes: Option<i64>,
}

/// What a worker says of itself for people; nothing is scheduled by it.
#[derive(Clone, Debug, Default)]
pub struct About {
    pub build: Box<str>,
    /// Name of the server that it came to.
    pub server: Box<str>,
    pub labels: Vec<Label>,
    pub capabilities: Vec<Box<str>>,
    /// What it says of its kinds; those that it says nothing of may be left out.
    pub kinds: Vec<DeclaredKind>,
}

/// The terms of the session.
#[derive(Clone, Debug)]
pub struct Welcome {
    pub session: SessionId,
    pub ping: Duration,
    pub ttl: Duration,
    /// One per lease of the Hello, in its order.
    pub held: Vec<HeldVerdict>,
}

/// What became of a lease while the stream was away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldVerdict {
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
    Progress(Vec<(Held, Progress)>),
    Checkpoint { held: Held, seq: u64, data: Bytes },
    Log { held: Held, lines: Vec<LogLine> },
    Output { held: Held, offset: u64, data: Bytes },
    CancelAck(Vec<Held>),
    Ping { nonce: u64 },
    Drain,
    Bye,
}

/// How one attempt ended; the command carries the lease.
#[derive(Clone, Debug)]
pub struct ReportItem {
    pub held: Held,
    pub command: Command,
}

/// A line of a log.
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
    ReportAck(Vec<(Held, ReportVerdict)>),
    CheckpointAck { held: Held, seq: u64, verdict: ReportVerdict },
    LogAck { held: Held, seq: u64 },
    OutputAck { held: Held, offset: u64, verdict: ReportVerdict, stored: u64 },
    Cancel(Vec<Arc<Job>>),
    Pong { nonce: u64, cancels: Vec<Arc<Job>> },
    Revoked(Vec<Held>),
    DrainAck { last_assign_seq: u64 },
    GoAway { reconnect_within: Duration },
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportVerdict {
    Recorded,
    Duplicate,
    Fenced,
    RetryLater,
}

impl ReportVerdict {
    /// As metrics name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Duplicate => "duplicate",
            Self::Fenced => "fenced",
            Self::RetryLater => "retry_later",
        }
    }
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// In good order.
    Bye,
    /// Without a word: the worker crashed, or the connection broke.
    Eof,
    /// Nothing was heard for the life of a lease.
    Silent,
    /// Another stream has the session.
    Superseded,
    /// This server leaves; the worker keeps its leases.
    Drained,
}

/// The failure of a report, with the entropy that the domain does not throw.
pub fn failure(
    error: JobError,
    next_delay_ms: Option<u64>,
    timed_out: bool,
) -> sentinel_domain::Failure {
    let entropy: Entropy = rand::random();
    sentinel_domain::Failure { error, next_delay_ms, timed_out, entropy }
}

//! The state of the model: two jobs, two workers, one server and the oracle. It is cloned for every
//! enabled step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sentinel_domain::{Command, Job, JobId, LeaseId, Millis, NewJob, SessionId, initial_state};
use sentinel_store::conformance::fixture;
use sentinel_store::oracle::Oracle;
use sentinel_store::{CommitRequest, Position, Transaction};

use super::step::{CommitOutcome, Step};

pub(crate) const JOBS: usize = 2;
pub(crate) const WORKERS: usize = 2;
pub(crate) const T0: Millis = 1_700_000_000_000;

/// The duration of every timeout: session expiry, backoff, snooze and cancel grace. One tick of the
/// clock passes it.
pub(crate) const TICK: Millis = 1_000;

/// The state of a caller's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RequestState {
    NotSent,
    /// In flight, or lost with a server. A lost request is repeated.
    Pending,
    Answered,
}

#[derive(Clone, Debug, Hash)]
pub(crate) struct Client {
    pub(crate) enqueue: RequestState,
    pub(crate) cancel: RequestState,
    pub(crate) retry: RequestState,
}

/// The submitter of a transaction, which receives its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Submitter {
    Enqueue,
    Cancel,
    Retry,
    Report { worker: usize },
    ReturnToQueue { worker: usize },
    Sweep,
    Row { worker: usize, joins: bool },
}

/// A transaction that waits to be committed.
#[derive(Clone, Debug)]
pub(crate) struct Submission {
    pub(crate) submitter: Submitter,
    /// The job and the command of the decision.
    pub(crate) decided: Option<(Arc<Job>, Command)>,
    pub(crate) transaction: Transaction,
    pub(crate) after: Option<Arc<Job>>,
}

/// A server process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Server {
    pub(crate) number: u64,
    pub(crate) waiting: Vec<Submission>,
    /// The request whose response was lost. It is repeated before any other request.
    pub(crate) in_flight: Option<(CommitRequest, Vec<Submission>)>,
    /// The server's copies of the jobs of each connected worker.
    pub(crate) copies: [Vec<Arc<Job>>; WORKERS],
}

/// A lease with its job, because leases of two jobs can be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeldLease {
    pub(crate) id: JobId,
    pub(crate) lease: LeaseId,
}

impl HeldLease {
    /// Returns the lease of a running job.
    pub(crate) fn of(job: &Job) -> Option<Self> {
        Some(Self { id: job.id, lease: job.status.lease?.id })
    }
}

/// A running handler, or its report.
#[derive(Clone, Debug)]
pub(crate) struct RunningHandler {
    pub(crate) held: HeldLease,
    pub(crate) is_cancelled: bool,
    pub(crate) report: Option<Command>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Worker {
    /// The session of this process. `None` before its first join.
    pub(crate) session: Option<SessionId>,
    /// The number of processes so far in this slot.
    pub(crate) processes: u128,
    pub(crate) is_connected: bool,
    /// Assignments that were sent and not received.
    pub(crate) incoming: Vec<Arc<Job>>,
    pub(crate) handlers: Vec<RunningHandler>,
}

/// The remaining number of each kind of step. It limits the exploration.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Remaining {
    pub(crate) faults: u8,
    pub(crate) ticks: u8,
    pub(crate) cancels: u8,
    pub(crate) retries: u8,
    /// Handlers that do not succeed.
    pub(crate) other_outcomes: u8,
}

/// The history that the properties need.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observations {
    /// The position up to which the journal was read.
    pub(crate) read_to: Position,
    pub(crate) jobs: BTreeMap<JobId, JobHistory>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct JobHistory {
    pub(crate) last: Option<Arc<Job>>,
    /// Runs that reached a terminal state.
    pub(crate) terminal_runs: BTreeSet<u32>,
    /// Runs whose cancel was acknowledged as CANCELLED.
    pub(crate) cancelled_runs: BTreeSet<u32>,
    /// Leases that were recorded as ended without a report.
    pub(crate) lost: BTreeSet<u64>,
    /// Running handlers: slot and epoch.
    pub(crate) open: Vec<(usize, u64)>,
    /// Leases whose report was acknowledged as RECORDED.
    pub(crate) recorded: BTreeSet<u64>,
    pub(crate) recorded_twice: bool,
    /// Whether a handler started after its cancel was acknowledged as CANCELLED.
    pub(crate) started_after_cancel: bool,
}

pub(crate) struct ModelState {
    pub(crate) store: Oracle,
    pub(crate) now: Millis,
    pub(crate) ids: [JobId; JOBS],
    /// Whether the second job depends on the first one.
    pub(crate) is_chain: bool,
    pub(crate) clients: [Client; JOBS],
    pub(crate) server: Option<Server>,
    /// The number of server processes so far.
    pub(crate) servers: u64,
    pub(crate) workers: [Worker; WORKERS],
    /// The stored expiry of each session row.
    pub(crate) rows: BTreeMap<SessionId, Millis>,
    /// Whether the request whose response was lost was applied.
    pub(crate) is_applied: bool,
    pub(crate) remaining: Remaining,
    pub(crate) observed: Observations,
    pub(crate) bug: Option<InjectedBug>,
}

/// A bug in the model, to verify that the properties detect it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InjectedBug {
    /// Transactions are committed without preconditions.
    NoPreconditions,
    /// A request whose response was lost is repeated under a new number.
    NewRequestNumber,
    /// The sweeper does not run.
    NoSweeper,
    /// A worker starts a job that the server has taken back.
    StartsAfterTimeout,
    /// A worker that lost its stream starts its leased jobs again.
    StartsTwice,
}

impl Clone for ModelState {
    fn clone(&self) -> Self {
        Self {
            store: self.store.fork(),
            clients: self.clients.clone(),
            server: self.server.clone(),
            workers: self.workers.clone(),
            rows: self.rows.clone(),
            observed: self.observed.clone(),
            ..*self
        }
    }
}

impl ModelState {
    /// Returns a state with both workers connected and no jobs.
    pub(crate) fn new(is_chain: bool, remaining: Remaining, bug: Option<InjectedBug>) -> Self {
        let client = Client {
            enqueue: RequestState::NotSent,
            cancel: RequestState::NotSent,
            retry: RequestState::NotSent,
        };
        let empty = Self {
            store: Oracle::default(),
            now: T0,
            ids: [1, 2].map(|n| JobId::new(T0, 0, n << 2)),
            is_chain,
            clients: [client.clone(), client],
            server: Some(Server::default()),
            servers: 1,
            workers: Default::default(),
            rows: BTreeMap::new(),
            is_applied: false,
            remaining,
            observed: Observations::default(),
            bug,
        };
        let steps = [Step::Join(0), Step::Join(1), Step::Commit(CommitOutcome::Acknowledged)];
        steps.into_iter().fold(empty, |state, step| state.after(step))
    }

    /// Returns a new job. Repeated requests get the same id.
    pub(crate) fn new_job(&self, index: usize, parents: &[Arc<Job>]) -> Arc<Job> {
        let set = |new: &mut NewJob| {
            new.max_attempts = 2;
            new.retry_base_ms = Some(TICK);
            new.retry_cap_ms = Some(TICK);
            new.jitter = Some(sentinel_domain::Jitter::None);
            new.cancel_grace_ms = Some(TICK);
            new.depends_on = parents.iter().map(|parent| parent.id.to_string()).collect();
        };
        let spec = fixture::spec("q", "k", self.now, set);
        let dependency = |parent: &Arc<Job>| {
            let (id, state) = (parent.id, parent.status.state);
            sentinel_domain::Dependency { id, state }
        };
        let parents: Vec<_> = parents.iter().map(dependency).collect();
        Arc::new(initial_state(self.ids[index], Arc::new(spec), &parents, self.now))
    }

    pub(crate) fn index(&self, id: JobId) -> usize {
        self.ids.iter().position(|known| *known == id).expect("a job of the model")
    }

    pub(crate) fn history(&mut self, id: JobId) -> &mut JobHistory {
        self.observed.jobs.entry(id).or_default()
    }

    /// Returns the stored version of a job, as of the last read of the journal.
    pub(crate) fn job(&self, id: JobId) -> Option<&Arc<Job>> {
        self.observed.jobs.get(&id)?.last.as_ref()
    }

    /// Returns the slot whose process has the session.
    pub(crate) fn slot(&self, session: SessionId) -> Option<usize> {
        self.workers.iter().position(|worker| worker.session == Some(session))
    }
}

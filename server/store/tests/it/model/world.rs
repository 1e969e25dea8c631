//! The small world: two jobs, two workers, one server, and the real store. A state is cloned
//! for every step that could be taken from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sentinel_domain::{Command, Job, JobId, LeaseId, Millis, NewJob, SessionId, initial_state};
use sentinel_store::conformance::fixture;
use sentinel_store::oracle::Oracle;
use sentinel_store::{CommitRequest, Position, Transaction};

use super::step::{Fate, Step};

pub(crate) const JOBS: usize = 2;
pub(crate) const WORKERS: usize = 2;
pub(crate) const T0: Millis = 1_700_000_000_000;

/// How long everything takes that takes time: the life of a session, the pause of a retry, a
/// snooze, the grace of a cancel. One step of the clock sees it pass.
pub(crate) const TICK: Millis = 1_000;

/// What a caller has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Asked {
    Never,
    /// On its way, or lost with a server: then it is asked again.
    Open,
    Answered,
}

#[derive(Clone, Debug, Hash)]
pub(crate) struct Client {
    pub(crate) enqueue: Asked,
    pub(crate) cancel: Asked,
    pub(crate) retry: Asked,
}

/// Who hands in a group, and so who is told what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    Enqueue,
    Cancel,
    Retry,
    Report { worker: usize },
    HandBack { worker: usize },
    Sweep,
    Row { worker: usize, joins: bool },
}

/// What waits to be committed.
#[derive(Clone, Debug)]
pub(crate) struct Submission {
    pub(crate) who: Who,
    /// The job that was decided about, and by what.
    pub(crate) decided: Option<(Arc<Job>, Command)>,
    pub(crate) group: Transaction,
    pub(crate) after: Option<Arc<Job>>,
}

/// One server, from its start to its death.
#[derive(Clone, Debug, Default)]
pub(crate) struct Server {
    pub(crate) number: u64,
    pub(crate) waiting: Vec<Submission>,
    /// The call whose reply was lost: nothing else goes before it was repeated.
    pub(crate) unsettled: Option<(CommitRequest, Vec<Submission>)>,
    /// Jobs of each worker with a stream here, as the server last saw them.
    pub(crate) copies: [Vec<Arc<Job>>; WORKERS],
}

/// A lease with its job: leases of two jobs may look the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) id: JobId,
    pub(crate) lease: LeaseId,
}

impl Held {
    /// What whoever runs the job holds.
    pub(crate) fn of(job: &Job) -> Option<Self> {
        Some(Self { id: job.id, lease: job.status.lease?.id })
    }
}

/// A handler, or the report of one.
#[derive(Clone, Debug)]
pub(crate) struct Hand {
    pub(crate) held: Held,
    pub(crate) is_cancelled: bool,
    pub(crate) report: Option<Command>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Worker {
    /// Of this process. None: it has not said Hello.
    pub(crate) session: Option<SessionId>,
    /// Processes so far in this place.
    pub(crate) lives: u128,
    pub(crate) is_connected: bool,
    /// Assignments on their way.
    pub(crate) incoming: Vec<Arc<Job>>,
    pub(crate) hands: Vec<Hand>,
}

/// How much may still go wrong or be tried. Bounds the world.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Left {
    pub(crate) faults: u8,
    pub(crate) ticks: u8,
    pub(crate) cancels: u8,
    pub(crate) retries: u8,
    /// Handlers that do other than succeed.
    pub(crate) turns: u8,
}

/// What the rules remember of the past.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    /// The journal was read up to here.
    pub(crate) read_to: Position,
    pub(crate) jobs: BTreeMap<JobId, Life>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Life {
    pub(crate) last: Option<Arc<Job>>,
    /// Runs that have their final record.
    pub(crate) ended_runs: BTreeSet<u32>,
    /// Runs whose cancel was answered CANCELLED.
    pub(crate) cancelled_runs: BTreeSet<u32>,
    /// Leases that ended on record without a report.
    pub(crate) lost: BTreeSet<u64>,
    /// Handlers that run: place and epoch.
    pub(crate) open: Vec<(usize, u64)>,
    /// Leases whose report was told RECORDED.
    pub(crate) told: BTreeSet<u64>,
    pub(crate) told_twice: bool,
    /// A handler began after its cancel had been answered CANCELLED.
    pub(crate) began_late: bool,
}

pub(crate) struct World {
    pub(crate) store: Oracle,
    pub(crate) now: Millis,
    pub(crate) ids: [JobId; JOBS],
    /// The second job waits for the first.
    pub(crate) is_chain: bool,
    pub(crate) clients: [Client; JOBS],
    pub(crate) server: Option<Server>,
    /// Servers so far.
    pub(crate) servers: u64,
    pub(crate) workers: [Worker; WORKERS],
    /// When the row of each session expires, as the store has it.
    pub(crate) rows: BTreeMap<SessionId, Millis>,
    /// The call whose reply was lost was applied.
    pub(crate) is_applied: bool,
    pub(crate) left: Left,
    pub(crate) notes: Notes,
    pub(crate) plant: Option<Plant>,
}

/// A fault in the harness, to see that the rules see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plant {
    /// Groups are committed without what they depend on.
    NoGuards,
    /// A call whose reply was lost is sent as a new one.
    NewNumber,
    /// Nobody sweeps.
    NoSweep,
    /// A worker begins what was taken back before it arrived.
    BeginsLate,
    /// A worker that lost its stream holds its leases for lost, and begins them again.
    BeginsTwice,
}

impl Clone for World {
    fn clone(&self) -> Self {
        Self {
            store: self.store.fork(),
            clients: self.clients.clone(),
            server: self.server.clone(),
            workers: self.workers.clone(),
            rows: self.rows.clone(),
            notes: self.notes.clone(),
            ..*self
        }
    }
}

impl World {
    /// Both workers are there and nobody has asked for anything.
    pub(crate) fn new(is_chain: bool, left: Left, plant: Option<Plant>) -> Self {
        let client = Client { enqueue: Asked::Never, cancel: Asked::Never, retry: Asked::Never };
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
            left,
            notes: Notes::default(),
            plant,
        };
        let steps = [Step::Join(0), Step::Join(1), Step::Commit(Fate::Told)];
        steps.into_iter().fold(empty, |world, step| world.after(step))
    }

    /// The job as it is born; the same one however often it is asked for.
    pub(crate) fn new_job(&self, which: usize, parents: &[Arc<Job>]) -> Arc<Job> {
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
        Arc::new(initial_state(self.ids[which], Arc::new(spec), &parents, self.now))
    }

    pub(crate) fn which(&self, id: JobId) -> usize {
        self.ids.iter().position(|known| *known == id).expect("there are no other jobs")
    }

    pub(crate) fn life(&mut self, id: JobId) -> &mut Life {
        self.notes.jobs.entry(id).or_default()
    }

    /// What the store has, as the last look at the journal found it.
    pub(crate) fn job(&self, id: JobId) -> Option<&Arc<Job>> {
        self.notes.jobs.get(&id)?.last.as_ref()
    }

    /// The place whose process has the session, if it still has one.
    pub(crate) fn place(&self, session: SessionId) -> Option<usize> {
        self.workers.iter().position(|worker| worker.session == Some(session))
    }
}

//! What clients, workers and watchers of a schedule saw, in the order in which they saw it,
//! and what was on record at the end. The rules compare the two; neither knows the other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sentinel_domain::{Job, JobId, State};
use sentinel_engine::session::{Held, ReportVerdict};
use sentinel_store::JobEvent;

/// One thing that somebody saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// A request to enqueue was answered with this job.
    Enqueued { request: String, id: JobId },
    /// A cancel was answered CANCELLED: this run has not started and will not.
    Cancelled { id: JobId, run: u32 },
    /// A deletion was answered.
    Deleted { id: JobId },
    /// A retry was answered with this run.
    Retried { id: JobId, run: u32 },
    /// A handler began.
    Started { held: Held },
    /// It returned, was told to go, or died with its worker.
    Ended { held: Held },
    /// A report was answered; `succeeds` is what it said.
    Told { held: Held, verdict: ReportVerdict, succeeds: bool },
    /// A checkpoint was acknowledged as RECORDED.
    Checkpointed { held: Held, seq: u64 },
    /// A watch showed something.
    Watched { watch: usize, seen: Seen },
}

/// What a watch shows, as far as a rule asks about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The stream began again at a cursor: what was seen may come again.
    Resumed,
    Gap,
    Snapshot(Vec<(JobId, u64)>),
    Change {
        id: JobId,
        version: u64,
        is_terminal: bool,
    },
    /// A watch by ids has nothing more to tell.
    End,
}

/// The one list that all write to.
#[derive(Clone, Default)]
pub(crate) struct Notebook(Arc<Mutex<Vec<Note>>>);

impl Notebook {
    pub(crate) fn write(&self, note: Note) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(note);
    }

    pub(crate) fn all(&self) -> Vec<Note> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Everything that the rules look at.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) notes: Vec<Note>,
    /// Every change of every job in the order of commit.
    pub(crate) journal: Vec<JobEvent>,
    /// By the ledger alone, and by Get.
    pub(crate) ledger: BTreeMap<JobId, Job>,
    pub(crate) got: BTreeMap<JobId, Job>,
    /// What each watch was opened for. None: everything.
    pub(crate) watches: Vec<Option<Vec<JobId>>>,
    /// What was left when everybody had gone, by what it is.
    pub(crate) leftovers: BTreeMap<&'static str, usize>,
}

impl History {
    /// The changes of each job, oldest first. A job that comes back from the ledger for a
    /// retry is written as it was: the same version is the same change.
    pub(crate) fn lives(&self) -> BTreeMap<JobId, Vec<&JobEvent>> {
        let mut lives: BTreeMap<JobId, Vec<&JobEvent>> = BTreeMap::new();
        for event in &self.journal {
            let life = lives.entry(event.id).or_default();
            let is_again = |last: &&JobEvent| {
                let is_same = last.status.version == event.status.version;
                is_same && last.status.state.is_terminal() && event.new.is_some()
            };
            // Progress that is kept is an event of the version that is there.
            let is_progress = |last: &&JobEvent| {
                let mut status = last.status.clone();
                status.progress.clone_from(&event.status.progress);
                status == event.status && status.state == State::Running
            };
            let known = life.last().copied();
            if known.as_ref().is_some_and(|last| is_again(last) || is_progress(last)) {
                continue;
            }
            life.push(event);
        }
        lives
    }
}

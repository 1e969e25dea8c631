//! The rules. They know the promises and nothing of how they are kept; each broken one is a
//! violation by name, with what it takes to look into it.

mod journal;
mod watch;
mod work;

use std::collections::{BTreeMap, BTreeSet};

use sentinel_domain::JobId;
use sentinel_engine::session::Held;

use super::notes::{History, Note};

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Violation {
    /// An acknowledged job that the journal, the ledger or Get does not have.
    Lost {
        id: JobId,
    },
    /// Everything is over, and this job is not.
    NotFinal {
        id: JobId,
    },
    /// One request was answered with two jobs.
    RequestSplit {
        request: String,
    },
    /// A job that nobody was told of, though every request was answered.
    Surplus {
        id: JobId,
    },
    /// A run that did not end exactly once.
    Finals {
        id: JobId,
        run: u32,
        finals: usize,
    },
    /// A record, or a step between two, that a rule of the domain forbids.
    Broken {
        id: JobId,
        version: u64,
        rule: &'static str,
    },
    /// Journal, ledger and Get do not tell the same.
    Disagreement {
        id: JobId,
    },
    /// An acknowledged deletion without its mark in the journal.
    DeletionLost {
        id: JobId,
    },
    /// A deleted job that somebody still shows.
    NotGone {
        id: JobId,
    },
    /// An acknowledged retry without its run.
    RetryLost {
        id: JobId,
        run: u32,
    },
    /// A checkpoint gave way to an earlier one of the same attempt.
    CheckpointBack {
        id: JobId,
        version: u64,
    },
    /// An acknowledged checkpoint that the record never had.
    CheckpointLost {
        id: JobId,
        seq: u64,
    },
    /// Two live jobs under one key.
    KeyTwice {
        key: String,
    },
    /// A job ran before one that it waits for was over.
    TooEarly {
        id: JobId,
        parent: JobId,
    },
    /// A handler began after its cancel had been acknowledged.
    StartAfterCancel {
        lease: Lease,
    },
    /// A handler began twice under one lease, or under one that was never given.
    StartTwice {
        lease: Lease,
    },
    StartWithoutLease {
        lease: Lease,
    },
    /// Two handlers at once, and the lease of the first was not lost on record.
    Overlap {
        first: Lease,
        second: Lease,
    },
    /// A report was RECORDED twice, or is nowhere on record, or not as what it said.
    RecordedTwice {
        lease: Lease,
    },
    RecordedNowhere {
        lease: Lease,
    },
    RecordedOtherwise {
        lease: Lease,
    },
    /// A version that a watch did not show, without a gap.
    WatchHole {
        watch: usize,
        id: JobId,
        after: u64,
    },
    /// A watch that did not show the end.
    WatchUnfinished {
        watch: usize,
        id: JobId,
    },
    /// Something stayed behind when everybody had gone.
    Leak {
        what: &'static str,
    },
}

impl Violation {
    /// Which rule.
    pub(crate) fn name(&self) -> String {
        let told = format!("{self:?}");
        told.split(' ').next().unwrap_or_default().to_owned()
    }
}

/// A lease as a violation names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lease {
    pub(crate) id: JobId,
    pub(crate) run: u32,
    pub(crate) epoch: u64,
}

impl From<&Held> for Lease {
    fn from(held: &Held) -> Self {
        Self { id: held.id, run: held.lease.run, epoch: held.lease.epoch }
    }
}

/// All broken promises of a history.
pub(crate) fn check(history: &History) -> BTreeSet<Violation> {
    let mut found = BTreeSet::new();
    journal::check(history, &mut found);
    clients(history, &mut found);
    work::check(history, &mut found);
    watch::check(history, &mut found);
    let left = history.leftovers.iter().filter(|(_, count)| **count > 0);
    found.extend(left.map(|(what, _)| Violation::Leak { what }));
    found
}

/// What callers were told, beside what is on record.
fn clients(history: &History, found: &mut BTreeSet<Violation>) {
    let mut answers: BTreeMap<&str, JobId> = BTreeMap::new();
    let mut told = BTreeSet::new();
    let lives = history.lives();
    let last = |id: &JobId| lives.get(id).and_then(|life| life.last());
    let is_gone = |id: &JobId| last(id).is_some_and(|last| last.status.is_deleted());
    for note in &history.notes {
        match note {
            Note::Enqueued { request, id } => {
                told.insert(*id);
                if *answers.entry(request).or_insert(*id) != *id {
                    found.insert(Violation::RequestSplit { request: request.clone() });
                }
            }
            Note::Retried { id, run }
                if !is_gone(id) && history.got.get(id).is_none_or(|job| job.status.run < *run) =>
            {
                found.insert(Violation::RetryLost { id: *id, run: *run });
            }
            Note::Deleted { id } if !is_gone(id) => {
                found.insert(Violation::DeletionLost { id: *id });
            }
            _ => {}
        }
    }
    for id in &told {
        if is_gone(id) {
            if history.ledger.contains_key(id) || history.got.contains_key(id) {
                found.insert(Violation::NotGone { id: *id });
            }
            continue;
        }
        let (Some(last), Some(ledger), Some(got)) =
            (last(id), history.ledger.get(id), history.got.get(id))
        else {
            found.insert(Violation::Lost { id: *id });
            continue;
        };
        if !last.status.state.is_terminal() {
            found.insert(Violation::NotFinal { id: *id });
        }
        if last.status != ledger.status || ledger != got {
            found.insert(Violation::Disagreement { id: *id });
        }
    }
    let surplus = lives.keys().filter(|id| !told.contains(id));
    found.extend(surplus.map(|id| Violation::Surplus { id: *id }));
}

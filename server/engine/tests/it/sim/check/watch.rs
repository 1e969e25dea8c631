//! Rules about watches: every change in order, or a gap that is declared; the end always.

use std::collections::{BTreeMap, BTreeSet};

use sentinel_domain::JobId;

use super::Violation;
use crate::sim::notes::{History, Note, Seen};

#[derive(Default)]
struct Eyes {
    versions: BTreeMap<JobId, u64>,
    /// After a resume what was seen may come again.
    may_repeat: bool,
    /// A gap was declared, and the snapshot that heals it has not come.
    has_gap: bool,
}

impl Eyes {
    fn heard_of(&self, id: JobId) -> bool {
        self.versions.contains_key(&id)
    }

    /// The version before a hole.
    fn see(&mut self, id: JobId, version: u64) -> Option<u64> {
        let last = self.versions.get(&id).copied().unwrap_or(0);
        let is_next = version == last + 1;
        let is_again = self.may_repeat && version <= last;
        self.versions.insert(id, version.max(last));
        (!is_next && !is_again && !self.has_gap).then_some(last)
    }
}

pub(super) fn check(history: &History, found: &mut BTreeSet<Violation>) {
    let mut all: Vec<Eyes> = history.watches.iter().map(|_| Eyes::default()).collect();
    let deletions: BTreeSet<(JobId, u64)> = history
        .journal
        .iter()
        .filter(|event| event.status.is_deleted())
        .map(|event| (event.id, event.status.version))
        .collect();
    for note in &history.notes {
        let Note::Watched { watch, seen } = note else { continue };
        let (watch, eyes) = (*watch, &mut all[*watch]);
        match seen {
            Seen::Resumed => eyes.may_repeat = true,
            Seen::Gap => eyes.has_gap = true,
            Seen::Snapshot(jobs) => {
                eyes.has_gap = false;
                eyes.versions = jobs.iter().copied().collect();
            }
            Seen::Change { id, version, .. } => {
                // A snapshot reads the ledger after it noted where to go on from: a job that was
                // deleted in between is not in it, and its deletion comes all the same.
                let is_late = !eyes.heard_of(*id) && deletions.contains(&(*id, *version));
                if let Some(after) = eyes.see(*id, *version)
                    && !is_late
                {
                    found.insert(Violation::WatchHole { watch, id: *id, after });
                }
            }
            Seen::End => {}
        }
    }
    for (watch, (eyes, wanted)) in all.iter().zip(&history.watches).enumerate() {
        for (id, job) in &history.got {
            let is_wanted = wanted.as_ref().is_none_or(|ids| ids.contains(id));
            if is_wanted && eyes.versions.get(id) != Some(&job.status.version) {
                found.insert(Violation::WatchUnfinished { watch, id: *id });
            }
        }
    }
}

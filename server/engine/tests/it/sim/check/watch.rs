//! Rules about watches: every version in order or a declared gap, and always the last version.

use std::collections::{BTreeMap, BTreeSet};

use sentinel_domain::JobId;

use super::Violation;
use crate::sim::observations::{History, Observation, WatchObservation};

#[derive(Default)]
struct WatchState {
    versions: BTreeMap<JobId, u64>,
    /// After a resume, changes may repeat.
    may_repeat: bool,
    /// A gap was declared and its snapshot has not arrived.
    has_gap: bool,
}

impl WatchState {
    fn has_shown(&self, id: JobId) -> bool {
        self.versions.contains_key(&id)
    }

    /// Records a version; returns the previous one when versions were skipped.
    fn record(&mut self, id: JobId, version: u64) -> Option<u64> {
        let last = self.versions.get(&id).copied().unwrap_or(0);
        let is_next = version == last + 1;
        let is_repeat = self.may_repeat && version <= last;
        self.versions.insert(id, version.max(last));
        (!is_next && !is_repeat && !self.has_gap).then_some(last)
    }
}

pub(super) fn check(history: &History, found: &mut BTreeSet<Violation>) {
    let mut all: Vec<WatchState> = history.watches.iter().map(|_| WatchState::default()).collect();
    let deletions: BTreeSet<(JobId, u64)> = history
        .journal
        .iter()
        .filter(|event| event.status.is_deleted())
        .map(|event| (event.id, event.status.version))
        .collect();
    for observation in &history.observations {
        let Observation::Watched { watch, seen } = observation else { continue };
        let (watch, state) = (*watch, &mut all[*watch]);
        match seen {
            WatchObservation::Resumed => state.may_repeat = true,
            WatchObservation::Gap => state.has_gap = true,
            WatchObservation::Snapshot(jobs) => {
                state.has_gap = false;
                state.versions = jobs.iter().copied().collect();
            }
            WatchObservation::Change { id, version, .. } => {
                // A snapshot takes its position before it reads the ledger. A job that is deleted
                // in between is not in the snapshot, but its deletion follows.
                let is_late = !state.has_shown(*id) && deletions.contains(&(*id, *version));
                if let Some(after) = state.record(*id, *version)
                    && !is_late
                {
                    found.insert(Violation::SkippedVersion { watch, id: *id, after });
                }
            }
            WatchObservation::End => {}
        }
    }
    for (watch, (state, wanted)) in all.iter().zip(&history.watches).enumerate() {
        for (id, job) in &history.got {
            let is_wanted = wanted.as_ref().is_none_or(|ids| ids.contains(id));
            if is_wanted && state.versions.get(id) != Some(&job.status.version) {
                found.insert(Violation::MissingLastVersion { watch, id: *id });
            }
        }
    }
}

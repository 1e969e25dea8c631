//! Merges the events of all watches into one history of versions per job.

use std::collections::{BTreeMap, BTreeSet};

use sentinel_client::proto::jobs::v1::JobState;

use super::{History, ObservedJob, RecordedEvent, Violation};

/// The versions of one job that at least one watch showed.
#[derive(Debug, Default)]
pub(super) struct VersionHistory {
    pub(super) jobs: BTreeMap<u64, ObservedJob>,
    /// The number of versions that no watch showed, each inside a declared gap.
    pub(super) missing: usize,
}

impl VersionHistory {
    /// Returns how many leases were granted up to a version. Missing versions count as leases.
    pub(super) fn leases_until(&self, version: u64) -> usize {
        let mut leases = 0;
        let mut was_running = false;
        for job in self.jobs.range(..=version).map(|(_, job)| job) {
            // A checkpoint or a cancel request raises the version of a job that keeps running.
            let is_running = job.state == JobState::Running;
            leases += usize::from(is_running && !was_running);
            was_running = is_running;
        }
        leases + self.missing
    }

    pub(super) fn leases(&self) -> usize {
        self.leases_until(u64::MAX)
    }
}

/// The position while the events of one watch are read.
#[derive(Default)]
struct WatchCursor<'a> {
    /// The last version of each job, and the number of gaps before it.
    last: BTreeMap<&'a str, (u64, usize)>,
    gaps: usize,
}

/// Reads all watches and reports incomplete or contradicting ones.
pub(super) fn version_histories<'a>(
    history: &'a History,
    found: &mut BTreeSet<Violation>,
) -> BTreeMap<&'a str, VersionHistory> {
    let mut histories: BTreeMap<&str, VersionHistory> = BTreeMap::new();
    for (watch, events) in history.watches.iter().enumerate() {
        let mut cursor = WatchCursor::default();
        let mut previous: Option<&RecordedEvent> = None;
        for event in events {
            match event {
                RecordedEvent::Gap => cursor.gaps += 1,
                RecordedEvent::Snapshot(jobs) => {
                    if matches!(previous, Some(RecordedEvent::Change(..))) {
                        found.insert(Violation::UndeclaredSnapshot { watch });
                    }
                    for (id, job) in jobs {
                        cursor.last.insert(id, (job.version, cursor.gaps));
                        add(&mut histories, id, job, found);
                    }
                }
                RecordedEvent::Change(id, job) => {
                    if matches!(previous, Some(RecordedEvent::Gap)) {
                        found.insert(Violation::GapWithoutSnapshot { watch });
                    }
                    if !cursor.accepts(id, job.version) {
                        found.insert(Violation::VersionSequence { id: id.clone(), watch });
                    }
                    cursor.last.insert(id, (job.version, cursor.gaps));
                    add(&mut histories, id, job, found);
                }
            }
            previous = Some(event);
        }
        for (id, got) in &history.got {
            if !cursor.reached(id, got.version) {
                found.insert(Violation::VersionSequence { id: id.clone(), watch });
            }
        }
    }
    for (id, got) in &history.got {
        let versions = histories.entry(id).or_default();
        versions.missing = (got.version as usize).saturating_sub(versions.jobs.len());
    }
    histories
}

impl WatchCursor<'_> {
    /// Accepts the next version, a repetition of the last one after a resume, and any version
    /// after a gap.
    fn accepts(&self, id: &str, version: u64) -> bool {
        match self.last.get(id) {
            Some((_, gaps)) if *gaps < self.gaps => true,
            Some((last, _)) => version == *last || version == last + 1,
            None => version == 1 || self.gaps > 0,
        }
    }

    /// Returns whether the watch showed the job's last version, or had a gap after it last showed
    /// the job.
    fn reached(&self, id: &str, version: u64) -> bool {
        match self.last.get(id) {
            Some((last, gaps)) => *last == version || *gaps < self.gaps,
            None => self.gaps > 0,
        }
    }
}

fn add<'a>(
    histories: &mut BTreeMap<&'a str, VersionHistory>,
    id: &'a str,
    job: &ObservedJob,
    found: &mut BTreeSet<Violation>,
) {
    let jobs = &mut histories.entry(id).or_default().jobs;
    let Some(known) = jobs.get_mut(&job.version) else {
        jobs.insert(job.version, job.clone());
        return;
    };
    // A snapshot is a list, which omits results.
    let result = if job.result.is_empty() { known.result.clone() } else { job.result.clone() };
    if known.result.is_empty() {
        known.result.clone_from(&result);
    }
    if *known != (ObservedJob { result, ..job.clone() }) {
        found.insert(Violation::ConflictingVersion { id: id.to_owned(), version: job.version });
    }
}

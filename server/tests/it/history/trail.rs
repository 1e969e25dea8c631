//! What the watches showed, put together by job: each version once.

use std::collections::{BTreeMap, BTreeSet};

use sentinel_client::proto::jobs::v1::JobState;

use super::{History, Look, Seen, Violation};

/// The versions of one job that some watch showed.
#[derive(Debug, Default)]
pub(super) struct Trail {
    pub(super) looks: BTreeMap<u64, Look>,
    /// Versions that no watch showed, each inside a declared gap.
    pub(super) missing: usize,
}

impl Trail {
    /// Leases that were given up to a version; those that nobody saw count as well.
    pub(super) fn leases_until(&self, version: u64) -> usize {
        let mut leases = 0;
        let mut was_running = false;
        for look in self.looks.range(..=version).map(|(_, look)| look) {
            // A checkpoint or a cancel raises the version of a job that goes on running.
            let is_running = look.state == JobState::Running;
            leases += usize::from(is_running && !was_running);
            was_running = is_running;
        }
        leases + self.missing
    }

    pub(super) fn leases(&self) -> usize {
        self.leases_until(u64::MAX)
    }
}

/// One watch while it is read.
#[derive(Default)]
struct Reading<'a> {
    /// The last version of each job, and after how many gaps it was shown.
    last: BTreeMap<&'a str, (u64, usize)>,
    gaps: usize,
}

/// Reads all watches; notes where one is not whole, or tells another tale than another.
pub(super) fn trails<'a>(
    history: &'a History,
    found: &mut BTreeSet<Violation>,
) -> BTreeMap<&'a str, Trail> {
    let mut trails: BTreeMap<&str, Trail> = BTreeMap::new();
    for (watch, events) in history.watches.iter().enumerate() {
        let mut reading = Reading::default();
        let mut before: Option<&Seen> = None;
        for event in events {
            match event {
                Seen::Gap => reading.gaps += 1,
                Seen::Snapshot(jobs) => {
                    if matches!(before, Some(Seen::Change(..))) {
                        found.insert(Violation::UndeclaredSnapshot { watch });
                    }
                    for (id, look) in jobs {
                        reading.last.insert(id, (look.version, reading.gaps));
                        add(&mut trails, id, look, found);
                    }
                }
                Seen::Change(id, look) => {
                    if matches!(before, Some(Seen::Gap)) {
                        found.insert(Violation::GapWithoutSnapshot { watch });
                    }
                    if !reading.follows(id, look.version) {
                        found.insert(Violation::Versions { id: id.clone(), watch });
                    }
                    reading.last.insert(id, (look.version, reading.gaps));
                    add(&mut trails, id, look, found);
                }
            }
            before = Some(event);
        }
        for (id, got) in &history.got {
            if !reading.reached(id, got.version) {
                found.insert(Violation::Versions { id: id.clone(), watch });
            }
        }
    }
    for (id, got) in &history.got {
        let trail = trails.entry(id).or_default();
        trail.missing = (got.version as usize).saturating_sub(trail.looks.len());
    }
    trails
}

impl Reading<'_> {
    /// The next version, or after a resume the last one again; anything after a gap.
    fn follows(&self, id: &str, version: u64) -> bool {
        match self.last.get(id) {
            Some((_, gaps)) if *gaps < self.gaps => true,
            Some((last, _)) => version == *last || version == last + 1,
            None => version == 1 || self.gaps > 0,
        }
    }

    /// Whether the end of a job was shown, as far as no gap came after what was shown.
    fn reached(&self, id: &str, version: u64) -> bool {
        match self.last.get(id) {
            Some((last, gaps)) => *last == version || *gaps < self.gaps,
            None => self.gaps > 0,
        }
    }
}

fn add<'a>(
    trails: &mut BTreeMap<&'a str, Trail>,
    id: &'a str,
    look: &Look,
    found: &mut BTreeSet<Violation>,
) {
    let looks = &mut trails.entry(id).or_default().looks;
    let Some(known) = looks.get_mut(&look.version) else {
        looks.insert(look.version, look.clone());
        return;
    };
    // A snapshot is a list, which carries no results.
    let result = if look.result.is_empty() { known.result.clone() } else { look.result.clone() };
    if known.result.is_empty() {
        known.result.clone_from(&result);
    }
    if *known != (Look { result, ..look.clone() }) {
        found.insert(Violation::TwoTales { id: id.to_owned(), version: look.version });
    }
}

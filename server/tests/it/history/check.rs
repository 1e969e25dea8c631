//! The rules. Each broken one is a violation with what it takes to look into it.

use std::collections::{BTreeMap, BTreeSet};

use sentinel_client::is_final;
use sentinel_client::proto::jobs::v1::{JobState, StateReason};

use super::{Effect, History, Look};

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Violation {
    /// An acknowledged job that Get or List does not know.
    Lost { id: String },
    /// A job that nobody works on any more and that is not final.
    NotFinal { id: String },
    /// Get and List tell different things.
    Disagreement { id: String },
    /// More jobs than calls.
    Surplus { jobs: usize },
    /// One request id was answered with several jobs.
    RequestSplit { request_id: String },
    /// A run that did not end exactly once.
    Finals { id: String, run: u32, finals: usize },
    /// Versions that are not 1, 2, 3 ...
    Versions { id: String },
    /// An acknowledged retry without its run.
    RetryLost { id: String, run: u32 },
    /// A handler began after its cancel had been acknowledged.
    StartAfterCancel { fence: String },
    /// A handler began twice under one lease.
    DoubleStart { fence: String },
    /// A handler began under a lease that was never given.
    StartWithoutLease { fence: String },
    /// Two handlers at once, and the lease of the first was not lost.
    Overlap { first: String, second: String },
    /// A handler began and neither ended nor was lost.
    Abandoned { fence: String },
    /// A success whose handler did not come to its end.
    NoEnd { id: String },
}

/// All broken promises of a history.
pub fn check(history: &History) -> BTreeSet<Violation> {
    let mut found = BTreeSet::new();
    records(history, &mut found);
    changes(history, &mut found);
    effects(history, &mut found);
    found
}

fn records(history: &History, found: &mut BTreeSet<Violation>) {
    let listed: BTreeMap<&str, &Look> =
        history.listed.iter().map(|(id, look)| (id.as_str(), look)).collect();
    for id in &history.acknowledged {
        let id = id.clone();
        match (history.got.get(&id), listed.get(id.as_str())) {
            (Some(got), Some(listed)) => {
                if !is_final(got.state) {
                    found.insert(Violation::NotFinal { id: id.clone() });
                }
                // A list carries no results.
                let listed = Look { result: got.result.clone(), ..(*listed).clone() };
                if *got != listed {
                    found.insert(Violation::Disagreement { id });
                }
            }
            _ => {
                found.insert(Violation::Lost { id });
            }
        }
    }
    let surplus = history.listed.len().saturating_sub(history.acknowledged.len());
    if surplus > history.unknown_jobs || listed.len() != history.listed.len() {
        found.insert(Violation::Surplus { jobs: surplus });
    }
    for (request_id, ids) in &history.requests {
        if ids.len() > 1 {
            found.insert(Violation::RequestSplit { request_id: request_id.clone() });
        }
    }
}

fn changes(history: &History, found: &mut BTreeSet<Violation>) {
    for (id, got) in &history.got {
        let none = Vec::new();
        let looks = history.changes.get(id).unwrap_or(&none);
        if !looks.iter().map(|look| look.version).eq(1..=got.version) {
            found.insert(Violation::Versions { id: id.clone() });
        }
        for run in 1..=got.run {
            let of_run = looks.iter().filter(|look| look.run == run);
            let finals = of_run.filter(|look| is_final(look.state)).count();
            if finals != 1 {
                found.insert(Violation::Finals { id: id.clone(), run, finals });
            }
        }
    }
    for (id, run) in &history.retries {
        if history.got.get(id).is_none_or(|got| got.run < *run) {
            found.insert(Violation::RetryLost { id: id.clone(), run: *run });
        }
    }
}

fn effects(history: &History, found: &mut BTreeSet<Violation>) {
    for cancel in &history.cancels {
        let later = history.effects.iter().skip(cancel.lines_before);
        let of_job = later.filter(|line| line.id == cancel.id && line.run == cancel.run);
        for line in of_job.filter(|line| line.is_start) {
            found.insert(Violation::StartAfterCancel { fence: line.fence() });
        }
    }
    let mut by_job: BTreeMap<&str, Vec<&Effect>> = BTreeMap::new();
    for line in &history.effects {
        by_job.entry(&line.id).or_default().push(line);
    }
    for (id, lines) in by_job {
        let none = Vec::new();
        lives(&lines, history.changes.get(id).unwrap_or(&none), found);
    }
    let ended: BTreeSet<String> =
        history.effects.iter().filter(|line| !line.is_start).map(Effect::fence).collect();
    for (id, got) in &history.got {
        if got.state == JobState::Succeeded && !ended.contains(&got.result) {
            found.insert(Violation::NoEnd { id: id.clone() });
        }
    }
}

/// The handlers of one job, in the order in which they wrote.
fn lives(lines: &[&Effect], looks: &[Look], found: &mut BTreeSet<Violation>) {
    let leases = looks.iter().filter(|look| look.state == JobState::Running).count();
    let mut starts = BTreeSet::new();
    let mut open: Vec<&Effect> = Vec::new();
    for line in lines {
        if !line.is_start {
            open.retain(|other| other.epoch != line.epoch);
            continue;
        }
        if !starts.insert(line.epoch) {
            found.insert(Violation::DoubleStart { fence: line.fence() });
        }
        if starts.len() > leases {
            found.insert(Violation::StartWithoutLease { fence: line.fence() });
        }
        for other in &open {
            if !was_taken(other, looks) {
                let (first, second) = (other.fence(), line.fence());
                found.insert(Violation::Overlap { first, second });
            }
        }
        open.push(line);
    }
    for line in open.iter().filter(|line| !was_taken(line, looks)) {
        found.insert(Violation::Abandoned { fence: line.fence() });
    }
}

/// Whether the lease of a handler ended other than by its success: lost with its worker,
/// or cancelled.
fn was_taken(line: &Effect, looks: &[Look]) -> bool {
    looks.iter().any(|look| {
        let of_attempt = look.run == line.run && look.attempt == line.attempt;
        let lost = matches!(look.reason, StateReason::WorkerLost | StateReason::Poisoned);
        // Handed back: the attempt does not count.
        let released = look.run == line.run
            && look.attempt + 1 == line.attempt
            && look.reason == StateReason::Released;
        (of_attempt && (lost || look.state == JobState::Cancelled)) || released
    })
}

//! The rules. Each broken one is a violation with what it takes to look into it.

use std::collections::{BTreeMap, BTreeSet};

use sentinel_client::is_terminal;
use sentinel_client::proto::jobs::v1::{JobState, StateReason};

use super::trail::{Trail, trails};
use super::{Effect, History, Look};

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Violation {
    /// An acknowledged job that Get or List does not know.
    Lost { id: String },
    /// A job that nobody works on any more and that is not final.
    NotFinal { id: String },
    /// Get and List tell different things, or the watches tell another end than they do.
    Disagreement { id: String },
    /// More jobs than calls.
    Surplus { jobs: usize },
    /// One request id was answered with several jobs.
    RequestSplit { request_id: String },
    /// A run that did not end exactly once.
    Finals { id: String, run: u32, finals: usize },
    /// A watch showed versions that are not 1, 2, 3 ... to the end, and declared no gap.
    Versions { id: String, watch: usize },
    /// A watch said that it may have missed something, and went on without a snapshot.
    GapWithoutSnapshot { watch: usize },
    /// A watch began anew and did not say that it may have missed something.
    UndeclaredSnapshot { watch: usize },
    /// One version that looks different each time.
    TwoTales { id: String, version: u64 },
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
    /// A result that is not of the lease under which the job ended.
    StaleResult { id: String, version: u64 },
    /// Something was not well some time after the last fault.
    Unwell { what: String },
}

/// All broken promises of a history.
pub(crate) fn check(history: &History) -> BTreeSet<Violation> {
    let mut found = BTreeSet::new();
    records(history, &mut found);
    let trails = trails(history, &mut found);
    changes(history, &trails, &mut found);
    effects(history, &trails, &mut found);
    found.extend(history.ailments.iter().map(|what| Violation::Unwell { what: what.clone() }));
    found
}

fn records(history: &History, found: &mut BTreeSet<Violation>) {
    let listed: BTreeMap<&str, &Look> =
        history.listed.iter().map(|(id, look)| (id.as_str(), look)).collect();
    for id in &history.acknowledged {
        let id = id.clone();
        match (history.got.get(&id), listed.get(id.as_str())) {
            (Some(got), Some(listed)) => {
                if !is_terminal(got.state) {
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

fn changes(history: &History, trails: &BTreeMap<&str, Trail>, found: &mut BTreeSet<Violation>) {
    for (id, got) in &history.got {
        let Some(trail) = trails.get(id.as_str()) else { continue };
        // Without it the end is in a gap, or a violation already.
        let end = trail.looks.get(&got.version);
        let last = trail.looks.last_key_value().map_or(0, |(version, _)| *version);
        if end.is_some_and(|end| !tells_the_same(end, got)) || last > got.version {
            found.insert(Violation::Disagreement { id: id.clone() });
        }
        for run in 1..=got.run {
            let of_run = trail.looks.values().filter(|look| look.run == run);
            let finals = of_run.filter(|look| is_terminal(look.state)).count();
            if finals > 1 || (finals == 0 && trail.missing == 0) {
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

/// A look out of a snapshot carries no result.
fn tells_the_same(shown: &Look, got: &Look) -> bool {
    let result = if shown.result.is_empty() { &got.result } else { &shown.result };
    *got == Look { result: result.clone(), ..shown.clone() }
}

fn effects(history: &History, trails: &BTreeMap<&str, Trail>, found: &mut BTreeSet<Violation>) {
    for cancel in &history.cancels {
        // Who got the lease before the cancel may begin late, unaware; nobody gets one after it.
        let trail = trails.get(cancel.id.as_str());
        let leases = trail.map_or(0, |trail| trail.leases_until(cancel.version)) as u64;
        let later = history.effects.iter().skip(cancel.lines_before);
        let of_job = later.filter(|line| line.id == cancel.id && line.run == cancel.run);
        for line in of_job.filter(|line| line.is_start && line.epoch > leases) {
            found.insert(Violation::StartAfterCancel { fence: line.fence() });
        }
    }
    let mut by_job: BTreeMap<&str, Vec<&Effect>> = BTreeMap::new();
    for line in &history.effects {
        by_job.entry(&line.id).or_default().push(line);
    }
    let unwatched = Trail::default();
    for (id, lines) in by_job {
        lives(&lines, trails.get(id).unwrap_or(&unwatched), found);
    }
    let ended: BTreeSet<String> =
        history.effects.iter().filter(|line| !line.is_start).map(Effect::fence).collect();
    for (id, trail) in trails {
        for look in trail.looks.values().filter(|look| look.state == JobState::Succeeded) {
            success(id, look, trail, &ended, found);
        }
    }
}

/// A handler answers its fence, so the result tells whose it is.
fn success(
    id: &str,
    look: &Look,
    trail: &Trail,
    ended: &BTreeSet<String>,
    found: &mut BTreeSet<Violation>,
) {
    if look.result.is_empty() {
        return;
    }
    let lease = trail.leases_until(look.version);
    // Each lease raises the epoch by one; where versions are missing it is known as a range.
    let fits = |epoch: usize| epoch <= lease && epoch + trail.missing >= lease;
    let is_of_lease = Effect::parse(&format!("{}\t\tend", look.result)).is_some_and(|end| {
        (end.id.as_str(), end.run, end.attempt) == (id, look.run, look.attempt)
            && fits(end.epoch as usize)
    });
    if !is_of_lease {
        found.insert(Violation::StaleResult { id: id.to_owned(), version: look.version });
    }
    if !ended.contains(&look.result) {
        found.insert(Violation::NoEnd { id: id.to_owned() });
    }
}

/// The handlers of one job, in the order in which they wrote.
fn lives(lines: &[&Effect], trail: &Trail, found: &mut BTreeSet<Violation>) {
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
        if starts.len() > trail.leases() {
            found.insert(Violation::StartWithoutLease { fence: line.fence() });
        }
        for other in &open {
            if !was_taken(other, trail) {
                let (first, second) = (other.fence(), line.fence());
                found.insert(Violation::Overlap { first, second });
            }
        }
        open.push(line);
    }
    for line in open.iter().filter(|line| !was_taken(line, trail)) {
        found.insert(Violation::Abandoned { fence: line.fence() });
    }
}

/// Whether the lease of a handler ended other than by its success: lost with its worker,
/// or cancelled. What nobody saw may have been that.
fn was_taken(line: &Effect, trail: &Trail) -> bool {
    trail.missing > 0
        || trail.looks.values().any(|look| {
            let of_attempt = look.run == line.run && look.attempt == line.attempt;
            let lost = matches!(look.reason, StateReason::WorkerLost | StateReason::Poisoned);
            // Handed back: the attempt does not count.
            let released = look.run == line.run
                && look.attempt + 1 == line.attempt
                && look.reason == StateReason::Released;
            (of_attempt && (lost || look.state == JobState::Cancelled)) || released
        })
}

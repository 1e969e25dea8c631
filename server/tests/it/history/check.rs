//! The guarantees. Each violation carries what is needed to investigate it.

use std::collections::{BTreeMap, BTreeSet};

use sentinel_client::is_terminal;
use sentinel_client::proto::jobs::v1::{JobState, StateReason};

use super::versions::{VersionHistory, version_histories};
use super::{History, ObservedJob, SideEffect};

/// A violated guarantee.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Violation {
    /// Get or List does not return an acknowledged job.
    Lost { id: String },
    /// A job is not in a terminal state at the end.
    NotTerminal { id: String },
    /// Get and List differ, or the last event of a watch differs from them.
    Disagreement { id: String },
    /// There are more jobs than calls explain.
    UnexpectedJobs { jobs: usize },
    /// One request id returned several jobs.
    RequestSplit { request_id: String },
    /// A run reached a terminal state zero times or more than once.
    TerminalStates { id: String, run: u32, count: usize },
    /// A watch without a declared gap did not show the versions 1, 2, 3 … up to the last.
    VersionSequence { id: String, watch: usize },
    /// A watch declared a gap and continued without a snapshot.
    GapWithoutSnapshot { watch: usize },
    /// A watch sent a second snapshot without declaring a gap.
    UndeclaredSnapshot { watch: usize },
    /// One version of a job was observed with different contents.
    ConflictingVersion { id: String, version: u64 },
    /// The run of an acknowledged retry is missing.
    RetryLost { id: String, run: u32 },
    /// A handler started after the cancel of its job had been acknowledged.
    StartAfterCancel { fence: String },
    /// A handler started twice under one lease.
    DoubleStart { fence: String },
    /// A handler started under a lease that was never granted.
    StartWithoutLease { fence: String },
    /// Two handlers ran at once although the lease of the first was not lost.
    Overlap { first: String, second: String },
    /// A handler started and neither finished nor lost its lease.
    Abandoned { fence: String },
    /// A job succeeded although its handler did not write its end.
    SuccessWithoutEnd { id: String },
    /// A result was written under another lease than the one under which the job finished.
    StaleResult { id: String, version: u64 },
    /// A health check failed after the last fault had ended.
    Unhealthy { what: String },
}

/// Returns all violations of a history.
pub(crate) fn check(history: &History) -> BTreeSet<Violation> {
    let mut found = BTreeSet::new();
    check_records(history, &mut found);
    let versions = version_histories(history, &mut found);
    check_changes(history, &versions, &mut found);
    check_side_effects(history, &versions, &mut found);
    let failures = history.health_failures.iter();
    found.extend(failures.map(|what| Violation::Unhealthy { what: what.clone() }));
    found
}

fn check_records(history: &History, found: &mut BTreeSet<Violation>) {
    let listed: BTreeMap<&str, &ObservedJob> =
        history.listed.iter().map(|(id, job)| (id.as_str(), job)).collect();
    for id in &history.acknowledged {
        let id = id.clone();
        match (history.got.get(&id), listed.get(id.as_str())) {
            (Some(got), Some(listed)) => {
                if !is_terminal(got.state) {
                    found.insert(Violation::NotTerminal { id: id.clone() });
                }
                // A list omits results.
                let listed = ObservedJob { result: got.result.clone(), ..(*listed).clone() };
                if *got != listed {
                    found.insert(Violation::Disagreement { id });
                }
            }
            _ => {
                found.insert(Violation::Lost { id });
            }
        }
    }
    let unexpected = history.listed.len().saturating_sub(history.acknowledged.len());
    if unexpected > history.unknown_jobs || listed.len() != history.listed.len() {
        found.insert(Violation::UnexpectedJobs { jobs: unexpected });
    }
    for (request_id, ids) in &history.requests {
        if ids.len() > 1 {
            found.insert(Violation::RequestSplit { request_id: request_id.clone() });
        }
    }
}

fn check_changes(
    history: &History,
    versions: &BTreeMap<&str, VersionHistory>,
    found: &mut BTreeSet<Violation>,
) {
    for (id, got) in &history.got {
        let Some(versions) = versions.get(id.as_str()) else { continue };
        // When the last version is missing, it is in a gap or already a violation.
        let end = versions.jobs.get(&got.version);
        let last = versions.jobs.last_key_value().map_or(0, |(version, _)| *version);
        if end.is_some_and(|end| !agrees(end, got)) || last > got.version {
            found.insert(Violation::Disagreement { id: id.clone() });
        }
        for run in 1..=got.run {
            let of_run = versions.jobs.values().filter(|job| job.run == run);
            let count = of_run.filter(|job| is_terminal(job.state)).count();
            if count > 1 || (count == 0 && versions.missing == 0) {
                found.insert(Violation::TerminalStates { id: id.clone(), run, count });
            }
        }
    }
    for (id, run) in &history.retries {
        if history.got.get(id).is_none_or(|got| got.run < *run) {
            found.insert(Violation::RetryLost { id: id.clone(), run: *run });
        }
    }
}

/// Compares the last observed version with the result of Get. A snapshot omits results.
fn agrees(observed: &ObservedJob, got: &ObservedJob) -> bool {
    let result = if observed.result.is_empty() { &got.result } else { &observed.result };
    *got == ObservedJob { result: result.clone(), ..observed.clone() }
}

fn check_side_effects(
    history: &History,
    versions: &BTreeMap<&str, VersionHistory>,
    found: &mut BTreeSet<Violation>,
) {
    for cancel in &history.cancels {
        // A worker that got its lease before the cancel may start late; no lease follows a cancel.
        let of_job = versions.get(cancel.id.as_str());
        let leases = of_job.map_or(0, |versions| versions.leases_until(cancel.version)) as u64;
        let later = history.side_effects.iter().skip(cancel.lines_before);
        let of_job = later.filter(|line| line.id == cancel.id && line.run == cancel.run);
        for line in of_job.filter(|line| line.is_start && line.epoch > leases) {
            found.insert(Violation::StartAfterCancel { fence: line.fence() });
        }
    }
    let mut by_job: BTreeMap<&str, Vec<&SideEffect>> = BTreeMap::new();
    for line in &history.side_effects {
        by_job.entry(&line.id).or_default().push(line);
    }
    let unobserved = VersionHistory::default();
    for (id, lines) in by_job {
        check_handlers(&lines, versions.get(id).unwrap_or(&unobserved), found);
    }
    let finished: BTreeSet<String> =
        history.side_effects.iter().filter(|line| !line.is_start).map(SideEffect::fence).collect();
    for (id, versions) in versions {
        for job in versions.jobs.values().filter(|job| job.state == JobState::Succeeded) {
            check_success(id, job, versions, &finished, found);
        }
    }
}

/// Checks that the result, which is the handler's fence, belongs to the lease of the success.
fn check_success(
    id: &str,
    job: &ObservedJob,
    versions: &VersionHistory,
    finished: &BTreeSet<String>,
    found: &mut BTreeSet<Violation>,
) {
    if job.result.is_empty() {
        return;
    }
    let lease = versions.leases_until(job.version);
    // Each lease raises the epoch by one; missing versions leave a range of possible epochs.
    let is_possible = |epoch: usize| epoch <= lease && epoch + versions.missing >= lease;
    let is_of_lease = SideEffect::parse(&format!("{}\t\tend", job.result)).is_some_and(|end| {
        (end.id.as_str(), end.run, end.attempt) == (id, job.run, job.attempt)
            && is_possible(end.epoch as usize)
    });
    if !is_of_lease {
        found.insert(Violation::StaleResult { id: id.to_owned(), version: job.version });
    }
    if !finished.contains(&job.result) {
        found.insert(Violation::SuccessWithoutEnd { id: id.to_owned() });
    }
}

/// Checks the lines of one job's handlers, in the order in which they were written.
fn check_handlers(
    lines: &[&SideEffect],
    versions: &VersionHistory,
    found: &mut BTreeSet<Violation>,
) {
    let mut starts = BTreeSet::new();
    let mut running: Vec<&SideEffect> = Vec::new();
    for line in lines {
        if !line.is_start {
            running.retain(|other| other.epoch != line.epoch);
            continue;
        }
        if !starts.insert(line.epoch) {
            found.insert(Violation::DoubleStart { fence: line.fence() });
        }
        if starts.len() > versions.leases() {
            found.insert(Violation::StartWithoutLease { fence: line.fence() });
        }
        for other in &running {
            if !lost_its_lease(other, versions) {
                let (first, second) = (other.fence(), line.fence());
                found.insert(Violation::Overlap { first, second });
            }
        }
        running.push(line);
    }
    for line in running.iter().filter(|line| !lost_its_lease(line, versions)) {
        found.insert(Violation::Abandoned { fence: line.fence() });
    }
}

/// Returns whether a handler's lease ended with its worker's loss, a cancel or a release. A missing
/// version may have been one of these.
fn lost_its_lease(line: &SideEffect, versions: &VersionHistory) -> bool {
    versions.missing > 0
        || versions.jobs.values().any(|job| {
            let of_attempt = job.run == line.run && job.attempt == line.attempt;
            let lost = matches!(job.reason, StateReason::WorkerLost | StateReason::Poisoned);
            // A released attempt does not count.
            let released = job.run == line.run
                && job.attempt + 1 == line.attempt
                && job.reason == StateReason::Released;
            (of_attempt && (lost || job.state == JobState::Cancelled)) || released
        })
}

//! Rules about the journal alone: the changes of each job, and unique keys.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use sentinel_domain::{Job, JobId, Spec, State, held_key, invariant};
use sentinel_store::JobEvent;

use super::Violation;
use crate::sim::observations::{History, Observation};
use crate::sim::worker::checkpoint_seq;

pub(super) fn check(history: &History, found: &mut BTreeSet<Violation>) {
    for (id, changes) in history.changes_by_job() {
        let Some(spec) = changes.iter().find_map(|event| event.spec.clone()) else { continue };
        transitions(&spec, &changes, found);
        terminal_states(id, &changes, found);
        checkpoints(id, &changes, &history.observations, found);
    }
    keys(history, found);
    parents(history, found);
}

fn job(event: &JobEvent, spec: &Arc<Spec>) -> Job {
    Job { id: event.id, spec: spec.clone(), status: event.status.clone() }
}

fn transitions(spec: &Arc<Spec>, changes: &[&JobEvent], found: &mut BTreeSet<Violation>) {
    let mut before: Option<Job> = None;
    for event in changes {
        let after = job(event, spec);
        let mut rules = invariant::violated(&after);
        match &before {
            Some(before) => rules.extend(invariant::violated_transition(before, &after)),
            None if after.status.version != 1 => rules.push("first version is 1"),
            None => {}
        }
        let (id, version) = (event.id, event.status.version);
        found.extend(rules.into_iter().map(|rule| Violation::Invariant { id, version, rule }));
        before = Some(after);
    }
}

fn terminal_states(id: JobId, changes: &[&JobEvent], found: &mut BTreeSet<Violation>) {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for event in changes {
        let count = counts.entry(event.status.run).or_default();
        // The deletion of a terminal job does not count as a second terminal state.
        let is_first =
            event.status.state.is_terminal() && !(event.status.is_deleted() && *count > 0);
        *count += usize::from(is_first);
    }
    let wrong = counts.into_iter().filter(|(_, count)| *count != 1);
    found.extend(wrong.map(|(run, count)| Violation::TerminalStates { id, run, count }));
}

/// A worker numbers the checkpoints of an attempt and does not wait for acknowledgements in
/// between.
fn checkpoints(
    id: JobId,
    changes: &[&JobEvent],
    observations: &[Observation],
    found: &mut BTreeSet<Violation>,
) {
    let mut newest: HashMap<u64, u64> = HashMap::new();
    for event in changes {
        let Some((epoch, seq)) = event.status.checkpoint.as_deref().and_then(checkpoint_seq) else {
            continue;
        };
        let newest = newest.entry(epoch).or_default();
        if seq < *newest {
            found.insert(Violation::CheckpointRegressed { id, version: event.status.version });
        }
        *newest = seq.max(*newest);
    }
    for observation in observations {
        let Observation::Checkpointed { held, seq } = observation else { continue };
        if held.id == id && newest.get(&held.lease.epoch).is_none_or(|newest| newest < seq) {
            found.insert(Violation::CheckpointLost { id, seq: *seq });
        }
    }
}

fn keys(history: &History, found: &mut BTreeSet<Violation>) {
    let mut specs: HashMap<JobId, Arc<Spec>> = HashMap::new();
    let mut holders: HashMap<String, JobId> = HashMap::new();
    for event in &history.journal {
        if let Some(spec) = &event.spec {
            specs.insert(event.id, spec.clone());
        }
        let Some(spec) = specs.get(&event.id) else { continue };
        let Some(unique) = &spec.unique else { continue };
        let key = unique.key.to_string();
        if held_key(&job(event, spec)).is_some() {
            // A replacing job is created after the replaced job is cancelled.
            let holder = *holders.entry(key.clone()).or_insert(event.id);
            if holder != event.id {
                found.insert(Violation::DuplicateKey { key });
            }
        } else if holders.get(&key) == Some(&event.id) {
            holders.remove(&key);
        }
    }
}

fn parents(history: &History, found: &mut BTreeSet<Violation>) {
    let mut terminal = BTreeSet::new();
    for event in &history.journal {
        if event.status.state.is_terminal() {
            terminal.insert(event.id);
        }
        // A retried job does not wait for its parents again.
        let starts = event.status.state == State::Running && event.status.run == 1;
        let Some(spec) = event.spec.as_ref().filter(|_| starts) else { continue };
        let early = spec.depends_on.iter().filter(|parent| !terminal.contains(*parent));
        found.extend(
            early.map(|parent| Violation::StartBeforeParent { id: event.id, parent: *parent }),
        );
    }
}

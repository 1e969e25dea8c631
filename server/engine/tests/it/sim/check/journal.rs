//! Rules about the record alone: each life, change by change, and the keys that it holds.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use sentinel_domain::{Job, JobId, Spec, State, held_key, invariant};
use sentinel_store::JobEvent;

use super::Violation;
use crate::sim::notes::{History, Note};
use crate::sim::worker::checkpoint_seq;

pub(super) fn check(history: &History, found: &mut BTreeSet<Violation>) {
    for (id, life) in history.lives() {
        let Some(spec) = life.iter().find_map(|event| event.spec.clone()) else { continue };
        steps(&spec, &life, found);
        finals(id, &life, found);
        checkpoints(id, &life, &history.notes, found);
    }
    keys(history, found);
    parents(history, found);
}

fn job(event: &JobEvent, spec: &Arc<Spec>) -> Job {
    Job { id: event.id, spec: spec.clone(), status: event.status.clone() }
}

fn steps(spec: &Arc<Spec>, life: &[&JobEvent], found: &mut BTreeSet<Violation>) {
    let mut before: Option<Job> = None;
    for event in life {
        let after = job(event, spec);
        let mut rules = invariant::broken(&after);
        match &before {
            Some(before) => rules.extend(invariant::broken_step(before, &after)),
            None if after.status.version != 1 => rules.push("born-at-version-one"),
            None => {}
        }
        let (id, version) = (event.id, event.status.version);
        found.extend(rules.into_iter().map(|rule| Violation::Broken { id, version, rule }));
        before = Some(after);
    }
}

fn finals(id: JobId, life: &[&JobEvent], found: &mut BTreeSet<Violation>) {
    let mut finals: BTreeMap<u32, usize> = BTreeMap::new();
    for event in life {
        let finals = finals.entry(event.status.run).or_default();
        // A final job that is deleted is no second end.
        let is_end =
            event.status.state.is_terminal() && !(event.status.is_deleted() && *finals > 0);
        *finals += usize::from(is_end);
    }
    let other = finals.into_iter().filter(|(_, finals)| *finals != 1);
    found.extend(other.map(|(run, finals)| Violation::Finals { id, run, finals }));
}

/// A worker numbers the checkpoints of an attempt and waits for no answer in between.
fn checkpoints(id: JobId, life: &[&JobEvent], notes: &[Note], found: &mut BTreeSet<Violation>) {
    let mut newest: HashMap<u64, u64> = HashMap::new();
    for event in life {
        let Some((epoch, seq)) = event.status.checkpoint.as_deref().and_then(checkpoint_seq) else {
            continue;
        };
        let newest = newest.entry(epoch).or_default();
        if seq < *newest {
            found.insert(Violation::CheckpointBack { id, version: event.status.version });
        }
        *newest = seq.max(*newest);
    }
    for note in notes {
        let Note::Checkpointed { held, seq } = note else { continue };
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
            // One that replaces another one is created behind the end of that one.
            let holder = *holders.entry(key.clone()).or_insert(event.id);
            if holder != event.id {
                found.insert(Violation::KeyTwice { key });
            }
        } else if holders.get(&key) == Some(&event.id) {
            holders.remove(&key);
        }
    }
}

fn parents(history: &History, found: &mut BTreeSet<Violation>) {
    let mut ended = BTreeSet::new();
    for event in &history.journal {
        if event.status.state.is_terminal() {
            ended.insert(event.id);
        }
        // Who retries a job that waited does not wait again.
        let starts = event.status.state == State::Running && event.status.run == 1;
        let Some(spec) = event.spec.as_ref().filter(|_| starts) else { continue };
        let early = spec.depends_on.iter().filter(|parent| !ended.contains(*parent));
        found.extend(early.map(|parent| Violation::TooEarly { id: event.id, parent: *parent }));
    }
}

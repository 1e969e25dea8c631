//! Which jobs a list or a watch is about. The ledger says the same in SQL, and its tests
//! compare the two.

use crate::limits::{FILTER_LABELS, FILTER_NAMES};
use crate::{Job, Label, Millis, Name, Scopes, Spec, State, FieldViolation};

/// All parts must hold; an empty part holds for every job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Any of these.
    pub queues: Vec<Name>,
    /// Any of these.
    pub kinds: Vec<Name>,
    /// Any of these.
    pub states: Vec<State>,
    /// All of these.
    pub labels: Vec<Label>,
    /// Enqueued at or after.
    pub created_after: Option<Millis>,
    /// Enqueued before.
    pub created_before: Option<Millis>,
    /// In the queues that the one who asks may see.
    pub within: Scopes,
}

impl Filter {
    /// Everything wrong with it, as the field `path` of a request.
    pub fn violations(&self, path: &str) -> Vec<FieldViolation> {
        let bounds = [
            ("queues", self.queues.len(), FILTER_NAMES),
            ("kinds", self.kinds.len(), FILTER_NAMES),
            ("labels", self.labels.len(), FILTER_LABELS),
        ];
        let over = bounds.into_iter().filter(|(_, count, max)| *count as u64 > *max);
        over.map(|(field, count, max)| {
            FieldViolation::new(format!("{path}.{field}"), format!("{count} is too many: at most {max}"))
        })
        .collect()
    }

    /// Whether a job is one of them.
    pub fn matches(&self, job: &Job) -> bool {
        self.matches_spec(&job.spec, job.status.state)
    }

    /// Whether a job of this spec is one of them while it is in this state.
    pub fn matches_spec(&self, spec: &Spec, state: State) -> bool {
        (self.queues.is_empty() || self.queues.contains(&spec.queue))
            && self.within.contains(&spec.queue)
            && (self.kinds.is_empty() || self.kinds.contains(&spec.kind))
            && (self.states.is_empty() || self.states.contains(&state))
            && self.labels.iter().all(|label| spec.labels.contains(label))
            && self.created_after.is_none_or(|after| spec.created_at >= after)
            && self.created_before.is_none_or(|before| spec.created_at < before)
    }
}

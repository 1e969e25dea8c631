//! The job filter of lists, watches and bulk actions. The ledger implements it in SQL, and its
//! tests compare both implementations.

use crate::limits::{FILTER_LABELS, FILTER_NAMES};
use crate::{FieldViolation, Job, Label, Millis, Name, Scopes, Spec, State};

/// A filter of jobs. Every field must match; an empty field matches every job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// The job has any of these.
    pub queues: Vec<Name>,
    /// The job has any of these.
    pub kinds: Vec<Name>,
    /// The job has any of these.
    pub states: Vec<State>,
    /// The job has all of these.
    pub labels: Vec<Label>,
    /// The job was enqueued at this time or later.
    pub created_after: Option<Millis>,
    /// The job was enqueued before this time.
    pub created_before: Option<Millis>,
    /// The queues that the caller may see.
    pub within: Scopes,
}

impl Filter {
    /// Returns all violations. `path` is the field of the request that contains the filter.
    pub fn violations(&self, path: &str) -> Vec<FieldViolation> {
        let limits = [
            ("queues", self.queues.len(), FILTER_NAMES),
            ("kinds", self.kinds.len(), FILTER_NAMES),
            ("labels", self.labels.len(), FILTER_LABELS),
        ];
        let over = limits.into_iter().filter(|(_, count, max)| *count as u64 > *max);
        over.map(|(field, count, max)| {
            FieldViolation::new(
                format!("{path}.{field}"),
                format!("{count} is too many: at most {max}"),
            )
        })
        .collect()
    }

    /// Returns whether a job matches.
    pub fn matches(&self, job: &Job) -> bool {
        self.matches_spec(&job.spec, job.status.state)
    }

    /// Returns whether a job with this spec matches in the given state.
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

//! New values for the spec of a job that has not started.

use bytes::Bytes;

use crate::{Millis, NewJob, Spec, FieldViolation};

/// What a caller wants changed; none stays as it is. Unchecked, as [`NewJob`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpecUpdate {
    pub payload: Option<Bytes>,
    /// Empty: the default.
    pub content_type: Option<String>,
    pub priority: Option<u32>,
    /// A time in the past, or none, means now.
    pub run_at: Option<Option<Millis>>,
    /// All labels from now on, beside those that were copied from the payload.
    pub labels: Option<Vec<(String, String)>>,
}

impl SpecUpdate {
    /// Nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The spec with the new values, checked as at an enqueue, or all that is wrong with them.
    pub fn apply(
        &self,
        spec: &Spec,
        path: &str,
        now: Millis,
        payload_max_bytes: u64,
    ) -> Result<Spec, Vec<FieldViolation>> {
        let run_at = self.run_at.map(|at| at.unwrap_or(now));
        let checked = NewJob {
            queue: spec.queue.to_string(),
            kind: spec.kind.to_string(),
            payload: self.payload.clone().unwrap_or_default(),
            content_type: self.content_type.clone().unwrap_or_default(),
            priority: self.priority.unwrap_or_default(),
            run_at,
            // It says what is wrong with a new time, and nothing about one that stays.
            start_deadline: run_at.and(spec.start_deadline),
            labels: self.labels.clone().unwrap_or_default(),
            ..NewJob::default()
        };
        let checked = checked.into_spec(path, "", now, payload_max_bytes)?;
        let mut new = spec.clone();
        if self.payload.is_some() {
            new.payload = checked.payload;
        }
        if self.content_type.is_some() {
            new.content_type = checked.content_type;
        }
        if self.priority.is_some() {
            new.priority = checked.priority;
        }
        if self.run_at.is_some() {
            new.run_at = checked.run_at;
        }
        if self.labels.is_some() {
            let indexed = spec.labels.iter().filter(|label| label.is_indexed()).cloned();
            let mut labels: Vec<_> = checked.labels.into_iter().chain(indexed).collect();
            labels.sort();
            new.labels = labels.into();
        }
        Ok(new)
    }
}

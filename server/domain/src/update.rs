//! Updates of the spec of a job that has not started.

use bytes::Bytes;

use crate::{FieldViolation, Millis, NewJob, Spec};

/// The unvalidated changes of a spec. Unset fields keep their values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpecUpdate {
    pub payload: Option<Bytes>,
    /// An empty content type resets it to the default.
    pub content_type: Option<String>,
    pub priority: Option<u32>,
    /// `Some(None)` or a time in the past means now.
    pub run_at: Option<Option<Millis>>,
    /// Replaces all labels except those copied from the payload.
    pub labels: Option<Vec<(String, String)>>,
}

impl SpecUpdate {
    /// Returns whether no field is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the updated spec. The new values are validated as at an enqueue.
    ///
    /// # Errors
    ///
    /// Returns every violation.
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
            // The start deadline is checked only against a new time.
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

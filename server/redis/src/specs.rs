//! Specs of jobs that this server made a moment ago: most of them are claimed by it next, and
//! need not be read again then.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::HashMap;
use sentinel_broker::{Change, Group};
use sentinel_domain::{JobId, Spec};

/// Jobs and payload bytes that are kept; the oldest go first.
const JOBS_MAX: usize = 16_384;
const BYTES_MAX: usize = 64 << 20;

/// Specs by job, bounded. Never wrong: a spec is immutable.
#[derive(Default)]
pub(crate) struct RecentSpecs {
    by_id: HashMap<JobId, Arc<Spec>>,
    /// Also of jobs that were taken since.
    by_age: VecDeque<(JobId, usize)>,
    bytes: usize,
}

impl RecentSpecs {
    /// Keeps the specs of the jobs that a group made.
    pub(crate) fn note(&mut self, group: &Group) {
        for change in &group.changes {
            if let Change::Create { job, spec } = change {
                self.by_id.insert(job.id, job.spec.clone());
                self.by_age.push_back((job.id, spec.len()));
                self.bytes += spec.len();
            }
        }
        while self.by_age.len() > JOBS_MAX || self.bytes > BYTES_MAX {
            let Some((id, bytes)) = self.by_age.pop_front() else { return };
            self.bytes -= bytes;
            self.by_id.remove(&id);
        }
    }

    /// The spec of a job, which is not kept any longer.
    pub(crate) fn take(&mut self, id: JobId) -> Option<Arc<Spec>> {
        self.by_id.remove(&id)
    }
}

//! Specs of jobs that this server made a moment ago: most of them are claimed by it next, and
//! need not be read again then.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::HashMap;
use sentinel_domain::{JobId, Spec};
use sentinel_store::{Mutation, Transaction};

/// Jobs and payload bytes that are kept; the oldest go first.
const JOBS_MAX: usize = 16_384;
const BYTES_MAX: usize = 64 << 20;

/// Specs by job with their revision, bounded. Another server may have changed one since.
#[derive(Default)]
pub(crate) struct RecentSpecs {
    by_id: HashMap<JobId, (u32, Arc<Spec>)>,
    /// Also of jobs that were taken since.
    by_age: VecDeque<(JobId, usize)>,
    bytes: usize,
}

impl RecentSpecs {
    /// Keeps the specs that a group brought.
    pub(crate) fn note(&mut self, group: &Transaction) {
        for change in &group.mutations {
            if let Mutation::Create { job, spec } | Mutation::ReplaceSpec { job, spec } = change {
                self.by_id.insert(job.id, (job.status.revision, job.spec.clone()));
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

    /// The spec of a job in a revision, which is not kept any longer.
    pub(crate) fn take(&mut self, id: JobId, revision: u32) -> Option<Arc<Spec>> {
        let (kept, spec) = self.by_id.remove(&id)?;
        (kept == revision).then_some(spec)
    }
}

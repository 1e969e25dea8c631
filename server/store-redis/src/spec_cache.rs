//! A cache of the specs of jobs that this server just created. It soon claims most of them, and
//! then need not read their specs.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::HashMap;
use sentinel_domain::{JobId, Spec};
use sentinel_store::{Mutation, Transaction};

/// The maximum number of jobs and spec bytes. The oldest entries are evicted first.
const JOBS_MAX: usize = 16_384;
const BYTES_MAX: usize = 64 << 20;

/// Specs with their revision, by job. Another server may have replaced a spec since.
#[derive(Default)]
pub(crate) struct SpecCache {
    by_id: HashMap<JobId, (u32, Arc<Spec>)>,
    /// In order of insertion, including jobs that were taken since.
    by_age: VecDeque<(JobId, usize)>,
    bytes: usize,
}

impl SpecCache {
    /// Inserts the specs of a transaction.
    pub(crate) fn insert(&mut self, transaction: &Transaction) {
        for mutation in &transaction.mutations {
            if let Mutation::Create { job, spec } | Mutation::ReplaceSpec { job, spec } = mutation {
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

    /// Removes and returns the spec of a job, if it has this revision.
    pub(crate) fn take(&mut self, id: JobId, revision: u32) -> Option<Arc<Spec>> {
        let (cached, spec) = self.by_id.remove(&id)?;
        (cached == revision).then_some(spec)
    }
}

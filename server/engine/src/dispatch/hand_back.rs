//! Returns assignments to their queues that no worker received.

use std::sync::Arc;

use sentinel_domain::{Command, Job, JobId, LeaseId, decide};
use sentinel_store::{Conflict, Precondition, ServerId, TransactionResult};

use super::SessionRegistry;
use crate::Clock;
use crate::commit::{Committer, DECISION_ATTEMPTS, update_transaction};

/// A job with the lease under which a worker holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HeldLease {
    pub id: JobId,
    pub lease: LeaseId,
}

/// Hands back jobs that were claimed and never run. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AssignmentReturner {
    pub(crate) committer: Committer,
    pub(crate) registry: Arc<SessionRegistry>,
    pub(crate) clock: Clock,
}

impl AssignmentReturner {
    /// Hands jobs back and returns the leases that ended. After a concurrent cancel the newer
    /// version of the job is decided.
    ///
    /// With `owner`, only jobs of sessions that it still owns are handed back. Jobs that cannot
    /// be handed back now are left to the sweeper.
    pub(crate) async fn hand_back(
        &self,
        mut jobs: Vec<Arc<Job>>,
        owner: Option<ServerId>,
    ) -> Vec<HeldLease> {
        let mut ended = Vec::with_capacity(jobs.len());
        for _ in 0..DECISION_ATTEMPTS {
            let mut transactions = Vec::with_capacity(jobs.len());
            let mut handed_back = Vec::with_capacity(jobs.len());
            let now = self.clock.now();
            for job in jobs.drain(..) {
                let Some(lease) = job.status.lease.map(|lease| lease.id) else { continue };
                if let Ok(decision) = decide(&job, &Command::NotReceived { lease }, now) {
                    let session = lease.session;
                    let owned = owner.map(|owner| Precondition::SessionOwner { session, owner });
                    let preconditions = owned.into_iter().collect();
                    transactions.push(update_transaction(&job, decision, preconditions).0);
                    handed_back.push((HeldLease { id: job.id, lease }, job));
                }
            }
            if transactions.is_empty() {
                return ended;
            }
            let results = match self.committer.submit_all(transactions).await {
                Ok(results) => results,
                Err(error) => {
                    tracing::warn!(%error, "assignments were not handed back, retrying");
                    jobs = handed_back.into_iter().map(|(_, job)| job).collect();
                    break;
                }
            };
            for ((held, _), result) in handed_back.into_iter().zip(results) {
                match result {
                    TransactionResult::Committed => ended.push(held),
                    TransactionResult::Conflict(Conflict::Job {
                        current: Some(current), ..
                    }) if current.status.lease.is_some_and(|lease| lease.id == held.lease) => {
                        jobs.push(current);
                    }
                    _ => {}
                }
            }
        }
        self.registry.add_orphans(jobs);
        ended
    }
}

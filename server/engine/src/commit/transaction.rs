//! Transactions about a single job.

use std::sync::Arc;

use sentinel_domain::{Decision, Job};
use sentinel_store::{Mutation, Precondition, Transaction, codec};

/// Returns the transaction that applies a decision to the version `before`, and the job after it.
pub(crate) fn update_transaction(
    before: &Job,
    decision: Decision,
    mut preconditions: Vec<Precondition>,
) -> (Transaction, Arc<Job>) {
    let job = Arc::new(decision.job);
    preconditions.push(Precondition::JobVersion { id: before.id, version: before.status.version });
    let mutations = vec![Mutation::Update { job: job.clone(), attempt_end: decision.attempt_end }];
    (Transaction { idempotency: None, preconditions, mutations }, job)
}

/// Returns the transaction that creates a job again that only the ledger still has, after a retry
/// or a deletion. Its attempt ends are in the history already.
pub(crate) fn recreate_from_ledger(
    job: Job,
    mut preconditions: Vec<Precondition>,
) -> (Transaction, Arc<Job>) {
    let spec = codec::encode_spec(&job.spec);
    let job = Arc::new(job);
    preconditions.push(Precondition::JobAbsent { id: job.id });
    let mutations = vec![Mutation::Create { job: job.clone(), spec }];
    (Transaction { idempotency: None, preconditions, mutations }, job)
}

//! The conformance cases, one file per subject.

mod claims;
mod deletion;
mod dependencies;
mod due_work;
mod idempotency;
mod journal;
mod keys;
mod limits;
mod promotion;
mod retry;
mod session_info;
mod sessions;
mod transactions;
mod trim;
mod update;

use std::sync::Arc;

use sentinel_domain::{Command, Job, JobId, Millis, decide};

use super::fixture::{self, Writer};
use super::{CaseName, Harness};
use crate::{CommitRequest, CommitResult, Store, Transaction, TransactionResult};

/// The start time of every case.
const T0: Millis = 1_700_000_000_000;

/// An empty store with one writer.
struct Case {
    harness: Harness,
    store: Arc<dyn Store>,
    writer: Writer,
}

impl Case {
    fn new(harness: Harness) -> Self {
        let store = harness.store();
        Self { harness, store, writer: Writer::new(1) }
    }

    async fn commit(&self, request: CommitRequest) -> CommitResult {
        self.store.commit(request).await.expect("the store answers")
    }

    /// Commits transactions and returns their results.
    async fn apply(
        &mut self,
        now: Millis,
        transactions: Vec<Transaction>,
    ) -> Vec<TransactionResult> {
        let request = self.writer.request(now);
        let request =
            transactions.into_iter().fold(request, fixture::CommitRequestBuilder::transaction);
        self.commit(request.build()).await.results
    }

    /// Commits transactions that must all be applied.
    async fn must_apply(&mut self, now: Millis, transactions: Vec<Transaction>) {
        for result in self.apply(now, transactions).await {
            assert_eq!(result, TransactionResult::Committed);
        }
    }

    /// Puts a session that lives for an hour.
    async fn put_session(&mut self, number: u128) {
        let owner = self.writer.id().0;
        let put = fixture::put_session(fixture::session(number), owner, T0 + 3_600_000);
        self.must_apply(T0, vec![put]).await;
    }

    /// Claims jobs for session 1 and returns their ids.
    async fn claim(
        &mut self,
        now: Millis,
        queues: &[&str],
        kinds: &[&str],
        max: usize,
    ) -> Vec<JobId> {
        let claim = fixture::claim(fixture::session(1), queues, kinds, max);
        let request = self.writer.request(now).claim(claim).build();
        let mut result = self.commit(request).await;
        result.claimed.remove(0).iter().map(|job| job.id).collect()
    }

    async fn read(&self, id: JobId) -> Option<Arc<Job>> {
        self.store.read(vec![id]).await.expect("the store answers").remove(0)
    }

    /// Returns the transaction of a command on the current version of a job.
    async fn transaction(
        &self,
        id: JobId,
        command: impl FnOnce(&Job) -> Command,
        now: Millis,
    ) -> Transaction {
        let job = self.read(id).await.expect("the job is stored");
        fixture::update(&job, decide(&job, &command(&job), now).expect("the command is accepted"))
    }

    /// Commits a command on the current version of a job.
    async fn execute(&mut self, id: JobId, command: impl FnOnce(&Job) -> Command, now: Millis) {
        let transaction = self.transaction(id, command, now).await;
        self.must_apply(now, vec![transaction]).await;
    }
}

fn succeed(job: &Job) -> Command {
    let lease = job.status.lease.expect("the job is running").id;
    Command::Succeed { lease, started_at: None, result: "done".into() }
}

fn cancel(_: &Job) -> Command {
    Command::Cancel { reason: "test".into(), actor: "test".into() }
}

macro_rules! cases {
    ($($subject:ident: $($name:ident)*;)*) => {
        /// Runs all cases, each on a new store.
        pub(super) async fn run_all(new_store: &impl AsyncFn() -> Harness) {
            $($(
                let name = CaseName(concat!(stringify!($subject), "::", stringify!($name)));
                $subject::$name(Case::new(new_store().await)).await;
                drop(name);
            )*)*
        }
    };
}

cases! {
    transactions:
        a_failed_precondition_discards_the_transaction
        a_transaction_sees_the_ones_before_it
        a_conflict_contains_the_current_value
        a_queue_changes_only_from_the_expected_value
        progress_is_kept_only_under_its_lease;
    claims:
        older_jobs_start_first
        a_priority_level_equals_its_boost_in_waiting_time
        strict_order_ignores_age_across_priorities
        a_paused_queue_starts_no_jobs
        a_claim_merges_all_queues_and_kinds
        jobs_of_other_kinds_stay_ready
        a_claim_exceeds_its_bytes_by_at_most_one_job
        jobs_past_their_start_deadline_are_skipped
        one_commit_enqueues_and_assigns;
    keys:
        a_key_is_held_until_a_terminal_state
        a_key_with_a_ttl_outlives_its_job
        a_key_moves_in_one_transaction
        a_key_of_another_job_is_a_conflict;
    idempotency:
        a_repeat_is_replayed_and_other_content_is_refused
        a_record_expires
        a_producer_offset_is_replaced_only_from_the_expected_value;
    sessions:
        a_session_that_was_adopted_fences_its_former_owner
        a_session_with_another_expiry_is_a_conflict
        missing_and_expired_sessions_claim_nothing
        only_the_owner_claims
        extending_sessions_never_shortens_them;
    session_info:
        worker_info_is_kept_with_the_session
        worker_info_is_dropped_with_the_session
        a_drained_session_claims_nothing
        a_drain_lasts_until_the_session_is_dropped;
    retry:
        a_repeated_request_gets_the_same_result
        an_older_request_number_is_refused;
    promotion:
        due_jobs_are_promoted_in_order_up_to_the_limit;
    dependencies:
        children_are_reported_until_they_are_unblocked
        terminal_parents_unblock_one_by_one
        awaited_parents_are_not_evicted;
    deletion:
        a_deleted_job_frees_its_key_and_is_journaled_with_its_spec
        children_of_a_deleted_job_are_reported
        an_evicted_job_can_be_deleted
        a_deletion_survives_a_reopen;
    update:
        updated_jobs_are_reordered
        a_claim_returns_the_updated_payload
        an_update_survives_a_reopen;
    due_work:
        deadlines_are_reported_when_they_pass
        lost_jobs_and_expired_sessions_are_reported
        idle_expired_sessions_do_not_hide_lost_jobs
        next_due_at_is_the_earliest_deadline
        a_dropped_session_is_due_until_its_jobs_are_settled;
    journal:
        the_journal_is_dense_and_complete
        a_position_of_another_epoch_is_reported
        the_head_follows_every_commit
        a_commit_without_durable_changes_appends_nothing
        a_reopened_store_has_all_committed_jobs;
    trim:
        only_projected_and_old_jobs_are_evicted
        eviction_stops_at_the_limit
        a_retried_job_survives_a_reopen;
    limits:
        a_queue_has_a_limited_number_of_kinds
        a_freed_kind_can_be_used_in_the_same_commit;
}

//! The cases by name, one file per noun.

mod cards;
mod claims;
mod deletion;
mod dependencies;
mod due_work;
mod groups;
mod journal;
mod keys;
mod limits;
mod promotion;
mod replies;
mod requests;
mod sessions;
mod trim;
mod update;

use std::sync::Arc;

use sentinel_domain::{Command, Job, JobId, Millis, decide};

use super::make::{self, Writer};
use super::{Harness, Named};
use crate::{CommitRequest, CommitResult, Store, Transaction, TransactionResult};

/// When every case begins.
const T0: Millis = 1_700_000_000_000;

/// An empty store with one writer, and what cases do all the time.
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

    async fn commit(&self, call: CommitRequest) -> CommitResult {
        self.store.commit(call).await.expect("the store answers")
    }

    /// Groups alone.
    async fn apply(&mut self, now: Millis, groups: Vec<Transaction>) -> Vec<TransactionResult> {
        let call = groups.into_iter().fold(self.writer.call(now), make::CallBuilder::group);
        self.commit(call.done()).await.verdicts
    }

    /// Groups that must all be applied.
    async fn must(&mut self, now: Millis, groups: Vec<Transaction>) {
        for verdict in self.apply(now, groups).await {
            assert_eq!(verdict, TransactionResult::Committed);
        }
    }

    /// A session that lives for an hour.
    async fn session(&mut self, number: u128) {
        let row = make::put_session(make::session(number), self.writer.id().0, T0 + 3_600_000);
        self.must(T0, vec![row]).await;
    }

    /// What session 1 gets.
    async fn claim(
        &mut self,
        now: Millis,
        queues: &[&str],
        kinds: &[&str],
        max: usize,
    ) -> Vec<JobId> {
        let claim = make::claim(make::session(1), queues, kinds, max);
        let call = self.writer.call(now).claim(claim).done();
        let mut outcome = self.commit(call).await;
        outcome.claimed.remove(0).iter().map(|job| job.id).collect()
    }

    async fn read(&self, id: JobId) -> Option<Arc<Job>> {
        self.store.read(vec![id]).await.expect("the store answers").remove(0)
    }

    /// The group of a command on the job as it is now.
    async fn group(
        &self,
        id: JobId,
        command: impl FnOnce(&Job) -> Command,
        now: Millis,
    ) -> Transaction {
        let job = self.read(id).await.expect("is hot");
        make::update(&job, decide(&job, &command(&job), now).expect("is allowed"))
    }

    async fn does(&mut self, id: JobId, command: impl FnOnce(&Job) -> Command, now: Millis) {
        let group = self.group(id, command, now).await;
        self.must(now, vec![group]).await;
    }
}

fn succeed(job: &Job) -> Command {
    let lease = job.status.lease.expect("it runs");
    Command::Succeed { lease, started_at: None, result: "done".into() }
}

fn cancel(_: &Job) -> Command {
    Command::Cancel { reason: "case".into(), actor: "case".into() }
}

macro_rules! cases {
    ($($noun:ident: $($name:ident)*;)*) => {
        /// Runs all of them.
        pub(super) async fn all(make: &impl AsyncFn() -> Harness) {
            $($(
                let named = Named(concat!(stringify!($noun), "::", stringify!($name)));
                $noun::$name(Case::new(make().await)).await;
                drop(named);
            )*)*
        }
    };
}

cases! {
    groups: all_or_nothing each_sees_those_before conflicts_say_what_is_there a_queue_changes_as_known
        progress_follows_its_lease;
    claims: by_age by_priority strict_order a_paused_queue_starts_nothing across_classes unknown_kinds_stay bounded_by_bytes
        past_deadlines_are_skipped one_commit_from_enqueue_to_assignment;
    keys: held_until_final ttl_outlives_its_job replaced_in_one_group held_by_another;
    requests: repeated_and_reused forgotten_in_time remembered_anew;
    sessions: owners_fence a_row_that_lives_longer_is_another unknown_and_expired_get_nothing only_the_owner_claims extended;
    cards: kept_beside_the_row gone_with_the_row a_drained_session_gets_nothing drained_until_dropped;
    replies: asked_for_again old_numbers_are_refused;
    promotion: in_order_and_bounded;
    dependencies: children_are_reported_until_released final_parents_release_one_by_one
        parents_stay_hot;
    deletion: gone_with_its_key_and_told_with_its_spec children_hear_of_it
        of_a_job_that_is_not_hot evicted_and_reopened;
    update: new_values_take_a_new_place a_claim_gets_the_new_payload kept_over_a_reopen;
    due_work: deadlines lost_jobs_and_expired_sessions lost_jobs_behind_idle_sessions wake_at_says_when
        orphans_wake_nobody_twice;
    journal: dense_and_complete other_epoch head_moves reading_nothing_writes_nothing reopened;
    trim: only_projected_and_old bounded retried_jobs_come_back_after_reopen;
    limits: kinds_per_queue room_in_the_same_call;
}

//! Compares a store with the oracle. Only the epoch of a position may differ.

use std::collections::BTreeMap;
use std::sync::Arc;

use sentinel_domain::{Job, JobId, Millis, State, invariant};

use super::PropertyTest;
use super::step::sessions;
use crate::{
    CommitResult, DueWork, JournalEntry, JournalPage, Position, SessionRow, Store, StoreError,
    Unblocked,
};

/// A limit above the number of jobs of any run.
const ALL: usize = 100_000;

pub(super) fn commit_results(
    expected: &Result<CommitResult, StoreError>,
    actual: &Result<CommitResult, StoreError>,
) {
    let (Ok(expected), Ok(actual)) = (expected, actual) else {
        panic!("expected {expected:?}, got {actual:?}");
    };
    assert_eq!(expected.results, actual.results);
    assert_eq!(expected.claimed, actual.claimed);
    assert_eq!(expected.ready, actual.ready);
    assert_eq!(expected.next_due_at, actual.next_due_at);
    assert_eq!(expected.position.seq, actual.position.seq);
}

/// [`DueWork`] without an order.
#[derive(Debug, PartialEq)]
struct SortedDueWork {
    past_deadline: Vec<JobId>,
    lost: Vec<JobId>,
    expired_sessions: Vec<SessionRow>,
    unblocked: Vec<(JobId, JobId, State)>,
}

fn sorted(found: &DueWork) -> SortedDueWork {
    let ids = |jobs: &[Arc<Job>]| {
        let mut ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        ids.sort();
        ids
    };
    let mut expired_sessions = found.expired_sessions.clone();
    expired_sessions.sort_by_key(|row| row.id);
    let edge = |u: &Unblocked| (u.job.id, u.parent, u.outcome);
    let mut unblocked: Vec<_> = found.unblocked.iter().map(edge).collect();
    unblocked.sort();
    let (past_deadline, lost) = (ids(&found.past_deadline), ids(&found.lost));
    SortedDueWork { past_deadline, lost, expired_sessions, unblocked }
}

/// Compares all jobs, queues and sessions, and every index by its queries.
pub(super) async fn state(test: &mut PropertyTest, store: &dyn Store) {
    jobs(test, store).await;
    let (oracle, now) = (&test.oracle, test.now);
    for ahead in [0, 1_500, 60_000] {
        let at: Millis = now + ahead;
        let expected = oracle.holders(test.keys.clone(), at).await;
        assert_eq!(expected, store.holders(test.keys.clone(), at).await);
        due_work(test, store, at).await;
    }
    assert_eq!(oracle.queues().await, store.queues().await);
    assert_eq!(oracle.depths().await, store.depths().await);
    let depths = oracle.depths().await.expect("the oracle answers");
    let mut queues: Vec<_> = depths.into_iter().map(|depth| depth.queue).collect();
    queues.push("missing".into());
    assert_eq!(oracle.oldest_ready(queues.clone()).await, store.oldest_ready(queues).await);
    for session in sessions() {
        assert_eq!(oracle.session_jobs(session).await, store.session_jobs(session).await);
    }
    let ids: Vec<_> = sessions().collect();
    assert_eq!(oracle.session_infos(ids.clone()).await, store.session_infos(ids).await);
    let mut rows = store.sessions().await.expect("the store answers");
    rows.sort_by_key(|row| row.id);
    assert_eq!(oracle.sessions().await.expect("the oracle answers"), rows);
    test.reached("compared");
}

async fn jobs(test: &PropertyTest, store: &dyn Store) {
    let expected = test.oracle.read(test.ids.clone()).await.expect("the oracle answers");
    let actual = store.read(test.ids.clone()).await.expect("the store answers");
    for (expected, actual) in expected.iter().zip(&actual) {
        assert_eq!(expected, actual);
        if let Some(job) = actual {
            assert_eq!(invariant::violated(job), [""; 0], "{job:?}");
        }
    }
}

async fn due_work(test: &PropertyTest, store: &dyn Store, at: Millis) {
    let expected = test.oracle.due_work(at, ALL).await.expect("the oracle answers");
    let actual = store.due_work(at, ALL).await.expect("the store answers");
    assert_eq!(sorted(&expected), sorted(&actual));
    let few = store.due_work(at, 3).await.expect("the store answers");
    let count = |work: &DueWork| work.past_deadline.len() + work.lost.len() + work.unblocked.len();
    let (jobs, all) = (count(&few), count(&expected));
    let expired = few.expired_sessions.len();
    assert!(jobs <= 3 && expired <= 3, "more than the limit: {jobs} jobs, {expired} sessions");
    // Expired sessions may use up the limit. The jobs follow once these sessions are dropped.
    assert!(jobs == all.min(3) || expired == 3, "{jobs} of {all}");
}

/// Reads the whole journal in pages.
async fn entries(store: &dyn Store) -> Vec<Arc<JournalEntry>> {
    let mut found: Vec<Arc<JournalEntry>> = Vec::new();
    loop {
        let after = found.last().map_or(Position::default(), |entry| entry.position);
        match store.read_journal(after, 37).await.expect("the store answers") {
            JournalPage::Entries(more) if more.is_empty() => return found,
            JournalPage::Entries(more) => found.extend(more),
            other => panic!("nothing was trimmed: {other:?}"),
        }
    }
}

/// Compares the journals, and replays the journal to the current jobs. The spec of a job that is
/// not new may be absent.
pub(super) async fn journal(test: &PropertyTest, store: &dyn Store) {
    let expected = entries(&test.oracle).await;
    let actual = entries(store).await;
    assert_eq!(expected.len(), actual.len());
    assert_eq!(actual.last().map(|e| e.position), Some(*store.head().borrow()));
    let mut jobs: BTreeMap<JobId, Job> = BTreeMap::new();
    for (at, (expected, actual)) in expected.iter().zip(&actual).enumerate() {
        assert_eq!(actual.position.seq, at as u64 + 1, "the journal is dense");
        assert_eq!((expected.at, &expected.queues), (actual.at, &actual.queues));
        assert_eq!(expected.idempotency_records, actual.idempotency_records);
        assert_eq!(expected.jobs.len(), actual.jobs.len());
        for (expected, actual) in expected.jobs.iter().zip(&actual.jobs) {
            assert_eq!((expected.id, &expected.status), (actual.id, &actual.status));
            assert_eq!(expected.encoded_spec, actual.encoded_spec);
            assert_eq!(expected.attempt_end, actual.attempt_end);
            let has_spec = actual.encoded_spec.is_none() || actual.spec.is_some();
            assert!(has_spec, "a new job has its spec");
            let known = jobs.get(&actual.id).map(|job| job.spec.clone());
            let spec = actual.spec.clone().or(known).expect("a job is created before it changes");
            let after = Job { id: actual.id, spec, status: actual.status.clone() };
            if let Some(before) = jobs.get(&actual.id)
                && before.status.version != after.status.version
            {
                let violated = invariant::violated_transition(before, &after);
                assert_eq!(violated, [""; 0], "{before:?} {after:?}");
            }
            jobs.insert(actual.id, after);
        }
    }
    let stored = store.read(test.ids.clone()).await.expect("the store answers");
    for job in stored.into_iter().flatten() {
        assert_eq!(jobs.get(&job.id), Some(&*job), "the replayed job equals the stored one");
    }
}

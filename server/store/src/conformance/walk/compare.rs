//! What must be the same in a store and in the oracle. Only the epoch of a position differs.

use std::collections::BTreeMap;
use std::sync::Arc;

use sentinel_domain::{Job, JobId, Millis, State, invariant};

use super::Walk;
use crate::{CommitResult, DueWork, Entry, JournalPage, Position, SessionRow, Store, StoreError};

/// More than any walk makes.
const ALL: usize = 100_000;

pub(super) fn outcomes(
    expected: &Result<CommitResult, StoreError>,
    got: &Result<CommitResult, StoreError>,
) {
    let (Ok(expected), Ok(got)) = (expected, got) else {
        panic!("expected {expected:?}, got {got:?}");
    };
    assert_eq!(expected.verdicts, got.verdicts);
    assert_eq!(expected.claimed, got.claimed);
    assert_eq!(expected.ready, got.ready);
    assert_eq!(expected.wake_at, got.wake_at);
    assert_eq!(expected.position.seq, got.position.seq);
}

/// What needs due_work, the same however it was ordered.
#[derive(Debug, PartialEq)]
struct Plain {
    deadlines: Vec<JobId>,
    lost: Vec<JobId>,
    expired: Vec<SessionRow>,
    unblocked: Vec<(JobId, JobId, State)>,
}

fn plain(found: &DueWork) -> Plain {
    let ids = |jobs: &[Arc<Job>]| {
        let mut ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        ids.sort();
        ids
    };
    let mut expired = found.expired.clone();
    expired.sort_by_key(|row| row.id);
    let edge = |u: &crate::Unblocked| (u.job.id, u.parent, u.outcome);
    let mut unblocked: Vec<_> = found.unblocked.iter().map(edge).collect();
    unblocked.sort();
    Plain { deadlines: ids(&found.deadlines), lost: ids(&found.lost), expired, unblocked }
}

/// Rows, and every index by what can be asked of it.
pub(super) async fn everything(walk: &mut Walk, store: &dyn Store) {
    let (oracle, now) = (&walk.oracle, walk.now);
    let expected = oracle.read(walk.ids.clone()).await.expect("answers");
    let got = store.read(walk.ids.clone()).await.expect("answers");
    for (expected, got) in expected.iter().zip(&got) {
        assert_eq!(expected, got);
        if let Some(job) = got {
            assert_eq!(invariant::broken(job), [""; 0], "{job:?}");
        }
    }
    for ahead in [0, 1_500, 60_000] {
        let at: Millis = now + ahead;
        let expected = oracle.holders(walk.keys.clone(), at).await.expect("answers");
        assert_eq!(expected, store.holders(walk.keys.clone(), at).await.expect("answers"));
        let expected = oracle.due_work(at, ALL).await.expect("answers");
        let got = store.due_work(at, ALL).await.expect("answers");
        assert_eq!(plain(&expected), plain(&got));
        let few = store.due_work(at, 3).await.expect("answers");
        let jobs = few.deadlines.len() + few.lost.len() + few.unblocked.len();
        let all = expected.deadlines.len() + expected.lost.len() + expected.unblocked.len();
        assert!(jobs <= 3 && few.expired.len() <= 3, "at most what was asked");
        // Expired sessions may fill an answer; the jobs come once those are dropped.
        assert!(jobs == all.min(3) || few.expired.len() == 3, "{jobs} of {all}");
    }
    assert_eq!(oracle.queues().await, store.queues().await);
    assert_eq!(oracle.depths().await, store.depths().await);
    let mut queues: Vec<_> =
        oracle.depths().await.expect("answers").into_iter().map(|depth| depth.queue).collect();
    queues.push("nowhere".into());
    assert_eq!(oracle.oldest_ready(queues.clone()).await, store.oldest_ready(queues).await);
    for session in super::step::sessions() {
        assert_eq!(oracle.session_jobs(session).await, store.session_jobs(session).await);
    }
    let ids: Vec<_> = super::step::sessions().collect();
    assert_eq!(oracle.cards(ids.clone()).await, store.cards(ids).await);
    let mut rows = store.sessions().await.expect("answers");
    rows.sort_by_key(|row| row.id);
    assert_eq!(oracle.sessions().await.expect("answers"), rows);
    walk.reached("compared");
}

/// The whole journal, read in pieces. A spec may be there or not where the job is not new.
async fn entries(store: &dyn Store) -> Vec<Arc<Entry>> {
    let mut found: Vec<Arc<Entry>> = Vec::new();
    loop {
        let after = found.last().map_or(Position::default(), |entry| entry.position);
        match store.tail(after, 37).await.expect("answers") {
            JournalPage::Entries(more) if more.is_empty() => return found,
            JournalPage::Entries(more) => found.extend(more),
            other => panic!("nothing was trimmed: {other:?}"),
        }
    }
}

/// The same journal, and one that leads to the same jobs.
pub(super) async fn journal(walk: &Walk, store: &dyn Store) {
    let expected = entries(&walk.oracle).await;
    let got = entries(store).await;
    assert_eq!(expected.len(), got.len());
    assert_eq!(got.last().map(|e| e.position), Some(*store.head().borrow()));
    let mut jobs: BTreeMap<JobId, Job> = BTreeMap::new();
    for (at, (expected, got)) in expected.iter().zip(&got).enumerate() {
        assert_eq!(got.position.seq, at as u64 + 1, "dense");
        assert_eq!((expected.at, &expected.queues), (got.at, &got.queues));
        assert_eq!(expected.requests, got.requests);
        assert_eq!(expected.jobs.len(), got.jobs.len());
        for (expected, got) in expected.jobs.iter().zip(&got.jobs) {
            assert_eq!((expected.id, &expected.status), (got.id, &got.status));
            assert_eq!((&expected.new, &expected.end), (&got.new, &got.end));
            assert!(got.new.is_none() || got.spec.is_some(), "a new job has its spec");
            let known = jobs.get(&got.id).map(|job| job.spec.clone());
            let spec = got.spec.clone().or(known).expect("a job is new before it changes");
            let after = Job { id: got.id, spec, status: got.status.clone() };
            if let Some(before) = jobs.get(&got.id)
                && before.status.version != after.status.version
            {
                assert_eq!(invariant::broken_step(before, &after), [""; 0], "{before:?} {after:?}");
            }
            jobs.insert(got.id, after);
        }
    }
    for job in store.read(walk.ids.clone()).await.expect("answers").into_iter().flatten() {
        assert_eq!(jobs.get(&job.id), Some(&*job), "the journal leads to the same job");
    }
}

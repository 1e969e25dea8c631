//! Eviction of terminal jobs.

use sentinel_domain::{Command, Job, State};

use super::{Case, T0, cancel};
use crate::conformance::{ReopenState, fixture};
use crate::{Position, TrimRequest, TrimResult};

pub(super) async fn only_projected_and_old_jobs_are_evicted(mut case: Case) {
    let (done, waits) = (fixture::job("q", "k", T0, 1), fixture::job("q", "k", T0, 2));
    case.must_apply(T0, vec![fixture::create(&done), fixture::create(&waits)]).await;
    case.execute(done.id, cancel, T0 + 5).await;
    let head: Position = *case.store.head().borrow();
    let trim = |seq, terminal_before| TrimRequest {
        projected: Position { seq, ..head },
        terminal_before,
        journal_before: 0,
        limit: 9,
    };
    for early in [trim(head.seq - 1, T0 + 99), trim(head.seq, T0 + 5)] {
        assert_eq!(case.store.trim(early).await, Ok(TrimResult::default()), "{early:?}");
    }
    assert!(case.read(done.id).await.is_some());
    let trimmed = case.store.trim(trim(head.seq, T0 + 6)).await;
    assert_eq!(trimmed, Ok(TrimResult { evicted: 1, more: false }));
    assert_eq!(case.read(done.id).await, None);
    assert!(case.read(waits.id).await.is_some());
}

pub(super) async fn eviction_stops_at_the_limit(mut case: Case) {
    let jobs: Vec<_> = (0..5).map(|n| fixture::job("q", "k", T0, n)).collect();
    case.must_apply(T0, jobs.iter().map(fixture::create).collect()).await;
    for (job, at) in jobs.iter().zip(1..) {
        case.execute(job.id, cancel, T0 + at).await;
    }
    let projected = *case.store.head().borrow();
    let trim = TrimRequest { projected, terminal_before: T0 + 99, journal_before: 0, limit: 3 };
    assert_eq!(case.store.trim(trim).await, Ok(TrimResult { evicted: 3, more: true }));
    assert!(case.read(jobs[3].id).await.is_some(), "the job that finished first is evicted first");
    assert_eq!(case.store.trim(trim).await, Ok(TrimResult { evicted: 2, more: false }));
}

/// The ledger supplies only live jobs, and the job was terminal at its checkpoint.
pub(super) async fn a_retried_job_survives_a_reopen(mut case: Case) {
    if !case.harness.can_reopen() {
        return;
    }
    let job = fixture::job("q", "k", T0, 1);
    case.must_apply(T0, vec![fixture::create(&job)]).await;
    case.execute(job.id, cancel, T0).await;
    let checkpoint = *case.store.head().borrow();
    case.execute(job.id, |_: &Job| Command::Retry, T0 + 1).await;
    drop(case.store);
    let restart = ReopenState { now: T0 + 2, checkpoint, ..ReopenState::default() };
    case.harness.reopen(restart).await;
    case.store = case.harness.store();
    let back = case.read(job.id).await.expect("the retried job is stored");
    assert_eq!((back.status.state, back.status.run), (State::Ready, 2));
    assert_eq!(back.spec, job.spec);
}

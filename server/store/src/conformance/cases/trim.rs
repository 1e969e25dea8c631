//! What may be forgotten.

use sentinel_domain::{Command, Job, State};

use super::{Case, T0, cancel};
use crate::conformance::{Restart, make};
use crate::{Position, Trim, Trimmed};

pub(super) async fn only_projected_and_old(mut case: Case) {
    let (done, waits) = (make::job("q", "k", T0, 1), make::job("q", "k", T0, 2));
    case.must(T0, vec![make::create(&done), make::create(&waits)]).await;
    case.does(done.id, cancel, T0 + 5).await;
    let head: Position = *case.store.head().borrow();
    let trim = |seq, terminal_before| Trim {
        projected: Position { seq, ..head },
        terminal_before,
        journal_before: 0,
        limit: 9,
    };
    for early in [trim(head.seq - 1, T0 + 99), trim(head.seq, T0 + 5)] {
        assert_eq!(case.store.trim(early).await, Ok(Trimmed::default()), "{early:?}");
    }
    assert!(case.read(done.id).await.is_some());
    let trimmed = case.store.trim(trim(head.seq, T0 + 6)).await;
    assert_eq!(trimmed, Ok(Trimmed { finals: 1, more: false }));
    assert_eq!(case.read(done.id).await, None);
    assert!(case.read(waits.id).await.is_some());
}

pub(super) async fn bounded(mut case: Case) {
    let jobs: Vec<_> = (0..5).map(|n| make::job("q", "k", T0, n)).collect();
    case.must(T0, jobs.iter().map(make::create).collect()).await;
    for (job, at) in jobs.iter().zip(1..) {
        case.does(job.id, cancel, T0 + at).await;
    }
    let projected = *case.store.head().borrow();
    let trim = Trim { projected, terminal_before: T0 + 99, journal_before: 0, limit: 3 };
    assert_eq!(case.store.trim(trim).await, Ok(Trimmed { finals: 3, more: true }));
    assert!(case.read(jobs[3].id).await.is_some(), "the first to end goes first");
    assert_eq!(case.store.trim(trim).await, Ok(Trimmed { finals: 2, more: false }));
}

/// A ledger hands live jobs only to a restart; this one was final at its checkpoint.
pub(super) async fn retried_jobs_come_back_after_reopen(mut case: Case) {
    if !case.harness.can_reopen() {
        return;
    }
    let job = make::job("q", "k", T0, 1);
    case.must(T0, vec![make::create(&job)]).await;
    case.does(job.id, cancel, T0).await;
    let checkpoint = *case.store.head().borrow();
    case.does(job.id, |_: &Job| Command::Retry, T0 + 1).await;
    drop(case.store);
    let restart = Restart { now: T0 + 2, checkpoint, ..Restart::default() };
    case.harness.reopen(restart).await;
    case.store = case.harness.store();
    let back = case.read(job.id).await.expect("it was retried");
    assert_eq!((back.status.state, back.status.run), (State::Ready, 2));
    assert_eq!(back.spec, job.spec);
}

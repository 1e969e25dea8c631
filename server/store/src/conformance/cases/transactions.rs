//! Transactions and their preconditions.

use sentinel_domain::{Progress, Queue, QueueMode};

use super::{Case, T0, cancel, succeed};
use crate::conformance::fixture;
use crate::{Conflict, Mutation, Precondition, Transaction, TransactionResult};

pub(super) async fn a_failed_precondition_discards_the_transaction(mut case: Case) {
    let (a, b) = (fixture::job("q", "k", T0, 1), fixture::job("q", "k", T0, 2));
    let mut both = fixture::create(&a);
    let mut other = fixture::create(&b);
    both.mutations.append(&mut other.mutations);
    both.preconditions.push(Precondition::JobVersion { id: b.id, version: 1 });
    let results = case.apply(T0, vec![both]).await;
    assert_eq!(results, [TransactionResult::Conflict(Conflict::Job { id: b.id, current: None })]);
    assert_eq!((case.read(a.id).await, case.read(b.id).await), (None, None));
}

pub(super) async fn a_transaction_sees_the_ones_before_it(mut case: Case) {
    let job = fixture::job("q", "k", T0, 1);
    let after = sentinel_domain::decide(&job, &cancel(&job), T0).expect("the job is waiting");
    let transactions =
        vec![fixture::create(&job), fixture::update(&job, after), fixture::create(&job)];
    let results = case.apply(T0, transactions).await;
    assert_eq!(results[..2], [TransactionResult::Committed, TransactionResult::Committed]);
    let current = case.read(job.id).await;
    assert_eq!(current.as_ref().map(|job| job.status.version), Some(2));
    assert_eq!(results[2], TransactionResult::Conflict(Conflict::Job { id: job.id, current }));
}

pub(super) async fn a_queue_changes_only_from_the_expected_value(mut case: Case) {
    let open = Queue::with_defaults("q".into(), T0);
    let paused = Queue { mode: QueueMode::Paused, ..open.clone() };
    let boosted = Queue { priority_boost_ms: 7, ..open.clone() };
    let from = |known: &Queue, to: &Queue| Transaction {
        preconditions: vec![Precondition::QueueIs(known.clone())],
        mutations: vec![Mutation::PutQueue(to.clone())],
        ..Transaction::default()
    };
    let conflict =
        |current: Option<&Queue>| TransactionResult::Conflict(Conflict::Queue(current.cloned()));
    assert_eq!(case.apply(T0, vec![from(&open, &paused)]).await, [conflict(None)]);
    case.must_apply(T0, vec![fixture::put_queue(open.clone())]).await;
    let transactions = [from(&open, &paused), from(&open, &boosted), from(&paused, &boosted)];
    let expected =
        [TransactionResult::Committed, conflict(Some(&paused)), TransactionResult::Committed];
    assert_eq!(case.apply(T0, transactions.into()).await, expected);
    assert_eq!(case.store.queues().await, Ok(vec![boosted]));
}

pub(super) async fn a_conflict_contains_the_current_value(mut case: Case) {
    let queue = Queue::with_defaults("q".into(), T0);
    case.must_apply(T0, vec![fixture::put_queue(queue.clone())]).await;
    case.put_session(1).await;
    let with = |with| Transaction { preconditions: vec![with], ..Transaction::default() };
    let other_server = crate::ServerId(9);
    let transactions = vec![
        with(Precondition::QueueAbsent { name: "q".into() }),
        with(Precondition::QueueAbsent { name: "other".into() }),
        with(Precondition::SessionOwner { session: fixture::session(1), owner: other_server }),
        with(Precondition::SessionOwner { session: fixture::session(2), owner: other_server }),
    ];
    let session = |number, owner| Conflict::Session { session: fixture::session(number), owner };
    let expected = [
        TransactionResult::Conflict(Conflict::Queue(Some(queue))),
        TransactionResult::Committed,
        TransactionResult::Conflict(session(1, Some(crate::ServerId(1)))),
        TransactionResult::Conflict(session(2, None)),
    ];
    assert_eq!(case.apply(T0, transactions).await, expected);
}

pub(super) async fn progress_is_kept_only_under_its_lease(mut case: Case) {
    let job = fixture::job("q", "k", T0, 1);
    case.put_session(1).await;
    case.must_apply(T0, vec![fixture::create(&job)]).await;
    case.claim(T0, &["q"], &["k"], 1).await;
    let mut done = 0;
    let mut report = |seq, epoch| {
        done += 1;
        let progress = Progress { seq, done, total: 10, message: "".into() };
        let mutations = vec![Mutation::Progress { id: job.id, epoch, progress }];
        Transaction { mutations, ..Transaction::default() }
    };
    case.must_apply(T0, vec![report(2, 1), report(1, 1), report(3, 2), report(2, 1)]).await;
    let kept = case.read(job.id).await.expect("the job is stored");
    let progress = kept.status.progress.as_ref().map(|p| (p.seq, p.done));
    assert_eq!(progress, Some((2, 1)), "the highest seq under the current lease");
    assert_eq!(kept.status.version, 2, "progress does not change the version");
    case.execute(job.id, succeed, T0).await;
    case.must_apply(T0, vec![report(5, 1)]).await;
    let kept = case.read(job.id).await.expect("the job is stored");
    assert_eq!(kept.status.progress.as_ref().map(|p| p.seq), Some(2), "the lease has ended");
}

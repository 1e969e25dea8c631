//! Guards and groups.

use sentinel_domain::{Progress, Queue, QueueMode};

use super::{Case, T0, cancel, succeed};
use crate::conformance::make;
use crate::{Conflict, Mutation, Precondition, Transaction, TransactionResult};

pub(super) async fn all_or_nothing(mut case: Case) {
    let (a, b) = (make::job("q", "k", T0, 1), make::job("q", "k", T0, 2));
    let mut both = make::create(&a);
    let mut other = make::create(&b);
    both.changes.append(&mut other.changes);
    both.guards.push(Precondition::JobVersion { id: b.id, version: 1 });
    let verdicts = case.apply(T0, vec![both]).await;
    assert_eq!(verdicts, [TransactionResult::Conflict(Conflict::Job { id: b.id, current: None })]);
    assert_eq!((case.read(a.id).await, case.read(b.id).await), (None, None));
}

pub(super) async fn each_sees_those_before(mut case: Case) {
    let job = make::job("q", "k", T0, 1);
    let after = sentinel_domain::decide(&job, &cancel(&job), T0).expect("it waits");
    let groups = vec![make::create(&job), make::update(&job, after), make::create(&job)];
    let verdicts = case.apply(T0, groups).await;
    assert_eq!(verdicts[..2], [TransactionResult::Committed, TransactionResult::Committed]);
    let there = case.read(job.id).await;
    assert_eq!(there.as_ref().map(|job| job.status.version), Some(2));
    assert_eq!(
        verdicts[2],
        TransactionResult::Conflict(Conflict::Job { id: job.id, current: there })
    );
}

pub(super) async fn a_queue_changes_as_known(mut case: Case) {
    let open = Queue::with_defaults("q".into(), T0);
    let paused = Queue { mode: QueueMode::Paused, ..open.clone() };
    let boosted = Queue { priority_boost_ms: 7, ..open.clone() };
    let from = |known: &Queue, to: &Queue| Transaction {
        guards: vec![Precondition::QueueIs(known.clone())],
        changes: vec![Mutation::PutQueue(to.clone())],
        ..Transaction::default()
    };
    let conflict =
        |there: Option<&Queue>| TransactionResult::Conflict(Conflict::Queue(there.cloned()));
    assert_eq!(case.apply(T0, vec![from(&open, &paused)]).await, [conflict(None)]);
    case.must(T0, vec![make::put_queue(open.clone())]).await;
    let groups = [from(&open, &paused), from(&open, &boosted), from(&paused, &boosted)];
    let expected =
        [TransactionResult::Committed, conflict(Some(&paused)), TransactionResult::Committed];
    assert_eq!(case.apply(T0, groups.into()).await, expected);
    assert_eq!(case.store.queues().await, Ok(vec![boosted]));
}

pub(super) async fn conflicts_say_what_is_there(mut case: Case) {
    let queue = Queue::with_defaults("q".into(), T0);
    case.must(T0, vec![make::put_queue(queue.clone())]).await;
    case.session(1).await;
    let guard = |guard| Transaction { guards: vec![guard], ..Transaction::default() };
    let stranger = crate::ServerId(9);
    let groups = vec![
        guard(Precondition::QueueAbsent { name: "q".into() }),
        guard(Precondition::QueueAbsent { name: "other".into() }),
        guard(Precondition::SessionOwner { session: make::session(1), owner: stranger }),
        guard(Precondition::SessionOwner { session: make::session(2), owner: stranger }),
    ];
    let session = |number, owner| Conflict::Session { session: make::session(number), owner };
    let expected = [
        TransactionResult::Conflict(Conflict::Queue(Some(queue))),
        TransactionResult::Committed,
        TransactionResult::Conflict(session(1, Some(crate::ServerId(1)))),
        TransactionResult::Conflict(session(2, None)),
    ];
    assert_eq!(case.apply(T0, groups).await, expected);
}

pub(super) async fn progress_follows_its_lease(mut case: Case) {
    let job = make::job("q", "k", T0, 1);
    case.session(1).await;
    case.must(T0, vec![make::create(&job)]).await;
    case.claim(T0, &["q"], &["k"], 1).await;
    let mut done = 0;
    let mut say = |seq, epoch| {
        done += 1;
        let progress = Progress { seq, done, total: 10, message: "".into() };
        let changes = vec![Mutation::Progress { id: job.id, epoch, progress }];
        Transaction { changes, ..Transaction::default() }
    };
    case.must(T0, vec![say(2, 1), say(1, 1), say(3, 2), say(2, 1)]).await;
    let kept = case.read(job.id).await.expect("is hot");
    let progress = kept.status.progress.as_ref().map(|p| (p.seq, p.done));
    assert_eq!(progress, Some((2, 1)), "newer, of the live lease");
    assert_eq!(kept.status.version, 2, "no change of version");
    case.does(job.id, succeed, T0).await;
    case.must(T0, vec![say(5, 1)]).await;
    let kept = case.read(job.id).await.expect("is hot");
    assert_eq!(kept.status.progress.as_ref().map(|p| p.seq), Some(2), "the lease is over");
}

//! The journal and those who follow it.

use sentinel_domain::{Queue, State};

use super::{Case, T0, succeed};
use crate::conformance::{Restart, make};
use crate::{JournalPage, Position};

async fn entries(case: &Case, after: Position, limit: usize) -> Vec<std::sync::Arc<crate::Entry>> {
    match case.store.tail(after, limit).await.expect("answers") {
        JournalPage::Entries(entries) => entries,
        other => panic!("expected entries, got {other:?}"),
    }
}

pub(super) async fn dense_and_complete(mut case: Case) {
    let job = make::job("q", "k", T0, 1);
    let queue = Queue::with_defaults("q".into(), T0);
    case.must(T0, vec![make::put_queue(queue.clone())]).await;
    let asked = make::under_request(make::create(&job), "request", b"one", T0 + 9);
    let call = case
        .writer
        .call(T0 + 1)
        .group(asked)
        .group(make::put_session(make::session(1), 1, T0 + 9_000))
        .claim(make::claim(make::session(1), &["q"], &["k"], 1));
    case.commit(call.done()).await;
    case.does(job.id, succeed, T0 + 2).await;
    let all = entries(&case, Position::default(), 99).await;
    let seqs: Vec<u64> = all.iter().map(|entry| entry.position.seq).collect();
    assert_eq!(seqs, [1, 2, 3], "one for each call that changed something durable");
    assert_eq!(all[0].queues, [queue]);
    assert_eq!(all[1].requests.len(), 1);
    let states: Vec<State> = all[1].jobs.iter().map(|event| event.status.state).collect();
    assert_eq!(states, [State::Ready, State::Running], "every change, in order");
    assert_eq!(all[1].jobs[0].new, Some(crate::codec::encode_spec(&job.spec)));
    assert_eq!(all[1].jobs[0].spec.as_deref(), Some(&*job.spec));
    assert_eq!(all[1].jobs[1].new, None);
    assert_eq!((all[2].at, all[2].jobs.len()), (T0 + 2, 1));
    let rest = entries(&case, all[0].position, 1).await;
    assert_eq!(rest.len(), 1, "at most the limit");
    assert_eq!(rest[0].position.seq, 2);
    assert!(entries(&case, all[2].position, 9).await.is_empty(), "the head");
    assert_eq!(entries(&case, all[0].position, 0).await.len(), 1, "at least one");
}

pub(super) async fn other_epoch(mut case: Case) {
    case.must(T0, vec![make::create(&make::job("q", "k", T0, 1))]).await;
    let head = *case.store.head().borrow();
    for strange in
        [Position { epoch: head.epoch + 1, seq: 0 }, Position { seq: head.seq + 1, ..head }]
    {
        let tail = case.store.tail(strange, 9).await.expect("answers");
        assert!(matches!(tail, JournalPage::OtherEpoch), "{strange}: {tail:?}");
    }
}

pub(super) async fn head_moves(mut case: Case) {
    let mut head = case.store.head();
    head.mark_unchanged();
    let call = case.writer.call(T0).group(make::create(&make::job("q", "k", T0, 1))).done();
    let outcome = case.commit(call).await;
    assert!(head.has_changed().expect("the store lives"));
    assert_eq!(*head.borrow_and_update(), outcome.position);
}

pub(super) async fn reading_nothing_writes_nothing(mut case: Case) {
    case.session(1).await;
    case.claim(T0, &["q"], &["k"], 9).await;
    assert_eq!(case.store.head().borrow().seq, 0, "sessions are not in the journal");
}

pub(super) async fn reopened(mut case: Case) {
    if !case.harness.can_reopen() {
        return;
    }
    let (a, b) = (make::job("q", "k", T0, 1), make::job("q", "other", T0, 2));
    let groups = vec![
        make::put_queue(Queue::with_defaults("q".into(), T0)),
        make::create(&a),
        make::create(&b),
    ];
    case.session(1).await;
    case.must(T0, groups).await;
    case.claim(T0, &["q"], &["k"], 1).await;
    let before = [case.read(a.id).await, case.read(b.id).await];
    let head = *case.store.head().borrow();
    drop(case.store);
    let (now, sessions_expire_at) = (T0 + 5, T0 + 50);
    let restart = Restart { now, sessions_expire_at, ..Restart::default() };
    case.harness.reopen(restart).await;
    case.store = case.harness.store();
    assert_eq!([case.read(a.id).await, case.read(b.id).await], before);
    assert_eq!(*case.store.head().borrow(), head);
    assert_eq!(case.store.queues().await.map(|queues| queues.len()), Ok(1));
    let lost = |at| case.store.due_work(at, 9);
    assert!(lost(T0 + 49).await.expect("answers").lost.is_empty(), "its worker may come back");
    assert_eq!(lost(T0 + 50).await.expect("answers").lost.len(), 1);
    case.does(a.id, succeed, T0 + 6).await;
    case.writer = make::Writer::new(2);
    case.session(1).await;
    assert_eq!(case.claim(T0 + 6, &["q"], &["other"], 9).await, [b.id]);
}

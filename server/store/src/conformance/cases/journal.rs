//! The journal and its head.

use sentinel_domain::{Queue, State};

use super::{Case, T0, succeed};
use crate::conformance::{ReopenState, fixture};
use crate::{JournalPage, Position};

async fn entries(
    case: &Case,
    after: Position,
    limit: usize,
) -> Vec<std::sync::Arc<crate::JournalEntry>> {
    match case.store.read_journal(after, limit).await.expect("the store answers") {
        JournalPage::Entries(entries) => entries,
        other => panic!("expected entries, got {other:?}"),
    }
}

pub(super) async fn the_journal_is_dense_and_complete(mut case: Case) {
    let job = fixture::job("q", "k", T0, 1);
    let queue = Queue::with_defaults("q".into(), T0);
    case.must_apply(T0, vec![fixture::put_queue(queue.clone())]).await;
    let create = fixture::with_idempotency(fixture::create(&job), "request", b"one", T0 + 9);
    let request = case
        .writer
        .request(T0 + 1)
        .transaction(create)
        .transaction(fixture::put_session(fixture::session(1), 1, T0 + 9_000))
        .claim(fixture::claim(fixture::session(1), &["q"], &["k"], 1));
    case.commit(request.build()).await;
    case.execute(job.id, succeed, T0 + 2).await;
    let all = entries(&case, Position::default(), 99).await;
    let seqs: Vec<u64> = all.iter().map(|entry| entry.position.seq).collect();
    assert_eq!(seqs, [1, 2, 3], "one entry per commit with durable changes");
    assert_eq!(all[0].queues, [queue]);
    assert_eq!(all[1].idempotency_records.len(), 1);
    let states: Vec<State> = all[1].jobs.iter().map(|event| event.status.state).collect();
    assert_eq!(states, [State::Ready, State::Running], "all changes in order");
    assert_eq!(all[1].jobs[0].encoded_spec, Some(crate::codec::encode_spec(&job.spec)));
    assert_eq!(all[1].jobs[0].spec.as_deref(), Some(&*job.spec));
    assert_eq!(all[1].jobs[1].encoded_spec, None);
    assert_eq!((all[2].at, all[2].jobs.len()), (T0 + 2, 1));
    let rest = entries(&case, all[0].position, 1).await;
    assert_eq!(rest.len(), 1, "at most the limit");
    assert_eq!(rest[0].position.seq, 2);
    assert!(entries(&case, all[2].position, 9).await.is_empty(), "nothing follows the head");
    assert_eq!(entries(&case, all[0].position, 0).await.len(), 1, "at least one");
}

pub(super) async fn a_position_of_another_epoch_is_reported(mut case: Case) {
    case.must_apply(T0, vec![fixture::create(&fixture::job("q", "k", T0, 1))]).await;
    let head = *case.store.head().borrow();
    for position in
        [Position { epoch: head.epoch + 1, seq: 0 }, Position { seq: head.seq + 1, ..head }]
    {
        let page = case.store.read_journal(position, 9).await.expect("the store answers");
        assert!(matches!(page, JournalPage::OtherEpoch), "{position}: {page:?}");
    }
}

pub(super) async fn the_head_follows_every_commit(mut case: Case) {
    let mut head = case.store.head();
    head.mark_unchanged();
    let request = case
        .writer
        .request(T0)
        .transaction(fixture::create(&fixture::job("q", "k", T0, 1)))
        .build();
    let result = case.commit(request).await;
    assert!(head.has_changed().expect("the store is open"));
    assert_eq!(*head.borrow_and_update(), result.position);
}

pub(super) async fn a_commit_without_durable_changes_appends_nothing(mut case: Case) {
    case.put_session(1).await;
    case.claim(T0, &["q"], &["k"], 9).await;
    assert_eq!(case.store.head().borrow().seq, 0, "sessions are not in the journal");
}

pub(super) async fn a_reopened_store_has_all_committed_jobs(mut case: Case) {
    if !case.harness.can_reopen() {
        return;
    }
    let (a, b) = (fixture::job("q", "k", T0, 1), fixture::job("q", "other", T0, 2));
    let transactions = vec![
        fixture::put_queue(Queue::with_defaults("q".into(), T0)),
        fixture::create(&a),
        fixture::create(&b),
    ];
    case.put_session(1).await;
    case.must_apply(T0, transactions).await;
    case.claim(T0, &["q"], &["k"], 1).await;
    let before = [case.read(a.id).await, case.read(b.id).await];
    let head = *case.store.head().borrow();
    drop(case.store);
    let (now, sessions_expire_at) = (T0 + 5, T0 + 50);
    let restart = ReopenState { now, sessions_expire_at, ..ReopenState::default() };
    case.harness.reopen(restart).await;
    case.store = case.harness.store();
    assert_eq!([case.read(a.id).await, case.read(b.id).await], before);
    assert_eq!(*case.store.head().borrow(), head);
    assert_eq!(case.store.queues().await.map(|queues| queues.len()), Ok(1));
    let lost = |at| case.store.due_work(at, 9);
    assert!(
        lost(T0 + 49).await.expect("the store answers").lost.is_empty(),
        "the session is extended at the reopen"
    );
    assert_eq!(lost(T0 + 50).await.expect("the store answers").lost.len(), 1);
    case.execute(a.id, succeed, T0 + 6).await;
    case.writer = fixture::Writer::new(2);
    case.put_session(1).await;
    assert_eq!(case.claim(T0 + 6, &["q"], &["other"], 9).await, [b.id]);
}

//! What stands beside the row of a session.

use bytes::Bytes;

use super::{Case, T0};
use crate::conformance::fixture;
use crate::{Mutation, Precondition, SessionInfo, SessionRow, Transaction};

fn change(change: Mutation) -> Transaction {
    Transaction { mutations: vec![change], ..Transaction::default() }
}

fn put(session: u128, announcement: &'static str) -> Transaction {
    let announcement = Bytes::from_static(announcement.as_bytes());
    change(Mutation::PutWorkerInfo {
        session: fixture::session(session),
        worker_info: announcement,
    })
}

fn drain(session: u128) -> Transaction {
    change(Mutation::DrainSession(fixture::session(session)))
}

impl Case {
    async fn card(&self, session: u128) -> Option<SessionInfo> {
        let cards = self
            .store
            .session_infos(vec![fixture::session(session)])
            .await
            .expect("the store answers");
        let [card] = <[_; 1]>::try_from(cards).expect("one is asked for");
        card
    }
}

pub(super) async fn worker_info_is_kept_with_the_session(mut case: Case) {
    let (first, job) = (fixture::session(1), fixture::job("q", "k", T0, 1));
    case.put_session(1).await;
    let row = SessionRow { id: first, owner: case.writer.id(), expires_at: T0 + 3_600_000 };
    let bare = SessionInfo { row, worker_info: Bytes::new(), is_drained: false, running: 0 };
    assert_eq!(case.card(1).await, Some(bare.clone()));
    case.must_apply(T0, vec![put(1, "who"), fixture::create(&job)]).await;
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await, [job.id]);
    case.put_session(2).await;
    // Another owner, another end: what is noted stays.
    let adopted = SessionRow { id: first, owner: crate::ServerId(2), expires_at: T0 + 9 };
    case.must_apply(T0, vec![fixture::put_session(first, 2, T0 + 9)]).await;
    let announcement = Bytes::from_static(b"who");
    let there = SessionInfo { row: adopted, worker_info: announcement, running: 1, ..bare };
    assert_eq!(case.card(1).await, Some(there.clone()));
    case.store.extend_sessions(T0 + 99).await.expect("the store answers");
    let longer = SessionInfo { row: SessionRow { expires_at: T0 + 99, ..adopted }, ..there };
    assert_eq!(case.card(1).await, Some(longer.clone()));
    let ids = vec![fixture::session(3), fixture::session(2), first, fixture::session(3)];
    let cards = case.store.session_infos(ids).await.expect("the store answers");
    let found: Vec<_> = cards.iter().map(|c| c.as_ref().map(|c| c.row.id)).collect();
    assert_eq!(found, [None, Some(fixture::session(2)), Some(first), None], "in the order asked");
    let mut rows = case.store.sessions().await.expect("the store answers");
    rows.sort_by_key(|row| row.id);
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [first, fixture::session(2)]);
    assert_eq!(rows[0], longer.row);
    assert_eq!(case.store.session_infos(Vec::new()).await.expect("the store answers"), []);
}

pub(super) async fn worker_info_is_dropped_with_the_session(mut case: Case) {
    let session = fixture::session(1);
    case.must_apply(T0, vec![put(1, "too early"), drain(1)]).await;
    case.must_apply(T0, vec![fixture::put_session(session, 1, T0 + 10)]).await;
    let bare = case.card(1).await.expect("has a row");
    assert_eq!(
        (&bare.worker_info[..], bare.is_drained),
        (&b""[..], false),
        "nothing is kept ahead"
    );
    case.must_apply(T0, vec![put(1, "who"), drain(1)]).await;
    // What a sweeper does with a session that expired.
    let expired =
        case.store.due_work(T0 + 10, 9).await.expect("the store answers").expired_sessions;
    let preconditions = expired.iter().map(|row| Precondition::SessionRow(*row)).collect();
    let mutations = expired.iter().map(|row| Mutation::DropSession(row.id)).collect();
    case.must_apply(T0 + 10, vec![Transaction { preconditions, mutations, idempotency: None }])
        .await;
    assert_eq!(case.card(1).await, None);
    assert_eq!(case.store.sessions().await.expect("the store answers"), []);
    case.must_apply(T0 + 10, vec![fixture::put_session(session, 1, T0 + 20)]).await;
    let again = case.card(1).await.expect("has a row");
    assert_eq!((&again.worker_info[..], again.is_drained), (&b""[..], false), "it is another one");
}

pub(super) async fn a_drained_session_claims_nothing(mut case: Case) {
    let (first, second) = (fixture::job("q", "k", T0, 1), fixture::job("q", "k", T0, 2));
    case.put_session(1).await;
    case.must_apply(T0, vec![fixture::create(&first), fixture::create(&second)]).await;
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await, [first.id]);
    // In the same call: groups come before claims.
    let claim = fixture::claim(fixture::session(1), &["q"], &["k"], 1);
    let request = case.writer.request(T0).transaction(drain(1)).claim(claim).build();
    assert_eq!(case.commit(request).await.claimed, [[]]);
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await, []);
    case.execute(first.id, super::succeed, T0).await;
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await, [], "its jobs end, and none comes");
    case.put_session(2).await;
    let claim = fixture::claim(fixture::session(2), &["q"], &["k"], 9);
    let request = case.writer.request(T0).claim(claim).build();
    let claimed = case.commit(request).await.claimed;
    assert_eq!(claimed[0].iter().map(|job| job.id).collect::<Vec<_>>(), [second.id], "others do");
}

pub(super) async fn a_drain_lasts_until_the_session_is_dropped(mut case: Case) {
    let session = fixture::session(1);
    case.put_session(1).await;
    case.must_apply(T0, vec![put(1, "who"), drain(1), drain(1)]).await;
    // It comes back, at another server and here, and says who it is once more.
    case.must_apply(T0, vec![fixture::put_session(session, 2, T0 + 9_000), put(1, "who else")])
        .await;
    case.must_apply(T0, vec![fixture::put_session(session, 1, T0 + 9_000), put(1, "who again")])
        .await;
    let card = case.card(1).await.expect("has a row");
    assert_eq!((&card.worker_info[..], card.is_drained), (&b"who again"[..], true));
    case.must_apply(T0, vec![fixture::create(&fixture::job("q", "k", T0, 1))]).await;
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await, []);
    case.must_apply(T0, vec![change(Mutation::DropSession(session))]).await;
    case.must_apply(T0, vec![fixture::put_session(session, 1, T0 + 9_000)]).await;
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await.len(), 1, "a new session of that name");
}

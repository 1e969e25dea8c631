//! The worker info and the drain mark of a session.

use bytes::Bytes;

use super::{Case, T0};
use crate::conformance::fixture;
use crate::{Mutation, Precondition, SessionInfo, SessionRow, Transaction};

fn change(change: Mutation) -> Transaction {
    Transaction { mutations: vec![change], ..Transaction::default() }
}

fn put(session: u128, worker_info: &'static str) -> Transaction {
    let worker_info = Bytes::from_static(worker_info.as_bytes());
    change(Mutation::PutWorkerInfo { session: fixture::session(session), worker_info })
}

fn drain(session: u128) -> Transaction {
    change(Mutation::DrainSession(fixture::session(session)))
}

impl Case {
    async fn info(&self, session: u128) -> Option<SessionInfo> {
        let infos = self
            .store
            .session_infos(vec![fixture::session(session)])
            .await
            .expect("the store answers");
        let [info] = <[_; 1]>::try_from(infos).expect("one session is requested");
        info
    }
}

pub(super) async fn worker_info_is_kept_with_the_session(mut case: Case) {
    let (first, job) = (fixture::session(1), fixture::job("q", "k", T0, 1));
    case.put_session(1).await;
    let row = SessionRow { id: first, owner: case.writer.id(), expires_at: T0 + 3_600_000 };
    let bare = SessionInfo { row, worker_info: Bytes::new(), is_drained: false, running: 0 };
    assert_eq!(case.info(1).await, Some(bare.clone()));
    case.must_apply(T0, vec![put(1, "who"), fixture::create(&job)]).await;
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await, [job.id]);
    case.put_session(2).await;
    // A new owner and a new expiry do not change the worker info.
    let adopted = SessionRow { id: first, owner: crate::ServerId(2), expires_at: T0 + 9 };
    case.must_apply(T0, vec![fixture::put_session(first, 2, T0 + 9)]).await;
    let worker_info = Bytes::from_static(b"who");
    let current = SessionInfo { row: adopted, worker_info, running: 1, ..bare };
    assert_eq!(case.info(1).await, Some(current.clone()));
    case.store.extend_sessions(T0 + 99).await.expect("the store answers");
    let longer = SessionInfo { row: SessionRow { expires_at: T0 + 99, ..adopted }, ..current };
    assert_eq!(case.info(1).await, Some(longer.clone()));
    let ids = vec![fixture::session(3), fixture::session(2), first, fixture::session(3)];
    let infos = case.store.session_infos(ids).await.expect("the store answers");
    let found: Vec<_> = infos.iter().map(|c| c.as_ref().map(|c| c.row.id)).collect();
    assert_eq!(
        found,
        [None, Some(fixture::session(2)), Some(first), None],
        "in the requested order"
    );
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
    let bare = case.info(1).await.expect("the session has a row");
    assert_eq!(
        (&bare.worker_info[..], bare.is_drained),
        (&b""[..], false),
        "worker info without a row is ignored"
    );
    case.must_apply(T0, vec![put(1, "who"), drain(1)]).await;
    // The sweeper drops an expired session.
    let expired =
        case.store.due_work(T0 + 10, 9).await.expect("the store answers").expired_sessions;
    let preconditions = expired.iter().map(|row| Precondition::SessionRow(*row)).collect();
    let mutations = expired.iter().map(|row| Mutation::DropSession(row.id)).collect();
    case.must_apply(T0 + 10, vec![Transaction { preconditions, mutations, idempotency: None }])
        .await;
    assert_eq!(case.info(1).await, None);
    assert_eq!(case.store.sessions().await.expect("the store answers"), []);
    case.must_apply(T0 + 10, vec![fixture::put_session(session, 1, T0 + 20)]).await;
    let again = case.info(1).await.expect("the session has a row");
    assert_eq!(
        (&again.worker_info[..], again.is_drained),
        (&b""[..], false),
        "a new session has no worker info"
    );
}

pub(super) async fn a_drained_session_claims_nothing(mut case: Case) {
    let (first, second) = (fixture::job("q", "k", T0, 1), fixture::job("q", "k", T0, 2));
    case.put_session(1).await;
    case.must_apply(T0, vec![fixture::create(&first), fixture::create(&second)]).await;
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await, [first.id]);
    // Transactions are applied before claims.
    let claim = fixture::claim(fixture::session(1), &["q"], &["k"], 1);
    let request = case.writer.request(T0).transaction(drain(1)).claim(claim).build();
    assert_eq!(case.commit(request).await.claimed, [[]]);
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await, []);
    case.execute(first.id, super::succeed, T0).await;
    assert_eq!(
        case.claim(T0, &["q"], &["k"], 1).await,
        [],
        "a drained session gets no further job"
    );
    case.put_session(2).await;
    let claim = fixture::claim(fixture::session(2), &["q"], &["k"], 9);
    let request = case.writer.request(T0).claim(claim).build();
    let claimed = case.commit(request).await.claimed;
    assert_eq!(
        claimed[0].iter().map(|job| job.id).collect::<Vec<_>>(),
        [second.id],
        "other sessions get jobs"
    );
}

pub(super) async fn a_drain_lasts_until_the_session_is_dropped(mut case: Case) {
    let session = fixture::session(1);
    case.put_session(1).await;
    case.must_apply(T0, vec![put(1, "who"), drain(1), drain(1)]).await;
    // The worker reconnects to another server and back, and sends its info again.
    case.must_apply(T0, vec![fixture::put_session(session, 2, T0 + 9_000), put(1, "who else")])
        .await;
    case.must_apply(T0, vec![fixture::put_session(session, 1, T0 + 9_000), put(1, "who again")])
        .await;
    let info = case.info(1).await.expect("the session has a row");
    assert_eq!((&info.worker_info[..], info.is_drained), (&b"who again"[..], true));
    case.must_apply(T0, vec![fixture::create(&fixture::job("q", "k", T0, 1))]).await;
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await, []);
    case.must_apply(T0, vec![change(Mutation::DropSession(session))]).await;
    case.must_apply(T0, vec![fixture::put_session(session, 1, T0 + 9_000)]).await;
    assert_eq!(
        case.claim(T0, &["q"], &["k"], 1).await.len(),
        1,
        "a dropped session is no longer drained"
    );
}

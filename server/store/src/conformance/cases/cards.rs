//! What stands beside the row of a session.

use bytes::Bytes;

use super::{Case, T0};
use crate::conformance::make;
use crate::{Mutation, Precondition, SessionInfo, SessionRow, Transaction};

fn change(change: Mutation) -> Transaction {
    Transaction { changes: vec![change], ..Transaction::default() }
}

fn put(session: u128, announcement: &'static str) -> Transaction {
    let announcement = Bytes::from_static(announcement.as_bytes());
    change(Mutation::PutWorkerInfo { session: make::session(session), announcement })
}

fn drain(session: u128) -> Transaction {
    change(Mutation::DrainSession(make::session(session)))
}

impl Case {
    async fn card(&self, session: u128) -> Option<SessionInfo> {
        let cards = self.store.cards(vec![make::session(session)]).await.expect("answers");
        let [card] = <[_; 1]>::try_from(cards).expect("one is asked for");
        card
    }
}

pub(super) async fn kept_beside_the_row(mut case: Case) {
    let (first, job) = (make::session(1), make::job("q", "k", T0, 1));
    case.session(1).await;
    let row = SessionRow { id: first, owner: case.writer.id(), expires_at: T0 + 3_600_000 };
    let bare = SessionInfo { row, announcement: Bytes::new(), is_drained: false, running: 0 };
    assert_eq!(case.card(1).await, Some(bare.clone()));
    case.must(T0, vec![put(1, "who"), make::create(&job)]).await;
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await, [job.id]);
    case.session(2).await;
    // Another owner, another end: what is noted stays.
    let adopted = SessionRow { id: first, owner: crate::ServerId(2), expires_at: T0 + 9 };
    case.must(T0, vec![make::put_session(first, 2, T0 + 9)]).await;
    let announcement = Bytes::from_static(b"who");
    let there = SessionInfo { row: adopted, announcement, running: 1, ..bare };
    assert_eq!(case.card(1).await, Some(there.clone()));
    case.store.extend_sessions(T0 + 99).await.expect("answers");
    let longer = SessionInfo { row: SessionRow { expires_at: T0 + 99, ..adopted }, ..there };
    assert_eq!(case.card(1).await, Some(longer.clone()));
    let ids = vec![make::session(3), make::session(2), first, make::session(3)];
    let cards = case.store.cards(ids).await.expect("answers");
    let found: Vec<_> = cards.iter().map(|c| c.as_ref().map(|c| c.row.id)).collect();
    assert_eq!(found, [None, Some(make::session(2)), Some(first), None], "in the order asked");
    let mut rows = case.store.sessions().await.expect("answers");
    rows.sort_by_key(|row| row.id);
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [first, make::session(2)]);
    assert_eq!(rows[0], longer.row);
    assert_eq!(case.store.cards(Vec::new()).await.expect("answers"), []);
}

pub(super) async fn gone_with_the_row(mut case: Case) {
    let session = make::session(1);
    case.must(T0, vec![put(1, "too early"), drain(1)]).await;
    case.must(T0, vec![make::put_session(session, 1, T0 + 10)]).await;
    let bare = case.card(1).await.expect("has a row");
    assert_eq!(
        (&bare.announcement[..], bare.is_drained),
        (&b""[..], false),
        "nothing is kept ahead"
    );
    case.must(T0, vec![put(1, "who"), drain(1)]).await;
    // What a sweeper does with a session that expired.
    let expired = case.store.due_work(T0 + 10, 9).await.expect("answers").expired;
    let guards = expired.iter().map(|row| Precondition::SessionRow(*row)).collect();
    let changes = expired.iter().map(|row| Mutation::DropSession(row.id)).collect();
    case.must(T0 + 10, vec![Transaction { guards, changes, request: None }]).await;
    assert_eq!(case.card(1).await, None);
    assert_eq!(case.store.sessions().await.expect("answers"), []);
    case.must(T0 + 10, vec![make::put_session(session, 1, T0 + 20)]).await;
    let again = case.card(1).await.expect("has a row");
    assert_eq!((&again.announcement[..], again.is_drained), (&b""[..], false), "it is another one");
}

pub(super) async fn a_drained_session_gets_nothing(mut case: Case) {
    let (first, second) = (make::job("q", "k", T0, 1), make::job("q", "k", T0, 2));
    case.session(1).await;
    case.must(T0, vec![make::create(&first), make::create(&second)]).await;
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await, [first.id]);
    // In the same call: groups come before claims.
    let claim = make::claim(make::session(1), &["q"], &["k"], 1);
    let call = case.writer.call(T0).group(drain(1)).claim(claim).done();
    assert_eq!(case.commit(call).await.claimed, [[]]);
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await, []);
    case.does(first.id, super::succeed, T0).await;
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await, [], "its jobs end, and none comes");
    case.session(2).await;
    let claim = make::claim(make::session(2), &["q"], &["k"], 9);
    let call = case.writer.call(T0).claim(claim).done();
    let claimed = case.commit(call).await.claimed;
    assert_eq!(claimed[0].iter().map(|job| job.id).collect::<Vec<_>>(), [second.id], "others do");
}

pub(super) async fn drained_until_dropped(mut case: Case) {
    let session = make::session(1);
    case.session(1).await;
    case.must(T0, vec![put(1, "who"), drain(1), drain(1)]).await;
    // It comes back, at another server and here, and says who it is once more.
    case.must(T0, vec![make::put_session(session, 2, T0 + 9_000), put(1, "who else")]).await;
    case.must(T0, vec![make::put_session(session, 1, T0 + 9_000), put(1, "who again")]).await;
    let card = case.card(1).await.expect("has a row");
    assert_eq!((&card.announcement[..], card.is_drained), (&b"who again"[..], true));
    case.must(T0, vec![make::create(&make::job("q", "k", T0, 1))]).await;
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await, []);
    case.must(T0, vec![change(Mutation::DropSession(session))]).await;
    case.must(T0, vec![make::put_session(session, 1, T0 + 9_000)]).await;
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await.len(), 1, "a new session of that name");
}

//! Worker sessions.

use super::{Case, T0};
use crate::conformance::make;
use crate::{
    Conflict, Mutation, Precondition, ServerId, SessionRow, Transaction, TransactionResult,
};

pub(super) async fn owners_fence(mut case: Case) {
    let session = make::session(1);
    let job = make::job("q", "k", T0, 1);
    case.session(1).await;
    case.must(T0, vec![make::put_session(session, 2, T0 + 9_000)]).await;
    let mut group = make::create(&job);
    group.guards.push(Precondition::SessionOwner { session, owner: ServerId(1) });
    let verdicts = case.apply(T0, vec![group]).await;
    assert!(
        matches!(verdicts[..], [TransactionResult::Conflict(_)]),
        "it was adopted: {verdicts:?}"
    );
    let mut group = make::create(&job);
    group.guards.push(Precondition::SessionOwner { session, owner: ServerId(2) });
    case.must(T0, vec![group]).await;
}

pub(super) async fn a_row_that_lives_longer_is_another(mut case: Case) {
    let (session, job) = (make::session(1), make::job("q", "k", T0, 1));
    let row = |owner, expires_at| SessionRow { id: session, owner: ServerId(owner), expires_at };
    case.must(T0, vec![make::put_session(session, 1, T0 + 10), make::create(&job)]).await;
    for other in [row(1, T0 + 11), row(1, T0 + 9), row(2, T0 + 10)] {
        let (guards, changes) =
            (vec![Precondition::SessionRow(other)], vec![Mutation::DropSession(session)]);
        let verdicts = case.apply(T0, vec![Transaction { guards, changes, request: None }]).await;
        let owner = Some(ServerId(1));
        assert_eq!(verdicts, [TransactionResult::Conflict(Conflict::Session { session, owner })]);
    }
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await, [job.id], "the session is there");
    let (guards, changes) =
        (vec![Precondition::SessionRow(row(1, T0 + 10))], vec![Mutation::DropSession(session)]);
    case.must(T0, vec![Transaction { guards, changes, request: None }]).await;
    let lost = case.store.due_work(T0, 9).await.expect("answers").lost;
    assert_eq!(lost.iter().map(|job| job.id).collect::<Vec<_>>(), [job.id], "it is gone");
}

pub(super) async fn unknown_and_expired_get_nothing(mut case: Case) {
    let job = make::job("q", "k", T0, 1);
    case.must(T0, vec![make::create(&job)]).await;
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await, [], "unknown");
    case.must(T0, vec![make::put_session(make::session(1), 1, T0 + 10)]).await;
    assert_eq!(case.claim(T0 + 10, &["q"], &["k"], 1).await, [], "expired");
    let drop = Mutation::DropSession(make::session(1));
    let row = make::put_session(make::session(1), 1, T0 + 90);
    case.must(T0, vec![row, Transaction { changes: vec![drop], ..Transaction::default() }]).await;
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await, [], "dropped");
}

pub(super) async fn only_the_owner_claims(mut case: Case) {
    let job = make::job("q", "k", T0, 1);
    let session = make::session(1);
    case.session(1).await;
    case.must(T0, vec![make::create(&job)]).await;
    let mut other = make::Writer::new(2);
    let claim = || make::claim(session, &["q"], &["k"], 1);
    let stranger = case.commit(other.call(T0).claim(claim()).done()).await;
    assert_eq!(stranger.claimed, [[]], "another server never had it");
    let adopted = other.call(T0).group(make::put_session(session, 2, T0 + 9_000));
    case.commit(adopted.done()).await;
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await, [], "the server that had it lost it");
    let owner = case.commit(other.call(T0).claim(claim()).done()).await;
    assert_eq!(owner.claimed[0].iter().map(|job| job.id).collect::<Vec<_>>(), [job.id]);
}

pub(super) async fn extended(mut case: Case) {
    let job = make::job("q", "k", T0, 1);
    let session = make::session(1);
    case.must(T0, vec![make::create(&job), make::put_session(session, 1, T0 + 10)]).await;
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await, [job.id]);
    let held = case.store.session_jobs(session).await.expect("answers");
    assert_eq!(held.iter().map(|job| job.id).collect::<Vec<_>>(), [job.id]);
    case.store.extend_sessions(T0 + 1_000).await.expect("answers");
    let lost = |at| case.store.due_work(at, 9);
    assert!(lost(T0 + 999).await.expect("answers").lost.is_empty());
    case.store.extend_sessions(T0 + 500).await.expect("answers");
    assert!(lost(T0 + 999).await.expect("answers").lost.is_empty(), "never made shorter");
    assert_eq!(lost(T0 + 1_000).await.expect("answers").lost.len(), 1);
}

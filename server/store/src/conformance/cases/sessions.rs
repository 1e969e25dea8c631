//! Worker sessions.

use super::{Case, T0};
use crate::conformance::fixture;
use crate::{
    Conflict, Mutation, Precondition, ServerId, SessionRow, Transaction, TransactionResult,
};

pub(super) async fn a_session_that_was_adopted_fences_its_former_owner(mut case: Case) {
    let session = fixture::session(1);
    let job = fixture::job("q", "k", T0, 1);
    case.put_session(1).await;
    case.must_apply(T0, vec![fixture::put_session(session, 2, T0 + 9_000)]).await;
    let mut transaction = fixture::create(&job);
    transaction.preconditions.push(Precondition::SessionOwner { session, owner: ServerId(1) });
    let results = case.apply(T0, vec![transaction]).await;
    assert!(
        matches!(results[..], [TransactionResult::Conflict(_)]),
        "the session has another owner: {results:?}"
    );
    let mut transaction = fixture::create(&job);
    transaction.preconditions.push(Precondition::SessionOwner { session, owner: ServerId(2) });
    case.must_apply(T0, vec![transaction]).await;
}

pub(super) async fn a_session_with_another_expiry_is_a_conflict(mut case: Case) {
    let (session, job) = (fixture::session(1), fixture::job("q", "k", T0, 1));
    let row = |owner, expires_at| SessionRow { id: session, owner: ServerId(owner), expires_at };
    case.must_apply(T0, vec![fixture::put_session(session, 1, T0 + 10), fixture::create(&job)])
        .await;
    for other in [row(1, T0 + 11), row(1, T0 + 9), row(2, T0 + 10)] {
        let (preconditions, mutations) =
            (vec![Precondition::SessionRow(other)], vec![Mutation::DropSession(session)]);
        let results =
            case.apply(T0, vec![Transaction { preconditions, mutations, idempotency: None }]).await;
        let owner = Some(ServerId(1));
        assert_eq!(results, [TransactionResult::Conflict(Conflict::Session { session, owner })]);
    }
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await, [job.id], "the session was not dropped");
    let (preconditions, mutations) =
        (vec![Precondition::SessionRow(row(1, T0 + 10))], vec![Mutation::DropSession(session)]);
    case.must_apply(T0, vec![Transaction { preconditions, mutations, idempotency: None }]).await;
    let lost = case.store.due_work(T0, 9).await.expect("the store answers").lost;
    assert_eq!(
        lost.iter().map(|job| job.id).collect::<Vec<_>>(),
        [job.id],
        "the session was dropped"
    );
}

pub(super) async fn missing_and_expired_sessions_claim_nothing(mut case: Case) {
    let job = fixture::job("q", "k", T0, 1);
    case.must_apply(T0, vec![fixture::create(&job)]).await;
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await, [], "unknown");
    case.must_apply(T0, vec![fixture::put_session(fixture::session(1), 1, T0 + 10)]).await;
    assert_eq!(case.claim(T0 + 10, &["q"], &["k"], 1).await, [], "expired");
    let drop = Mutation::DropSession(fixture::session(1));
    let row = fixture::put_session(fixture::session(1), 1, T0 + 90);
    case.must_apply(T0, vec![row, Transaction { mutations: vec![drop], ..Transaction::default() }])
        .await;
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await, [], "dropped");
}

pub(super) async fn only_the_owner_claims(mut case: Case) {
    let job = fixture::job("q", "k", T0, 1);
    let session = fixture::session(1);
    case.put_session(1).await;
    case.must_apply(T0, vec![fixture::create(&job)]).await;
    let mut other = fixture::Writer::new(2);
    let claim = || fixture::claim(session, &["q"], &["k"], 1);
    let other_server = case.commit(other.request(T0).claim(claim()).build()).await;
    assert_eq!(other_server.claimed, [[]], "the other server does not own the session");
    let adopted = other.request(T0).transaction(fixture::put_session(session, 2, T0 + 9_000));
    case.commit(adopted.build()).await;
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await, [], "the former owner gets no job");
    let owner = case.commit(other.request(T0).claim(claim()).build()).await;
    assert_eq!(owner.claimed[0].iter().map(|job| job.id).collect::<Vec<_>>(), [job.id]);
}

pub(super) async fn extending_sessions_never_shortens_them(mut case: Case) {
    let job = fixture::job("q", "k", T0, 1);
    let session = fixture::session(1);
    case.must_apply(T0, vec![fixture::create(&job), fixture::put_session(session, 1, T0 + 10)])
        .await;
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await, [job.id]);
    let held = case.store.session_jobs(session).await.expect("the store answers");
    assert_eq!(held.iter().map(|job| job.id).collect::<Vec<_>>(), [job.id]);
    case.store.extend_sessions(T0 + 1_000).await.expect("the store answers");
    let lost = |at| case.store.due_work(at, 9);
    assert!(lost(T0 + 999).await.expect("the store answers").lost.is_empty());
    case.store.extend_sessions(T0 + 500).await.expect("the store answers");
    assert!(
        lost(T0 + 999).await.expect("the store answers").lost.is_empty(),
        "an extension never shortens a session"
    );
    assert_eq!(lost(T0 + 1_000).await.expect("the store answers").lost.len(), 1);
}

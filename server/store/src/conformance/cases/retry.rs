//! Repeated commit requests.

use super::{Case, T0};
use crate::CommitRequest;
use crate::conformance::fixture;

pub(super) async fn a_repeated_request_gets_the_same_result(mut case: Case) {
    let jobs = [1, 2, 3].map(|n| fixture::job("q", "k", T0, n));
    case.put_session(1).await;
    let mut request = case.writer.request(T0);
    for job in &jobs {
        request = request.transaction(fixture::create(job));
    }
    let request = request.claim(fixture::claim(fixture::session(1), &["q"], &["k"], 2)).build();
    let first = case.commit(request.clone()).await;
    let again = case.commit(CommitRequest { now: T0 + 5, ..request }).await;
    assert_eq!((&first.results, &first.claimed), (&again.results, &again.claimed));
    assert_eq!((first.position, &first.ready), (again.position, &again.ready));
    assert_eq!(*case.store.head().borrow(), first.position, "the commit is applied once");
    assert_eq!(case.claim(T0, &["q"], &["k"], 9).await, [jobs[2].id], "the claim is applied once");
}

pub(super) async fn an_older_request_number_is_refused(mut case: Case) {
    let old = case
        .writer
        .request(T0)
        .transaction(fixture::create(&fixture::job("q", "k", T0, 1)))
        .build();
    case.commit(old.clone()).await;
    case.put_session(1).await;
    assert!(case.store.commit(old.clone()).await.is_err());
    let other_writer =
        CommitRequest { writer: crate::ServerId(2), transactions: Vec::new(), ..old };
    case.commit(other_writer).await;
}

//! Replies that were lost.

use super::{Case, T0};
use crate::CommitRequest;
use crate::conformance::make;

pub(super) async fn asked_for_again(mut case: Case) {
    let jobs = [1, 2, 3].map(|n| make::job("q", "k", T0, n));
    case.session(1).await;
    let mut call = case.writer.call(T0);
    for job in &jobs {
        call = call.group(make::create(job));
    }
    let call = call.claim(make::claim(make::session(1), &["q"], &["k"], 2)).done();
    let first = case.commit(call.clone()).await;
    let again = case.commit(CommitRequest { now: T0 + 5, ..call }).await;
    assert_eq!((&first.verdicts, &first.claimed), (&again.verdicts, &again.claimed));
    assert_eq!((first.position, &first.ready), (again.position, &again.ready));
    assert_eq!(*case.store.head().borrow(), first.position, "nothing was written twice");
    assert_eq!(case.claim(T0, &["q"], &["k"], 9).await, [jobs[2].id], "nothing was taken twice");
}

pub(super) async fn old_numbers_are_refused(mut case: Case) {
    let old = case.writer.call(T0).group(make::create(&make::job("q", "k", T0, 1))).done();
    case.commit(old.clone()).await;
    case.session(1).await;
    assert!(case.store.commit(old.clone()).await.is_err());
    let other_writer = CommitRequest { writer: crate::ServerId(2), groups: Vec::new(), ..old };
    case.commit(other_writer).await;
}

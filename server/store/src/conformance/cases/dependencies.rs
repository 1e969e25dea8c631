//! Jobs with dependencies.

use std::sync::Arc;

use sentinel_domain::{Command, Dependency, Job, JobId, NewJob, State, initial_state};

use super::{Case, T0, cancel, succeed};
use crate::TrimRequest;
use crate::conformance::fixture;

fn child(parents: &[&Arc<Job>]) -> Arc<Job> {
    let edit =
        |new: &mut NewJob| new.depends_on = parents.iter().map(|p| p.id.to_string()).collect();
    let spec = fixture::spec("q", "child", T0, edit);
    let states: Vec<_> =
        parents.iter().map(|p| Dependency { id: p.id, state: p.status.state }).collect();
    Arc::new(initial_state(JobId::new(T0, 0, 99 << 2), Arc::new(spec), &states, T0))
}

pub(super) async fn children_are_reported_until_they_are_unblocked(mut case: Case) {
    case.put_session(1).await;
    let (a, b) = (fixture::job("q", "k", T0, 1), fixture::job("q", "other", T0, 2));
    let child = child(&[&a, &b]);
    case.must_apply(T0, [&a, &b, &child].into_iter().map(fixture::create).collect()).await;
    assert_eq!(case.claim(T0, &["q"], &["k"], 1).await, [a.id]);
    let work = case.store.due_work(T0, 9).await.expect("the store answers");
    assert!(work.unblocked.is_empty());
    case.execute(a.id, succeed, T0).await;
    for _ in 0..2 {
        let found = case.store.due_work(T0, 9).await.expect("the store answers").unblocked;
        assert_eq!(found.len(), 1, "reading changes nothing");
        assert_eq!((found[0].job.id, found[0].parent), (child.id, a.id));
        assert_eq!(found[0].outcome, State::Succeeded);
    }
    let unblock = |parent, outcome| move |_: &Job| Command::Unblock { parent, outcome };
    case.execute(child.id, unblock(a.id, State::Succeeded), T0).await;
    let work = case.store.due_work(T0, 9).await.expect("the store answers");
    assert!(work.unblocked.is_empty(), "the other dependency is not terminal");
    case.execute(b.id, cancel, T0).await;
    case.execute(child.id, unblock(b.id, State::Cancelled), T0).await;
    let current = case.read(child.id).await.expect("the job is stored");
    assert_eq!(current.status.state, State::Cancelled);
    assert!(case.store.due_work(T0, 9).await.expect("the store answers").unblocked.is_empty());
}

pub(super) async fn terminal_parents_unblock_one_by_one(mut case: Case) {
    case.put_session(1).await;
    let (a, b) = (fixture::job("q", "k", T0, 1), fixture::job("q", "k", T0, 2));
    let child = child(&[&a, &b]);
    case.must_apply(T0, [&a, &b, &child].into_iter().map(fixture::create).collect()).await;
    assert_eq!(case.claim(T0, &["q"], &["k"], 2).await, [a.id, b.id]);
    case.execute(a.id, succeed, T0).await;
    case.execute(b.id, succeed, T0).await;
    assert_eq!(case.store.due_work(T0, 9).await.expect("the store answers").unblocked.len(), 2);
    let unblock = |parent| move |_: &Job| Command::Unblock { parent, outcome: State::Succeeded };
    case.execute(child.id, unblock(a.id), T0).await;
    let left = case.store.due_work(T0, 9).await.expect("the store answers").unblocked;
    assert_eq!(left.iter().map(|edge| edge.parent).collect::<Vec<_>>(), [b.id]);
    case.execute(child.id, unblock(b.id), T0).await;
    assert!(case.store.due_work(T0, 9).await.expect("the store answers").unblocked.is_empty());
    assert_eq!(case.claim(T0, &["q"], &["child"], 9).await, [child.id]);
}

pub(super) async fn awaited_parents_are_not_evicted(mut case: Case) {
    let parent = fixture::job("q", "k", T0, 1);
    let child = child(&[&parent]);
    case.must_apply(T0, vec![fixture::create(&parent), fixture::create(&child)]).await;
    case.execute(parent.id, cancel, T0).await;
    let projected = *case.store.head().borrow();
    let trim = TrimRequest { projected, terminal_before: T0 + 1, journal_before: 0, limit: 9 };
    assert_eq!(case.store.trim(trim).await.map(|trimmed| trimmed.evicted), Ok(0));
    let unblock = |_: &Job| Command::Unblock { parent: parent.id, outcome: State::Cancelled };
    case.execute(child.id, unblock, T0).await;
    let projected = *case.store.head().borrow();
    let trim = TrimRequest { projected, ..trim };
    assert_eq!(case.store.trim(trim).await.map(|trimmed| trimmed.evicted), Ok(2));
}

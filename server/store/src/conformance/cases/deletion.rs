//! Deletion: the tombstone of a job is terminal and is evicted like any terminal job.

use std::sync::Arc;

use sentinel_domain::{
    Command, Dependency, Job, JobId, Millis, Reason, State, decide, initial_state,
};

use super::{Case, T0, cancel};
use crate::conformance::{ReopenState, fixture};
use crate::{
    JobEvent, JournalPage, Mutation, Position, Precondition, Transaction, TrimRequest, codec,
};

const HOUR: Millis = 3_600_000;

fn delete(_: &Job) -> Command {
    Command::Delete
}

async fn last_event(case: &Case) -> JobEvent {
    let head = *case.store.head().borrow();
    let after = Position { seq: head.seq - 1, ..head };
    match case.store.read_journal(after, 9).await.expect("the store answers") {
        JournalPage::Entries(entries) => entries[0].jobs.last().expect("an event").clone(),
        other => panic!("{other:?}"),
    }
}

fn trim(case: &Case, terminal_before: Millis) -> TrimRequest {
    let projected = *case.store.head().borrow();
    TrimRequest { projected, terminal_before, journal_before: 0, limit: 9 }
}

pub(super) async fn a_deleted_job_frees_its_key_and_is_journaled_with_its_spec(mut case: Case) {
    case.put_session(1).await;
    let keyed = |random, ttl_ms: Option<i64>| {
        let edit = |new: &mut sentinel_domain::NewJob| {
            new.unique_key = Some(format!("key-{}", ttl_ms.is_some()));
            new.unique_ttl_ms = ttl_ms;
        };
        fixture::job_from_spec(fixture::spec("q", "k", T0, edit), T0, random)
    };
    for job in [keyed(1, None), keyed(2, Some(HOUR))] {
        let key = sentinel_domain::unique_key(&job.spec).expect("the job has a key");
        case.must_apply(T0, vec![fixture::create(&job)]).await;
        let holder = case.store.holders(vec![key.clone()], T0).await.expect("the store answers");
        assert_eq!(holder, [Some(job.id)]);
        case.execute(job.id, delete, T0).await;
        let current = case.read(job.id).await.expect("the tombstone is stored");
        assert_eq!(
            (current.status.state, current.status.reason),
            (State::Cancelled, Reason::Deleted)
        );
        assert_eq!(case.store.holders(vec![key], T0).await.expect("the store answers"), [None]);
        let event = last_event(&case).await;
        assert_eq!(
            event.encoded_spec,
            Some(codec::encode_spec(&job.spec)),
            "the journal has the spec"
        );
        assert!(case.claim(T0, &["q"], &["k"], 9).await.is_empty(), "a deleted job is not claimed");
    }
    let ended = fixture::job("q", "k", T0, 3);
    case.must_apply(T0, vec![fixture::create(&ended)]).await;
    case.execute(ended.id, cancel, T0).await;
    case.execute(ended.id, delete, T0 + 5).await;
    let event = last_event(&case).await;
    assert_eq!((event.status.version, event.status.finished_at), (3, Some(T0 + 5)));
    assert_eq!(event.encoded_spec, Some(codec::encode_spec(&ended.spec)));
    assert_eq!(case.store.trim(trim(&case, T0 + 5)).await.map(|t| t.evicted), Ok(2));
    assert_eq!(case.store.trim(trim(&case, T0 + 6)).await.map(|t| t.evicted), Ok(1));
    assert!(case.store.depths().await.expect("the store answers").is_empty());
}

pub(super) async fn children_of_a_deleted_job_are_reported(mut case: Case) {
    let parent = fixture::job("q", "k", T0, 1);
    let edit = |new: &mut sentinel_domain::NewJob| new.depends_on = vec![parent.id.to_string()];
    let states = [Dependency { id: parent.id, state: State::Ready }];
    let spec = Arc::new(fixture::spec("q", "child", T0, edit));
    let child = Arc::new(initial_state(JobId::new(T0, 0, 99 << 2), spec, &states, T0));
    case.must_apply(T0, vec![fixture::create(&parent), fixture::create(&child)]).await;
    case.execute(parent.id, delete, T0).await;
    let found = case.store.due_work(T0, 9).await.expect("the store answers").unblocked;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].job.id, found[0].outcome), (child.id, State::Cancelled));
    assert_eq!(
        case.store.trim(trim(&case, T0 + 1)).await.map(|t| t.evicted),
        Ok(0),
        "a dependency is not evicted"
    );
    let outcome = State::Cancelled;
    case.execute(child.id, |_| Command::Unblock { parent: parent.id, outcome }, T0).await;
    assert_eq!(case.store.trim(trim(&case, T0 + 1)).await.map(|t| t.evicted), Ok(2));
}

pub(super) async fn an_evicted_job_can_be_deleted(mut case: Case) {
    let edit = |new: &mut sentinel_domain::NewJob| {
        new.unique_key = Some("key".into());
        new.unique_ttl_ms = Some(2 * HOUR);
    };
    let job = fixture::job_from_spec(fixture::spec("q", "k", T0, edit), T0, 1);
    let key = sentinel_domain::unique_key(&job.spec).expect("the job has a key");
    case.must_apply(T0, vec![fixture::create(&job)]).await;
    case.execute(job.id, cancel, T0).await;
    let ended = case.read(job.id).await.expect("the job is stored");
    assert_eq!(case.store.trim(trim(&case, T0 + 1)).await.map(|t| t.evicted), Ok(1));
    let holder = case.store.holders(vec![key.clone()], T0 + HOUR).await.expect("the store answers");
    assert_eq!(holder, [Some(job.id)], "the key outlives the evicted job");
    let deleted = decide(&ended, &Command::Delete, T0 + HOUR).expect("the job is terminal").job;
    let transaction = Transaction {
        preconditions: vec![Precondition::JobAbsent { id: job.id }],
        mutations: vec![Mutation::Create {
            spec: codec::encode_spec(&deleted.spec),
            job: Arc::new(deleted.clone()),
        }],
        idempotency: None,
    };
    case.must_apply(T0 + HOUR, vec![transaction]).await;
    assert_eq!(case.read(job.id).await.as_deref(), Some(&deleted), "the tombstone is stored");
    assert_eq!(last_event(&case).await.status, deleted.status);
    assert_eq!(case.store.holders(vec![key], T0 + HOUR).await.expect("the store answers"), [None]);
    let kept = trim(&case, T0 + HOUR);
    assert_eq!(case.store.trim(kept).await.map(|t| t.evicted), Ok(0));
    assert_eq!(case.store.trim(trim(&case, T0 + HOUR + 1)).await.map(|t| t.evicted), Ok(1));
}

/// The ledger supplies no terminal jobs, so the tombstone comes from the journal alone.
pub(super) async fn a_deletion_survives_a_reopen(mut case: Case) {
    let job = fixture::job("q", "k", T0, 1);
    case.must_apply(T0, vec![fixture::create(&job)]).await;
    case.execute(job.id, cancel, T0).await;
    let checkpoint = *case.store.head().borrow();
    case.execute(job.id, delete, T0).await;
    if !case.harness.can_reopen() {
        return;
    }
    drop(case.store);
    let restart = ReopenState { now: T0 + 2, checkpoint, ..ReopenState::default() };
    case.harness.reopen(restart).await;
    case.store = case.harness.store();
    assert!(case.read(job.id).await.expect("the tombstone is stored").is_deleted());
}

//! New values for jobs that have not started.

use std::sync::Arc;

use sentinel_domain::limits::PAYLOAD_MAX_BYTES;
use sentinel_domain::{Command, Job, Millis, NewValues, State};

use super::{Case, T0, cancel};
use crate::conformance::{Restart, make};
use crate::{JournalPage, codec};

fn with(values: NewValues, now: Millis) -> impl FnOnce(&Job) -> Command {
    move |job| {
        let spec = values.apply(&job.spec, "spec", now, PAYLOAD_MAX_BYTES);
        Command::Update { spec: Arc::new(spec.expect("a case says what is allowed")) }
    }
}

fn priority(priority: u32) -> NewValues {
    NewValues { priority: Some(priority), ..NewValues::default() }
}

pub(super) async fn new_values_take_a_new_place(mut case: Case) {
    case.session(1).await;
    let jobs = [1, 2, 3, 4].map(|n| make::job("q", "k", T0, n));
    case.must(T0, jobs.iter().map(make::create).collect()).await;
    let [first, urgent, late, gone] = jobs.each_ref().map(|job| job.id);
    case.does(urgent, with(priority(9), T0), T0).await;
    let later = NewValues { run_at: Some(Some(T0 + 50)), ..NewValues::default() };
    case.does(late, with(later, T0), T0).await;
    assert_eq!(case.read(late).await.expect("is hot").status.state, State::Scheduled);
    case.does(gone, with(priority(5), T0), T0).await;
    case.does(gone, cancel, T0).await;
    assert_eq!(case.claim(T0, &["q"], &["k"], 9).await, [urgent, first]);
    let now = NewValues { run_at: Some(None), ..NewValues::default() };
    case.does(late, with(now, T0 + 1), T0 + 1).await;
    assert_eq!(case.claim(T0 + 1, &["q"], &["k"], 9).await, [late]);
    assert_eq!(case.claim(T0 + 99, &["q"], &["k"], 9).await, [], "each once");
}

fn other_payload() -> NewValues {
    NewValues {
        payload: Some("other".into()),
        labels: Some(vec![("shop".into(), "42".into())]),
        ..NewValues::default()
    }
}

pub(super) async fn a_claim_gets_the_new_payload(mut case: Case) {
    case.session(1).await;
    let job = make::job("q", "k", T0, 1);
    case.must(T0, vec![make::create(&job)]).await;
    let from = *case.store.head().borrow();
    case.does(job.id, with(other_payload(), T0), T0).await;
    let read = case.read(job.id).await.expect("is hot");
    assert_eq!((&*read.spec.payload, read.spec.labels.len()), (&b"other"[..], 1));
    let tail = case.store.tail(from, 9).await.expect("the store answers");
    let JournalPage::Entries(entries) = tail else { panic!("{tail:?}") };
    assert_eq!(entries[0].jobs[0].new, Some(codec::encode_spec(&read.spec)), "the journal has it");
    let claim = make::claim(make::session(1), &["q"], &["k"], 9);
    let call = case.writer.call(T0).claim(claim).done();
    let claimed = case.commit(call).await.claimed.remove(0);
    assert_eq!(claimed[0].spec, read.spec);
}

pub(super) async fn kept_over_a_reopen(mut case: Case) {
    if !case.harness.can_reopen() {
        return;
    }
    let job = make::job("q", "k", T0, 1);
    case.must(T0, vec![make::create(&job)]).await;
    case.does(job.id, with(other_payload(), T0), T0).await;
    let before = case.read(job.id).await;
    drop(case.store);
    let (now, sessions_expire_at) = (T0 + 5, T0 + 50);
    let restart = Restart { now, sessions_expire_at, ..Restart::default() };
    case.harness.reopen(restart).await;
    case.store = case.harness.store();
    assert_eq!(case.read(job.id).await, before);
}

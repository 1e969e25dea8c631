//! Updates of jobs that have not started.

use std::sync::Arc;

use sentinel_domain::limits::PAYLOAD_MAX_BYTES;
use sentinel_domain::{Command, Job, Millis, SpecUpdate, State};

use super::{Case, T0, cancel};
use crate::conformance::{ReopenState, fixture};
use crate::{JournalPage, codec};

fn with(update: SpecUpdate, now: Millis) -> impl FnOnce(&Job) -> Command {
    move |job| {
        let spec = update.apply(&job.spec, "spec", now, PAYLOAD_MAX_BYTES);
        Command::Update { spec: Arc::new(spec.expect("the update is valid")) }
    }
}

fn priority(priority: u32) -> SpecUpdate {
    SpecUpdate { priority: Some(priority), ..SpecUpdate::default() }
}

pub(super) async fn updated_jobs_are_reordered(mut case: Case) {
    case.put_session(1).await;
    let jobs = [1, 2, 3, 4].map(|n| fixture::job("q", "k", T0, n));
    case.must_apply(T0, jobs.iter().map(fixture::create).collect()).await;
    let [first, urgent, late, cancelled] = jobs.each_ref().map(|job| job.id);
    case.execute(urgent, with(priority(9), T0), T0).await;
    let later = SpecUpdate { run_at: Some(Some(T0 + 50)), ..SpecUpdate::default() };
    case.execute(late, with(later, T0), T0).await;
    assert_eq!(case.read(late).await.expect("the job is stored").status.state, State::Scheduled);
    case.execute(cancelled, with(priority(5), T0), T0).await;
    case.execute(cancelled, cancel, T0).await;
    assert_eq!(case.claim(T0, &["q"], &["k"], 9).await, [urgent, first]);
    let now = SpecUpdate { run_at: Some(None), ..SpecUpdate::default() };
    case.execute(late, with(now, T0 + 1), T0 + 1).await;
    assert_eq!(case.claim(T0 + 1, &["q"], &["k"], 9).await, [late]);
    assert_eq!(case.claim(T0 + 99, &["q"], &["k"], 9).await, [], "each job is claimed once");
}

fn other_payload() -> SpecUpdate {
    SpecUpdate {
        payload: Some("other".into()),
        labels: Some(vec![("shop".into(), "42".into())]),
        ..SpecUpdate::default()
    }
}

pub(super) async fn a_claim_returns_the_updated_payload(mut case: Case) {
    case.put_session(1).await;
    let job = fixture::job("q", "k", T0, 1);
    case.must_apply(T0, vec![fixture::create(&job)]).await;
    let from = *case.store.head().borrow();
    case.execute(job.id, with(other_payload(), T0), T0).await;
    let read = case.read(job.id).await.expect("the job is stored");
    assert_eq!((&*read.spec.payload, read.spec.labels.len()), (&b"other"[..], 1));
    let page = case.store.read_journal(from, 9).await.expect("the store answers");
    let JournalPage::Entries(entries) = page else { panic!("{page:?}") };
    assert_eq!(
        entries[0].jobs[0].encoded_spec,
        Some(codec::encode_spec(&read.spec)),
        "the journal has the new spec"
    );
    let claim = fixture::claim(fixture::session(1), &["q"], &["k"], 9);
    let request = case.writer.request(T0).claim(claim).build();
    let claimed = case.commit(request).await.claimed.remove(0);
    assert_eq!(claimed[0].spec, read.spec);
}

pub(super) async fn an_update_survives_a_reopen(mut case: Case) {
    if !case.harness.can_reopen() {
        return;
    }
    let job = fixture::job("q", "k", T0, 1);
    case.must_apply(T0, vec![fixture::create(&job)]).await;
    case.execute(job.id, with(other_payload(), T0), T0).await;
    let before = case.read(job.id).await;
    drop(case.store);
    let (now, sessions_expire_at) = (T0 + 5, T0 + 50);
    let restart = ReopenState { now, sessions_expire_at, ..ReopenState::default() };
    case.harness.reopen(restart).await;
    case.store = case.harness.store();
    assert_eq!(case.read(job.id).await, before);
}

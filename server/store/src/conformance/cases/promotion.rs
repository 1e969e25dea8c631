//! Promotion of SCHEDULED jobs that are due.

use sentinel_domain::{NewJob, State};

use super::{Case, T0};
use crate::conformance::fixture;

pub(super) async fn due_jobs_are_promoted_in_order_up_to_the_limit(mut case: Case) {
    let after = |delay, n| {
        let edit = |new: &mut NewJob| new.delay_ms = Some(delay);
        fixture::job_from_spec(fixture::spec("q", "k", T0, edit), T0, n)
    };
    let jobs = [after(30, 1), after(10, 2), after(20, 3), after(40, 4)];
    case.must_apply(T0, jobs.iter().map(fixture::create).collect()).await;
    let request = case.writer.request(T0 + 9).promote(9).build();
    let early = case.commit(request).await;
    assert_eq!((early.ready, early.next_due_at), (vec![], Some(T0 + 10)));
    let request = case.writer.request(T0 + 30).promote(2).build();
    let some = case.commit(request).await;
    assert_eq!(some.ready, [("q".into(), "k".into())]);
    assert_eq!(some.next_due_at, Some(T0 + 30), "another job is due");
    let mut states = Vec::new();
    for job in &jobs {
        states.push(case.read(job.id).await.expect("the job is stored").status.state);
    }
    let (ready, scheduled) = (State::Ready, State::Scheduled);
    assert_eq!(states, [scheduled, ready, ready, scheduled]);
    let request = case.writer.request(T0 + 30).promote(9).build();
    let rest = case.commit(request).await;
    assert_eq!(rest.next_due_at, Some(T0 + 40));
}

//! SCHEDULED jobs whose time has come.

use sentinel_domain::{NewJob, State};

use super::{Case, T0};
use crate::conformance::make;

pub(super) async fn in_order_and_bounded(mut case: Case) {
    let after = |delay, n| {
        let set = |new: &mut NewJob| new.delay_ms = Some(delay);
        make::job_with(make::spec("q", "k", T0, set), T0, n)
    };
    let jobs = [after(30, 1), after(10, 2), after(20, 3), after(40, 4)];
    case.must(T0, jobs.iter().map(make::create).collect()).await;
    let call = case.writer.call(T0 + 9).promote(9).done();
    let early = case.commit(call).await;
    assert_eq!((early.ready, early.wake_at), (vec![], Some(T0 + 10)));
    let call = case.writer.call(T0 + 30).promote(2).done();
    let some = case.commit(call).await;
    assert_eq!(some.ready, [("q".into(), "k".into())]);
    assert_eq!(some.wake_at, Some(T0 + 30), "more is due");
    let mut states = Vec::new();
    for job in &jobs {
        states.push(case.read(job.id).await.expect("is hot").status.state);
    }
    let (ready, scheduled) = (State::Ready, State::Scheduled);
    assert_eq!(states, [scheduled, ready, ready, scheduled]);
    let call = case.writer.call(T0 + 30).promote(9).done();
    let rest = case.commit(call).await;
    assert_eq!(rest.wake_at, Some(T0 + 40));
}

//! Jobs that wait for others, also for such as end at the same moment.

use sentinel_domain::{Reason, State};
use sentinel_engine::session::ReportVerdict;

use crate::house::{House, new_job};
use crate::worker::{Worker, crash, hello, success};

#[tokio::test]
async fn a_child_waits_for_its_parents() {
    let house = House::new().await;
    let (good, bad) = (house.enqueue(|_| ()).await, house.enqueue(|_| ()).await);
    let after = |id: String| move |new: &mut sentinel_domain::NewJob| new.depends_on = vec![id];
    let child = house.enqueue(after(good.id.to_string())).await;
    let spoiled = house.enqueue(after(bad.id.to_string())).await;
    assert_eq!(child.status.state, State::Blocked);
    let mut worker = Worker::join(&house.engine, hello(2)).await;
    let jobs = worker.assigned(2).await;
    let report = |job| if job == good.id { success } else { |j: &_| crash(j, false) };
    let items = jobs.iter().map(|job| report(job.id)(job)).collect();
    assert_eq!(worker.report(items).await, [ReportVerdict::Recorded; 2]);
    house.until_state(child.id, State::Ready).await;
    let spoiled = house.until_state(spoiled.id, State::Cancelled).await;
    assert_eq!(spoiled.status.reason, Reason::DependencyFailed);
    worker.bye().await;
    house.close().await;
}

#[tokio::test]
async fn children_of_parents_that_end_meanwhile_never_wait_for_ever() {
    let house = House::new().await;
    let mut worker = Worker::join(&house.engine, hello(0)).await;
    for _ in 0..30 {
        let parent = house.enqueue(|_| ()).await;
        worker.credit(1).await;
        let jobs = worker.assigned(1).await;
        let new = new_job(|new| new.depends_on = vec![parent.id.to_string()]);
        let child = house.engine.enqueue(new, "", None);
        let (child, verdicts) = tokio::join!(child, worker.report(vec![success(&jobs[0])]));
        assert_eq!(verdicts, [ReportVerdict::Recorded]);
        let child = child.expect("is taken").job;
        house.until_state(child.id, State::Ready).await;
        house.engine.cancel(child.id, "", "").await.expect("cancels");
    }
    worker.bye().await;
    house.close().await;
}

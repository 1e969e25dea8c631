//! Dependencies, also on jobs that finish at the same moment.

use sentinel_domain::{Reason, State};
use sentinel_engine::Submitter;
use sentinel_engine::session::ReportVerdict;

use crate::harness::{TestEngine, new_job};
use crate::worker::{ScriptedWorker, failed_report, hello, succeeded_report};

#[tokio::test]
async fn a_dependent_waits_for_its_parent() {
    let test = TestEngine::start().await;
    let (succeeding, failing) = (test.enqueue(|_| ()).await, test.enqueue(|_| ()).await);
    let after = |id: String| move |new: &mut sentinel_domain::NewJob| new.depends_on = vec![id];
    let dependent = test.enqueue(after(succeeding.id.to_string())).await;
    let cancelled = test.enqueue(after(failing.id.to_string())).await;
    assert_eq!(dependent.status.state, State::Blocked);
    let mut worker = ScriptedWorker::join(&test.engine, hello(2)).await;
    let jobs = worker.accept_jobs(2).await;
    let report =
        |job| if job == succeeding.id { succeeded_report } else { |j: &_| failed_report(j, false) };
    let items = jobs.iter().map(|job| report(job.id)(job)).collect();
    assert_eq!(worker.report(items).await, [ReportVerdict::Recorded; 2]);
    test.wait_state(dependent.id, State::Ready).await;
    let cancelled = test.wait_state(cancelled.id, State::Cancelled).await;
    assert_eq!(cancelled.status.reason, Reason::DependencyFailed);
    worker.bye().await;
    test.close().await;
}

#[tokio::test]
async fn a_dependent_enqueued_while_its_parent_finishes_becomes_ready() {
    let test = TestEngine::start().await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(0)).await;
    for _ in 0..30 {
        let parent = test.enqueue(|_| ()).await;
        worker.credit(1).await;
        let jobs = worker.accept_jobs(1).await;
        let new = new_job(|new| new.depends_on = vec![parent.id.to_string()]);
        let dependent = test.engine.jobs().enqueue(new, Submitter::unrestricted(""), None);
        let (dependent, verdicts) =
            tokio::join!(dependent, worker.report(vec![succeeded_report(&jobs[0])]));
        assert_eq!(verdicts, [ReportVerdict::Recorded]);
        let dependent = dependent.expect("the engine accepts it").job;
        test.wait_state(dependent.id, State::Ready).await;
        test.engine.jobs().cancel(dependent.id, "", "").await.expect("cancel the job");
    }
    worker.bye().await;
    test.close().await;
}

#[tokio::test]
async fn a_job_with_many_dependencies_becomes_ready_when_the_last_one_ends() {
    let test = TestEngine::start().await;
    let mut parents = Vec::new();
    for _ in 0..100 {
        parents.push(test.enqueue(|_| ()).await.id.to_string());
    }
    let dependent = test.enqueue(|new| new.depends_on = parents).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(100)).await;
    let jobs = worker.accept_jobs(100).await;
    let reports = jobs.iter().map(|job| succeeded_report(job)).collect();
    assert_eq!(worker.report(reports).await, [ReportVerdict::Recorded; 100]);
    let last_end = test.job(jobs[99].id).await.status.finished_at.expect("an end");
    let ready = test.wait_state(dependent.id, State::Ready).await;
    // One dependency per sweep would take more than 8 s.
    let waited_ms = ready.status.ready_at - last_end;
    assert!(waited_ms < 4_000, "{waited_ms} ms");
    assert_eq!(ready.status.version, 101, "each dependency is a state change");
    worker.bye().await;
    test.close().await;
}

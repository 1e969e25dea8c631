//! The list of workers, and draining workers.

use sentinel_domain::WorkerId;
use sentinel_engine::session::{FromWorker, ReportVerdict, StreamEnd, ToWorker};
use sentinel_engine::{Engine, EngineError, WorkerEntry};

use crate::harness::{TestEngine, wait_until};
use crate::worker::{ScriptedWorker, hello, resume_hello, succeeded_report};

/// Returns the only worker of the list.
pub(crate) async fn only_worker(engine: &Engine) -> WorkerEntry {
    let page = engine.workers().list(None, 9).await.expect("a response");
    let [worker] = <[_; 1]>::try_from(page.workers).expect("one worker");
    worker
}

async fn assert_not_assigned(worker: &mut ScriptedWorker, test: &TestEngine) {
    test.enqueue(|_| ()).await;
    worker.credit(5).await;
    worker.ping().await;
    assert!(!matches!(worker.try_next().await, Some(ToWorker::Assign { .. })));
}

#[tokio::test]
async fn a_drained_worker_finishes_its_job_and_gets_no_other() {
    let test = TestEngine::start().await;
    let engine = &test.engine;
    test.enqueue(|_| ()).await;
    let mut worker = ScriptedWorker::join(engine, hello(9)).await;
    let jobs = worker.accept_jobs(1).await;
    let listed = only_worker(engine).await;
    assert_eq!((listed.is_draining, listed.running, listed.info.slots), (false, 1, 9));
    assert_eq!(engine.sessions().load(), (1, 8));
    assert!(engine.workers().drain(listed.id).await.expect("a connected worker").is_draining);
    assert!(
        engine.workers().drain(listed.id).await.expect("a connected worker").is_draining,
        "drain is idempotent"
    );
    wait_until("the credit of the worker is zero", || async {
        (engine.sessions().load().1 == 0).then_some(())
    })
    .await;
    assert_not_assigned(&mut worker, &test).await;
    assert_eq!(worker.report(vec![succeeded_report(&jobs[0])]).await, [ReportVerdict::Recorded]);
    // Resumes the session over a second stream before the first one ends.
    let before = worker.welcome.clone();
    let mut again = ScriptedWorker::join(engine, {
        let mut hello = resume_hello(&before, &[]);
        hello.credit_jobs = 4;
        hello
    })
    .await;
    assert_eq!(worker.closed().await, StreamEnd::Superseded);
    wait_until("the list shows the new stream", || async {
        let entry = only_worker(engine).await;
        assert_eq!(
            (entry.id, entry.is_draining, entry.info.since),
            (listed.id, true, listed.info.since)
        );
        (entry.info.slots == 4).then_some(())
    })
    .await;
    assert_eq!(engine.sessions().load(), (1, 0), "the new stream is draining from the start");
    assert_not_assigned(&mut again, &test).await;
    again.bye().await;
    assert!(engine.workers().list(None, 9).await.expect("a response").workers.is_empty());
    let gone = engine.workers().drain(listed.id).await;
    assert!(matches!(gone, Err(EngineError::WorkerNotFound(id)) if id == listed.id), "{gone:?}");
    // Another session gets another id, which is not its secret session id.
    let other = ScriptedWorker::join(engine, hello(2)).await;
    let fresh = only_worker(engine).await;
    assert!(fresh.id != listed.id && !fresh.is_draining);
    let session = other.welcome.session;
    assert_ne!(fresh.id, WorkerId::from_u128(session.as_u128()), "the session id must stay secret");
    other.bye().await;
    test.close().await;
}

#[tokio::test]
async fn a_worker_that_drains_itself_is_listed_as_draining() {
    let test = TestEngine::start().await;
    let worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    assert!(!only_worker(&test.engine).await.is_draining);
    worker.send(FromWorker::Drain).await;
    wait_until("the worker is listed as draining", || async {
        only_worker(&test.engine).await.is_draining.then_some(())
    })
    .await;
    // On a new stream it may take jobs again, because nobody else has drained it.
    let before = worker.welcome.clone();
    test.enqueue(|_| ()).await;
    let mut again = ScriptedWorker::resume(&test.engine, &before, &[]).await;
    assert_eq!(worker.closed().await, StreamEnd::Superseded);
    again.credit(1).await;
    again.accept_jobs(1).await;
    wait_until("the worker is not draining", || async {
        (!only_worker(&test.engine).await.is_draining).then_some(())
    })
    .await;
    again.disconnect().await;
    test.close().await;
}

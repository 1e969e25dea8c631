//! What is known of workers, and workers that are to get no more jobs.

use sentinel_domain::WorkerId;
use sentinel_engine::session::{Ended, FromWorker, ReportVerdict, ToWorker};
use sentinel_engine::{Engine, EngineError, WorkerCard};

use crate::house::{House, eventually};
use crate::worker::{Worker, hello, hello_again, success};

pub(crate) async fn only(engine: &Engine) -> WorkerCard {
    let page = engine.list_workers(None, 9).await.expect("answers");
    let [worker] = <[_; 1]>::try_from(page.workers).expect("one worker");
    worker
}

async fn is_idle_and_gets_nothing(worker: &mut Worker, house: &House) {
    house.enqueue(|_| ()).await;
    worker.credit(5).await;
    worker.pong().await;
    assert!(!matches!(worker.poll().await, Some(ToWorker::Assign { .. })));
}

#[tokio::test]
async fn a_drained_worker_ends_what_it_runs_and_gets_nothing_else() {
    let house = House::new().await;
    let engine = &house.engine;
    house.enqueue(|_| ()).await;
    let mut worker = Worker::join(engine, hello(9)).await;
    let jobs = worker.assigned(1).await;
    let its = only(engine).await;
    assert_eq!((its.is_draining, its.running, its.about.slots), (false, 1, 9));
    assert_eq!(engine.sessions(), (1, 8));
    assert!(engine.drain_worker(its.id).await.expect("is there").is_draining);
    assert!(engine.drain_worker(its.id).await.expect("is there").is_draining, "safe to repeat");
    eventually("its credits are gone", || async { (engine.sessions().1 == 0).then_some(()) }).await;
    is_idle_and_gets_nothing(&mut worker, &house).await;
    assert_eq!(worker.report(vec![success(&jobs[0])]).await, [ReportVerdict::Recorded]);
    // It takes its place over, so that its session never ends in between.
    let before = worker.welcome.clone();
    let mut again = Worker::join(engine, {
        let mut hello = hello_again(&before, &[]);
        hello.credit_jobs = 4;
        hello
    })
    .await;
    assert_eq!(worker.ended().await, Ended::Superseded);
    eventually("its card is new", || async {
        let now = only(engine).await;
        assert_eq!((now.id, now.is_draining, now.about.since), (its.id, true, its.about.since));
        (now.about.slots == 4).then_some(())
    })
    .await;
    assert_eq!(engine.sessions(), (1, 0), "drained from the start");
    is_idle_and_gets_nothing(&mut again, &house).await;
    again.bye().await;
    assert!(engine.list_workers(None, 9).await.expect("answers").workers.is_empty());
    let gone = engine.drain_worker(its.id).await;
    assert!(matches!(gone, Err(EngineError::WorkerNotFound(id)) if id == its.id), "{gone:?}");
    // Its name is not that of another session.
    let other = Worker::join(engine, hello(2)).await;
    let fresh = only(engine).await;
    assert!(fresh.id != its.id && !fresh.is_draining);
    let session = other.welcome.session;
    assert_ne!(fresh.id, WorkerId::from_u128(session.as_u128()), "the session is a secret");
    other.bye().await;
    house.close().await;
}

#[tokio::test]
async fn a_worker_that_asks_for_no_more_is_shown_so() {
    let house = House::new().await;
    let worker = Worker::join(&house.engine, hello(1)).await;
    assert!(!only(&house.engine).await.is_draining);
    worker.send(FromWorker::Drain).await;
    eventually("it is shown", || async { only(&house.engine).await.is_draining.then_some(()) })
        .await;
    // On a new stream it may take jobs again: nobody else has drained it.
    let before = worker.welcome.clone();
    house.enqueue(|_| ()).await;
    let mut again = Worker::rejoin(&house.engine, &before, &[]).await;
    assert_eq!(worker.ended().await, Ended::Superseded);
    again.credit(1).await;
    again.assigned(1).await;
    eventually("it is open", || async { (!only(&house.engine).await.is_draining).then_some(()) })
        .await;
    again.eof().await;
    house.close().await;
}

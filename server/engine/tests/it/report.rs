//! Verdicts on reports, also when the store is slow of speech.

use sentinel_domain::{Progress, State};
use sentinel_engine::EngineError;
use sentinel_engine::session::{FromWorker, ReportVerdict};
use sentinel_store::StoreError;
use sentinel_store::fault::Fault;

use crate::house::{House, eventually, new_job};
use crate::worker::{Worker, crash, held, hello, success};

#[tokio::test]
async fn recorded_duplicate_and_fenced() {
    let house = House::new().await;
    house.enqueue(|_| ()).await;
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    let jobs = worker.assigned(1).await;
    let mut stale = success(&jobs[0]);
    stale.held.lease.epoch += 1;
    let sentinel_domain::Command::Succeed { lease, .. } = &mut stale.command else { panic!() };
    lease.epoch += 1;
    let reports = vec![stale, success(&jobs[0]), success(&jobs[0])];
    let verdicts = worker.report(reports).await;
    use ReportVerdict::{Duplicate, Fenced, Recorded};
    assert_eq!(verdicts, [Fenced, Recorded, Duplicate]);
    assert_eq!(worker.report(vec![success(&jobs[0])]).await, [Duplicate]);
    worker.bye().await;
    house.close().await;
}

#[tokio::test]
async fn a_lost_reply_is_asked_for_again() {
    let house = House::new().await;
    house.store.commits.once(&[Fault::LostReply; 3]);
    let job = house.enqueue(|_| ()).await;
    house.store.commits.once(&[Fault::LostReply; 2]);
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    let jobs = worker.assigned(1).await;
    assert_eq!((jobs[0].id, jobs[0].status.epoch), (job.id, 1));
    house.store.commits.once(&[Fault::LostReply]);
    assert_eq!(worker.report(vec![success(&jobs[0])]).await, [ReportVerdict::Recorded]);
    assert_eq!(house.job(job.id).await.status.version, 3);
    worker.bye().await;
    house.close().await;
}

#[tokio::test]
async fn a_store_that_is_away_says_nothing_about_the_tries_before() {
    let house = House::new().await;
    let job = house.enqueue(|_| ()).await;
    let mut worker = Worker::join(&house.engine, hello(0)).await;
    house.store.commits.once(&[Fault::LostReply, Fault::Unavailable]);
    worker.credit(1).await;
    let jobs = worker.assigned(1).await;
    assert_eq!((jobs[0].id, jobs[0].status.epoch), (job.id, 1), "claimed once");
    worker.bye().await;
    house.close().await;
}

#[tokio::test]
async fn a_claim_of_a_call_that_was_given_up_by_its_askers_still_arrives() {
    let house = House::new().await;
    let job = house.enqueue(|_| ()).await;
    let mut worker = Worker::join(&house.engine, hello(0)).await;
    house.store.commits.always(Some(Fault::LostReply));
    worker.credit(1).await;
    // More repeats than anybody waits for.
    eventually("the call was repeated often", async || (house.store.met() > 9).then_some(())).await;
    house.store.commits.always(None);
    let jobs = worker.assigned(1).await;
    assert_eq!((jobs[0].id, jobs[0].status.epoch), (job.id, 1), "claimed once");
    assert_eq!(worker.report(vec![success(&jobs[0])]).await, [ReportVerdict::Recorded]);
    worker.bye().await;
    house.close().await;
}

#[tokio::test]
async fn a_store_that_is_away_costs_neither_the_report_nor_the_progress() {
    let house = House::new().await;
    let job = house.enqueue(|_| ()).await;
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    let jobs = worker.assigned(1).await;
    house.store.commits.always(Some(Fault::Unavailable));
    let progress = Progress { seq: 5, done: 3, total: 4, message: "nearly".into() };
    worker.send(FromWorker::Progress(vec![(held(&jobs[0]), progress.clone())])).await;
    assert_eq!(worker.report(vec![success(&jobs[0])]).await, [ReportVerdict::RetryLater]);
    house.store.commits.always(None);
    assert_eq!(worker.report(vec![success(&jobs[0])]).await, [ReportVerdict::Recorded]);
    assert_eq!(house.job(job.id).await.status.progress.as_deref(), Some(&progress));
    house.enqueue(|_| ()).await;
    worker.credit(1).await;
    worker.assigned(1).await;
    worker.bye().await;
    house.close().await;
}

#[tokio::test]
async fn sessions_ask_again_after_a_failed_call_also_under_load() {
    let house = House::new().await;
    house.enqueue(|_| ()).await;
    let mut worker = Worker::join(&house.engine, hello(0)).await;
    house.store.commits.once(&[Fault::Unavailable]);
    worker.credit(1).await;
    let engine = house.engine.clone();
    // Submissions that never pause for as long as the loop would idle.
    let load = tokio::spawn(async move {
        loop {
            let other = new_job(|new| new.kind = "other".into());
            engine.enqueue(other, "test", None).await.expect("is taken");
        }
    });
    worker.assigned(1).await;
    load.abort();
    worker.bye().await;
    house.close().await;
}

#[tokio::test]
async fn a_full_store_takes_reports_and_cancels() {
    let house = House::new().await;
    let job = house.enqueue(|_| ()).await;
    let waiting = house.enqueue(|new| new.kind = "other".into()).await;
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    let jobs = worker.assigned(1).await;
    house.store.commits.always(Some(Fault::Full));
    for _ in 0..20 {
        let refused = house.engine.enqueue(new_job(|_| ()), "test", None);
        let cancelled = house.engine.cancel(waiting.id, "", "");
        let reported = worker.report(vec![crash(&jobs[0], false)]);
        let (refused, cancelled, verdicts) = tokio::join!(refused, cancelled, reported);
        assert!(matches!(refused, Err(EngineError::Store(StoreError::Full(_)))), "{refused:?}");
        cancelled.expect("a cancel passes");
        assert_ne!(verdicts, [ReportVerdict::RetryLater]);
    }
    assert_eq!(house.job(job.id).await.status.state, State::Failed);
    house.store.commits.always(None);
    house.enqueue(|_| ()).await;
    worker.bye().await;
    house.close().await;
}

//! Levels of acknowledgement: what is told is as safe as it was asked to be.

use sentinel_domain::{Ack, JobId, QueueMode, State};
use sentinel_engine::session::{ReportItem, ReportVerdict, ToWorker};
use sentinel_engine::{EngineError, RequestKey};

use crate::house::{House, eventually, new_job};
use crate::worker::{Worker, hello, success};

/// Longer than any call takes that does not wait for the ledger.
const SLOW_MS: u64 = 300;

async fn slow(ack: Ack) -> House {
    House::with(|settings| {
        settings.project_linger_ms = SLOW_MS;
        settings.ack = ack;
    })
    .await
}

/// The state that the ledger knows.
async fn recorded(house: &House, id: JobId) -> Option<State> {
    let found = house.ledger.get(vec![id]).await.expect("answers").pop().flatten();
    found.map(|job| job.status.state)
}

#[tokio::test]
async fn at_the_level_of_the_ledger_it_has_what_was_acknowledged() {
    let house = slow(Ack::Ledger).await;
    let job = house.enqueue(|_| ()).await;
    assert_eq!(recorded(&house, job.id).await, Some(State::Ready));
    let items = vec![new_job(|_| ()), new_job(|_| ())];
    for item in house.engine.enqueue_batch(items, true, "test", None).await.expect("is taken") {
        let (job, _) = item.expect("an item");
        assert_eq!(recorded(&house, job.id).await, Some(State::Ready));
        house.engine.cancel(job.id, "", "test").await.expect("is cancelled");
        assert_eq!(recorded(&house, job.id).await, Some(State::Cancelled));
    }
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    let jobs = worker.assigned(1).await;
    assert_eq!(worker.report(vec![success(&jobs[0])]).await, [ReportVerdict::Recorded]);
    assert_eq!(recorded(&house, job.id).await, Some(State::Succeeded));
    house.engine.retry(job.id, None).await.expect("runs again");
    assert_ne!(recorded(&house, job.id).await, Some(State::Succeeded));
    house.close().await;
}

#[tokio::test]
async fn a_job_says_its_own_level() {
    let house = slow(Ack::Store).await;
    let hot = house.enqueue(|_| ()).await;
    let safe = house.enqueue(|new| new.ack = Some(Ack::Ledger)).await;
    assert_eq!(recorded(&house, safe.id).await, Some(State::Ready));
    // What came before is as safe by then.
    assert_eq!(recorded(&house, hot.id).await, Some(State::Ready));
    house.engine.cancel(safe.id, "", "test").await.expect("is cancelled");
    assert_eq!(recorded(&house, safe.id).await, Some(State::Cancelled));
    let error = house.engine.enqueue(new_job(|new| new.ack = Some(Ack::Replicated)), "", None);
    let error = error.await.expect_err("there are no replicas");
    assert!(matches!(&error, EngineError::Invalid(v) if v[0].field == "spec.ack"), "{error}");
    house.close().await;
}

#[tokio::test]
async fn what_is_not_safe_in_time_is_told_so_and_a_repeat_waits_again() {
    let house = House::with(|settings| {
        settings.project_linger_ms = 2_000;
        settings.ledger_ack_ms = 20;
        settings.ack = Ack::Ledger;
    })
    .await;
    let enqueue = async || {
        let request = RequestKey { id: "one".into(), content_hash: 1 };
        house.engine.enqueue(new_job(|_| ()), "test", Some(request)).await
    };
    // The queue of the job is a change as well, so the first ones may be about that.
    let mut refused = 0;
    let enqueued = eventually("the ledger has it", async || match enqueue().await {
        Ok(enqueued) => Some(enqueued),
        Err(EngineError::NotYetSafe { level: Ack::Ledger, .. }) => {
            refused += 1;
            None
        }
        Err(error) => panic!("{error}"),
    })
    .await;
    assert!(refused > 0 && enqueued.deduplicated, "the job was there before it was safe");
    let id = enqueued.job.id;
    assert_eq!(recorded(&house, id).await, Some(State::Ready));
    // Without a request id: the state of the job tells.
    let mut refused = 0;
    eventually("the ledger has the cancel", async || {
        match house.engine.cancel(id, "", "test").await {
            Ok(_) => Some(()),
            Err(EngineError::NotYetSafe { .. }) => {
                refused += 1;
                None
            }
            Err(error) => panic!("{error}"),
        }
    })
    .await;
    assert!(refused > 0);
    assert_eq!(recorded(&house, id).await, Some(State::Cancelled));
    house.close().await;
}

#[tokio::test]
async fn a_report_is_repeated_until_it_is_safe() {
    let house = House::with(|settings| {
        settings.project_linger_ms = 1_000;
        settings.ledger_ack_ms = 20;
    })
    .await;
    let job = house.enqueue(|_| ()).await;
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    let jobs = worker.assigned(1).await;
    assert_eq!(jobs[0].id, job.id);
    assert_eq!(
        worker.report(vec![success(&jobs[0])]).await,
        [ReportVerdict::Recorded],
        "hot waits for nothing"
    );

    let mut safe = new_job(|new| new.ack = Some(Ack::Ledger));
    safe.queue = "q".into();
    let _ = house.engine.enqueue(safe, "test", None).await;
    worker.credit(1).await;
    let jobs = worker.assigned(1).await;
    let item: ReportItem = success(&jobs[0]);
    let mut verdicts = Vec::new();
    eventually("the report is safe", async || {
        verdicts.extend(worker.report(vec![item.clone()]).await);
        let last = *verdicts.last().expect("one came");
        (last != ReportVerdict::RetryLater).then_some(())
    })
    .await;
    assert_eq!(verdicts[0], ReportVerdict::RetryLater, "{verdicts:?}");
    assert_eq!(verdicts.last(), Some(&ReportVerdict::Duplicate), "{verdicts:?}");
    assert_eq!(recorded(&house, jobs[0].id).await, Some(State::Succeeded));
    house.close().await;
}

#[tokio::test]
async fn what_is_not_safe_yet_is_acted_on_all_the_same() {
    let house = House::with(|settings| {
        settings.project_linger_ms = 5_000;
        settings.ledger_ack_ms = 20;
    })
    .await;
    house.enqueue(|_| ()).await;
    let mut worker = Worker::join(&house.engine, hello(2)).await;
    worker.assigned(1).await;
    let safe = new_job(|new| new.ack = Some(Ack::Ledger));
    let told = house.engine.enqueue(safe, "test", None).await;
    assert!(matches!(told, Err(EngineError::NotYetSafe { .. })), "{told:?}");
    let running = worker.assigned(1).await[0].id;
    let told = house.engine.cancel(running, "", "test").await;
    assert!(matches!(told, Err(EngineError::NotYetSafe { .. })), "{told:?}");
    let cancels = worker.until("Cancel", |frame| match frame {
        ToWorker::Cancel(jobs) => Some(jobs),
        _ => None,
    });
    assert_eq!(cancels.await[0].id, running);
    worker.bye().await;
    house.close().await;
}

#[tokio::test]
async fn a_queue_is_at_once_what_its_change_made_of_it() {
    let house = House::with(|settings| {
        settings.project_linger_ms = 5_000;
        settings.ledger_ack_ms = 20;
        settings.ack = Ack::Ledger;
    })
    .await;
    let told = house.engine.enqueue(new_job(|_| ()), "test", None).await;
    assert!(matches!(told, Err(EngineError::NotYetSafe { .. })), "{told:?}");
    let told = house.engine.update_queue("q", |queue| queue.mode = QueueMode::Draining).await;
    assert!(matches!(told, Err(EngineError::NotYetSafe { .. })), "{told:?}");
    let queue = house.engine.get_queue("q").await.expect("a queue");
    assert_eq!(queue.mode, QueueMode::Draining);
    let refused = house.engine.enqueue(new_job(|_| ()), "test", None).await;
    assert!(matches!(refused, Err(EngineError::QueueDraining(_))), "{refused:?}");
    house.close().await;
}

//! The attempts of a job in pages, and many jobs at once.

use sentinel_domain::limits::BATCH_JOBS;
use sentinel_domain::{AttemptOutcome, JobId, NewJob};
use sentinel_engine::session::ReportVerdict;
use sentinel_engine::{CameOfIt, EngineError};

use crate::house::{House, eventually};
use crate::worker::{Worker, crash, hello, success};

/// What came of each attempt, newest first, in pages of a size.
async fn listed(house: &House, id: JobId, size: usize) -> Vec<(u32, u32, CameOfIt)> {
    let (mut found, mut below) = (Vec::new(), None);
    loop {
        let page = house.engine.list_attempts(id, below, size).await.expect("a page");
        assert!(page.attempts.len() <= size);
        found.extend(page.attempts.iter().map(|a| (a.run, a.attempt, a.came_of_it)));
        below = page.next;
        if below.is_none() {
            return found;
        }
    }
}

#[tokio::test]
async fn attempts_of_the_ledger_and_of_the_job_are_one_list() {
    let house = House::new().await;
    let job = house.enqueue(|new| new.max_attempts = 9).await;
    assert!(listed(&house, job.id, 1).await.is_empty(), "it has not begun");
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    for _ in 0..3 {
        let jobs = worker.assigned(1).await;
        assert_eq!(worker.report(vec![crash(&jobs[0], true)]).await, [ReportVerdict::Recorded]);
        worker.credit(1).await;
    }
    let jobs = worker.assigned(1).await;
    house.until_projected().await;
    let failed = CameOfIt::Ended(AttemptOutcome::Failed);
    let running = [(1, 4, CameOfIt::Running), (1, 3, failed), (1, 2, failed), (1, 1, failed)];
    for size in 1..6 {
        assert_eq!(listed(&house, job.id, size).await, running, "pages of {size}");
    }
    assert_eq!(worker.report(vec![success(&jobs[0])]).await, [ReportVerdict::Recorded]);
    let done = [(1, 4, CameOfIt::Succeeded), (1, 3, failed), (1, 2, failed), (1, 1, failed)];
    for size in 1..6 {
        assert_eq!(listed(&house, job.id, size).await, done, "pages of {size}");
    }
    worker.bye().await;
    house.engine.retry(job.id, None).await.expect("is final");
    assert_eq!(listed(&house, job.id, 9).await.len(), 3, "a success of an earlier run is not kept");
    let unknown = house.engine.list_attempts(JobId::from_u128(1), None, 5).await;
    assert!(matches!(unknown, Err(EngineError::JobNotFound(_))), "{unknown:?}");
    house.close().await;
}

#[tokio::test]
async fn an_attempt_is_listed_once_while_the_ledger_comes_behind() {
    let house = House::new().await;
    let job = house.enqueue(|new: &mut NewJob| new.max_attempts = 1_000).await;
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    for nth in 1..=20 {
        let jobs = worker.assigned(1).await;
        let found = listed(&house, job.id, 3).await;
        assert_eq!(found[0], (1, nth, CameOfIt::Running));
        assert!(found.windows(2).all(|pair| pair[0].1 > pair[1].1), "{found:?}");
        worker.report(vec![crash(&jobs[0], true)]).await;
        worker.credit(1).await;
    }
    eventually("all are there", async || {
        let found = listed(&house, job.id, 7).await;
        (found.iter().filter(|(.., how)| *how != CameOfIt::Running).count() == 20).then_some(())
    })
    .await;
    worker.bye().await;
    house.close().await;
}

#[tokio::test]
async fn many_jobs_are_found_wherever_they_are() {
    let house = House::new().await;
    let ended = house.enqueue(|_| ()).await;
    house.engine.cancel(ended.id, "", "").await.expect("answers");
    house.until_projected().await;
    house.advance(3_600_000);
    eventually("it is in the ledger alone", async || {
        let hot = sentinel_store::Store::read(house.store.as_ref(), vec![ended.id]).await;
        hot.expect("answers")[0].is_none().then_some(())
    })
    .await;
    let live = house.enqueue(|_| ()).await;
    let missing = JobId::from_u128(7);
    let ids = [live.id, missing, ended.id, live.id];
    let found = house.engine.batch_get(&ids, true).await.expect("answers");
    let found: Vec<_> = found.iter().map(|job| job.as_ref().map(|job| job.id)).collect();
    assert_eq!(found, [Some(live.id), None, Some(ended.id), Some(live.id)]);
    for count in [0, BATCH_JOBS as usize + 1] {
        let refused = house.engine.batch_get(&vec![live.id; count], false).await;
        assert!(matches!(refused, Err(EngineError::Invalid(_))), "{count}");
    }
    house.close().await;
}

#[tokio::test]
async fn an_answer_carries_as_many_jobs_as_fit_into_a_message() {
    let house = House::new().await;
    let large = house.enqueue(|new| new.payload = vec![b'x'; 1 << 20].into()).await;
    let ids = vec![large.id; 30];
    let full = house.engine.batch_get(&ids, true).await.expect("answers");
    assert_eq!(full.len(), 12);
    let basic = house.engine.batch_get(&ids, false).await.expect("answers");
    assert_eq!(basic.len(), 30);
    house.close().await;
}

//! Sessions that end without a word: what is counted, and when the network is blamed.

use sentinel_domain::{JobId, Reason, State};
use sentinel_engine::session::{Ended, FromWorker, HeldVerdict, ReportVerdict, ToWorker};

use crate::house::{House, all_along};
use crate::worker::{Worker, hello, success};

#[tokio::test]
async fn a_crash_counts_and_the_job_runs_again() {
    let house = House::with(|s| s.lost_grace_ms = 50).await;
    let job = house.enqueue(|new| new.retry_base_ms = Some(1)).await;
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    let first = worker.assigned(1).await;
    worker.pong().await;
    assert_eq!(worker.eof().await, Ended::Eof);
    let mut other = Worker::join(&house.engine, hello(1)).await;
    let again = other.assigned(1).await;
    let status = &again[0].status;
    assert_eq!((again[0].id, status.attempt, status.crashes), (job.id, 2, 1));
    assert_eq!(other.report(vec![success(&first[0])]).await, [ReportVerdict::Fenced]);
    assert_eq!(other.report(vec![success(&again[0])]).await, [ReportVerdict::Recorded]);
    other.bye().await;
    house.close().await;
}

#[tokio::test]
async fn three_crashes_are_poison() {
    let house = House::with(|s| s.lost_grace_ms = 20).await;
    let set = |new: &mut sentinel_domain::NewJob| {
        new.retry_base_ms = Some(1);
        new.max_attempts = 10;
    };
    let job = house.enqueue(set).await;
    for _ in 0..3 {
        let mut worker = Worker::join(&house.engine, hello(1)).await;
        worker.assigned(1).await;
        worker.pong().await;
        worker.eof().await;
    }
    let job = house.until_state(job.id, State::Failed).await;
    assert_eq!(job.status.reason, Reason::Poisoned);
    house.close().await;
}

/// Three jobs, of which the first takes its worker down; who is to blame can not be seen.
async fn twice_lost(house: &House) -> Vec<JobId> {
    let set = |new: &mut sentinel_domain::NewJob| new.max_attempts = 10;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(house.enqueue(set).await.id);
    }
    for _ in 0..2 {
        let mut worker = Worker::join(&house.engine, hello(3)).await;
        worker.assigned(3).await;
        worker.pong().await;
        assert_eq!(worker.eof().await, Ended::Eof);
        for id in &ids {
            house.until_state(*id, State::Ready).await;
        }
    }
    ids
}

#[tokio::test]
async fn on_its_last_chance_a_job_runs_alone() {
    let house = House::with(|s| s.lost_grace_ms = 20).await;
    let ids = twice_lost(&house).await;
    // It takes itself down, and none of those that wait behind it.
    let mut worker = Worker::join(&house.engine, hello(4)).await;
    let alone = worker.assigned(1).await;
    assert!(ids.contains(&alone[0].id), "{alone:?}");
    house.enqueue(|_| ()).await;
    worker.pong().await;
    assert_eq!(worker.eof().await, Ended::Eof);
    let poison = house.until_state(alone[0].id, State::Failed).await;
    assert_eq!((alone.len(), poison.status.reason), (1, Reason::Poisoned));
    // The others one by one, each beside nothing else; so is what was never lost.
    let mut worker = Worker::join(&house.engine, hello(4)).await;
    let mut crashes = Vec::new();
    for _ in 0..3 {
        let alone = worker.assigned(1).await;
        assert_eq!(alone.len(), 1, "{alone:?}");
        crashes.push(alone[0].status.crashes);
        assert_eq!(worker.report(vec![success(&alone[0])]).await, [ReportVerdict::Recorded]);
    }
    crashes.sort_unstable();
    assert_eq!(crashes, [0, 2, 2]);
    worker.bye().await;
    house.close().await;
}

#[tokio::test]
async fn a_suspect_waits_for_the_jobs_beside_it() {
    let house = House::with(|s| s.lost_grace_ms = 20).await;
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    let long = house.enqueue(|_| ()).await;
    let running = worker.assigned(1).await;
    assert_eq!(running[0].id, long.id);
    let ids = twice_lost(&house).await;
    worker.credit(3).await;
    house.until_state(ids[0], State::Running).await;
    all_along(300, async || {
        let frame = worker.poll().await;
        assert!(!matches!(frame, Some(ToWorker::Assign { .. })), "{frame:?}");
    })
    .await;
    // A cancel finds it where it waits.
    house.engine.cancel(ids[0], "why", "me").await.expect("answers");
    house.until_state(ids[0], State::Cancelled).await;
    assert_eq!(worker.report(vec![success(&running[0])]).await, [ReportVerdict::Recorded]);
    for _ in &ids[1..] {
        let alone = worker.assigned(1).await;
        assert_eq!((alone.len(), alone[0].status.crashes), (1, 2));
        assert_eq!(worker.report(vec![success(&alone[0])]).await, [ReportVerdict::Recorded]);
    }
    worker.bye().await;
    house.close().await;
}

#[tokio::test]
async fn suspects_that_nobody_has_begun_go_back_when_their_worker_leaves() {
    let house = House::with(|s| s.lost_grace_ms = 20).await;
    let ids = twice_lost(&house).await;
    let mut worker = Worker::join(&house.engine, hello(3)).await;
    let alone = worker.assigned(1).await;
    worker.send(FromWorker::Drain).await;
    let last = worker.until("DrainAck", |frame| match frame {
        ToWorker::DrainAck { last_assign_seq } => Some(last_assign_seq),
        _ => None,
    });
    assert_eq!(last.await, 1, "nothing more was sent");
    for id in ids.iter().filter(|id| **id != alone[0].id) {
        let job = house.until_state(*id, State::Ready).await;
        assert_eq!((job.status.attempt, job.status.crashes), (2, 2));
    }
    assert_eq!(worker.report(vec![success(&alone[0])]).await, [ReportVerdict::Recorded]);
    worker.bye().await;
    house.close().await;
}

#[tokio::test]
async fn a_silent_worker_is_lost_after_its_ttl() {
    let house = House::with(|s| s.session_ttl_ms = 600).await;
    let job = house.enqueue(|new| new.retry_base_ms = Some(1)).await;
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    worker.assigned(1).await;
    assert_eq!(worker.ended().await, Ended::Silent);
    let job = house.until_state(job.id, State::Ready).await;
    assert_eq!((job.status.attempt, job.status.crashes), (1, 1));
    house.close().await;
}

#[tokio::test]
async fn streams_that_end_together_are_given_more_time() {
    let house = House::with(|s| s.lost_grace_ms = 300).await;
    let mut workers = Vec::new();
    for _ in 0..6 {
        house.enqueue(|_| ()).await;
        let mut worker = Worker::join(&house.engine, hello(1)).await;
        let jobs = worker.assigned(1).await;
        worker.pong().await;
        workers.push((worker, jobs));
    }
    let mut before = Vec::new();
    for (worker, jobs) in workers {
        before.push((worker.welcome.clone(), jobs));
        assert_eq!(worker.eof().await, Ended::Eof);
    }
    // Longer than the grace, shorter than the ttl.
    all_along(700, async || ()).await;
    for (welcome, jobs) in before {
        let mut again = Worker::rejoin(&house.engine, &welcome, &[&jobs[0]]).await;
        assert_eq!(again.verdicts(), [HeldVerdict::Keep]);
        assert_eq!(again.report(vec![success(&jobs[0])]).await, [ReportVerdict::Recorded]);
        again.bye().await;
    }
    house.close().await;
}

#[tokio::test]
async fn a_server_that_was_away_blames_nobody() {
    let house = House::new().await;
    let job = house.enqueue(|_| ()).await;
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    let jobs = worker.assigned(1).await;
    worker.pong().await;
    let before = worker.welcome.clone();
    worker.eof().await;
    house.advance(60_000);
    all_along(400, async || {
        assert_eq!(house.job(job.id).await.status.state, State::Running);
    })
    .await;
    let again = Worker::rejoin(&house.engine, &before, &[&jobs[0]]).await;
    assert_eq!(again.verdicts(), [HeldVerdict::Keep]);
    again.bye().await;
    house.close().await;
}

#[tokio::test]
async fn bye_gives_everything_back_at_once() {
    let house = House::new().await;
    let job = house.enqueue(|_| ()).await;
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    worker.assigned(1).await;
    assert_eq!(worker.bye().await, Ended::Bye);
    let job = house.job(job.id).await;
    assert_eq!((job.status.state, job.status.attempt), (State::Ready, 0));
    house.close().await;
}

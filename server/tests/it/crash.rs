//! The effects of the death of one process on its jobs and clients.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use sentinel_client::proto::jobs::v1::JobState;
use serde_json::json;

use crate::harness::{
    StallMonitor, TIMEOUT, TestServer, WorkerProcess, demo_job, enqueue, wait_terminal, wait_until,
};
use crate::history::side_effects;

/// The number of measurements.
const ROUNDS: usize = 5;

/// Kills a worker and returns the time until the last of its jobs started on the other worker.
async fn takeover(server: &TestServer, round: usize, workers: &mut [WorkerProcess; 2]) -> Duration {
    let client = server.client();
    let file = server.dir.path().join(format!("effects-{round}"));
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(enqueue(&client, demo_job("effect", json!({"file": file, "ms": 60_000}))).await);
    }
    let starts = wait_until("all jobs have started", TIMEOUT, || async {
        let lines = side_effects(&file);
        (lines.len() == ids.len()).then_some(lines)
    })
    .await;
    let at = usize::from(starts.iter().filter(|line| line.instance.ends_with('b')).count() > 6);
    let killed_instance =
        &starts.iter().find(|l| l.instance.ends_with(['a', 'b'][at])).unwrap().instance;
    let orphans = starts.iter().filter(|line| line.instance == *killed_instance).count();
    let killed_at = Instant::now();
    workers[at].kill().await;
    wait_until("the jobs run on the other worker", TIMEOUT, || async {
        (side_effects(&file).len() == ids.len() + orphans).then_some(())
    })
    .await;
    let took = killed_at.elapsed();
    let restarted = side_effects(&file).split_off(ids.len());
    assert!(
        restarted.iter().all(|line| line.instance != *killed_instance && line.attempt == 2),
        "{restarted:?}"
    );
    for id in &ids {
        client.cancel(id, "").await.unwrap();
    }
    for id in &ids {
        wait_terminal(&client, id).await;
    }
    let name = format!("{}{}", round + 1, ['a', 'b'][at]);
    workers[at] = server.start_worker(&name, &[]).await;
    took
}

/// The limit from SIGKILL to the start of the last job's new handler.
const TAKEOVER_LIMIT: Duration = Duration::from_millis(1_500);

/// A stall of the machine that invalidates a measurement.
const STALL: Duration = Duration::from_millis(100);

/// Every measurement must be within the limit. A measurement above it during a stall of the machine
/// is repeated, at most [`ROUNDS`] times in total.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_jobs_of_a_killed_worker_are_taken_over_in_time() {
    let server = TestServer::start().await;
    let mut workers = [server.start_worker("0a", &[]).await, server.start_worker("0b", &[]).await];
    let (mut took, mut discarded) = (Vec::new(), Vec::new());
    while took.len() < ROUNDS {
        let stalls = StallMonitor::start();
        let time = takeover(&server, took.len() + discarded.len(), &mut workers).await;
        let stall = stalls.worst();
        if time >= TAKEOVER_LIMIT && stall >= STALL && discarded.len() < ROUNDS {
            discarded.push((time, stall));
        } else {
            took.push(time);
        }
    }
    took.sort();
    println!(
        "from the kill to the last takeover: {took:?}; discarded because of stalls: {discarded:?}"
    );
    assert!(took[ROUNDS - 1] < TAKEOVER_LIMIT, "{took:?}");
}

/// The worker is silent for longer than a restarted server waits before it expires sessions.
#[tokio::test]
async fn a_worker_that_is_silent_during_a_server_outage_keeps_its_job() {
    let mut server = TestServer::start().await;
    let client = server.client();
    let silent = server.start_worker("w1", &[]).await;
    let id = enqueue(&client, demo_job("sleep", json!({"ms": 2_500}))).await;
    wait_until("the job runs", TIMEOUT, || async {
        let job = client.get(&id).await.ok()?;
        (job.state() == JobState::Running).then_some(())
    })
    .await;
    silent.signal(Signal::STOP);
    server.kill().await;
    server.restart().await;
    let _other = server.start_worker("w2", &[]).await;
    let later = demo_job("noop", json!({})).delay(Duration::from_millis(1_500));
    wait_terminal(&client, &enqueue(&client, later).await).await;
    silent.signal(Signal::CONT);
    let job = wait_terminal(&client, &id).await;
    assert_eq!((job.state(), job.attempt, job.crashes), (JobState::Succeeded, 1, 0));
    assert_eq!(job.worker, "w1");
}

#[tokio::test]
async fn a_running_job_survives_kills_and_restarts_of_the_server() {
    let mut server = TestServer::start().await;
    let client = server.client();
    let _worker = server.start_worker("w1", &[]).await;
    let file = server.dir.path().join("effects");
    let job = demo_job("effect", json!({"file": file, "ms": 5_000}));
    let id = enqueue(&client, job).await;
    wait_until("the handler starts", TIMEOUT, || async { side_effects(&file).pop() }).await;
    for is_graceful in [false, true, false, true] {
        if is_graceful {
            server.signal(Signal::TERM);
            let status = server.wait_exit(TIMEOUT).await;
            assert!(status.success(), "{status}");
        } else {
            server.kill().await;
        }
        server.restart().await;
    }
    assert_eq!(side_effects(&file).len(), 1, "the handler must still run");
    let job = wait_terminal(&client, &id).await;
    assert_eq!((job.state(), job.attempt, job.crashes), (JobState::Succeeded, 1, 0));
    let lines = side_effects(&file);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0].fence(), lines[1].fence());
    assert_eq!(job.result, lines[0].fence());
}

//! The byte credit of a worker limits the payloads that the server assigns to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sentinel_client::proto::jobs::v1::JobState;
use sentinel_client::worker::{JobContext, Outcome, Worker};
use sentinel_client::{BatchOptions, NewJob};
use tokio::sync::{Notify, Semaphore};

use crate::harness::{TIMEOUT, TestServer, wait_terminal, wait_until};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn a_worker_is_assigned_at_most_one_job_beyond_its_byte_credit() {
    let server = TestServer::start().await;
    let client = server.client();
    let mut ids = Vec::new();
    for _ in 0..5 {
        let specs = vec![NewJob::new("default", "hold").payload(vec![7; MIB - 1]).into_spec(); 4];
        let made = client.enqueue_batch(specs, BatchOptions::default()).await.unwrap();
        ids.extend(made.into_iter().map(|job| job.unwrap().id));
    }
    let (running, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let end = Arc::new(Semaphore::new(0));
    let shared = (running.clone(), peak.clone(), end.clone());
    let hold = move |_: JobContext| {
        let (running, peak, end) = shared.clone();
        async move {
            peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            end.acquire().await.expect("an open semaphore").forget();
            running.fetch_sub(1, Ordering::SeqCst);
            Outcome::Succeed(Default::default())
        }
    };
    let worker = Worker::builder(server.url())
        .queue("default")
        .handler("hold", hold)
        .concurrency(64)
        .max_running_payload_bytes(4 * MIB as u64)
        .build()
        .unwrap();
    let stop = Arc::new(Notify::new());
    let stopped = stop.clone();
    let task = tokio::spawn(worker.run(async move { stopped.notified().await }));
    // Four payloads leave four bytes of credit, so a fifth job is still assigned.
    wait_until("five jobs run", TIMEOUT, || async {
        (running.load(Ordering::SeqCst) == 5).then_some(())
    })
    .await;
    end.add_permits(ids.len());
    for id in &ids {
        assert_eq!(wait_terminal(&client, id).await.state(), JobState::Succeeded);
    }
    assert_eq!(peak.load(Ordering::SeqCst), 5, "at most five jobs run at once");
    stop.notify_one();
    task.await.unwrap().unwrap();
}

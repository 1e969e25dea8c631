//! The bytes that a worker grants bound what a real server sends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sentinel_client::proto::jobs::v1::JobState;
use sentinel_client::worker::{Context, Outcome, Worker};
use sentinel_client::{BatchOptions, NewJob};
use tokio::sync::{Notify, Semaphore};

use crate::harness::{PATIENCE, World, end_of, until};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn a_worker_is_sent_at_most_one_job_beyond_its_bytes() {
    let world = World::start().await;
    let client = world.client();
    let mut ids = Vec::new();
    for _ in 0..5 {
        let specs = vec![NewJob::new("default", "hold").payload(vec![7; MIB - 1]).into_spec(); 4];
        let made = client.enqueue_batch(specs, BatchOptions::default()).await.unwrap();
        ids.extend(made.into_iter().map(|job| job.unwrap().id));
    }
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let end = Arc::new(Semaphore::new(0));
    let held = (running.clone(), most.clone(), end.clone());
    let hold = move |_: Context| {
        let (running, most, end) = held.clone();
        async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            end.acquire().await.expect("is open").forget();
            running.fetch_sub(1, Ordering::SeqCst);
            Outcome::Succeed(Default::default())
        }
    };
    let worker = Worker::builder(world.server.url())
        .queue("default")
        .handler("hold", hold)
        .concurrency(64)
        .payload_budget(4 * MIB as u64)
        .build()
        .unwrap();
    let stop = Arc::new(Notify::new());
    let stopped = stop.clone();
    let fleet = tokio::spawn(worker.run(async move { stopped.notified().await }));
    // Four leave four bytes of the bound, so a fifth fits.
    until("all that fit run", PATIENCE, || async {
        (running.load(Ordering::SeqCst) == 5).then_some(())
    })
    .await;
    end.add_permits(ids.len());
    for id in &ids {
        assert_eq!(end_of(&client, id).await.state(), JobState::Succeeded);
    }
    assert_eq!(most.load(Ordering::SeqCst), 5, "never more at a time");
    stop.notify_one();
    fleet.await.unwrap().unwrap();
}

//! An outage of the database: operations that need only Redis continue, calls with the durability
//! level LEDGER get NOT_YET_SAFE, and the ledger is complete afterwards.

use std::time::{Duration, Instant};

use sentinel_client::proto::jobs::v1::{AckLevel, EnqueueRequest, JobState};
use sentinel_client::{Client, Error, NewJob};
use serde_json::json;

use crate::chaos::fault::Fault;
use crate::chaos::fixture::{ChaosFixture, Topology};
use crate::chaos::seed;
use crate::harness::{TIMEOUT, demo_job, enqueue, wait_terminal, wait_until};

/// Longer than a call waits for the ledger before it fails.
const SHORT: Duration = Duration::from_secs(13);

const LONG: Duration = Duration::from_secs(120);

/// Acknowledged calls per iteration.
const CALLS: usize = 40;

fn durable_job() -> NewJob {
    demo_job("noop", json!({})).request_id("durable").ack(AckLevel::Ledger)
}

/// Makes one call without a client deadline and returns its error.
async fn enqueue_error(client: Client) -> Error {
    let request = EnqueueRequest {
        spec: Some(durable_job().into_spec()),
        request_id: "durable".to_owned(),
        ..Default::default()
    };
    client.raw_jobs().enqueue(request).await.expect_err("the ledger is down").into()
}

async fn ledger_outage(name: &'static str, seed: u64, length: Duration) {
    let mut fixture = ChaosFixture::start(name, seed, Topology::Cluster).await;
    fixture.load.wait_acknowledged(CALLS).await;
    fixture.record_fault(Fault::KillLedger, length);
    fixture.stores().ledger.kill();
    let start = Instant::now();
    let call = tokio::spawn(enqueue_error(fixture.client(0)));
    let mut nth = 0;
    while start.elapsed() < length {
        // Enqueue through one server, watch through the next and read through the third.
        let id = enqueue(&fixture.client(nth), demo_job("noop", json!({}))).await;
        assert_eq!(wait_terminal(&fixture.client(nth + 1), &id).await.state(), JobState::Succeeded);
        assert_eq!(
            fixture.client(nth + 2).get(&id).await.expect("the job is in Redis").state(),
            JobState::Succeeded
        );
        wait_until("the watches continue", TIMEOUT, || async {
            fixture.recorders.iter().all(|recorder| recorder.shows_end_of(&id)).then_some(())
        })
        .await;
        fixture.load.record(|history| history.acknowledged.insert(id));
        fixture.load.wait_acknowledged(CALLS).await;
        nth += 1;
    }
    assert!(call.is_finished(), "a call still waits for the ledger after {length:?}");
    let error = call.await.expect("no panic");
    assert_eq!(error.reason(), Some("NOT_YET_SAFE"), "{error}");
    tokio::task::block_in_place(|| fixture.stores().ledger.restart());
    fixture.assert_recovers_after(Fault::KillLedger, length).await;
    let enqueued = fixture.client(1).enqueue(durable_job()).await.expect("the ledger is up again");
    assert!(enqueued.deduplicated, "the failed call stored the job");
    fixture.load.record(|history| history.acknowledged.insert(enqueued.job.id));
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_continue_during_a_ledger_outage_and_are_recorded_afterwards() {
    ledger_outage("ledger outage", seed(), SHORT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs for minutes: cargo xtask soak"]
async fn soak_jobs_continue_during_a_ledger_outage_and_are_recorded_afterwards() {
    ledger_outage("ledger outage", seed(), LONG).await;
}

//! The database is away for a while: what needs only Redis goes on, what asked for more is
//! told so, and the history has everything afterwards.

use std::time::{Duration, Instant};

use sentinel_client::proto::jobs::v1::{AckLevel, EnqueueRequest, JobState};
use sentinel_client::{Client, Error, NewJob};
use serde_json::json;

use crate::chaos::fault::Fault;
use crate::chaos::seed;
use crate::chaos::site::{Ground, Site};
use crate::harness::{PATIENCE, demo, end_of, enqueue, until};

/// Longer than a change waits for the ledger before its caller is told.
const SHORT: Duration = Duration::from_secs(13);

const LONG: Duration = Duration::from_secs(120);

/// How many changes run from one look at the time to the next.
const CALLS: usize = 40;

fn careful() -> NewJob {
    demo("noop", json!({})).request_id("careful").ack(AckLevel::Ledger)
}

/// One try, with as much time as the server takes.
async fn refusal(client: Client) -> Error {
    let request = EnqueueRequest {
        spec: Some(careful().into_spec()),
        request_id: "careful".to_owned(),
        ..Default::default()
    };
    client.raw_jobs().enqueue(request).await.expect_err("the ledger is away").into()
}

async fn away(name: &'static str, seed: u64, length: Duration) {
    let mut site = Site::start(name, seed, Ground::Shared).await;
    site.load.acknowledges(CALLS).await;
    site.note(Fault::KillLedger, length);
    site.stores().ledger.kill();
    let start = Instant::now();
    let refused = tokio::spawn(refusal(site.client(0)));
    let mut nth = 0;
    while start.elapsed() < length {
        // Taken at one server, watched to its end at the next, and read at the third.
        let id = enqueue(&site.client(nth), demo("noop", json!({}))).await;
        assert_eq!(end_of(&site.client(nth + 1), &id).await.state(), JobState::Succeeded);
        assert_eq!(
            site.client(nth + 2).get(&id).await.expect("in Redis").state(),
            JobState::Succeeded
        );
        until("the watches go on", PATIENCE, || async {
            site.recorders.iter().all(|recorder| recorder.has_end_of(&id)).then_some(())
        })
        .await;
        site.load.note(|history| history.acknowledged.insert(id));
        site.load.acknowledges(CALLS).await;
        nth += 1;
    }
    assert!(refused.is_finished(), "a caller waits for the ledger after {length:?}");
    let error = refused.await.expect("the call ends");
    assert_eq!(error.reason(), Some("NOT_YET_SAFE"), "{error}");
    tokio::task::block_in_place(|| site.stores().ledger.restart());
    site.recovers_from(Fault::KillLedger, length).await;
    let enqueued = site.client(1).enqueue(careful()).await.expect("the ledger is back");
    assert!(enqueued.deduplicated, "the refused call made it");
    site.load.note(|history| history.acknowledged.insert(enqueued.job.id));
    site.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_go_on_without_the_ledger_and_are_in_it_afterwards() {
    away("ledger away", seed(), SHORT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs for minutes; the profile soak runs it"]
async fn soak_jobs_go_on_without_the_ledger_and_are_in_it_afterwards() {
    away("ledger away", seed(), LONG).await;
}

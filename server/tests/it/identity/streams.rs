//! A key that ends takes its streams with it, wherever it was ended.

use std::time::{Duration, Instant};

use sentinel_client::proto::admin::v1::Role;
use sentinel_client::proto::jobs::v1 as jobs;
use sentinel_client::proto::jobs::v1::watch_request::Selector;
use sentinel_client::proto::workers::v1 as workers;
use sentinel_client::proto::workers::v1::worker_service_client::WorkerServiceClient;
use sentinel_ledger::Ledger;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming};
use tonic_types::StatusExt;

use super::call::connect;
use super::{Guarded, id_of, offline_key};
use crate::harness::{PATIENCE, Stalls, until};
use crate::raw::session::hello;

/// What docs/security.md promises.
const HOLDS_WITHIN: Duration = Duration::from_secs(5);

async fn watch(guarded: &Guarded, key: &str) -> Streaming<jobs::WatchResponse> {
    let selector = Some(Selector::Filter(jobs::JobFilter::default()));
    let request = jobs::WatchRequest { selector, ..Default::default() };
    let mut events =
        guarded.client(key).raw_jobs().watch(request).await.expect("a watch").into_inner();
    events.message().await.expect("a snapshot");
    events
}

async fn session(
    guarded: &Guarded,
    key: &str,
) -> (mpsc::Sender<workers::SessionRequest>, Streaming<workers::SessionResponse>) {
    let (sender, frames) = mpsc::channel(4);
    let frame = Some(workers::session_request::Frame::Hello(hello(|_| {})));
    sender.send(workers::SessionRequest { frame }).await.expect("room");
    let mut request = Request::new(ReceiverStream::new(frames));
    request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().expect("a key"));
    let mut client = WorkerServiceClient::new(connect(&guarded.world).await);
    let mut answers = client.session(request).await.expect("a session").into_inner();
    answers.message().await.expect("a welcome");
    (sender, answers)
}

async fn ingest(
    guarded: &Guarded,
    key: &str,
) -> (mpsc::Sender<jobs::IngestRequest>, Streaming<jobs::IngestResponse>) {
    let (sender, frames) = mpsc::channel(4);
    let start = jobs::IngestStart { producer_id: "p".into(), ..jobs::IngestStart::default() };
    let frame = Some(jobs::ingest_request::Frame::Start(start));
    sender.send(jobs::IngestRequest { frame }).await.expect("room");
    let mut client = guarded.client(key).raw_ingest();
    let mut answers =
        client.ingest(ReceiverStream::new(frames)).await.expect("a stream").into_inner();
    answers.message().await.expect("started");
    (sender, answers)
}

/// The error that a stream ends with.
async fn end<T>(mut stream: Streaming<T>) -> Status {
    let read = async {
        loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("a stream ended as if nothing was"),
                Err(status) => return status,
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the stream ends")
}

fn is_over(status: &Status, reason: &str) {
    assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
    assert_eq!(status.get_details_error_info().expect("an ErrorInfo").reason, reason);
}

#[tokio::test]
async fn a_revoked_key_takes_its_streams_with_it() {
    let guarded = Guarded::start(&[]).await;
    let root = guarded.client(&guarded.root);
    root.create_queue(sentinel_client::proto::admin::v1::Queue {
        name: "default".into(),
        ..Default::default()
    })
    .await
    .expect("a queue");
    let viewer = guarded.key(Role::Viewer, &[]).await;
    let worker = guarded.key(Role::Worker, &[]).await;
    let producer = guarded.key(Role::Producer, &[]).await;
    let events = watch(&guarded, &viewer).await;
    let (frames, answers) = session(&guarded, &worker).await;
    let (items, progress) = ingest(&guarded, &producer).await;
    let ledger =
        Ledger::open(&guarded.world.dir.path().join("data/ledger.sqlite")).await.expect("opened");
    let stalls = Stalls::watch();
    let begun = Instant::now();
    // As another server that shares the ledger would: this one is not told.
    for key in [&viewer, &worker, &producer] {
        let id = id_of(key).parse().expect("an id");
        ledger.revoke_key(id, 1).await.expect("revoked").expect("there is such a key");
    }
    is_over(&end(events).await, "CREDENTIAL_REVOKED");
    is_over(&end(answers).await, "CREDENTIAL_REVOKED");
    is_over(&end(progress).await, "CREDENTIAL_REVOKED");
    let took = begun.elapsed();
    // The clock of the promise and the test's own tasks are late together.
    assert!(took <= HOLDS_WITHIN + 4 * stalls.worst(), "{took:?}");
    // The way in is closed too: nobody reads what comes after.
    tokio::time::timeout(PATIENCE, frames.closed()).await.expect("the session is over");
    tokio::time::timeout(PATIENCE, items.closed()).await.expect("the producer is over");
    let refused = guarded.client(&viewer).list_queues().await.expect_err("refused");
    assert_eq!(refused.reason(), Some("CREDENTIAL_REVOKED"));
    // The one who answers the revocation holds it at once.
    let other = guarded.key(Role::Viewer, &[]).await;
    let events = watch(&guarded, &other).await;
    root.revoke_key(id_of(&other)).await.expect("revoked");
    is_over(&end(events).await, "CREDENTIAL_REVOKED");
    let refused = guarded.client(&other).list_queues().await.expect_err("refused");
    assert_eq!(refused.reason(), Some("CREDENTIAL_REVOKED"));
}

#[tokio::test]
async fn a_key_that_expires_takes_its_streams_with_it() {
    let guarded = Guarded::start(&[]).await;
    let data = guarded.world.dir.path().join("data");
    let key = offline_key(&data, &["--name", "x", "--role", "viewer", "--expires", "12s"]).await;
    let client = guarded.client(&key);
    // Made beside a server that runs: it learns of it by itself.
    until("the server knows the key", PATIENCE, || async { client.list_queues().await.ok() }).await;
    is_over(&end(watch(&guarded, &key).await).await, "CREDENTIAL_EXPIRED");
}

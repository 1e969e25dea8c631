//! The server closes the streams of a revoked or expired key, also when another server revoked it.

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

use super::raw_call::connect;
use super::{AuthServer, create_key_offline, key_id};
use crate::harness::{StallMonitor, TIMEOUT, wait_until};
use crate::raw::session::hello;

/// The limit that docs/security.md documents.
const REVOCATION_LIMIT: Duration = Duration::from_secs(5);

async fn open_watch(auth: &AuthServer, key: &str) -> Streaming<jobs::WatchResponse> {
    let selector = Some(Selector::Filter(jobs::JobFilter::default()));
    let request = jobs::WatchRequest { selector, ..Default::default() };
    let mut events =
        auth.client(key).raw_jobs().watch(request).await.expect("open a watch").into_inner();
    events.message().await.expect("a snapshot");
    events
}

async fn open_session(
    auth: &AuthServer,
    key: &str,
) -> (mpsc::Sender<workers::SessionRequest>, Streaming<workers::SessionResponse>) {
    let (sender, frames) = mpsc::channel(4);
    let frame = Some(workers::session_request::Frame::Hello(hello(|_| {})));
    sender.send(workers::SessionRequest { frame }).await.expect("channel capacity");
    let mut request = Request::new(ReceiverStream::new(frames));
    request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().expect("a key"));
    let mut client = WorkerServiceClient::new(connect(&auth.server).await);
    let mut responses = client.session(request).await.expect("a session").into_inner();
    responses.message().await.expect("a Welcome frame");
    (sender, responses)
}

async fn open_ingest(
    auth: &AuthServer,
    key: &str,
) -> (mpsc::Sender<jobs::IngestRequest>, Streaming<jobs::IngestResponse>) {
    let (sender, frames) = mpsc::channel(4);
    let start = jobs::IngestStart { producer_id: "p".into(), ..jobs::IngestStart::default() };
    let frame = Some(jobs::ingest_request::Frame::Start(start));
    sender.send(jobs::IngestRequest { frame }).await.expect("channel capacity");
    let mut client = auth.client(key).raw_ingest();
    let mut responses =
        client.ingest(ReceiverStream::new(frames)).await.expect("open a stream").into_inner();
    responses.message().await.expect("start a process");
    (sender, responses)
}

/// Reads until the stream closes and returns its error.
async fn closing_error<T>(mut stream: Streaming<T>) -> Status {
    let read = async {
        loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the stream closed without an error"),
                Err(status) => return status,
            }
        }
    };
    tokio::time::timeout(TIMEOUT, read).await.expect("the stream closes in time")
}

fn assert_unauthenticated(status: &Status, reason: &str) {
    assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
    assert_eq!(status.get_details_error_info().expect("an ErrorInfo").reason, reason);
}

#[tokio::test]
async fn the_streams_of_a_revoked_key_are_closed() {
    let auth = AuthServer::start(&[]).await;
    let root = auth.client(&auth.root_key);
    root.create_queue(sentinel_client::proto::admin::v1::Queue {
        name: "default".into(),
        ..Default::default()
    })
    .await
    .expect("a queue");
    let viewer = auth.create_key(Role::Viewer, &[]).await;
    let worker = auth.create_key(Role::Worker, &[]).await;
    let producer = auth.create_key(Role::Producer, &[]).await;
    let events = open_watch(&auth, &viewer).await;
    let (frames, responses) = open_session(&auth, &worker).await;
    let (items, progress) = open_ingest(&auth, &producer).await;
    let ledger = Ledger::open(&auth.server.dir.path().join("data/ledger.sqlite"))
        .await
        .expect("open a stream");
    let stalls = StallMonitor::start();
    let start = Instant::now();
    // Like another server on the same ledger: this server gets no notification.
    for key in [&viewer, &worker, &producer] {
        let id = key_id(key).parse().expect("an id");
        ledger.revoke_api_key(id, 1).await.expect("revoke the key").expect("an existing key");
    }
    assert_unauthenticated(&closing_error(events).await, "CREDENTIAL_REVOKED");
    assert_unauthenticated(&closing_error(responses).await, "CREDENTIAL_REVOKED");
    assert_unauthenticated(&closing_error(progress).await, "CREDENTIAL_REVOKED");
    let took = start.elapsed();
    // A stall of the machine delays the server and the test alike.
    assert!(took <= REVOCATION_LIMIT + 4 * stalls.worst(), "{took:?}");
    // The server has stopped reading the streams too.
    tokio::time::timeout(TIMEOUT, frames.closed()).await.expect("the session closes in time");
    tokio::time::timeout(TIMEOUT, items.closed())
        .await
        .expect("the producer stream closes in time");
    let refused = auth.client(&viewer).list_queues().await.expect_err("an error");
    assert_eq!(refused.reason(), Some("CREDENTIAL_REVOKED"));
    // The server that handles the revocation closes the streams immediately.
    let other = auth.create_key(Role::Viewer, &[]).await;
    let events = open_watch(&auth, &other).await;
    root.revoke_key(key_id(&other)).await.expect("revoke the key");
    assert_unauthenticated(&closing_error(events).await, "CREDENTIAL_REVOKED");
    let refused = auth.client(&other).list_queues().await.expect_err("an error");
    assert_eq!(refused.reason(), Some("CREDENTIAL_REVOKED"));
}

#[tokio::test]
async fn the_streams_of_an_expired_key_are_closed() {
    let auth = AuthServer::start(&[]).await;
    let data = auth.server.dir.path().join("data");
    let key =
        create_key_offline(&data, &["--name", "x", "--role", "viewer", "--expires", "12s"]).await;
    let client = auth.client(&key);
    // The running server picks up the key from the data directory.
    wait_until("the server has loaded the key", TIMEOUT, || async {
        client.list_queues().await.ok()
    })
    .await;
    assert_unauthenticated(
        &closing_error(open_watch(&auth, &key).await).await,
        "CREDENTIAL_EXPIRED",
    );
}

//! Limits of ingest streams: their number, their pending bytes and the longest wait under overload.

use std::time::Duration;

use futures_util::stream;
use sentinel_domain::Scopes;
use sentinel_domain::limits::{INGEST_BYTES, INGEST_STREAMS, INGEST_WINDOW_BYTES};
use sentinel_engine::{EngineError, IngestItem, IngestProgress, IngestStream, Producer, Submitter};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::harness::{TIMEOUT, TestEngine, holds_for, new_job, wait_until};

fn producer(id: &str) -> Producer {
    Producer {
        id: id.to_owned(),
        namespace: None,
        ack: None,
        actor: "test".to_owned(),
        scopes: Scopes::ALL,
    }
}

async fn open(test: &TestEngine, id: &str) -> IngestStream {
    test.engine.producers().open(producer(id)).await.expect("open a stream")
}

#[tokio::test]
async fn a_server_limits_its_ingest_streams() {
    let test = TestEngine::start().await;
    let mut streams = Vec::new();
    for number in 0..INGEST_STREAMS {
        streams.push(open(&test, &format!("p{number}")).await);
    }
    let refused = test.engine.producers().open(producer("one-more")).await.err();
    assert!(matches!(refused, Some(EngineError::TooManyProducers)), "{refused:?}");
    streams.pop();
    open(&test, "one-more").await;
    drop(streams);
    test.close().await;
}

/// An open stream whose items the test sends one by one.
struct OpenStream {
    items: mpsc::Sender<IngestItem>,
    progress: mpsc::Receiver<IngestProgress>,
    running: tokio::task::JoinHandle<Result<(), EngineError>>,
}

impl OpenStream {
    async fn new(test: &TestEngine, id: &str) -> Self {
        let ingest = open(test, id).await;
        let (items, receiver) = mpsc::channel(1);
        let item_stream = stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|item| (item, receiver))
        });
        let (sender, progress) = mpsc::channel(16);
        let running = tokio::spawn(ingest.run(item_stream, sender, CancellationToken::new()));
        Self { items, progress, running }
    }

    async fn send(&self, offset: u64, bytes: u64) {
        let item = IngestItem { offset, bytes, new: Ok(new_job(|_| ())) };
        self.items.send(item).await.expect("an open stream");
    }

    /// Closes the stream; returns the last committed offset that it reported, and its result.
    async fn close(mut self) -> (u64, Result<(), EngineError>) {
        drop(self.items);
        let mut committed = 0;
        while let Some(report) = self.progress.recv().await {
            committed = report.committed;
        }
        (committed, self.running.await.expect("no panic"))
    }

    async fn close_without_error(self) -> u64 {
        let (committed, result) = self.close().await;
        result.expect("no error");
        committed
    }
}

#[tokio::test]
async fn the_pending_bytes_of_all_streams_are_limited() {
    let test = TestEngine::start().await;
    let mut full = Vec::new();
    for number in 0..INGEST_BYTES / INGEST_WINDOW_BYTES {
        full.push(OpenStream::new(&test, &format!("p{number}")).await);
    }
    let late = OpenStream::new(&test, "late").await;
    test.store.hold_commits();
    for stream in &full {
        stream.send(1, INGEST_WINDOW_BYTES).await;
    }
    wait_until("the engine has read all items", async || {
        full.iter().all(|stream| stream.items.capacity() == 1).then_some(())
    })
    .await;
    // The engine reads the first item, waits for room, and does not read the second.
    late.send(1, 1).await;
    late.send(2, 1).await;
    holds_for(200, async || assert_eq!(late.items.capacity(), 0)).await;
    test.store.release_commits();
    assert_eq!(late.close_without_error().await, 2);
    for stream in full {
        assert_eq!(stream.close_without_error().await, 1);
    }
    test.close().await;
}

/// Enqueues large jobs until the engine refuses one; returns the pending calls.
async fn overload(test: &TestEngine) -> Vec<tokio::task::JoinHandle<Result<(), EngineError>>> {
    let payload = bytes::Bytes::from(vec![b'x'; 16 << 20]);
    let mut pending = Vec::new();
    loop {
        let (engine, payload) = (test.engine.clone(), payload.clone());
        let new = new_job(|new| new.payload = payload);
        let mut enqueue = tokio::spawn(async move {
            engine.jobs().enqueue(new, Submitter::unrestricted("test"), None).await.map(drop)
        });
        match tokio::time::timeout(Duration::from_millis(100), &mut enqueue).await {
            Err(_) => pending.push(enqueue),
            Ok(Ok(Err(EngineError::Overloaded))) => return pending,
            Ok(other) => panic!("the store commits nothing, but the call returned {other:?}"),
        }
        assert!(pending.len() < 30, "{} jobs of 16 MiB are pending", pending.len());
    }
}

async fn assert_committed(enqueues: Vec<tokio::task::JoinHandle<Result<(), EngineError>>>) {
    for enqueue in enqueues {
        let result = tokio::time::timeout(TIMEOUT, enqueue).await.expect("a result in time");
        result.expect("no panic").expect("commit the job");
    }
}

#[tokio::test]
async fn a_stream_waits_under_overload_and_fails_when_the_overload_lasts() {
    let test = TestEngine::with_settings(|settings| settings.payload_max_bytes = 16 << 20).await;
    // Creates the queue, so that no commit precedes those of the large jobs.
    test.enqueue(|_| ()).await;
    let waiting = OpenStream::new(&test, "p").await;
    test.store.hold_commits();
    let enqueues = overload(&test).await;
    waiting.send(1, 1).await;
    holds_for(200, async || assert!(!waiting.running.is_finished())).await;
    test.store.release_commits();
    assert_eq!(waiting.close_without_error().await, 1);
    assert_committed(enqueues).await;
    let failing = OpenStream::new(&test, "p").await;
    test.store.hold_commits();
    let enqueues = overload(&test).await;
    failing.send(2, 1).await;
    let result =
        tokio::time::timeout(2 * TIMEOUT, failing.close()).await.expect("a result in time");
    assert!(matches!(result, (0, Err(EngineError::Overloaded))), "{result:?}");
    test.store.release_commits();
    assert_committed(enqueues).await;
    // The producer sends the uncommitted item again.
    let again = OpenStream::new(&test, "p").await;
    again.send(2, 1).await;
    assert_eq!(again.close_without_error().await, 2);
    test.close().await;
}

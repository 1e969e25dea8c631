//! What producers are given of a server: streams, room for what waits, and an end of waiting.

use std::time::Duration;

use futures_util::stream;
use sentinel_domain::limits::{INGEST_BYTES, INGEST_STREAMS, INGEST_WINDOW_BYTES};
use sentinel_engine::{EngineError, Ingest, IngestItem, IngestProgress, Producer};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::house::{House, PATIENCE, all_along, eventually, new_job};

fn producer(id: &str) -> Producer {
    Producer { id: id.to_owned(), realm: None, ack: None, actor: "test".to_owned() }
}

async fn open(house: &House, id: &str) -> Ingest {
    house.engine.ingest(producer(id)).await.expect("is opened")
}

#[tokio::test]
async fn a_server_takes_so_many_streams() {
    let house = House::new().await;
    let mut streams = Vec::new();
    for number in 0..INGEST_STREAMS {
        streams.push(open(&house, &format!("p{number}")).await);
    }
    let refused = house.engine.ingest(producer("one-more")).await.err();
    assert!(matches!(refused, Some(EngineError::TooManyProducers)), "{refused:?}");
    streams.pop();
    open(&house, "one-more").await;
    drop(streams);
    house.close().await;
}

/// A stream whose items are handed in one by one.
struct Open {
    items: mpsc::Sender<IngestItem>,
    told: mpsc::Receiver<IngestProgress>,
    running: tokio::task::JoinHandle<Result<(), EngineError>>,
}

impl Open {
    async fn new(house: &House, id: &str) -> Self {
        let ingest = open(house, id).await;
        let (items, sent) = mpsc::channel(1);
        let items_of =
            stream::unfold(sent, |mut sent| async { sent.recv().await.map(|item| (item, sent)) });
        let (tell, told) = mpsc::channel(16);
        let running = tokio::spawn(ingest.run(items_of, tell, CancellationToken::new()));
        Self { items, told, running }
    }

    async fn give(&self, offset: u64, bytes: u64) {
        let item = IngestItem { offset, bytes, new: Ok(new_job(|_| ())) };
        self.items.send(item).await.expect("the stream is open");
    }

    /// Ends it; what was committed, as it was told.
    async fn end(mut self) -> (u64, Result<(), EngineError>) {
        drop(self.items);
        let mut committed = 0;
        while let Some(progress) = self.told.recv().await {
            committed = progress.committed;
        }
        (committed, self.running.await.expect("it ends"))
    }

    async fn done(self) -> u64 {
        let (committed, ended) = self.end().await;
        ended.expect("no error");
        committed
    }
}

#[tokio::test]
async fn what_waits_of_all_streams_is_bounded() {
    let house = House::new().await;
    let mut full = Vec::new();
    for number in 0..INGEST_BYTES / INGEST_WINDOW_BYTES {
        full.push(Open::new(&house, &format!("p{number}")).await);
    }
    let late = Open::new(&house, "late").await;
    house.store.hold();
    for stream in &full {
        stream.give(1, INGEST_WINDOW_BYTES).await;
    }
    eventually("all of them are read", async || {
        full.iter().all(|stream| stream.items.capacity() == 1).then_some(())
    })
    .await;
    // The first is read and finds no room, so the second is not read.
    late.give(1, 1).await;
    late.give(2, 1).await;
    all_along(200, async || assert_eq!(late.items.capacity(), 0)).await;
    house.store.let_go();
    assert_eq!(late.done().await, 2);
    for stream in full {
        assert_eq!(stream.done().await, 1);
    }
    house.close().await;
}

/// Payloads that together are more than may wait to be committed.
async fn overload(house: &House) -> Vec<tokio::task::JoinHandle<Result<(), EngineError>>> {
    let payload = bytes::Bytes::from(vec![b'x'; 16 << 20]);
    let mut taken = Vec::new();
    loop {
        let (engine, payload) = (house.engine.clone(), payload.clone());
        let new = new_job(|new| new.payload = payload);
        let mut enqueue =
            tokio::spawn(async move { engine.enqueue(new, "test", None).await.map(drop) });
        match tokio::time::timeout(Duration::from_millis(100), &mut enqueue).await {
            Err(_) => taken.push(enqueue),
            Ok(Ok(Err(EngineError::Overloaded))) => return taken,
            Ok(other) => panic!("while nothing is committed: {other:?}"),
        }
        assert!(taken.len() < 30, "{} of 16 MiB wait", taken.len());
    }
}

async fn committed(enqueues: Vec<tokio::task::JoinHandle<Result<(), EngineError>>>) {
    for enqueue in enqueues {
        let ended = tokio::time::timeout(PATIENCE, enqueue).await.expect("in time");
        ended.expect("no panic").expect("is committed");
    }
}

#[tokio::test]
async fn a_stream_waits_while_too_much_waits_and_ends_when_that_lasts() {
    let house = House::with(|settings| settings.payload_max_bytes = 16 << 20).await;
    // Its queue is there, so that nothing has to be committed before the large ones.
    house.enqueue(|_| ()).await;
    let patient = Open::new(&house, "patient").await;
    house.store.hold();
    let enqueues = overload(&house).await;
    patient.give(1, 1).await;
    all_along(200, async || assert!(!patient.running.is_finished())).await;
    house.store.let_go();
    assert_eq!(patient.done().await, 1);
    committed(enqueues).await;
    let longer = Open::new(&house, "patient").await;
    house.store.hold();
    let enqueues = overload(&house).await;
    longer.give(2, 1).await;
    let ended = tokio::time::timeout(2 * PATIENCE, longer.end()).await.expect("it ends");
    assert!(matches!(ended, (0, Err(EngineError::Overloaded))), "{ended:?}");
    house.store.let_go();
    committed(enqueues).await;
    // What was not committed is sent again.
    let again = Open::new(&house, "patient").await;
    again.give(2, 1).await;
    assert_eq!(again.done().await, 2);
    house.close().await;
}

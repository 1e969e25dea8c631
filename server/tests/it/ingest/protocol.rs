//! The ingest protocol frame by frame, for valid and invalid streams.

use std::collections::BTreeSet;

use sentinel_domain::limits::{INGEST_WINDOW_BYTES, INGEST_WINDOW_ITEMS};
use sentinel_proto::admin::v1::{CreateQueueRequest, DrainQueueRequest, Queue};
use sentinel_proto::jobs::v1::ingest_request::Frame;
use sentinel_proto::jobs::v1::{
    AckLevel, IngestItem, IngestRefused, IngestStart, JobSpec, JobView, ListRequest, Unique,
    UniqueMode,
};
use tonic::Code;

use crate::harness::{TIMEOUT, TestServer, wait_until};
use crate::limits::NAME_RANGE;
use crate::raw::ingest::{RawProducer, item, start};
use crate::raw::{RawClients, assert_invalid_field, error_reason, spec};

/// Returns a job that carries its number.
fn numbered(number: u64) -> JobSpec {
    spec(|spec| spec.payload = number.to_string().into_bytes().into())
}

/// Waits until the ledger has this many jobs and returns their sorted numbers.
async fn numbers(raw: &RawClients, count: usize) -> Vec<u64> {
    wait_until(&format!("the ledger has {count} jobs"), TIMEOUT, || async {
        let view = JobView::Full.into();
        let request = ListRequest { page_size: 1_000, view, ..ListRequest::default() };
        let page = raw.jobs.clone().list(request).await.expect("a page").into_inner();
        let of_job = |job: &sentinel_proto::jobs::v1::Job| {
            let payload = &job.spec.as_ref().expect("a spec").payload;
            std::str::from_utf8(payload).expect("text").parse::<u64>().expect("a number")
        };
        let mut numbers: Vec<u64> = page.jobs.iter().map(of_job).collect();
        numbers.sort_unstable();
        (numbers.len() >= count).then_some(numbers)
    })
    .await
}

#[tokio::test]
async fn items_are_committed_once_and_the_offset_is_kept() {
    let server = TestServer::start().await;
    let raw = RawClients::connect(&server).await;
    let (mut first, started) = RawProducer::start(&raw, "shop").await;
    assert_eq!((started.committed_offset, started.refused.len()), (0, 0));
    assert_eq!((started.window_items, started.window_bytes), (1_000, 8 << 20));
    for number in 1..=20 {
        first.send(item(number, numbered(number))).await;
    }
    first.finish();
    assert!(matches!(first.closed().await, (20, Ok(()))));
    // The same items again, and later ones.
    let (mut second, started) = RawProducer::start(&raw, "shop").await;
    assert_eq!(started.committed_offset, 20);
    for number in 11..=30 {
        second.send(item(number, numbered(number))).await;
    }
    second.committed(30).await;
    // Another producer has its own offset.
    let (mut other, started) = RawProducer::start(&raw, "mail").await;
    assert_eq!(started.committed_offset, 0);
    other.send(item(1, numbered(31))).await;
    other.committed(1).await;
    assert_eq!(numbers(&raw, 31).await, (1..=31).collect::<Vec<_>>());
}

#[tokio::test]
async fn invalid_frames_close_the_stream() {
    let server = TestServer::start().await;
    let raw = RawClients::connect(&server).await;
    let mut producer = RawProducer::open(&raw).await;
    producer.send(item(1, numbered(1))).await;
    assert_invalid_field(producer.closed().await.1, "item", "before start");
    let mut producer = RawProducer::open(&raw).await;
    producer.finish();
    assert_invalid_field(producer.closed().await.1, "start", "was not sent");
    let mut producer = RawProducer::open(&raw).await;
    producer.send(None).await;
    assert_invalid_field(producer.closed().await.1, "start", "was not sent");
    for id in ["", "a b", "a/b", &"x".repeat(129)] {
        let mut producer = RawProducer::open(&raw).await;
        producer.send(start(id)).await;
        assert_invalid_field(producer.closed().await.1, "start.producer_id", NAME_RANGE);
    }
    let starts = [
        (IngestStart { actor: "x".repeat(257), ..IngestStart::default() }, "actor", "256"),
        (IngestStart { ack: 9, ..IngestStart::default() }, "start.ack", "9"),
        (
            IngestStart { ack: AckLevel::Replicated.into(), ..IngestStart::default() },
            "start.ack",
            "no replicas",
        ),
    ];
    for (start, field, range) in starts {
        let mut producer = RawProducer::open(&raw).await;
        let start = IngestStart { producer_id: "p".into(), ..start };
        producer.send(Frame::Start(start)).await;
        assert_invalid_field(producer.closed().await.1, field, range);
    }
    let after = [
        (start("p"), "start", "sent twice"),
        (item(0, numbered(0)), "item.offset", "0 does not follow: expected 5"),
        (item(8, numbered(8)), "item.offset", "8 does not follow: expected 7"),
    ];
    for (before, (frame, field, range)) in [0, 2, 4].into_iter().zip(after) {
        let (mut producer, started) = RawProducer::start(&raw, "p").await;
        // Items before the invalid frame are committed.
        assert_eq!(started.committed_offset, before);
        producer.send(item(before + 1, numbered(before + 1))).await;
        producer.send(item(before + 2, numbered(before + 2))).await;
        producer.send(frame).await;
        let (committed, result) = producer.closed().await;
        assert_invalid_field(result, field, range);
        assert_eq!(committed, before + 2);
    }
    let (_open, started) = RawProducer::start(&raw, "p").await;
    assert_eq!(started.committed_offset, 6);
    assert_eq!(numbers(&raw, 6).await, (1..=6).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_window_is_limited_and_freed_by_committed_frames() {
    let server =
        TestServer::with_flags(&["--auto-create-queues", "--payload-max-bytes", "16MiB"]).await;
    let raw = RawClients::connect(&server).await;
    let (mut producer, _) = RawProducer::start(&raw, "items").await;
    // With this durability level a commit waits for the ledger, so the frames outpace the commits.
    let slow = |number: u64| {
        let mut spec = numbered(number);
        spec.ack = AckLevel::Ledger.into();
        spec
    };
    let mut number = 1;
    while number < 200 * INGEST_WINDOW_ITEMS && producer.send(item(number, slow(number))).await {
        number += 1;
    }
    let (committed, result) = producer.closed().await;
    assert_invalid_field(result, "item", "1000 items are not reported");
    // The items within the window are committed.
    assert!(committed >= INGEST_WINDOW_ITEMS, "{committed}");
    let (_open, started) = RawProducer::start(&raw, "items").await;
    assert_eq!(started.committed_offset, committed);
    let (mut producer, _) = RawProducer::start(&raw, "bytes").await;
    let large = |bytes: u64| {
        let mut spec = slow(0);
        spec.payload = vec![b'x'; bytes as usize].into();
        spec
    };
    // A single item may be larger than the window.
    producer.send(item(1, large(INGEST_WINDOW_BYTES + 1))).await;
    producer.committed(1).await;
    let mut offset = 2;
    while offset < 500 && producer.send(item(offset, large(1 << 20))).await {
        offset += 1;
    }
    let (committed, result) = producer.closed().await;
    assert_invalid_field(result, "item", "at most 8388608");
    assert!(committed >= 8, "{committed}");
}

fn summarize(refused: &[IngestRefused]) -> Vec<(u64, &str, &str)> {
    refused.iter().map(|r| (r.offset, r.reason.as_str(), r.field.as_str())).collect()
}

#[tokio::test]
async fn a_refused_item_uses_its_offset_and_is_reported_again_on_reconnect() {
    let server = TestServer::with_flags(&[]).await;
    let raw = RawClients::connect(&server).await;
    for name in ["default", "closed"] {
        let queue = Some(Queue { name: name.into(), ..Queue::default() });
        let request = CreateQueueRequest { queue, ..CreateQueueRequest::default() };
        raw.queues.clone().create_queue(request).await.expect("a queue");
    }
    let request = DrainQueueRequest { name: "closed".into(), ..DrainQueueRequest::default() };
    raw.queues.clone().drain_queue(request).await.expect("drain the queue");
    let unique = |mode: UniqueMode| {
        let unique = Unique { key: "k".into(), mode: mode.into(), ..Unique::default() };
        spec(|spec| {
            spec.unique = Some(unique);
            spec.payload = "7".into();
        })
    };
    let items = [
        numbered(1),
        spec(|spec| spec.kind = "not a name".into()),
        spec(|spec| spec.priority = 10),
        spec(|spec| spec.queue = "missing".into()),
        spec(|spec| spec.queue = "closed".into()),
        spec(|spec| spec.ack = 9),
        unique(UniqueMode::Reject),
        unique(UniqueMode::Reject),
        // Returns the job of the seventh item: neither an error nor a new job.
        unique(UniqueMode::ReturnExisting),
        numbered(10),
    ];
    let (mut producer, _) = RawProducer::start(&raw, "p").await;
    for (offset, spec) in (1..).zip(items) {
        producer.send(item(offset, spec)).await;
    }
    producer.send(Frame::Item(IngestItem { offset: 11, spec: None })).await;
    let committed = producer.committed(11).await;
    let all: Vec<IngestRefused> = committed.into_iter().flat_map(|frame| frame.refused).collect();
    let expected = [
        (2, "INVALID_FIELD", "spec.kind"),
        (3, "INVALID_FIELD", "spec.priority"),
        (4, "QUEUE_NOT_FOUND", ""),
        (5, "QUEUE_DRAINING", ""),
        (6, "INVALID_FIELD", "spec.ack"),
        (8, "UNIQUE_KEY_HELD", ""),
        (11, "INVALID_FIELD", "spec"),
    ];
    assert_eq!(summarize(&all), expected);
    assert!(all[0].message.contains(NAME_RANGE), "{:?}", all[0]);
    assert_eq!(numbers(&raw, 3).await, [1, 7, 10]);
    // The newest refused items are reported again to the next stream.
    let (mut producer, started) = RawProducer::start(&raw, "p").await;
    assert_eq!((started.committed_offset, &started.refused), (11, &all));
    for offset in 12..=1_003 {
        producer.send(item(offset, spec(|spec| spec.queue = "missing".into()))).await;
        if offset == 500 {
            producer.committed(500).await;
        }
    }
    producer.committed(1_003).await;
    let (_open, started) = RawProducer::start(&raw, "p").await;
    assert_eq!(
        summarize(&started.refused)[..2],
        [(4, "QUEUE_NOT_FOUND", ""), (5, "QUEUE_DRAINING", "")]
    );
    assert_eq!(started.refused.len(), 997);
}

#[tokio::test]
async fn the_newest_stream_owns_the_producer() {
    let server = TestServer::start().await;
    let raw = RawClients::connect(&server).await;
    let (mut old, _) = RawProducer::start(&raw, "p").await;
    old.send(item(1, numbered(1))).await;
    old.committed(1).await;
    let (mut new, started) = RawProducer::start(&raw, "p").await;
    assert_eq!(started.committed_offset, 1);
    old.send(item(2, numbered(2))).await;
    let (committed, result) = old.closed().await;
    assert_eq!(
        (committed, error_reason(result)),
        (0, (Code::Aborted, "PRODUCER_MOVED".to_owned()))
    );
    new.send(item(2, numbered(2))).await;
    new.committed(2).await;
    assert_eq!(numbers(&raw, 2).await, [1, 2]);
}

#[tokio::test]
async fn competing_streams_create_each_job_once() {
    const ITEMS: u64 = 600;
    let server = TestServer::start().await;
    let raw = RawClients::connect(&server).await;
    let send_all = || async {
        loop {
            let mut producer = RawProducer::open(&raw).await;
            producer.send(start("p")).await;
            let from = match producer.next().await {
                Ok(Some(frame)) => match frame {
                    sentinel_proto::jobs::v1::ingest_response::Frame::Started(started) => {
                        started.committed_offset
                    }
                    other => panic!("{other:?}"),
                },
                other => {
                    assert_eq!(error_reason(other), (Code::Aborted, "CONTENDED".to_owned()));
                    continue;
                }
            };
            if from == ITEMS {
                return;
            }
            for offset in from + 1..=(from + 20).min(ITEMS) {
                producer.send(item(offset, numbered(offset))).await;
            }
            producer.finish();
            if let (_, Err(error)) = producer.closed().await {
                let error = error_reason::<()>(Err(error));
                assert_eq!(error, (Code::Aborted, "PRODUCER_MOVED".to_owned()));
            }
        }
    };
    tokio::join!(send_all(), send_all(), send_all());
    let found = numbers(&raw, ITEMS as usize).await;
    assert_eq!(found.len(), found.iter().collect::<BTreeSet<_>>().len(), "an item became two jobs");
    assert_eq!(found, (1..=ITEMS).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_request_id_cannot_use_the_prefix_of_producers() {
    let server = TestServer::start().await;
    let raw = RawClients::connect(&server).await;
    let request = sentinel_proto::jobs::v1::EnqueueRequest {
        spec: Some(numbered(1)),
        request_id: "ingest/p".into(),
        ..Default::default()
    };
    assert_invalid_field(raw.enqueue_request(request).await, "request_id", "ingest/");
}

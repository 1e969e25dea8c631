//! Jobs from assignment to report, and the room for them.

use sentinel_proto::workers::v1::session_request::Frame as Up;
use sentinel_proto::workers::v1::session_response::Frame as Down;
use sentinel_proto::workers::v1::{Assign, Verdict, report_item::Outcome};
use serde_json::json;

use super::{failure, job, job_id, lease, ms, result};
use crate::Runtime;
use crate::peer::{PING, Peer};

pub(super) async fn run_job(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &[]);
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "echo", json!({"a": "ü"}))]).await;
    assert_eq!(stream.received().await, 1);
    let item = stream.report_item().await;
    assert_eq!(item.lease, Some(lease("j1")));
    assert!(item.started_at.is_some(), "a report carries started_at");
    assert_eq!(result(&item), r#"{"a":"ü"}"#);
    stream.ack(&lease("j1"), Verdict::Recorded).await;
    // Bytes that are no JSON pass as they are.
    let mut raw = job("j2", "echo", json!(null));
    raw.payload = bytes::Bytes::from_static(&[0, 255, 128]);
    stream.assign(vec![raw]).await;
    match stream.report_item().await.outcome {
        Some(Outcome::Succeeded(done)) => assert_eq!(done.result.as_ref(), [0, 255, 128]),
        other => panic!("{other:?}"),
    }
}

pub(super) async fn outcomes(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &[]);
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("snooze", "snooze", json!({"ms": 1500}))]).await;
    match stream.report_item().await.outcome {
        Some(Outcome::Snoozed(snoozed)) => {
            let delay = snoozed.delay.unwrap();
            assert_eq!((delay.seconds, delay.nanos), (1, 500_000_000));
        }
        other => panic!("expected Snoozed, got {other:?}"),
    }
    stream.assign(vec![job("release", "release", json!(null))]).await;
    let outcome = stream.report_item().await.outcome;
    assert!(matches!(outcome, Some(Outcome::Released(_))), "{outcome:?}");
}

pub(super) async fn errors(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &[]);
    let (mut stream, _) = peer.greet().await;
    let again = json!({"message": "no", "code": "E1", "retryable": true, "next_delay_ms": 250});
    stream.assign(vec![job("again", "fail", again)]).await;
    let (failed, error) = failure(&stream.report_item().await);
    assert_eq!((error.message.as_str(), error.code.as_str(), error.retryable), ("no", "E1", true));
    assert_eq!(failed.next_delay.map(|delay| delay.nanos), Some(250_000_000));
    assert!(!failed.timeout);
    let never = json!({"message": "€".repeat(8_000), "code": "E2", "retryable": false});
    stream.assign(vec![job("never", "fail", never)]).await;
    let (failed, error) = failure(&stream.report_item().await);
    assert_eq!((error.code.as_str(), error.retryable), ("E2", false));
    assert_eq!(failed.next_delay, None);
    assert_eq!(error.message, "€".repeat(16 * 1024 / 3), "cut at a character, at 16 KiB");
    stream.assign(vec![job("throw", "throw", json!(null))]).await;
    let (_, error) = failure(&stream.report_item().await);
    assert!(error.retryable, "an error that nobody marked may pass: {error:?}");
    assert!(error.message.contains("plain"), "{error:?}");
    stream.assign(vec![job("big", "big", json!(null))]).await;
    let (_, error) = failure(&stream.report_item().await);
    assert_eq!((error.code.as_str(), error.retryable), ("RESULT_TOO_LARGE", false));
    stream.assign(vec![job("alien", "not.declared", json!(null))]).await;
    let (_, error) = failure(&stream.report_item().await);
    assert_eq!((error.code.as_str(), error.retryable), ("NO_HANDLER", true));
    // An input that the handler can not read is not worth another attempt.
    let mut unreadable = job("unreadable", "fail", json!(null));
    unreadable.payload = bytes::Bytes::from_static(b"{");
    stream.assign(vec![unreadable]).await;
    let (_, error) = failure(&stream.report_item().await);
    assert_eq!((error.code.as_str(), error.retryable), ("BAD_PAYLOAD", false));
}

/// Room is neither lost nor made, and no job waits for room that is there.
pub(super) async fn credits(runtime: Runtime) {
    const JOBS: u32 = 1000;
    const SLOTS: u32 = 20;
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &["--concurrency", "20"]);
    let (mut stream, hello) = peer.greet().await;
    let mut room = hello.credit.unwrap_or_default().jobs;
    let (mut assigned, mut reported) = (0, 0);
    while reported < JOBS || room < SLOTS {
        let batch = room.min(1 + assigned % 7).min(JOBS - assigned);
        if batch > 0 {
            let ids = (assigned..assigned + batch).map(|n| format!("j{n}"));
            stream.assign(ids.map(|id| job(&id, "echo", json!(1))).collect()).await;
            room -= batch;
            assigned += batch;
        }
        match stream.next().await.expect("the worker ended the stream") {
            Up::Credit(credit) => room += credit.jobs,
            Up::Report(report) => {
                assert!(report.items.len() <= 1000, "at most 1000 items in a report");
                for item in &report.items {
                    assert_eq!(result(item), "1");
                    stream.ack(item.lease.as_ref().unwrap(), Verdict::Recorded).await;
                    reported += 1;
                }
            }
            _ => {}
        }
        assert!(room <= SLOTS, "{room} slots granted of {SLOTS}");
    }
    assert_eq!((assigned, reported, room), (JOBS, JOBS, SLOTS));
}

/// A server that assigns more than it was granted does not make a worker run more.
pub(super) async fn over_granted(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &["--concurrency", "1"]);
    let (mut stream, _) = peer.greet().await;
    let first = job("first", "wait", json!(null));
    stream.assign(vec![first, job("second", "echo", json!(null))]).await;
    let item = stream.report_item().await;
    assert_eq!(job_id(&item), "second");
    assert!(matches!(item.outcome, Some(Outcome::Released(_))), "{item:?}");
}

pub(super) async fn repeated_assignments(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &[]);
    let (mut stream, _) = peer.greet().await;
    let slow = || job("slow", "deaf", json!({"ms": 400}));
    stream.assign(vec![slow()]).await;
    assert_eq!(stream.received().await, 1);
    // The same frame, then the same lease under a new number.
    stream.send(Down::Assign(Assign { assign_seq: 1, items: vec![slow()] })).await;
    assert_eq!(stream.received().await, 1, "a repeat is acknowledged again");
    stream.assign(vec![slow(), job("other", "echo", json!(null))]).await;
    assert_eq!(job_id(&stream.report_item().await), "other");
    assert_eq!(job_id(&stream.report_item().await), "slow");
    stream.ack(&lease("slow"), Verdict::Recorded).await;
    // A second run of it would be reported by the time that this one is.
    stream.assign(vec![job("last", "deaf", json!({"ms": 400}))]).await;
    assert_eq!(job_id(&stream.report_item().await), "last");
}

/// A handler that never yields does not cost the session its pings.
pub(super) async fn burnt_processor(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &[]);
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "spin", json!({"ms": 1000}))]).await;
    stream.received().await;
    let before = stream.pings;
    assert_eq!(result(&stream.report_item().await), "spun");
    let pings = stream.pings - before;
    assert!(pings >= 5, "{pings} pings in {:?} at one each {PING:?}", ms(1000));
}

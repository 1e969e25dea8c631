//! Jobs from assignment to report, and credit.

use sentinel_proto::workers::v1::session_request::Frame as RequestFrame;
use sentinel_proto::workers::v1::session_response::Frame as ResponseFrame;
use sentinel_proto::workers::v1::{Assign, Verdict, report_item::Outcome};
use serde_json::json;

use crate::WorkerProgram;
use crate::fixtures::{failure, job, job_id, lease, ms, result};
use crate::scripted_server::{PING_INTERVAL, ScriptedServer};

pub(super) async fn run_job(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &[]);
    let (mut stream, _) = server.accept_session().await;
    stream.assign(vec![job("j1", "echo", json!({"a": "ü"}))]).await;
    assert_eq!(stream.received().await, 1);
    let item = stream.report_item().await;
    assert_eq!(item.lease, Some(lease("j1")));
    assert!(item.started_at.is_some(), "a report must have started_at");
    assert_eq!(result(&item), r#"{"a":"ü"}"#);
    stream.ack(&lease("j1"), Verdict::Recorded).await;
    // Bytes that are not JSON are passed unchanged.
    let mut raw = job("j2", "echo", json!(null));
    raw.payload = bytes::Bytes::from_static(&[0, 255, 128]);
    stream.assign(vec![raw]).await;
    match stream.report_item().await.outcome {
        Some(Outcome::Succeeded(succeeded)) => assert_eq!(succeeded.result.as_ref(), [0, 255, 128]),
        other => panic!("{other:?}"),
    }
}

pub(super) async fn snooze_and_release(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &[]);
    let (mut stream, _) = server.accept_session().await;
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

pub(super) async fn handler_errors(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &[]);
    let (mut stream, _) = server.accept_session().await;
    let retryable = json!({"message": "no", "code": "E1", "retryable": true, "next_delay_ms": 250});
    stream.assign(vec![job("retryable", "fail", retryable)]).await;
    let (failed, error) = failure(&stream.report_item().await);
    assert_eq!((error.message.as_str(), error.code.as_str(), error.retryable), ("no", "E1", true));
    assert_eq!(failed.next_delay.map(|delay| delay.nanos), Some(250_000_000));
    assert!(!failed.timeout);
    let permanent = json!({"message": "€".repeat(8_000), "code": "E2", "retryable": false});
    stream.assign(vec![job("permanent", "fail", permanent)]).await;
    let (failed, error) = failure(&stream.report_item().await);
    assert_eq!((error.code.as_str(), error.retryable), ("E2", false));
    assert_eq!(failed.next_delay, None);
    assert_eq!(
        error.message,
        "€".repeat(16 * 1024 / 3),
        "expected truncation at a character, to 16 KiB"
    );
    stream.assign(vec![job("throw", "throw", json!(null))]).await;
    let (_, error) = failure(&stream.report_item().await);
    assert!(error.retryable, "an ordinary error must be retryable: {error:?}");
    assert!(error.message.contains("plain"), "{error:?}");
    stream.assign(vec![job("large_result", "large_result", json!(null))]).await;
    let (_, error) = failure(&stream.report_item().await);
    assert_eq!((error.code.as_str(), error.retryable), ("RESULT_TOO_LARGE", false));
    stream.assign(vec![job("undeclared", "not.declared", json!(null))]).await;
    let (_, error) = failure(&stream.report_item().await);
    assert_eq!((error.code.as_str(), error.retryable), ("NO_HANDLER", true));
    // A payload that does not deserialize fails without a retry.
    let mut invalid = job("invalid", "fail", json!(null));
    invalid.payload = bytes::Bytes::from_static(b"{");
    stream.assign(vec![invalid]).await;
    let (_, error) = failure(&stream.report_item().await);
    assert_eq!((error.code.as_str(), error.retryable), ("BAD_PAYLOAD", false));
}

/// Credit is conserved: no slot is lost or granted twice, and each free slot is granted.
pub(super) async fn credit(program: WorkerProgram) {
    const JOBS: u32 = 1000;
    const SLOTS: u32 = 20;
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &["--concurrency", "20"]);
    let (mut stream, hello) = server.accept_session().await;
    let mut credit = hello.credit.unwrap_or_default().jobs;
    let (mut assigned, mut reported) = (0, 0);
    while reported < JOBS || credit < SLOTS {
        let batch = credit.min(1 + assigned % 7).min(JOBS - assigned);
        if batch > 0 {
            let ids = (assigned..assigned + batch).map(|n| format!("j{n}"));
            stream.assign(ids.map(|id| job(&id, "echo", json!(1))).collect()).await;
            credit -= batch;
            assigned += batch;
        }
        match stream.next().await.expect("the worker closed the stream") {
            RequestFrame::Credit(granted) => credit += granted.jobs,
            RequestFrame::Report(report) => {
                assert!(report.items.len() <= 1000, "at most 1000 items in a report");
                for item in &report.items {
                    assert_eq!(result(item), "1");
                    stream.ack(item.lease.as_ref().unwrap(), Verdict::Recorded).await;
                    reported += 1;
                }
            }
            _ => {}
        }
        assert!(credit <= SLOTS, "{credit} slots granted of {SLOTS}");
    }
    assert_eq!((assigned, reported, credit), (JOBS, JOBS, SLOTS));
}

/// Jobs beyond the granted credit are released.
pub(super) async fn assign_exceeds_credit(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &["--concurrency", "1"]);
    let (mut stream, _) = server.accept_session().await;
    let first = job("first", "wait_for_cancel", json!(null));
    stream.assign(vec![first, job("second", "echo", json!(null))]).await;
    let item = stream.report_item().await;
    assert_eq!(job_id(&item), "second");
    assert!(matches!(item.outcome, Some(Outcome::Released(_))), "{item:?}");
}

pub(super) async fn duplicate_assign(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &[]);
    let (mut stream, _) = server.accept_session().await;
    let slow = || job("slow", "ignore_cancel", json!({"ms": 400}));
    stream.assign(vec![slow()]).await;
    assert_eq!(stream.received().await, 1);
    // The same frame, then the same lease in a new frame.
    stream.send(ResponseFrame::Assign(Assign { assign_seq: 1, items: vec![slow()] })).await;
    assert_eq!(stream.received().await, 1, "a repeated frame must be acknowledged again");
    stream.assign(vec![slow(), job("other", "echo", json!(null))]).await;
    assert_eq!(job_id(&stream.report_item().await), "other");
    assert_eq!(job_id(&stream.report_item().await), "slow");
    stream.ack(&lease("slow"), Verdict::Recorded).await;
    // A second execution of `slow` would be reported before this one.
    stream.assign(vec![job("last", "ignore_cancel", json!({"ms": 400}))]).await;
    assert_eq!(job_id(&stream.report_item().await), "last");
}

/// A handler that never yields does not delay pings.
pub(super) async fn cpu_bound_handler(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &[]);
    let (mut stream, _) = server.accept_session().await;
    stream.assign(vec![job("j1", "busy_loop", json!({"ms": 1000}))]).await;
    stream.received().await;
    let before = stream.pings;
    assert_eq!(result(&stream.report_item().await), "finished");
    let pings = stream.pings - before;
    assert!(pings >= 5, "{pings} pings in {:?} at an interval of {PING_INTERVAL:?}", ms(1000));
}

//! Cancels (by Cancel frame, by Pong, repeated) and run timeouts.

use sentinel_proto::workers::v1::session_request::Frame as RequestFrame;
use sentinel_proto::workers::v1::session_response::Frame as ResponseFrame;
use sentinel_proto::workers::v1::{
    CancelItem, CancelJobs, Pong, ReportItem, Revoked, Verdict, report_item::Outcome,
};
use serde_json::json;

use crate::WorkerProgram;
use crate::fixtures::{failure, job, job_id, lease, ms, result};
use crate::scripted_server::{ScriptedServer, SessionStream, wire_duration};

fn cancel_of(id: &str) -> CancelItem {
    let grace = Some(wire_duration(ms(100)));
    CancelItem { lease: Some(lease(id)), reason: "because".to_owned(), grace }
}

async fn cancel(stream: &SessionStream, ids: &[&str]) {
    let items = ids.iter().map(|id| cancel_of(id)).collect();
    stream.send(ResponseFrame::Cancel(CancelJobs { items })).await;
}

async fn cancel_ack(stream: &mut SessionStream) -> Vec<String> {
    let ack = stream.next_matching(|frame| match frame {
        RequestFrame::CancelAck(ack) => Some(ack.leases),
        _ => None,
    });
    let mut ids: Vec<String> = ack.await.into_iter().map(|lease| lease.job_id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Waits for the report about a job and the acknowledgement of its cancel, in either order.
async fn report_and_ack(stream: &mut SessionStream, job: &str) -> ReportItem {
    let (mut report, mut acked) = (None, false);
    while report.is_none() || !acked {
        match stream.next().await.expect("the worker closed the stream") {
            RequestFrame::Report(mut found) => report = Some(found.items.remove(0)),
            RequestFrame::CancelAck(ack) => {
                acked |= ack.leases.iter().any(|lease| lease.job_id == job)
            }
            _ => {}
        }
    }
    report.expect("checked above")
}

fn is_cancelled(item: &ReportItem) -> bool {
    matches!(item.outcome, Some(Outcome::Cancelled(_)))
}

pub(super) async fn cancel_acknowledged(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &[]);
    let (mut stream, _) = server.accept_session().await;
    // One handler returns "cancelled", the other fails. A cancelled job is reported the same way.
    stream.assign(vec![job("j1", "wait_for_cancel", json!(null))]).await;
    stream.assign(vec![job("j2", "sleep", json!({"ms": 60_000}))]).await;
    cancel(&stream, &["j1", "j1"]).await;
    let item = report_and_ack(&mut stream, "j1").await;
    assert!(is_cancelled(&item), "{item:?}");
    let pong = || Pong { nonce: 0, cancels: vec![cancel_of("j2")] };
    stream.send(ResponseFrame::Pong(pong())).await;
    let item = report_and_ack(&mut stream, "j2").await;
    assert!(is_cancelled(&item), "{item:?}");
    // Cancels of a finished and of an unknown attempt are acknowledged, too.
    stream.send(ResponseFrame::Pong(pong())).await;
    assert_eq!(cancel_ack(&mut stream).await, ["j2"]);
    cancel(&stream, &["unknown"]).await;
    assert_eq!(cancel_ack(&mut stream).await, ["unknown"]);
}

/// A handler that succeeds despite the cancel is reported as a success.
pub(super) async fn success_after_cancel(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &[]);
    let (mut stream, _) = server.accept_session().await;
    stream.assign(vec![job("j1", "ignore_cancel", json!({"ms": 500}))]).await;
    cancel(&stream, &["j1"]).await;
    assert_eq!(cancel_ack(&mut stream).await, ["j1"]);
    assert_eq!(result(&stream.report_item().await), "finished");
}

/// When the server revokes the lease, a handler that ignores the cancel must not keep its slot.
pub(super) async fn handler_ignores_cancel(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &["--concurrency", "1"]);
    let (mut stream, _) = server.accept_session().await;
    stream.assign(vec![job("running", "ignore_cancel", json!({"ms": 600_000}))]).await;
    cancel(&stream, &["running"]).await;
    assert_eq!(cancel_ack(&mut stream).await, ["running"]);
    stream.send(ResponseFrame::Revoked(Revoked { leases: vec![lease("running")] })).await;
    let slots = stream.next_matching(|frame| match frame {
        RequestFrame::Credit(credit) if credit.jobs > 0 => Some(credit.jobs),
        RequestFrame::Report(report) => {
            panic!("an attempt without a lease was reported: {report:?}")
        }
        _ => None,
    });
    assert_eq!(slots.await, 1);
    stream.assign(vec![job("next", "echo", json!(1))]).await;
    assert_eq!(job_id(&stream.report_item().await), "next");
}

/// The worker enforces run_timeout, even when the handler ignores it.
pub(super) async fn run_timeout(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &[]);
    let (mut stream, _) = server.accept_session().await;
    let mut slow = job("slow", "ignore_cancel", json!({"ms": 600_000}));
    slow.run_timeout = Some(wire_duration(ms(200)));
    stream.assign(vec![slow]).await;
    let (failed, error) = failure(&stream.report_item().await);
    assert!(failed.timeout && error.retryable, "{failed:?}");
    assert_eq!(error.code, "TIMEOUT");
    stream.ack(&lease("slow"), Verdict::Recorded).await;
    // A cancelled attempt that times out is reported as cancelled.
    let mut cancelled = job("cancelled", "ignore_cancel", json!({"ms": 600_000}));
    cancelled.run_timeout = Some(wire_duration(ms(1500)));
    stream.assign(vec![cancelled]).await;
    cancel(&stream, &["cancelled"]).await;
    assert_eq!(cancel_ack(&mut stream).await, ["cancelled"]);
    let item = stream.report_item().await;
    assert!(is_cancelled(&item), "{item:?}");
}

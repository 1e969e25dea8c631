//! Cancels: by frame, by pong, repeated, and who wins; and the end of an attempt's time.

use sentinel_proto::workers::v1::session_request::Frame as Up;
use sentinel_proto::workers::v1::session_response::Frame as Down;
use sentinel_proto::workers::v1::{
    CancelItem, CancelJobs, Pong, ReportItem, Revoked, Verdict, report_item::Outcome,
};
use serde_json::json;

use super::{failure, job, job_id, lease, ms, result};
use crate::Runtime;
use crate::peer::{Peer, Stream, wire};

fn cancel_of(id: &str) -> CancelItem {
    let grace = Some(wire(ms(100)));
    CancelItem { lease: Some(lease(id)), reason: "because".to_owned(), grace }
}

async fn cancel(stream: &Stream, ids: &[&str]) {
    let items = ids.iter().map(|id| cancel_of(id)).collect();
    stream.send(Down::Cancel(CancelJobs { items })).await;
}

async fn cancel_ack(stream: &mut Stream) -> Vec<String> {
    let ack = stream.until(|frame| match frame {
        Up::CancelAck(ack) => Some(ack.leases),
        _ => None,
    });
    let mut ids: Vec<String> = ack.await.into_iter().map(|lease| lease.job_id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The report about a job and the acknowledgement of its cancel, in either order.
async fn report_and_ack(stream: &mut Stream, job: &str) -> ReportItem {
    let (mut report, mut acked) = (None, false);
    while report.is_none() || !acked {
        match stream.next().await.expect("the worker ended the stream") {
            Up::Report(mut found) => report = Some(found.items.remove(0)),
            Up::CancelAck(ack) => acked |= ack.leases.iter().any(|lease| lease.job_id == job),
            _ => {}
        }
    }
    report.expect("checked above")
}

fn is_cancelled(item: &ReportItem) -> bool {
    matches!(item.outcome, Some(Outcome::Cancelled(_)))
}

pub(super) async fn cancels_are_acknowledged(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &[]);
    let (mut stream, _) = peer.greet().await;
    // One says that it was cancelled, the other fails: under a cancel that is the same.
    stream.assign(vec![job("j1", "wait", json!(null))]).await;
    stream.assign(vec![job("j2", "sleep", json!({"ms": 60_000}))]).await;
    cancel(&stream, &["j1", "j1"]).await;
    let item = report_and_ack(&mut stream, "j1").await;
    assert!(is_cancelled(&item), "{item:?}");
    let pong = || Pong { nonce: 0, cancels: vec![cancel_of("j2")] };
    stream.send(Down::Pong(pong())).await;
    let item = report_and_ack(&mut stream, "j2").await;
    assert!(is_cancelled(&item), "{item:?}");
    // Again after its end, and about a job that was never here: each is acknowledged.
    stream.send(Down::Pong(pong())).await;
    assert_eq!(cancel_ack(&mut stream).await, ["j2"]);
    cancel(&stream, &["never"]).await;
    assert_eq!(cancel_ack(&mut stream).await, ["never"]);
}

/// A handler that comes to its end all the same has succeeded.
pub(super) async fn a_success_wins(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &[]);
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "deaf", json!({"ms": 500}))]).await;
    cancel(&stream, &["j1"]).await;
    assert_eq!(cancel_ack(&mut stream).await, ["j1"]);
    assert_eq!(result(&stream.report_item().await), "deaf");
}

/// When the grace is over the server takes the lease; a deaf handler must not keep its slot.
pub(super) async fn the_grace_ends(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &["--concurrency", "1"]);
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("deaf", "deaf", json!({"ms": 600_000}))]).await;
    cancel(&stream, &["deaf"]).await;
    assert_eq!(cancel_ack(&mut stream).await, ["deaf"]);
    stream.send(Down::Revoked(Revoked { leases: vec![lease("deaf")] })).await;
    let room = stream.until(|frame| match frame {
        Up::Credit(credit) if credit.jobs > 0 => Some(credit.jobs),
        Up::Report(report) => panic!("a lost lease is not reported: {report:?}"),
        _ => None,
    });
    assert_eq!(room.await, 1);
    stream.assign(vec![job("next", "echo", json!(1))]).await;
    assert_eq!(job_id(&stream.report_item().await), "next");
}

/// The worker watches over run_timeout, and does not wait for a handler that does not.
pub(super) async fn timeouts_are_reported(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &[]);
    let (mut stream, _) = peer.greet().await;
    let mut late = job("late", "deaf", json!({"ms": 600_000}));
    late.run_timeout = Some(wire(ms(200)));
    stream.assign(vec![late]).await;
    let (failed, error) = failure(&stream.report_item().await);
    assert!(failed.timeout && error.retryable, "{failed:?}");
    assert_eq!(error.code, "TIMEOUT");
    stream.ack(&lease("late"), Verdict::Recorded).await;
    // Under a cancel the end of its time is the end of the cancel.
    let mut cancelled = job("cancelled", "deaf", json!({"ms": 600_000}));
    cancelled.run_timeout = Some(wire(ms(1500)));
    stream.assign(vec![cancelled]).await;
    cancel(&stream, &["cancelled"]).await;
    assert_eq!(cancel_ack(&mut stream).await, ["cancelled"]);
    let item = stream.report_item().await;
    assert!(is_cancelled(&item), "{item:?}");
}

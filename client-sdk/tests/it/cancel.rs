//! Cancels: by frame, by pong, repeated, and who wins.

use std::sync::Arc;

use sentinel_client::proto::workers::v1::session_request::Frame as Up;
use sentinel_client::proto::workers::v1::session_response::Frame as Down;
use sentinel_client::proto::workers::v1::{CancelItem, CancelJobs, Pong, report_item};
use sentinel_client::worker::{HandlerError, JobContext, Outcome};
use tokio::sync::Notify;

use crate::peer::{Peer, Running, Stream, is_success, job, lease};

fn cancel_of(id: &str) -> CancelItem {
    CancelItem { lease: Some(lease(id)), reason: "because".to_owned(), grace: None }
}

async fn cancel_ack(stream: &mut Stream) -> Vec<String> {
    let ack = stream.until(|frame| match frame {
        Up::CancelAck(ack) => Some(ack.leases),
        _ => None,
    });
    ack.await.into_iter().map(|lease| lease.job_id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_handler_is_reported_as_cancelled() {
    let mut peer = Peer::listen().await;
    let stops = async |job: JobContext| -> Result<(), HandlerError> {
        job.cancellation_token().cancelled().await;
        Err(HandlerError::retryable("stopped"))
    };
    let _worker = Running::start(peer.worker().handler("stops", stops));
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "stops"), job("j2", "stops")]).await;
    let items = vec![cancel_of("j1"), cancel_of("j1")];
    stream.send(Down::Cancel(CancelJobs { items })).await;
    let item = stream.report_until_acked("j1").await;
    assert!(matches!(item.outcome, Some(report_item::Outcome::Cancelled(_))), "{item:?}");
    // By pong, and once more after its end: each is acknowledged.
    for _ in 0..2 {
        let pong = Pong { nonce: 0, cancels: vec![cancel_of("j2")] };
        stream.send(Down::Pong(pong)).await;
        assert_eq!(cancel_ack(&mut stream).await, ["j2"]);
    }
    // So is one about a job that was never here.
    let items = vec![cancel_of("never")];
    stream.send(Down::Cancel(CancelJobs { items })).await;
    assert_eq!(cancel_ack(&mut stream).await, ["never"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_success_may_still_win() {
    let mut peer = Peer::listen().await;
    let go = Arc::new(Notify::new());
    let gate = go.clone();
    let ignores = move |job: JobContext| {
        let gate = gate.clone();
        async move {
            gate.notified().await;
            assert!(job.is_cancelled());
            Outcome::from("done")
        }
    };
    let _worker = Running::start(peer.worker().handler("ignores", ignores));
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "ignores")]).await;
    stream.send(Down::Cancel(CancelJobs { items: vec![cancel_of("j1")] })).await;
    assert_eq!(cancel_ack(&mut stream).await, ["j1"]);
    go.notify_one();
    assert!(is_success(&stream.report_item().await));
}

//! Leaving in good order.

use std::sync::Arc;
use std::time::Duration;

use sentinel_client::proto::workers::v1::session_request::Frame as Up;
use sentinel_client::proto::workers::v1::session_response::Frame as Down;
use sentinel_client::proto::workers::v1::{DrainAck, HeldVerdict, Verdict, report_item};
use sentinel_client::worker::JobContext;
use tokio::sync::Notify;

use crate::peer::{Peer, Running, Stream, is_success, job, lease, lease_of};

async fn drain_frame(stream: &mut Stream) {
    stream
        .until(|frame| match frame {
            Up::Drain(_) => Some(()),
            _ => None,
        })
        .await;
}

async fn bye(stream: &mut Stream) {
    stream
        .until(|frame| match frame {
            Up::Bye(_) => Some(()),
            Up::Credit(credit) => panic!("room granted while leaving: {credit:?}"),
            _ => None,
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn running_jobs_end_and_late_ones_are_handed_back() {
    let mut peer = Peer::listen().await;
    let go = Arc::new(Notify::new());
    let gate = go.clone();
    let gated = move |_: JobContext| {
        let gate = gate.clone();
        async move { gate.notified().await }
    };
    let builder = peer.worker().handler("gated", gated);
    let mut worker = Running::start(builder.drain_timeout(Duration::MAX));
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "gated")]).await;
    stream.until(|frame| matches!(frame, Up::Received(_)).then_some(())).await;
    worker.shut_down();
    drain_frame(&mut stream).await;
    // Assigned before the server saw the Drain.
    stream.assign(vec![job("j2", "gated")]).await;
    stream.send(Down::DrainAck(DrainAck { last_assign_seq: 2 })).await;
    let item = stream.report_item().await;
    assert_eq!(lease_of(&item).job_id, "j2");
    assert!(matches!(item.outcome, Some(report_item::Outcome::Released(_))));
    stream.ack(&lease("j2"), Verdict::Recorded).await;
    go.notify_one();
    assert!(is_success(&stream.report_item().await));
    stream.ack(&lease("j1"), Verdict::Recorded).await;
    bye(&mut stream).await;
    drop(stream);
    worker.ended().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_timeout_the_rest_is_handed_back() {
    let mut peer = Peer::listen().await;
    let stubborn = async |_: JobContext| std::future::pending::<()>().await;
    let builder = peer.worker().handler("stubborn", stubborn);
    let mut worker = Running::start(builder.drain_timeout(Duration::from_millis(30)));
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "stubborn")]).await;
    stream.until(|frame| matches!(frame, Up::Received(_)).then_some(())).await;
    worker.shut_down();
    drain_frame(&mut stream).await;
    stream.send(Down::DrainAck(DrainAck { last_assign_seq: 1 })).await;
    let item = stream.report_item().await;
    assert!(matches!(item.outcome, Some(report_item::Outcome::Released(_))), "{item:?}");
    stream.ack(&lease("j1"), Verdict::Recorded).await;
    bye(&mut stream).await;
    drop(stream);
    worker.ended().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_outlives_its_stream() {
    let mut peer = Peer::listen().await;
    let mut worker = Running::start(peer.worker().handler("noop", async |_: JobContext| ()));
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "noop")]).await;
    stream.report_item().await;
    worker.shut_down();
    drain_frame(&mut stream).await;
    stream.cut().await;
    // The report is not settled: the worker comes back for its verdict, without room for more.
    let mut stream = peer.accept().await;
    let hello = stream.hello().await;
    assert_eq!(hello.held, [lease("j1")]);
    assert_eq!(hello.credit.unwrap().jobs, 0);
    stream.welcome("s1", &[HeldVerdict::AlreadyRecorded]).await;
    drain_frame(&mut stream).await;
    stream.send(Down::DrainAck(DrainAck { last_assign_seq: 0 })).await;
    bye(&mut stream).await;
    drop(stream);
    worker.ended().await.unwrap();
}

//! Leaving in good order, on SIGTERM.

use sentinel_proto::workers::v1::session_request::Frame as Up;
use sentinel_proto::workers::v1::session_response::Frame as Down;
use sentinel_proto::workers::v1::{DrainAck, HeldVerdict, Verdict, report_item::Outcome};
use serde_json::json;

use super::{job, job_id, lease, result};
use crate::Runtime;
use crate::peer::{Peer, Stream};

async fn drain_frame(stream: &mut Stream) {
    stream.until(|frame| matches!(frame, Up::Drain(_)).then_some(())).await;
}

async fn bye(stream: &mut Stream) {
    stream
        .until(|frame| match frame {
            Up::Bye(_) => Some(()),
            Up::Credit(credit) => panic!("room granted while leaving: {credit:?}"),
            _ => None,
        })
        .await;
    assert!(stream.next().await.is_none(), "Bye is the last frame");
}

/// Running jobs come to their end; those assigned meanwhile are handed back.
pub(super) async fn drain(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let worker = runtime.start(&peer, &[]);
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("running", "deaf", json!({"ms": 1500}))]).await;
    stream.received().await;
    worker.leave();
    drain_frame(&mut stream).await;
    // Assigned before the server saw the Drain.
    stream.assign(vec![job("late", "echo", json!(1))]).await;
    stream.send(Down::DrainAck(DrainAck { last_assign_seq: 2 })).await;
    assert_eq!(stream.received().await, 2, "the last assignment is acknowledged");
    let item = stream.report_item().await;
    assert_eq!(job_id(&item), "late");
    assert!(matches!(item.outcome, Some(Outcome::Released(_))), "{item:?}");
    stream.ack(&lease("late"), Verdict::Recorded).await;
    assert_eq!(result(&stream.report_item().await), "deaf");
    stream.ack(&lease("running"), Verdict::Recorded).await;
    bye(&mut stream).await;
    drop(stream);
    worker.left().await;
}

/// When the patience is over, handlers are stopped and what is left is handed back.
pub(super) async fn drain_timeout(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let worker = runtime.start(&peer, &["--drain-timeout-ms", "100"]);
    let (mut stream, _) = peer.greet().await;
    let deaf = job("deaf", "deaf", json!({"ms": 600_000}));
    stream.assign(vec![deaf, job("stops", "sleep", json!({"ms": 600_000}))]).await;
    stream.received().await;
    worker.leave();
    drain_frame(&mut stream).await;
    stream.send(Down::DrainAck(DrainAck { last_assign_seq: 1 })).await;
    let mut released = vec![];
    while released.len() < 2 {
        for item in stream.report().await.items {
            assert!(matches!(item.outcome, Some(Outcome::Released(_))), "{item:?}");
            released.push(job_id(&item).to_owned());
            stream.ack(&lease(job_id(&item)), Verdict::Recorded).await;
        }
    }
    released.sort_unstable();
    assert_eq!(released, ["deaf", "stops"]);
    bye(&mut stream).await;
    drop(stream);
    worker.left().await;
}

/// A report that is not settled brings the worker back for its verdict, without room for more.
pub(super) async fn drain_outlives_its_stream(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let worker = runtime.start(&peer, &[]);
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "echo", json!(1))]).await;
    stream.report_item().await;
    worker.leave();
    drain_frame(&mut stream).await;
    stream.cut().await;
    let (mut stream, hello) = peer.hello().await;
    assert_eq!(hello.held, [lease("j1")]);
    assert_eq!(hello.credit.unwrap_or_default().jobs, 0, "a worker that leaves has no room");
    stream.welcome("s1", &[HeldVerdict::AlreadyRecorded]).await;
    drain_frame(&mut stream).await;
    stream.send(Down::DrainAck(DrainAck { last_assign_seq: 0 })).await;
    bye(&mut stream).await;
    drop(stream);
    worker.left().await;
}

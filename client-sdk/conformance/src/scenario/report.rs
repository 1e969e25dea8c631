//! Reports and the verdicts on them.

use sentinel_proto::workers::v1::{HeldVerdict, Verdict};
use serde_json::json;

use super::{job, job_id, lease, result};
use crate::Runtime;
use crate::peer::Peer;

/// What was not acknowledged is held, and sent again on the next stream.
pub(super) async fn resent(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &["--concurrency", "4"]);
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "echo", json!(1))]).await;
    let first = stream.report_item().await;
    for _ in 0..2 {
        stream.cut().await;
        let hello;
        (stream, hello) = peer.hello().await;
        assert_eq!(hello.session, "s1");
        assert_eq!(hello.held, [lease("j1")]);
        assert_eq!(hello.credit.unwrap_or_default().jobs, 4, "a reported job uses no slot");
        stream.welcome("s1", &[HeldVerdict::Keep]).await;
        assert_eq!(stream.report_item().await, first);
    }
    stream.ack(&lease("j1"), Verdict::Duplicate).await;
    // A verdict that comes twice, and one about nothing, change nothing.
    stream.ack(&lease("j1"), Verdict::Recorded).await;
    stream.ack(&lease("never"), Verdict::Fenced).await;
    stream.assign(vec![job("j2", "echo", json!(2))]).await;
    assert_eq!(result(&stream.report_item().await), "2");
    stream.cut().await;
    assert_eq!(peer.hello().await.1.held, [lease("j2")]);
}

pub(super) async fn retry_later(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &[]);
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "echo", json!(1))]).await;
    let first = stream.report_item().await;
    for _ in 0..3 {
        stream.ack(&lease("j1"), Verdict::RetryLater).await;
        assert_eq!(stream.report_item().await, first);
    }
    stream.ack(&lease("j1"), Verdict::Recorded).await;
    stream.assign(vec![job("j2", "echo", json!(2))]).await;
    stream.report_item().await;
    stream.cut().await;
    assert_eq!(peer.hello().await.1.held, [lease("j2")]);
}

pub(super) async fn fenced(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &[]);
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "echo", json!(1))]).await;
    stream.report_item().await;
    stream.ack(&lease("j1"), Verdict::Fenced).await;
    // Forgotten, not sent again, and the worker goes on.
    stream.assign(vec![job("j2", "echo", json!(2))]).await;
    assert_eq!(job_id(&stream.report_item().await), "j2");
    stream.cut().await;
    assert_eq!(peer.hello().await.1.held, [lease("j2")]);
}

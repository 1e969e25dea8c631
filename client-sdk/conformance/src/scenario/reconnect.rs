//! Lost and silent streams, and servers that leave.

use std::time::{Duration, Instant};

use sentinel_proto::workers::v1::session_request::Frame as Up;
use sentinel_proto::workers::v1::session_response::Frame as Down;
use sentinel_proto::workers::v1::{GoAway, HeldVerdict, Revoked, Verdict};
use serde_json::json;

use super::{job, job_id, lease, ms};
use crate::Runtime;
use crate::peer::{Peer, Stream, wire};

/// The next grant of room; a slot that came free.
async fn room(stream: &mut Stream) -> u32 {
    stream
        .until(|frame| match frame {
            Up::Credit(credit) if credit.jobs > 0 => Some(credit.jobs),
            Up::Report(report) => panic!("a lost lease is not reported: {report:?}"),
            _ => None,
        })
        .await
}

pub(super) async fn held_verdicts(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &["--concurrency", "4"]);
    let (mut stream, _) = peer.greet().await;
    let kept = job("kept", "deaf", json!({"ms": 700}));
    let items = vec![kept, job("lost", "wait", json!(null)), job("done", "echo", json!(1))];
    stream.assign(items).await;
    assert_eq!(job_id(&stream.report_item().await), "done");
    stream.cut().await;
    let (mut stream, hello) = peer.hello().await;
    assert_eq!(hello.held.len(), 3, "running and unacknowledged leases: {:?}", hello.held);
    assert_eq!(hello.credit.unwrap_or_default().jobs, 2, "two handlers run");
    let verdicts = hello.held.iter().map(|lease| match lease.job_id.as_str() {
        "kept" => HeldVerdict::Keep,
        "lost" => HeldVerdict::Revoked,
        "done" => HeldVerdict::AlreadyRecorded,
        other => panic!("no lease of {other} was given"),
    });
    let verdicts: Vec<HeldVerdict> = verdicts.collect();
    stream.welcome("s2", &verdicts).await;
    // The handler of the lost lease stops, and neither it nor the recorded one is reported.
    let item = stream.report_item().await;
    assert_eq!(job_id(&item), "kept");
    assert_eq!(item.lease, Some(lease("kept")), "under the lease as it was given");
    stream.ack(&lease("kept"), Verdict::Recorded).await;
    let mut next = job("next", "echo", json!(1));
    next.lease.as_mut().unwrap().session = "s2".to_owned();
    stream.assign(vec![next]).await;
    assert_eq!(job_id(&stream.report_item().await), "next");
    stream.cut().await;
    let (_, hello) = peer.hello().await;
    assert_eq!(hello.session, "s2", "the session of the last Welcome");
    assert_eq!(hello.held.len(), 1, "{:?}", hello.held);
    assert_eq!(hello.credit.unwrap_or_default().jobs, 4, "every slot is free again");
}

/// A lease that is taken back frees its slot without a report.
pub(super) async fn revoked(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &["--concurrency", "1"]);
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "wait", json!(null))]).await;
    stream.received().await;
    stream.send(Down::Revoked(Revoked { leases: vec![lease("j1"), lease("unknown")] })).await;
    assert_eq!(room(&mut stream).await, 1);
}

/// After 5 s without a frame the stream is dead, however open it looks.
pub(super) async fn silence(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &[]);
    let (mut silent, _) = peer.greet().await;
    silent.assign(vec![job("j1", "wait", json!(null))]).await;
    let begun = Instant::now();
    let (stream, hello) = peer.hello().await;
    assert_eq!((hello.session.as_str(), hello.held), ("s1", vec![lease("j1")]));
    assert!(begun.elapsed() >= ms(4500), "redialled after {:?}", begun.elapsed());
    stream.welcome("s1", &[HeldVerdict::Keep]).await;
}

/// The new session is open before the old stream is left, and nothing is lost on the way.
pub(super) async fn go_away(runtime: Runtime) {
    let mut leaving = Peer::listen().await;
    let mut peer = Peer::listen().await;
    let endpoints = [leaving.url(), peer.url()];
    let _worker = runtime.start_at(&endpoints, &["--concurrency", "3"]);
    let (mut old, _) = leaving.greet().await;
    let items = vec![job("running", "deaf", json!({"ms": 1500})), job("done", "echo", json!(1))];
    old.assign(items).await;
    assert_eq!(job_id(&old.report_item().await), "done");
    let within = Some(wire(Duration::from_millis(20)));
    old.send(Down::GoAway(GoAway { reconnect_within: within })).await;
    let (mut new, hello) = peer.hello().await;
    assert_eq!(hello.session, "s1");
    assert_eq!(hello.held.len(), 2, "{:?}", hello.held);
    // A verdict on the old stream still counts while the new one is not yet welcomed.
    old.ack(&lease("done"), Verdict::Recorded).await;
    new.welcome("s1", &[HeldVerdict::Keep, HeldVerdict::Keep]).await;
    old.until(|frame| matches!(frame, Up::Bye(_)).then_some(())).await;
    assert!(old.next().await.is_none(), "Bye is the last frame");
    drop(old);
    loop {
        match job_id(&new.report_item().await) {
            // The verdict and the Welcome came by two ways; either may be first.
            "done" => new.ack(&lease("done"), Verdict::Duplicate).await,
            id => break assert_eq!(id, "running"),
        }
    }
    new.ack(&lease("running"), Verdict::Recorded).await;
    new.assign(vec![job("next", "echo", json!(1))]).await;
    assert_eq!(job_id(&new.report_item().await), "next");
}

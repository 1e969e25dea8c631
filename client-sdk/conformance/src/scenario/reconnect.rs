//! Lost and silent streams, and servers that shut down.

use std::time::{Duration, Instant};

use sentinel_proto::workers::v1::session_request::Frame as RequestFrame;
use sentinel_proto::workers::v1::session_response::Frame as ResponseFrame;
use sentinel_proto::workers::v1::{GoAway, HeldVerdict, Revoked, Verdict};
use serde_json::json;

use crate::WorkerProgram;
use crate::fixtures::{job, job_id, lease, ms};
use crate::scripted_server::{ScriptedServer, SessionStream, wire_duration};

/// The slots of the next credit.
async fn next_credit(stream: &mut SessionStream) -> u32 {
    stream
        .next_matching(|frame| match frame {
            RequestFrame::Credit(credit) if credit.jobs > 0 => Some(credit.jobs),
            RequestFrame::Report(report) => {
                panic!("an attempt without a lease was reported: {report:?}")
            }
            _ => None,
        })
        .await
}

pub(super) async fn held_verdicts(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &["--concurrency", "4"]);
    let (mut stream, _) = server.accept_session().await;
    let kept = job("kept", "ignore_cancel", json!({"ms": 700}));
    let items =
        vec![kept, job("lost", "wait_for_cancel", json!(null)), job("done", "echo", json!(1))];
    stream.assign(items).await;
    assert_eq!(job_id(&stream.report_item().await), "done");
    stream.disconnect().await;
    let (mut stream, hello) = server.accept_hello().await;
    assert_eq!(
        hello.held.len(),
        3,
        "expected the running and unacknowledged leases: {:?}",
        hello.held
    );
    assert_eq!(hello.credit.unwrap_or_default().jobs, 2, "two slots are used");
    let verdicts = hello.held.iter().map(|lease| match lease.job_id.as_str() {
        "kept" => HeldVerdict::Keep,
        "lost" => HeldVerdict::Revoked,
        "done" => HeldVerdict::AlreadyRecorded,
        other => panic!("unexpected lease of {other}"),
    });
    let verdicts: Vec<HeldVerdict> = verdicts.collect();
    stream.welcome("s2", &verdicts).await;
    // The revoked attempt stops; neither it nor the recorded one is reported.
    let item = stream.report_item().await;
    assert_eq!(job_id(&item), "kept");
    assert_eq!(item.lease, Some(lease("kept")), "the lease must be unchanged");
    stream.ack(&lease("kept"), Verdict::Recorded).await;
    let mut next = job("next", "echo", json!(1));
    next.lease.as_mut().unwrap().session = "s2".to_owned();
    stream.assign(vec![next]).await;
    assert_eq!(job_id(&stream.report_item().await), "next");
    stream.disconnect().await;
    let (_, hello) = server.accept_hello().await;
    assert_eq!(hello.session, "s2", "expected the session of the last Welcome");
    assert_eq!(hello.held.len(), 1, "{:?}", hello.held);
    assert_eq!(hello.credit.unwrap_or_default().jobs, 4, "all slots must be granted again");
}

/// A revoked lease frees its slot without a report.
pub(super) async fn lease_revoked(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &["--concurrency", "1"]);
    let (mut stream, _) = server.accept_session().await;
    stream.assign(vec![job("j1", "wait_for_cancel", json!(null))]).await;
    stream.received().await;
    stream
        .send(ResponseFrame::Revoked(Revoked { leases: vec![lease("j1"), lease("unknown")] }))
        .await;
    assert_eq!(next_credit(&mut stream).await, 1);
}

/// After 5 s without a frame the worker reconnects, although the stream is open.
pub(super) async fn silent_stream(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &[]);
    let (mut silent, _) = server.accept_session().await;
    silent.assign(vec![job("j1", "wait_for_cancel", json!(null))]).await;
    let start = Instant::now();
    let (stream, hello) = server.accept_hello().await;
    assert_eq!((hello.session.as_str(), hello.held), ("s1", vec![lease("j1")]));
    assert!(start.elapsed() >= ms(4500), "reconnected after {:?}", start.elapsed());
    stream.welcome("s1", &[HeldVerdict::Keep]).await;
}

/// On GoAway the worker opens the new stream before it closes the old one, and loses no attempt.
pub(super) async fn go_away(program: WorkerProgram) {
    let mut old_server = ScriptedServer::start().await;
    let mut server = ScriptedServer::start().await;
    let endpoints = [old_server.url(), server.url()];
    let _worker = program.start_at(&endpoints, &["--concurrency", "3"]);
    let (mut old, _) = old_server.accept_session().await;
    let items =
        vec![job("running", "ignore_cancel", json!({"ms": 1500})), job("done", "echo", json!(1))];
    old.assign(items).await;
    assert_eq!(job_id(&old.report_item().await), "done");
    let within = Some(wire_duration(Duration::from_millis(20)));
    old.send(ResponseFrame::GoAway(GoAway { reconnect_within: within })).await;
    let (mut new, hello) = server.accept_hello().await;
    assert_eq!(hello.session, "s1");
    assert_eq!(hello.held.len(), 2, "{:?}", hello.held);
    // A verdict on the old stream is applied until Welcome arrives on the new one.
    old.ack(&lease("done"), Verdict::Recorded).await;
    new.welcome("s1", &[HeldVerdict::Keep, HeldVerdict::Keep]).await;
    old.next_matching(|frame| matches!(frame, RequestFrame::Bye(_)).then_some(())).await;
    assert!(old.next().await.is_none(), "Bye must be the last frame");
    drop(old);
    loop {
        match job_id(&new.report_item().await) {
            // The verdict and the Welcome use different streams, so either may arrive first.
            "done" => new.ack(&lease("done"), Verdict::Duplicate).await,
            id => break assert_eq!(id, "running"),
        }
    }
    new.ack(&lease("running"), Verdict::Recorded).await;
    new.assign(vec![job("next", "echo", json!(1))]).await;
    assert_eq!(job_id(&new.report_item().await), "next");
}

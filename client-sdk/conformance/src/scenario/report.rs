//! Reports and their verdicts.

use sentinel_proto::workers::v1::{HeldVerdict, Verdict};
use serde_json::json;

use crate::WorkerProgram;
use crate::fixtures::{job, job_id, lease, result};
use crate::scripted_server::ScriptedServer;

/// An unacknowledged report is held and sent again on the next stream.
pub(super) async fn report_resent(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &["--concurrency", "4"]);
    let (mut stream, _) = server.accept_session().await;
    stream.assign(vec![job("j1", "echo", json!(1))]).await;
    let first = stream.report_item().await;
    for _ in 0..2 {
        stream.disconnect().await;
        let hello;
        (stream, hello) = server.accept_hello().await;
        assert_eq!(hello.session, "s1");
        assert_eq!(hello.held, [lease("j1")]);
        assert_eq!(hello.credit.unwrap_or_default().jobs, 4, "a reported job uses no slot");
        stream.welcome("s1", &[HeldVerdict::Keep]).await;
        assert_eq!(stream.report_item().await, first);
    }
    stream.ack(&lease("j1"), Verdict::Duplicate).await;
    // A repeated verdict and one for an unknown lease are ignored.
    stream.ack(&lease("j1"), Verdict::Recorded).await;
    stream.ack(&lease("unknown"), Verdict::Fenced).await;
    stream.assign(vec![job("j2", "echo", json!(2))]).await;
    assert_eq!(result(&stream.report_item().await), "2");
    stream.disconnect().await;
    assert_eq!(server.accept_hello().await.1.held, [lease("j2")]);
}

pub(super) async fn report_retry_later(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &[]);
    let (mut stream, _) = server.accept_session().await;
    stream.assign(vec![job("j1", "echo", json!(1))]).await;
    let first = stream.report_item().await;
    for _ in 0..3 {
        stream.ack(&lease("j1"), Verdict::RetryLater).await;
        assert_eq!(stream.report_item().await, first);
    }
    stream.ack(&lease("j1"), Verdict::Recorded).await;
    stream.assign(vec![job("j2", "echo", json!(2))]).await;
    stream.report_item().await;
    stream.disconnect().await;
    assert_eq!(server.accept_hello().await.1.held, [lease("j2")]);
}

pub(super) async fn report_fenced(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &[]);
    let (mut stream, _) = server.accept_session().await;
    stream.assign(vec![job("j1", "echo", json!(1))]).await;
    stream.report_item().await;
    stream.ack(&lease("j1"), Verdict::Fenced).await;
    // The report is dropped and the worker continues.
    stream.assign(vec![job("j2", "echo", json!(2))]).await;
    assert_eq!(job_id(&stream.report_item().await), "j2");
    stream.disconnect().await;
    assert_eq!(server.accept_hello().await.1.held, [lease("j2")]);
}

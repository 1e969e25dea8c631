//! Graceful shutdown on SIGTERM.

use sentinel_proto::workers::v1::session_request::Frame as RequestFrame;
use sentinel_proto::workers::v1::session_response::Frame as ResponseFrame;
use sentinel_proto::workers::v1::{DrainAck, HeldVerdict, Verdict, report_item::Outcome};
use serde_json::json;

use crate::WorkerProgram;
use crate::fixtures::{job, job_id, lease, result};
use crate::scripted_server::{ScriptedServer, SessionStream};

async fn drain_frame(stream: &mut SessionStream) {
    stream.next_matching(|frame| matches!(frame, RequestFrame::Drain(_)).then_some(())).await;
}

async fn bye(stream: &mut SessionStream) {
    stream
        .next_matching(|frame| match frame {
            RequestFrame::Bye(_) => Some(()),
            RequestFrame::Credit(credit) => panic!("credit granted during a drain: {credit:?}"),
            _ => None,
        })
        .await;
    assert!(stream.next().await.is_none(), "Bye must be the last frame");
}

/// Running jobs finish; jobs that are assigned during the drain are released.
pub(super) async fn drain(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let worker = program.start(&server, &[]);
    let (mut stream, _) = server.accept_session().await;
    stream.assign(vec![job("running", "ignore_cancel", json!({"ms": 1500}))]).await;
    stream.received().await;
    worker.request_shutdown();
    drain_frame(&mut stream).await;
    // Assigned before the server received Drain.
    stream.assign(vec![job("late", "echo", json!(1))]).await;
    stream.send(ResponseFrame::DrainAck(DrainAck { last_assign_seq: 2 })).await;
    assert_eq!(stream.received().await, 2, "the last assignment must be acknowledged");
    let item = stream.report_item().await;
    assert_eq!(job_id(&item), "late");
    assert!(matches!(item.outcome, Some(Outcome::Released(_))), "{item:?}");
    stream.ack(&lease("late"), Verdict::Recorded).await;
    assert_eq!(result(&stream.report_item().await), "finished");
    stream.ack(&lease("running"), Verdict::Recorded).await;
    bye(&mut stream).await;
    drop(stream);
    worker.assert_clean_exit().await;
}

/// After the drain timeout, handlers are cancelled and their jobs are released.
pub(super) async fn drain_timeout(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let worker = program.start(&server, &["--drain-timeout-ms", "100"]);
    let (mut stream, _) = server.accept_session().await;
    let ignores = job("ignores", "ignore_cancel", json!({"ms": 600_000}));
    stream.assign(vec![ignores, job("stops", "sleep", json!({"ms": 600_000}))]).await;
    stream.received().await;
    worker.request_shutdown();
    drain_frame(&mut stream).await;
    stream.send(ResponseFrame::DrainAck(DrainAck { last_assign_seq: 1 })).await;
    let mut released = vec![];
    while released.len() < 2 {
        for item in stream.report().await.items {
            assert!(matches!(item.outcome, Some(Outcome::Released(_))), "{item:?}");
            released.push(job_id(&item).to_owned());
            stream.ack(&lease(job_id(&item)), Verdict::Recorded).await;
        }
    }
    released.sort_unstable();
    assert_eq!(released, ["ignores", "stops"]);
    bye(&mut stream).await;
    drop(stream);
    worker.assert_clean_exit().await;
}

/// A draining worker with an unsettled report reconnects, without granting credit.
pub(super) async fn drain_reconnect(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let worker = program.start(&server, &[]);
    let (mut stream, _) = server.accept_session().await;
    stream.assign(vec![job("j1", "echo", json!(1))]).await;
    stream.report_item().await;
    worker.request_shutdown();
    drain_frame(&mut stream).await;
    stream.disconnect().await;
    let (mut stream, hello) = server.accept_hello().await;
    assert_eq!(hello.held, [lease("j1")]);
    assert_eq!(hello.credit.unwrap_or_default().jobs, 0, "a draining worker must grant no credit");
    stream.welcome("s1", &[HeldVerdict::AlreadyRecorded]).await;
    drain_frame(&mut stream).await;
    stream.send(ResponseFrame::DrainAck(DrainAck { last_assign_seq: 0 })).await;
    bye(&mut stream).await;
    drop(stream);
    worker.assert_clean_exit().await;
}

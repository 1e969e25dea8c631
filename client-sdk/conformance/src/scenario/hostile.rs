//! Handlers that end, return or report in ways that nobody expects. Each attempt fails or succeeds
//! on its own; other jobs of the worker, its session and its process are not affected.

use sentinel_proto::jobs::v1::{JobError, LogLine, Progress};
use sentinel_proto::workers::v1::session_request::Frame as RequestFrame;
use sentinel_proto::workers::v1::session_response::Frame as ResponseFrame;
use sentinel_proto::workers::v1::{
    CancelItem, CancelJobs, LogAck, ReportItem, Revoked, Verdict, report_item::Outcome,
};
use serde_json::json;

use crate::WorkerProgram;
use crate::fixtures::{failure, job, job_id, lease, ms, result};
use crate::scripted_server::{ScriptedServer, SessionStream, wire_duration};

/// More than the entries of every table, so that each entry runs.
const INDEXES: u32 = 20;
const MAX_TEXT_BYTES: usize = 16 * 1024;
const MAX_PROGRESS_MESSAGE_BYTES: usize = 4 * 1024;
const MAX_LINE_BYTES: usize = 64 * 1024;

/// Runs `kind` with each index beside a job that runs all the time. `judge` checks each report.
async fn run_beside_bystanders(
    program: WorkerProgram,
    kind: &str,
    judge: impl Fn(u32, &ReportItem, &Advice),
) {
    let mut server = ScriptedServer::start().await;
    let worker = program.start(&server, &[]);
    let (mut stream, _) = server.accept_session().await;
    stream.assign(vec![job("bystander", "wait_for_cancel", json!(null))]).await;
    for index in 0..INDEXES {
        let id = format!("{kind}-{index}");
        stream.assign(vec![job(&id, kind, json!({ "index": index }))]).await;
        let (item, advice) = report_and_advice(&mut stream).await;
        assert_eq!(job_id(&item), id, "a bystander lost its attempt: {item:?}");
        judge(index, &item, &advice);
        stream.ack(&lease(&id), Verdict::Recorded).await;
    }
    // The bystander still runs on the same stream, and the worker still takes jobs.
    stream.assign(vec![job("after", "echo", json!("after"))]).await;
    assert_eq!(result(&stream.report_item().await), "\"after\"");
    stream.ack(&lease("after"), Verdict::Recorded).await;
    cancel(&stream, "bystander").await;
    let item = stream.report_item().await;
    assert_eq!(job_id(&item), "bystander");
    assert!(matches!(item.outcome, Some(Outcome::Cancelled(_))), "{item:?}");
    stream.ack(&lease("bystander"), Verdict::Recorded).await;
    drop((stream, server));
    drop(worker);
}

/// What an attempt reported while it ran.
#[derive(Default)]
struct Advice {
    progress: Vec<Progress>,
    lines: Vec<LogLine>,
}

/// The next report, with the progress and log lines before it.
async fn report_and_advice(stream: &mut SessionStream) -> (ReportItem, Advice) {
    let mut advice = Advice::default();
    loop {
        match stream.next().await.expect("the worker closed the stream") {
            RequestFrame::Progress(progress) => {
                advice.progress.extend(progress.items.into_iter().filter_map(|item| item.progress));
            }
            RequestFrame::Log(log) => {
                let seq = log.lines.iter().map(|line| line.seq).max().unwrap_or_default();
                stream.send(ResponseFrame::LogAck(LogAck { lease: log.lease, seq })).await;
                advice.lines.extend(log.lines);
            }
            RequestFrame::Report(mut report) => {
                assert_eq!(report.items.len(), 1, "expected a single attempt: {report:?}");
                return (report.items.remove(0), advice);
            }
            _ => {}
        }
    }
}

fn assert_bounded(error: &JobError) {
    assert!(!error.message.is_empty(), "a failure must have a message: {error:?}");
    assert!(error.message.len() <= MAX_TEXT_BYTES, "{} bytes of message", error.message.len());
    assert!(error.detail.len() <= MAX_TEXT_BYTES, "{} bytes of detail", error.detail.len());
}

/// However a handler ends, its attempt fails, counts and may be repeated.
pub(super) async fn throw_hostile(program: WorkerProgram) {
    run_beside_bystanders(program, "throw_hostile", |index, item, _| {
        let (failed, error) = failure(item);
        assert_bounded(&error);
        assert!(error.retryable, "index {index}: must be retryable: {error:?}");
        assert!(!failed.timeout, "index {index}: {failed:?}");
        assert!(item.started_at.is_some(), "index {index}: a report must have started_at");
    })
    .await;
}

/// A result without JSON fails the attempt; the message names the part.
pub(super) async fn return_hostile(program: WorkerProgram) {
    run_beside_bystanders(program, "return_hostile", |index, item, _| {
        let (_, error) = failure(item);
        assert_bounded(&error);
        let found = (error.code.as_str(), error.retryable);
        assert_eq!(found, ("BAD_RESULT", false), "index {index}: {error:?}");
        assert!(error.message.starts_with("result"), "index {index}: {error:?}");
    })
    .await;
}

/// Odd progress and log lines are made valid; the attempt succeeds.
pub(super) async fn advise_hostile(program: WorkerProgram) {
    run_beside_bystanders(program, "advise_hostile", |index, item, advice| {
        assert_eq!(result(item), "advised", "index {index}");
        assert!(!advice.lines.is_empty(), "index {index}: the log lines were dropped");
        for line in &advice.lines {
            assert!(line.text.len() <= MAX_LINE_BYTES, "index {index}: {} bytes", line.text.len());
        }
        for progress in &advice.progress {
            let bytes = progress.message.len();
            assert!(bytes <= MAX_PROGRESS_MESSAGE_BYTES, "index {index}: {bytes} bytes");
        }
    })
    .await;
}

/// The failure says where the error came from, for people; the worker's log does, too.
pub(super) async fn throw_deep(program: WorkerProgram) {
    const PLACES: [&str; 3] = ["innermost_frame", "innermostFrame", "innermost cause"];
    let names_place = |text: &str| PLACES.iter().any(|place| text.contains(place));
    let mut server = ScriptedServer::start().await;
    let worker = program.start(&server, &[]);
    let (mut stream, _) = server.accept_session().await;
    stream.assign(vec![job("deep", "throw_deep", json!({}))]).await;
    let (_, error) = failure(&stream.report_item().await);
    assert_bounded(&error);
    assert!(error.retryable, "{error:?}");
    assert!(names_place(&error.detail), "the detail has no stack: {error:?}");
    stream.ack(&lease("deep"), Verdict::Recorded).await;
    worker.request_shutdown();
    // The server of this scenario acknowledges the drain by closing.
    drop((stream, server));
    let stderr = worker.stderr().await;
    assert!(names_place(&stderr), "the worker's log has no stack: {stderr}");
}

async fn cancel(stream: &SessionStream, id: &str) {
    let grace = Some(wire_duration(ms(100)));
    let items = vec![CancelItem { lease: Some(lease(id)), reason: "because".to_owned(), grace }];
    stream.send(ResponseFrame::Cancel(CancelJobs { items })).await;
}

/// Waits until the worker grants a slot.
async fn granted_slot(stream: &mut SessionStream) {
    stream
        .next_matching(|frame| match frame {
            RequestFrame::Credit(credit) if credit.jobs > 0 => Some(()),
            _ => None,
        })
        .await;
}

/// A slot that is granted is free: after a handler that ignores its cancel and cannot be stopped,
/// whether its lease was revoked or its attempt timed out, the next job is called.
pub(super) async fn capacity_after_timeout(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &["--concurrency", "1"]);
    let (mut stream, _) = server.accept_session().await;
    let mut stubborn = job("timed-out", "busy_loop", json!({"ms": 2000}));
    stubborn.run_timeout = Some(wire_duration(ms(200)));
    stream.assign(vec![stubborn]).await;
    let (failed, _) = failure(&stream.report_item().await);
    assert!(failed.timeout, "{failed:?}");
    stream.ack(&lease("timed-out"), Verdict::Recorded).await;
    granted_slot(&mut stream).await;
    assert_called(&mut stream, "first").await;
    granted_slot(&mut stream).await;
    stream.assign(vec![job("revoked", "busy_loop", json!({"ms": 2000}))]).await;
    cancel(&stream, "revoked").await;
    stream.send(ResponseFrame::Revoked(Revoked { leases: vec![lease("revoked")] })).await;
    granted_slot(&mut stream).await;
    assert_called(&mut stream, "second").await;
}

/// Assigns a job that must be called within its run_timeout.
async fn assert_called(stream: &mut SessionStream, id: &str) {
    let mut next = job(id, "echo", json!(1));
    next.run_timeout = Some(wire_duration(ms(700)));
    stream.assign(vec![next]).await;
    let item = stream.report_item().await;
    assert_eq!(job_id(&item), id);
    assert_eq!(result(&item), "1");
    stream.ack(&lease(id), Verdict::Recorded).await;
}

/// The run_timeout of a job that waits for a thread of the worker starts with its handler.
pub(super) async fn run_timeout_starts_with_handler(program: WorkerProgram) {
    const JOBS: usize = 8;
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &["--concurrency", "8"]);
    let (mut stream, _) = server.accept_session().await;
    // More than the machine has cores, or a runtime has threads: some begin after the others.
    let jobs = (0..JOBS).map(|n| {
        let mut next = job(&format!("j{n}"), "busy_loop", json!({"ms": 700}));
        next.run_timeout = Some(wire_duration(ms(2_500)));
        next
    });
    stream.assign(jobs.collect()).await;
    let mut reported = 0;
    while reported < JOBS {
        for item in stream.report().await.items {
            assert_eq!(result(&item), "finished");
            stream.ack(item.lease.as_ref().unwrap(), Verdict::Recorded).await;
            reported += 1;
        }
    }
}

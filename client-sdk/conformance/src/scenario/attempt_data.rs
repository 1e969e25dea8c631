//! Progress, log lines, checkpoints and output.

use sentinel_proto::jobs::v1::{LogLevel, LogLine};
use sentinel_proto::workers::v1::session_request::Frame as RequestFrame;
use sentinel_proto::workers::v1::session_response::Frame as ResponseFrame;
use sentinel_proto::workers::v1::{
    Checkpoint, CheckpointAck, HeldVerdict, LogAck, Output, OutputAck, Verdict,
};
use serde_json::json;

use crate::WorkerProgram;
use crate::fixtures::{job, lease, result};
use crate::scripted_server::{ScriptedServer, SessionStream};

/// Progress is conflated to ten frames per second; the last one precedes the report.
pub(super) async fn progress(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &[]);
    let (mut stream, _) = server.accept_session().await;
    stream.assign(vec![job("j1", "progress", json!({"n": 2000}))]).await;
    let (mut seqs, mut last, mut frames) = (vec![], None, 0);
    let report = stream.next_matching(|frame| {
        match frame {
            RequestFrame::Report(report) => return Some(report),
            RequestFrame::Progress(report) => {
                frames += 1;
                for item in report.items {
                    assert_eq!(item.lease, Some(lease("j1")));
                    let progress = item.progress.expect("an item with progress");
                    seqs.push(progress.seq);
                    last = Some(progress);
                }
            }
            _ => {}
        }
        None
    });
    assert_eq!(result(&report.await.items[0]), "reported");
    let last = last.expect("progress before the report");
    assert_eq!((last.done, last.total, last.message.as_str()), (2000, 2000, "2000"));
    assert!(seqs.is_sorted_by(|a, b| a < b), "seq must increase: {seqs:?}");
    assert!(frames <= 200, "{frames} frames for 2000 calls: not conflated");
}

async fn next_checkpoint(stream: &mut SessionStream) -> Checkpoint {
    stream
        .next_matching(|frame| match frame {
            RequestFrame::Checkpoint(sent) => Some(sent),
            RequestFrame::Report(report) => {
                panic!("reported before the checkpoint was stored: {report:?}")
            }
            _ => None,
        })
        .await
}

async fn ack_checkpoint(stream: &SessionStream, sent: &Checkpoint, verdict: Verdict) {
    let (lease, verdict) = (sent.lease.clone(), verdict.into());
    stream
        .send(ResponseFrame::CheckpointAck(CheckpointAck { lease, seq: sent.seq, verdict }))
        .await;
}

/// The handler continues once its checkpoint is stored; the next attempt receives it.
pub(super) async fn checkpoint(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &[]);
    let (mut stream, _) = server.accept_session().await;
    stream.assign(vec![job("j1", "checkpoint", json!({"data": "step"}))]).await;
    let sent = next_checkpoint(&mut stream).await;
    assert_eq!((sent.seq, sent.data.as_ref()), (1, b"step".as_slice()));
    assert_eq!(sent.lease, Some(lease("j1")));
    // RETRY_LATER: sent again.
    ack_checkpoint(&stream, &sent, Verdict::RetryLater).await;
    assert_eq!(next_checkpoint(&mut stream).await, sent);
    // Unacknowledged on a lost stream: sent again.
    stream.disconnect().await;
    let (mut stream, _) = server.accept_hello().await;
    stream.welcome("s1", &[HeldVerdict::Keep]).await;
    assert_eq!(next_checkpoint(&mut stream).await, sent);
    ack_checkpoint(&stream, &sent, Verdict::Recorded).await;
    assert_eq!(result(&stream.report_item().await), "/stored");
    stream.ack(&lease("j1"), Verdict::Recorded).await;
    let mut next = job("j1", "checkpoint", json!({"data": "another"}));
    next.checkpoint = sent.data;
    next.lease.as_mut().unwrap().attempt = 2;
    next.lease.as_mut().unwrap().epoch = 2;
    stream.assign(vec![next]).await;
    let sent = next_checkpoint(&mut stream).await;
    assert_eq!(sent.seq, 1, "seq starts at 1 in each attempt");
    ack_checkpoint(&stream, &sent, Verdict::Recorded).await;
    assert_eq!(result(&stream.report_item().await), "step/stored");
}

/// FENCED means that the lease is lost: the attempt is not reported.
pub(super) async fn checkpoint_fenced(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &["--concurrency", "1"]);
    let (mut stream, _) = server.accept_session().await;
    stream.assign(vec![job("j1", "checkpoint", json!({"data": "step"}))]).await;
    let sent = next_checkpoint(&mut stream).await;
    ack_checkpoint(&stream, &sent, Verdict::Fenced).await;
    let frame = stream.next_matching(|frame| match frame {
        RequestFrame::Received(_) | RequestFrame::Progress(_) | RequestFrame::Log(_) => None,
        frame => Some(frame),
    });
    assert!(
        matches!(frame.await, RequestFrame::Credit(credit) if credit.jobs == 1),
        "expected only the freed slot"
    );
}

/// The log lines of an attempt before its report, and its result.
async fn lines_and_report(stream: &mut SessionStream) -> (Vec<LogLine>, String) {
    let mut lines = vec![];
    let report = stream.next_matching(|frame| match frame {
        RequestFrame::Report(report) => Some(report),
        RequestFrame::Log(batch) => {
            assert!(batch.lines.len() <= 1000, "a frame must have at most 1000 lines");
            lines.extend(batch.lines);
            None
        }
        _ => None,
    });
    let item = report.await.items.remove(0);
    (lines, result(&item))
}

pub(super) async fn logs(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &[]);
    let (mut stream, _) = server.accept_session().await;
    let long = "€".repeat(50_000);
    stream.assign(vec![job("j1", "log", json!({"lines": ["one", long, ""]}))]).await;
    // Without any LogAck: a report does not wait for it.
    let (lines, result) = lines_and_report(&mut stream).await;
    assert_eq!(result, "logged");
    let seqs: Vec<u64> = lines.iter().map(|line| line.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5], "numbered from 1, the long line split");
    let long_lines = &lines[1..4];
    assert!(
        long_lines.iter().all(|line| line.text.len() <= 64 * 1024),
        "a line must have at most 64 KiB"
    );
    assert_eq!(long_lines.iter().map(|line| line.text.as_str()).collect::<String>(), long);
    for line in &lines {
        assert_eq!((line.run, line.attempt), (1, 1));
        assert_eq!(line.level(), LogLevel::Warn);
        assert!(line.time.is_some());
    }
    // When a handler logs faster than the server stores, lines are dropped, which leaves gaps in
    // seq.
    let many: Vec<String> = (1..=3000).map(|n| n.to_string()).collect();
    stream.assign(vec![job("j2", "log", json!({"lines": many}))]).await;
    let (lines, _) = lines_and_report(&mut stream).await;
    assert!(lines.iter().all(|line| line.text == line.seq.to_string()));
    assert!(lines.is_sorted_by(|a, b| a.seq < b.seq), "lines must be in order");
    assert_eq!(lines.last().map(|line| line.seq), Some(3000), "the newest lines must be kept");
}

/// Exactly the lines that the lost stream had not acknowledged are sent again.
pub(super) async fn logs_resent(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &[]);
    let (mut stream, _) = server.accept_session().await;
    stream.assign(vec![job("j1", "log", json!({"lines": ["one", "two", "three"]}))]).await;
    let (lines, _) = lines_and_report(&mut stream).await;
    assert_eq!(lines.len(), 3);
    stream.send(ResponseFrame::LogAck(LogAck { lease: Some(lease("j1")), seq: 1 })).await;
    stream.disconnect().await;
    let (mut stream, _) = server.accept_hello().await;
    stream.welcome("s1", &[HeldVerdict::Keep]).await;
    let mut texts = vec![];
    stream
        .next_matching(|frame| {
            if let RequestFrame::Log(batch) = frame {
                texts.extend(batch.lines.into_iter().map(|line| line.text));
            }
            (texts.len() >= 2).then_some(())
        })
        .await;
    assert_eq!(texts, ["two", "three"]);
}

async fn next_output(stream: &mut SessionStream) -> Output {
    stream
        .next_matching(|frame| match frame {
            RequestFrame::Output(sent) => Some(sent),
            RequestFrame::Report(report) => {
                panic!("reported before the output was stored: {report:?}")
            }
            _ => None,
        })
        .await
}

async fn ack_output(stream: &SessionStream, sent: &Output, verdict: Verdict, stored: u64) {
    let (lease, verdict) = (sent.lease.clone(), verdict.into());
    let ack = OutputAck { lease, offset: sent.offset, verdict, stored };
    stream.send(ResponseFrame::OutputAck(ack)).await;
}

async fn ack_stored(stream: &SessionStream, sent: &Output) {
    ack_output(stream, sent, Verdict::Recorded, sent.offset + sent.data.len() as u64).await;
}

/// Output is sent in chunks, each after the acknowledgement of the previous one.
pub(super) async fn output(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &[]);
    let (mut stream, _) = server.accept_session().await;
    let long = "€".repeat(50_000);
    stream.assign(vec![job("j1", "output", json!({"parts": ["one", long, "two"]}))]).await;
    let sent = next_output(&mut stream).await;
    assert_eq!((sent.offset, sent.data.as_ref()), (0, b"one".as_slice()));
    assert_eq!(sent.lease, Some(lease("j1")));
    // RETRY_LATER: sent again.
    ack_output(&stream, &sent, Verdict::RetryLater, 0).await;
    assert_eq!(next_output(&mut stream).await, sent);
    // Unacknowledged on a lost stream: sent again.
    stream.disconnect().await;
    let (mut stream, _) = server.accept_hello().await;
    stream.welcome("s1", &[HeldVerdict::Keep]).await;
    assert_eq!(next_output(&mut stream).await, sent);
    ack_stored(&stream, &sent).await;
    // A repeated acknowledgement is ignored.
    ack_stored(&stream, &sent).await;
    let mut all = sent.data.to_vec();
    while all.len() < 3 + 150_000 + 3 {
        let sent = next_output(&mut stream).await;
        assert_eq!(sent.offset, all.len() as u64, "must continue after the previous chunk");
        assert!((1..=64 * 1024).contains(&sent.data.len()), "{} bytes", sent.data.len());
        all.extend_from_slice(&sent.data);
        ack_stored(&stream, &sent).await;
    }
    assert_eq!(String::from_utf8(all).unwrap(), format!("one{long}two"));
    assert_eq!(result(&stream.report_item().await), "stored");
}

/// Output over the limit is not sent, a chunk that the server did not store is an error, and FENCED
/// ends the attempt.
pub(super) async fn output_errors(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    // Two, because a job may be assigned before the slot of the one before is granted again.
    let _worker = program.start(&server, &["--concurrency", "2"]);
    let (mut stream, _) = server.accept_session().await;
    let part = "x".repeat(64 * 1024);
    let parts: Vec<&str> = std::iter::repeat_n(part.as_str(), 10 * 16).chain(["y"]).collect();
    stream.assign(vec![job("j1", "output", json!({ "parts": parts }))]).await;
    for _ in 0..10 * 16 {
        let sent = next_output(&mut stream).await;
        ack_stored(&stream, &sent).await;
    }
    assert_eq!(result(&stream.report_item().await), "too_large");
    stream.ack(&lease("j1"), Verdict::Recorded).await;
    stream.assign(vec![job("j2", "output", json!({"parts": ["one", "two"]}))]).await;
    let sent = next_output(&mut stream).await;
    ack_output(&stream, &sent, Verdict::Recorded, 2).await;
    assert_eq!(result(&stream.report_item().await), "rejected");
    stream.ack(&lease("j2"), Verdict::Recorded).await;
    stream.assign(vec![job("j3", "output", json!({"parts": ["one"]}))]).await;
    let sent = next_output(&mut stream).await;
    ack_output(&stream, &sent, Verdict::Fenced, 0).await;
    let credit = stream.next_matching(|frame| match frame {
        RequestFrame::Received(_) | RequestFrame::Progress(_) | RequestFrame::Log(_) => None,
        frame => Some(frame),
    });
    assert!(matches!(credit.await, RequestFrame::Credit(_)), "expected only the freed slot");
}

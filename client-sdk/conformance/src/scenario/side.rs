//! Progress, log lines, checkpoints and output.

use sentinel_proto::jobs::v1::{LogLevel, LogLine};
use sentinel_proto::workers::v1::session_request::Frame as Up;
use sentinel_proto::workers::v1::session_response::Frame as Down;
use sentinel_proto::workers::v1::{
    Checkpoint, CheckpointAck, HeldVerdict, LogAck, Output, OutputAck, Verdict,
};
use serde_json::json;

use super::{job, lease, result};
use crate::Runtime;
use crate::peer::{Peer, Stream};

/// Conflated to ten a second; the last one precedes the report.
pub(super) async fn progress(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &[]);
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "progress", json!({"n": 2000}))]).await;
    let (mut seqs, mut last, mut frames) = (vec![], None, 0);
    let report = stream.until(|frame| {
        match frame {
            Up::Report(report) => return Some(report),
            Up::Progress(report) => {
                frames += 1;
                for item in report.items {
                    assert_eq!(item.lease, Some(lease("j1")));
                    let progress = item.progress.expect("an item carries its progress");
                    seqs.push(progress.seq);
                    last = Some(progress);
                }
            }
            _ => {}
        }
        None
    });
    assert_eq!(result(&report.await.items[0]), "told");
    let last = last.expect("progress precedes the report");
    assert_eq!((last.done, last.total, last.message.as_str()), (2000, 2000, "2000"));
    assert!(seqs.is_sorted_by(|a, b| a < b), "seq rises: {seqs:?}");
    assert!(frames <= 200, "{frames} frames for 2000 reports in a row: not conflated");
}

async fn sent_checkpoint(stream: &mut Stream) -> Checkpoint {
    stream
        .until(|frame| match frame {
            Up::Checkpoint(sent) => Some(sent),
            Up::Report(report) => panic!("reported before its checkpoint was stored: {report:?}"),
            _ => None,
        })
        .await
}

async fn ack(stream: &Stream, sent: &Checkpoint, verdict: Verdict) {
    let (lease, verdict) = (sent.lease.clone(), verdict.into());
    stream.send(Down::CheckpointAck(CheckpointAck { lease, seq: sent.seq, verdict })).await;
}

/// The handler goes on once its checkpoint is stored; the next attempt finds it.
pub(super) async fn checkpoints(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &[]);
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "checkpoint", json!({"data": "step"}))]).await;
    let sent = sent_checkpoint(&mut stream).await;
    assert_eq!((sent.seq, sent.data.as_ref()), (1, b"step".as_slice()));
    assert_eq!(sent.lease, Some(lease("j1")));
    // Not stored yet: sent again.
    ack(&stream, &sent, Verdict::RetryLater).await;
    assert_eq!(sent_checkpoint(&mut stream).await, sent);
    // Not acknowledged when the stream broke: sent again.
    stream.cut().await;
    let (mut stream, _) = peer.hello().await;
    stream.welcome("s1", &[HeldVerdict::Keep]).await;
    assert_eq!(sent_checkpoint(&mut stream).await, sent);
    ack(&stream, &sent, Verdict::Recorded).await;
    assert_eq!(result(&stream.report_item().await), "/stored");
    stream.ack(&lease("j1"), Verdict::Recorded).await;
    let mut next = job("j1", "checkpoint", json!({"data": "another"}));
    next.checkpoint = sent.data;
    next.lease.as_mut().unwrap().attempt = 2;
    next.lease.as_mut().unwrap().epoch = 2;
    stream.assign(vec![next]).await;
    let sent = sent_checkpoint(&mut stream).await;
    assert_eq!(sent.seq, 1, "counted by attempt");
    ack(&stream, &sent, Verdict::Recorded).await;
    assert_eq!(result(&stream.report_item().await), "step/stored");
}

/// FENCED: the lease is lost, so nothing more is said about the attempt.
pub(super) async fn checkpoint_is_fenced(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &["--concurrency", "1"]);
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "checkpoint", json!({"data": "step"}))]).await;
    let sent = sent_checkpoint(&mut stream).await;
    ack(&stream, &sent, Verdict::Fenced).await;
    let frame = stream.until(|frame| match frame {
        Up::Received(_) | Up::Progress(_) | Up::Log(_) => None,
        frame => Some(frame),
    });
    assert!(matches!(frame.await, Up::Credit(credit) if credit.jobs == 1), "only the slot is free");
}

/// All lines of an attempt up to its report.
async fn lines_and_report(stream: &mut Stream) -> (Vec<LogLine>, String) {
    let mut lines = vec![];
    let report = stream.until(|frame| match frame {
        Up::Report(report) => Some(report),
        Up::Log(batch) => {
            assert!(batch.lines.len() <= 1000, "at most 1000 lines in a frame");
            lines.extend(batch.lines);
            None
        }
        _ => None,
    });
    let item = report.await.items.remove(0);
    (lines, result(&item))
}

pub(super) async fn logs(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &[]);
    let (mut stream, _) = peer.greet().await;
    let long = "€".repeat(50_000);
    stream.assign(vec![job("j1", "log", json!({"lines": ["one", long, ""]}))]).await;
    // No LogAck ever comes: a report does not wait for it.
    let (lines, result) = lines_and_report(&mut stream).await;
    assert_eq!(result, "logged");
    let seqs: Vec<u64> = lines.iter().map(|line| line.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5], "numbered from 1; the long line is split");
    let of_long = &lines[1..4];
    assert!(of_long.iter().all(|line| line.text.len() <= 64 * 1024), "no line over 64 KiB");
    assert_eq!(of_long.iter().map(|line| line.text.as_str()).collect::<String>(), long);
    for line in &lines {
        assert_eq!((line.run, line.attempt), (1, 1));
        assert_eq!(line.level(), LogLevel::Warn);
        assert!(line.time.is_some());
    }
    // One that logs faster than lines are stored loses some, and the numbers show it.
    let many: Vec<String> = (1..=3000).map(|n| n.to_string()).collect();
    stream.assign(vec![job("j2", "log", json!({"lines": many}))]).await;
    let (lines, _) = lines_and_report(&mut stream).await;
    assert!(lines.iter().all(|line| line.text == line.seq.to_string()));
    assert!(lines.is_sorted_by(|a, b| a.seq < b.seq), "in order");
    assert_eq!(lines.last().map(|line| line.seq), Some(3000), "the newest are kept");
}

/// What the lost stream had not acknowledged goes out again, and nothing else.
pub(super) async fn logs_are_resent(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &[]);
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "log", json!({"lines": ["one", "two", "three"]}))]).await;
    let (lines, _) = lines_and_report(&mut stream).await;
    assert_eq!(lines.len(), 3);
    stream.send(Down::LogAck(LogAck { lease: Some(lease("j1")), seq: 1 })).await;
    stream.cut().await;
    let (mut stream, _) = peer.hello().await;
    stream.welcome("s1", &[HeldVerdict::Keep]).await;
    let mut texts = vec![];
    stream
        .until(|frame| {
            if let Up::Log(batch) = frame {
                texts.extend(batch.lines.into_iter().map(|line| line.text));
            }
            (texts.len() >= 2).then_some(())
        })
        .await;
    assert_eq!(texts, ["two", "three"]);
}

async fn sent_output(stream: &mut Stream) -> Output {
    stream
        .until(|frame| match frame {
            Up::Output(sent) => Some(sent),
            Up::Report(report) => panic!("reported before its output was stored: {report:?}"),
            _ => None,
        })
        .await
}

async fn ack_output(stream: &Stream, sent: &Output, verdict: Verdict, stored: u64) {
    let (lease, verdict) = (sent.lease.clone(), verdict.into());
    let ack = OutputAck { lease, offset: sent.offset, verdict, stored };
    stream.send(Down::OutputAck(ack)).await;
}

async fn ack_all(stream: &Stream, sent: &Output) {
    ack_output(stream, sent, Verdict::Recorded, sent.offset + sent.data.len() as u64).await;
}

/// Piece by piece, each after the acknowledgement of the one before, and again until it comes.
pub(super) async fn output(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &[]);
    let (mut stream, _) = peer.greet().await;
    let long = "€".repeat(50_000);
    stream.assign(vec![job("j1", "output", json!({"parts": ["one", long, "two"]}))]).await;
    let sent = sent_output(&mut stream).await;
    assert_eq!((sent.offset, sent.data.as_ref()), (0, b"one".as_slice()));
    assert_eq!(sent.lease, Some(lease("j1")));
    // Not stored yet: sent again.
    ack_output(&stream, &sent, Verdict::RetryLater, 0).await;
    assert_eq!(sent_output(&mut stream).await, sent);
    // Not acknowledged when the stream broke: sent again.
    stream.cut().await;
    let (mut stream, _) = peer.hello().await;
    stream.welcome("s1", &[HeldVerdict::Keep]).await;
    assert_eq!(sent_output(&mut stream).await, sent);
    ack_all(&stream, &sent).await;
    // Acknowledged twice: changes nothing.
    ack_all(&stream, &sent).await;
    let mut all = sent.data.to_vec();
    while all.len() < 3 + 150_000 + 3 {
        let sent = sent_output(&mut stream).await;
        assert_eq!(sent.offset, all.len() as u64, "goes on where the piece before ended");
        assert!((1..=64 * 1024).contains(&sent.data.len()), "{} bytes", sent.data.len());
        all.extend_from_slice(&sent.data);
        ack_all(&stream, &sent).await;
    }
    assert_eq!(String::from_utf8(all).unwrap(), format!("one{long}two"));
    assert_eq!(result(&stream.report_item().await), "stored");
}

/// What is over the bound never leaves; a server that can not take a piece is believed; FENCED
/// ends the attempt.
pub(super) async fn output_is_refused(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &["--concurrency", "1"]);
    let (mut stream, _) = peer.greet().await;
    let part = "x".repeat(64 * 1024);
    let parts: Vec<&str> = std::iter::repeat_n(part.as_str(), 10 * 16).chain(["y"]).collect();
    stream.assign(vec![job("j1", "output", json!({ "parts": parts }))]).await;
    for _ in 0..10 * 16 {
        let sent = sent_output(&mut stream).await;
        ack_all(&stream, &sent).await;
    }
    assert_eq!(result(&stream.report_item().await), "too_large");
    stream.ack(&lease("j1"), Verdict::Recorded).await;
    stream.assign(vec![job("j2", "output", json!({"parts": ["one", "two"]}))]).await;
    let sent = sent_output(&mut stream).await;
    ack_output(&stream, &sent, Verdict::Recorded, 2).await;
    assert_eq!(result(&stream.report_item().await), "not_taken");
    stream.ack(&lease("j2"), Verdict::Recorded).await;
    stream.assign(vec![job("j3", "output", json!({"parts": ["one"]}))]).await;
    let sent = sent_output(&mut stream).await;
    ack_output(&stream, &sent, Verdict::Fenced, 0).await;
    let credit = stream.until(|frame| match frame {
        Up::Received(_) | Up::Progress(_) | Up::Log(_) => None,
        frame => Some(frame),
    });
    assert!(matches!(credit.await, Up::Credit(_)), "only the slot is free");
}

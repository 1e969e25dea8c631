//! Progress, log lines and checkpoints.

use std::sync::Arc;

use sentinel_client::proto::workers::v1::session_request::Frame as Up;
use sentinel_client::proto::workers::v1::session_response::Frame as Down;
use sentinel_client::proto::workers::v1::{CheckpointAck, HeldVerdict, LogAck, Verdict};
use sentinel_client::worker::{CheckpointError, JobContext, LogLevel, Outcome};
use tokio::sync::Notify;

use crate::peer::{Peer, Running, is_success, job, lease};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_words_precede_the_report() {
    let mut peer = Peer::listen().await;
    let talks = async |job: JobContext| {
        for n in 0..100 {
            job.progress(n, 100, "");
        }
        job.log(LogLevel::Warn, "almost");
        job.progress(100, 100, "all");
    };
    let _worker = Running::start(peer.worker().handler("talks", talks));
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "talks")]).await;
    let (mut last_progress, mut lines, mut frames) = (None, Vec::new(), 0);
    let report = stream.until(|frame| {
        match frame {
            Up::Report(report) => return Some(report),
            Up::Log(batch) => lines.extend(batch.lines),
            Up::Progress(report) => {
                frames += 1;
                last_progress = report.items.into_iter().next_back();
            }
            _ => {}
        }
        None
    });
    assert!(is_success(&report.await.items[0]));
    let progress = last_progress.unwrap().progress.unwrap();
    assert_eq!((progress.done, progress.seq, progress.message.as_str()), (100, 101, "all"));
    assert!(frames < 10, "{frames} frames for 101 reports: not conflated");
    assert_eq!(lines.len(), 1);
    assert_eq!((lines[0].seq, lines[0].run, lines[0].attempt), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_lines_and_checkpoints_are_sent_again_after_a_break() {
    let mut peer = Peer::listen().await;
    let go = Arc::new(Notify::new());
    let gate = go.clone();
    let writes = move |job: JobContext| {
        let gate = gate.clone();
        async move {
            job.log(LogLevel::Info, "one");
            job.log(LogLevel::Info, "two");
            job.checkpoint("step").await?;
            gate.notified().await;
            Ok::<_, CheckpointError>("stored")
        }
    };
    let _worker = Running::start(peer.worker().handler("writes", writes));
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "writes")]).await;
    let mut seen = 0;
    stream
        .until(|frame| {
            match frame {
                Up::Log(batch) => seen += batch.lines.len(),
                Up::Checkpoint(_) => seen += 100,
                _ => {}
            }
            (seen == 102).then_some(())
        })
        .await;
    stream.send(Down::LogAck(LogAck { lease: Some(lease("j1")), seq: 1 })).await;
    stream.cut().await;

    let mut stream = peer.accept().await;
    stream.hello().await;
    stream.welcome("s1", &[HeldVerdict::Keep]).await;
    let (mut texts, mut checkpoint) = (Vec::new(), None);
    stream
        .until(|frame| {
            match frame {
                Up::Log(batch) => texts.extend(batch.lines.into_iter().map(|line| line.text)),
                Up::Checkpoint(sent) => checkpoint = Some(sent),
                _ => {}
            }
            (checkpoint.is_some() && !texts.is_empty()).then_some(())
        })
        .await;
    assert_eq!(texts, ["two"]);
    let checkpoint = checkpoint.unwrap();
    assert_eq!(checkpoint.data, "step");
    for verdict in [Verdict::RetryLater, Verdict::Recorded] {
        let ack = CheckpointAck {
            lease: checkpoint.lease.clone(),
            seq: checkpoint.seq,
            verdict: verdict.into(),
        };
        stream.send(Down::CheckpointAck(ack)).await;
        if verdict == Verdict::RetryLater {
            let again = stream.until(|frame| match frame {
                Up::Checkpoint(sent) => Some(sent),
                _ => None,
            });
            assert_eq!(again.await, checkpoint);
        }
    }
    go.notify_one();
    assert!(is_success(&stream.report_item().await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fenced_checkpoint_stops_the_attempt() {
    let mut peer = Peer::listen().await;
    let (told_tx, mut told) = tokio::sync::mpsc::channel(1);
    let writes = move |job: JobContext| {
        let told = told_tx.clone();
        async move {
            let too_large = job.checkpoint(vec![0; 64 * 1024 + 1]).await;
            assert!(matches!(too_large, Err(CheckpointError::TooLarge { .. })));
            let fenced = job.checkpoint("step").await;
            told.send((fenced, job.is_cancelled())).await.unwrap();
            Outcome::Cancelled
        }
    };
    let _worker = Running::start(peer.worker().handler("writes", writes));
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "writes")]).await;
    let sent = stream.until(|frame| match frame {
        Up::Checkpoint(sent) => Some(sent),
        _ => None,
    });
    let sent = sent.await;
    let verdict = Verdict::Fenced.into();
    let ack = CheckpointAck { lease: sent.lease, seq: sent.seq, verdict };
    stream.send(Down::CheckpointAck(ack)).await;
    assert_eq!(told.recv().await.unwrap().0, Err(CheckpointError::Fenced));
}

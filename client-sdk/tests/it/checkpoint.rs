//! The errors that a handler gets from `checkpoint`.

use sentinel_client::proto::workers::v1::session_request::Frame as RequestFrame;
use sentinel_client::proto::workers::v1::session_response::Frame as ResponseFrame;
use sentinel_client::proto::workers::v1::{CheckpointAck, Verdict};
use sentinel_client::worker::{CheckpointError, JobContext, Outcome};

use crate::scripted_server::{RunningWorker, ScriptedServer, job};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoint_returns_an_error_when_it_is_too_large_or_fenced() {
    let mut server = ScriptedServer::start().await;
    let (results_tx, mut results) = tokio::sync::mpsc::channel(2);
    let handler = move |job: JobContext| {
        let results = results_tx.clone();
        async move {
            results.send(job.checkpoint(vec![0; 64 * 1024 + 1]).await).await.unwrap();
            results.send(job.checkpoint("step").await).await.unwrap();
            Outcome::Cancelled
        }
    };
    let _worker = RunningWorker::start(server.worker().handler("checkpoint", handler));
    let (mut stream, _) = server.accept_session().await;
    stream.assign(vec![job("j1", "checkpoint")]).await;
    let checkpoint = stream.next_matching(|frame| match frame {
        RequestFrame::Checkpoint(checkpoint) => Some(checkpoint),
        _ => None,
    });
    let checkpoint = checkpoint.await;
    let verdict = Verdict::Fenced.into();
    let ack = CheckpointAck { lease: checkpoint.lease, seq: checkpoint.seq, verdict };
    stream.send(ResponseFrame::CheckpointAck(ack)).await;
    let too_large = CheckpointError::TooLarge { bytes: 64 * 1024 + 1, max_bytes: 64 * 1024 };
    assert_eq!(results.recv().await.unwrap(), Err(too_large));
    assert_eq!(results.recv().await.unwrap(), Err(CheckpointError::Fenced));
}

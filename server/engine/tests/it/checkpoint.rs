//! Checkpoints: acknowledged, fenced, and passed to the next attempt.

use bytes::Bytes;
use sentinel_engine::session::{FromWorker, ReportVerdict, ToWorker};
use sentinel_store::fault::Fault;

use crate::harness::TestEngine;
use crate::worker::{ScriptedWorker, failed_report, held, hello, succeeded_report};

async fn checkpoint(
    worker: &mut ScriptedWorker,
    held: sentinel_engine::session::HeldLease,
    data: Bytes,
) -> ReportVerdict {
    worker.send(FromWorker::Checkpoint { held, seq: 1, data }).await;
    worker
        .wait_for("CheckpointAck", |frame| match frame {
            ToWorker::CheckpointAck { verdict, .. } => Some(verdict),
            _ => None,
        })
        .await
}

#[tokio::test]
async fn the_next_attempt_gets_the_last_checkpoint() {
    let test = TestEngine::start().await;
    test.enqueue(|_| ()).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(2)).await;
    let jobs = worker.accept_jobs(1).await;
    let lease = held(&jobs[0]);
    assert_eq!(checkpoint(&mut worker, lease, "half".into()).await, ReportVerdict::Recorded);
    test.store.commits.always(Some(Fault::Unavailable));
    assert_eq!(checkpoint(&mut worker, lease, "more".into()).await, ReportVerdict::RetryLater);
    test.store.commits.always(None);
    let large = Bytes::from(vec![0; (64 << 10) + 1]);
    assert_eq!(checkpoint(&mut worker, lease, large).await, ReportVerdict::Fenced);
    // The session uses its newer copy of the job, so there is no conflict.
    assert_eq!(worker.report(vec![failed_report(&jobs[0], true)]).await, [ReportVerdict::Recorded]);
    let again = worker.accept_jobs(1).await;
    assert_eq!(again[0].status.checkpoint.as_deref(), Some(b"half".as_slice()));
    assert_eq!(checkpoint(&mut worker, lease, "late".into()).await, ReportVerdict::Fenced);
    worker.report(vec![succeeded_report(&again[0])]).await;
    worker.bye().await;
    test.close().await;
}

#[tokio::test]
async fn a_checkpoint_after_a_conflict_never_overwrites_a_later_one() {
    const LAST: u64 = 12;
    let test = TestEngine::start().await;
    let job = test.enqueue(|_| ()).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    let jobs = worker.accept_jobs(1).await;
    test.store.commits.once(&[Fault::ConcurrentUpdate; 4]);
    for seq in 1..=LAST {
        let data = Bytes::from(seq.to_string());
        worker.send(FromWorker::Checkpoint { held: held(&jobs[0]), seq, data }).await;
    }
    for expected in 1..=LAST {
        let ack = worker.wait_for("CheckpointAck", |frame| match frame {
            ToWorker::CheckpointAck { seq, verdict, .. } => Some((seq, verdict)),
            _ => None,
        });
        assert_eq!(ack.await, (expected, ReportVerdict::Recorded));
    }
    let stored = test.job(job.id).await.status.checkpoint.clone();
    assert_eq!(stored, Some(Bytes::from(LAST.to_string())));
    worker.bye().await;
    test.close().await;
}

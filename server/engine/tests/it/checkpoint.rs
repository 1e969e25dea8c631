//! Checkpoints: acknowledged, fenced, and handed to the next attempt.

use bytes::Bytes;
use sentinel_engine::session::{FromWorker, ReportVerdict, ToWorker};
use sentinel_store::fault::Fault;

use crate::house::House;
use crate::worker::{Worker, crash, held, hello, success};

async fn checkpoint(
    worker: &mut Worker,
    held: sentinel_engine::session::Held,
    data: Bytes,
) -> ReportVerdict {
    worker.send(FromWorker::Checkpoint { held, seq: 1, data }).await;
    worker
        .until("CheckpointAck", |frame| match frame {
            ToWorker::CheckpointAck { verdict, .. } => Some(verdict),
            _ => None,
        })
        .await
}

#[tokio::test]
async fn the_next_attempt_gets_it() {
    let house = House::new().await;
    house.enqueue(|_| ()).await;
    let mut worker = Worker::join(&house.engine, hello(2)).await;
    let jobs = worker.assigned(1).await;
    let lease = held(&jobs[0]);
    assert_eq!(checkpoint(&mut worker, lease, "half".into()).await, ReportVerdict::Recorded);
    house.store.commits.always(Some(Fault::Unavailable));
    assert_eq!(checkpoint(&mut worker, lease, "more".into()).await, ReportVerdict::RetryLater);
    house.store.commits.always(None);
    let large = Bytes::from(vec![0; (64 << 10) + 1]);
    assert_eq!(checkpoint(&mut worker, lease, large).await, ReportVerdict::Fenced);
    // The session's copy is the newer one: no conflict, and nothing is lost.
    assert_eq!(worker.report(vec![crash(&jobs[0], true)]).await, [ReportVerdict::Recorded]);
    let again = worker.assigned(1).await;
    assert_eq!(again[0].status.checkpoint.as_deref(), Some(b"half".as_slice()));
    assert_eq!(checkpoint(&mut worker, lease, "late".into()).await, ReportVerdict::Fenced);
    worker.report(vec![success(&again[0])]).await;
    worker.bye().await;
    house.close().await;
}

#[tokio::test]
async fn a_later_one_is_never_overwritten_by_one_that_met_a_conflict() {
    const LAST: u64 = 12;
    let house = House::new().await;
    let job = house.enqueue(|_| ()).await;
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    let jobs = worker.assigned(1).await;
    house.store.commits.once(&[Fault::Competitor; 4]);
    for seq in 1..=LAST {
        let data = Bytes::from(seq.to_string());
        worker.send(FromWorker::Checkpoint { held: held(&jobs[0]), seq, data }).await;
    }
    for expected in 1..=LAST {
        let told = worker.until("CheckpointAck", |frame| match frame {
            ToWorker::CheckpointAck { seq, verdict, .. } => Some((seq, verdict)),
            _ => None,
        });
        assert_eq!(told.await, (expected, ReportVerdict::Recorded));
    }
    let stored = house.job(job.id).await.status.checkpoint.clone();
    assert_eq!(stored, Some(Bytes::from(LAST.to_string())));
    worker.bye().await;
    house.close().await;
}

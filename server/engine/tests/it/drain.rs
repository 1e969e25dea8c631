//! Graceful shutdown of a worker and of the server.

use sentinel_engine::session::{FromWorker, HeldLeaseVerdict, ReportVerdict, StreamEnd, ToWorker};

use crate::harness::TestEngine;
use crate::worker::{ScriptedWorker, hello, succeeded_report};

#[tokio::test]
async fn no_assignment_is_sent_after_the_last_assign_seq_of_drain_ack() {
    let test = TestEngine::start().await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(100)).await;
    for _ in 0..20 {
        test.enqueue(|_| ()).await;
    }
    worker.send(FromWorker::Drain).await;
    let (mut assigned, mut last) = (0, None);
    while last.is_none_or(|last| assigned < last) {
        worker
            .wait_for("DrainAck", |frame| match frame {
                ToWorker::Assign { assign_seq, .. } => {
                    assigned = assign_seq;
                    Some(())
                }
                ToWorker::DrainAck { last_assign_seq } => {
                    last = Some(last_assign_seq);
                    Some(())
                }
                _ => None,
            })
            .await;
    }
    test.enqueue(|_| ()).await;
    worker.credit(5).await;
    worker.ping().await;
    assert!(!matches!(worker.try_next().await, Some(ToWorker::Assign { .. })));
    worker.bye().await;
    test.close().await;
}

#[tokio::test]
async fn a_stopping_server_sends_go_away_and_keeps_the_leases() {
    let test = TestEngine::start().await;
    test.enqueue(|_| ()).await;
    test.enqueue(|_| ()).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(2)).await;
    let jobs = worker.accept_jobs(2).await;
    worker.closing.cancel();
    let reconnect_within = worker.wait_for("GoAway", |frame| match frame {
        ToWorker::GoAway { reconnect_within } => Some(reconnect_within),
        _ => None,
    });
    assert!(reconnect_within.await.as_millis() <= 500);
    assert_eq!(worker.report(vec![succeeded_report(&jobs[0])]).await, [ReportVerdict::Recorded]);
    let before = worker.welcome.clone();
    assert_eq!(worker.closed().await, StreamEnd::Drained);
    let again = ScriptedWorker::resume(&test.engine, &before, &[&jobs[0], &jobs[1]]).await;
    assert_eq!(again.verdicts(), [HeldLeaseVerdict::AlreadyRecorded, HeldLeaseVerdict::Keep]);
    again.bye().await;
    test.close().await;
}

#[tokio::test]
async fn reports_in_flight_at_a_disconnect_are_recorded() {
    let test = TestEngine::start().await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(50)).await;
    for _ in 0..50 {
        test.enqueue(|_| ()).await;
    }
    let jobs = worker.accept_jobs(50).await;
    for job in &jobs {
        worker.send(FromWorker::Report(vec![succeeded_report(job)])).await;
    }
    worker.disconnect().await;
    for job in &jobs {
        assert!(test.job(job.id).await.status.state.is_terminal());
    }
    test.close().await;
}

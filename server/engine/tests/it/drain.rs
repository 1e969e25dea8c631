//! Leaving in good order, by the worker and by the server.

use sentinel_engine::session::{Ended, FromWorker, HeldVerdict, ReportVerdict, ToWorker};

use crate::house::House;
use crate::worker::{Worker, hello, success};

#[tokio::test]
async fn nothing_is_assigned_after_the_number_of_drain_ack() {
    let house = House::new().await;
    let mut worker = Worker::join(&house.engine, hello(100)).await;
    for _ in 0..20 {
        house.enqueue(|_| ()).await;
    }
    worker.send(FromWorker::Drain).await;
    let (mut assigned, mut last) = (0, None);
    while last.is_none_or(|last| assigned < last) {
        worker
            .until("DrainAck", |frame| match frame {
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
    house.enqueue(|_| ()).await;
    worker.credit(5).await;
    worker.pong().await;
    assert!(!matches!(worker.poll().await, Some(ToWorker::Assign { .. })));
    worker.bye().await;
    house.close().await;
}

#[tokio::test]
async fn a_server_that_leaves_says_so_and_keeps_the_leases() {
    let house = House::new().await;
    house.enqueue(|_| ()).await;
    house.enqueue(|_| ()).await;
    let mut worker = Worker::join(&house.engine, hello(2)).await;
    let jobs = worker.assigned(2).await;
    worker.closing.cancel();
    let within = worker.until("GoAway", |frame| match frame {
        ToWorker::GoAway { reconnect_within } => Some(reconnect_within),
        _ => None,
    });
    assert!(within.await.as_millis() <= 500);
    assert_eq!(worker.report(vec![success(&jobs[0])]).await, [ReportVerdict::Recorded]);
    let before = worker.welcome.clone();
    assert_eq!(worker.ended().await, Ended::Drained);
    let again = Worker::rejoin(&house.engine, &before, &[&jobs[0], &jobs[1]]).await;
    assert_eq!(again.verdicts(), [HeldVerdict::AlreadyRecorded, HeldVerdict::Keep]);
    again.bye().await;
    house.close().await;
}

#[tokio::test]
async fn reports_in_flight_at_the_end_are_recorded() {
    let house = House::new().await;
    let mut worker = Worker::join(&house.engine, hello(50)).await;
    for _ in 0..50 {
        house.enqueue(|_| ()).await;
    }
    let jobs = worker.assigned(50).await;
    for job in &jobs {
        worker.send(FromWorker::Report(vec![success(job)])).await;
    }
    worker.eof().await;
    for job in &jobs {
        assert!(house.job(job.id).await.status.state.is_terminal());
    }
    house.close().await;
}

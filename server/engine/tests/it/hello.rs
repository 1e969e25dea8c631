//! Beginnings of streams: verdicts on what a worker holds, and who owns a session.

use sentinel_domain::State;
use sentinel_engine::EngineError;
use sentinel_engine::session::{Ended, FromWorker, HeldVerdict, Hello, ReportVerdict};

use crate::house::{House, all_along};
use crate::worker::{Worker, hello, success};

#[tokio::test]
async fn each_held_lease_has_its_verdict() {
    let house = House::new().await;
    for _ in 0..4 {
        house.enqueue(|_| ()).await;
    }
    let mut worker = Worker::join(&house.engine, hello(4)).await;
    let jobs = worker.assigned(4).await;
    assert_eq!(worker.report(vec![success(&jobs[0])]).await, [ReportVerdict::Recorded]);
    let before = worker.welcome.clone();
    worker.eof().await;
    let holds = [&*jobs[0], &*jobs[1], &*jobs[3]];
    let mut again = Worker::rejoin(&house.engine, &before, &holds).await;
    assert_eq!(
        again.verdicts(),
        [HeldVerdict::AlreadyRecorded, HeldVerdict::Keep, HeldVerdict::Keep]
    );
    assert_eq!(again.welcome.session, before.session);
    let back = house.until_state(jobs[2].id, State::Ready).await;
    assert_eq!((back.status.attempt, back.status.epoch), (0, 1), "it was not received");
    again.credit(1).await;
    let retaken = again.assigned(1).await;
    assert_eq!(retaken[0].id, jobs[2].id);
    let reports = vec![success(&jobs[1]), success(&jobs[3]), success(&retaken[0])];
    assert_eq!(again.report(reports).await, [ReportVerdict::Recorded; 3]);
    assert_eq!(again.bye().await, Ended::Bye);
    let third = Worker::rejoin(&house.engine, &before, &[&retaken[0]]).await;
    assert_eq!(third.verdicts(), [HeldVerdict::AlreadyRecorded]);
    third.bye().await;
    house.close().await;
}

#[tokio::test]
async fn a_lease_that_nobody_knows_is_revoked() {
    let house = House::new().await;
    house.enqueue(|_| ()).await;
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    let jobs = worker.assigned(1).await;
    let before = worker.welcome.clone();
    worker.bye().await;
    house.until_state(jobs[0].id, State::Ready).await;
    let again = Worker::rejoin(&house.engine, &before, &[&jobs[0]]).await;
    assert_eq!(again.verdicts(), [HeldVerdict::Revoked]);
    again.bye().await;
    house.close().await;
}

#[tokio::test]
async fn a_new_stream_takes_the_session_over_and_goes_on_working() {
    let house = House::new().await;
    let mut first = Worker::join(&house.engine, hello(2)).await;
    let before = first.welcome.clone();
    for round in 0..20 {
        house.enqueue(|_| ()).await;
        let jobs = first.assigned(1).await;
        // Now and then the old stream breaks at the moment at which the new one begins.
        let holds = [&*jobs[0]];
        let rejoin = Worker::rejoin(&house.engine, &before, &holds);
        let mut second = if round % 2 == 0 {
            let (second, ended) = tokio::join!(rejoin, first.eof());
            assert!(matches!(ended, Ended::Eof | Ended::Superseded));
            second
        } else {
            let second = rejoin.await;
            assert_eq!(first.ended().await, Ended::Superseded);
            second
        };
        assert_eq!(second.verdicts(), [HeldVerdict::Keep], "round {round}");
        second.credit(1).await;
        assert_eq!(second.report(vec![success(&jobs[0])]).await, [ReportVerdict::Recorded]);
        second.credit(1).await;
        first = second;
    }
    first.bye().await;
    house.close().await;
}

#[tokio::test]
async fn a_superseded_stream_leaves_the_row_alone() {
    let house = House::with(|s| s.lost_grace_ms = 100).await;
    let job = house.enqueue(|_| ()).await;
    let mut first = Worker::join(&house.engine, hello(1)).await;
    let jobs = first.assigned(1).await;
    let second = Worker::rejoin(&house.engine, &first.welcome, &[&jobs[0]]).await;
    assert_eq!(first.ended().await, Ended::Superseded);
    // Longer than the grace after a broken stream, with sweeps in between.
    all_along(400, async || {
        assert_eq!(house.job(job.id).await.status.state, State::Running);
    })
    .await;
    second.bye().await;
    house.close().await;
}

#[tokio::test]
async fn what_is_not_received_goes_back_and_does_not_count() {
    let house = House::new().await;
    let job = house.enqueue(|_| ()).await;
    let mut deaf = Worker::join(&house.engine, hello(1)).await;
    let (_, jobs) = deaf.assigned_quietly().await;
    assert_eq!(deaf.revoked().await[0].id, job.id);
    let mut other = Worker::join(&house.engine, hello(1)).await;
    let again = other.assigned(1).await;
    assert_eq!((again[0].status.attempt, again[0].status.epoch), (1, 2));
    assert_eq!(deaf.report(vec![success(&jobs[0])]).await, [ReportVerdict::Fenced]);
    assert_eq!(other.report(vec![success(&again[0])]).await, [ReportVerdict::Recorded]);
    deaf.bye().await;
    other.bye().await;
    house.close().await;
}

#[tokio::test]
async fn a_hello_out_of_range_names_every_field() {
    let house = House::new().await;
    let (lanes, _out) = sentinel_engine::session::lanes();
    let bad = Hello {
        instance: String::new(),
        queues: Vec::new(),
        kinds: vec!["x".repeat(129).into()],
        credit_jobs: 100_001,
        ..hello(0)
    };
    let incoming = futures_util::stream::pending::<FromWorker>();
    let ended = house.engine.run_session(bad, incoming, lanes, house.tasks.closing()).await;
    let Err(EngineError::Invalid(found)) = ended else { panic!("{ended:?}") };
    let fields: Vec<_> = found.iter().map(|v| v.field.clone()).collect();
    assert_eq!(fields, ["hello.instance", "hello.queues", "hello.credit.jobs", "hello.kinds"]);
    assert_eq!(house.engine.sessions(), (0, 0), "nothing is left behind");
    house.close().await;
}

//! Hello: verdicts on the leases that a worker holds, and the ownership of a session.

use sentinel_domain::{KeyId, Scopes, State};
use sentinel_engine::EngineError;
use sentinel_engine::session::{
    FromWorker, HeldLeaseVerdict, Hello, Principal, ReportVerdict, StreamEnd,
};

use crate::harness::{TestEngine, holds_for};
use crate::worker::{ScriptedWorker, hello, resume_hello, succeeded_report};

#[tokio::test]
async fn each_held_lease_gets_a_verdict() {
    let test = TestEngine::start().await;
    for _ in 0..4 {
        test.enqueue(|_| ()).await;
    }
    let mut worker = ScriptedWorker::join(&test.engine, hello(4)).await;
    let jobs = worker.accept_jobs(4).await;
    assert_eq!(worker.report(vec![succeeded_report(&jobs[0])]).await, [ReportVerdict::Recorded]);
    let before = worker.welcome.clone();
    worker.disconnect().await;
    let holds = [&*jobs[0], &*jobs[1], &*jobs[3]];
    let mut again = ScriptedWorker::resume(&test.engine, &before, &holds).await;
    assert_eq!(
        again.verdicts(),
        [HeldLeaseVerdict::AlreadyRecorded, HeldLeaseVerdict::Keep, HeldLeaseVerdict::Keep]
    );
    assert_eq!(again.welcome.session, before.session);
    let back = test.wait_state(jobs[2].id, State::Ready).await;
    assert_eq!(
        (back.status.attempt, back.status.epoch),
        (0, 1),
        "an unreceived assignment does not count"
    );
    again.credit(1).await;
    let retaken = again.accept_jobs(1).await;
    assert_eq!(retaken[0].id, jobs[2].id);
    let reports =
        vec![succeeded_report(&jobs[1]), succeeded_report(&jobs[3]), succeeded_report(&retaken[0])];
    assert_eq!(again.report(reports).await, [ReportVerdict::Recorded; 3]);
    assert_eq!(again.bye().await, StreamEnd::Bye);
    let third = ScriptedWorker::resume(&test.engine, &before, &[&retaken[0]]).await;
    assert_eq!(third.verdicts(), [HeldLeaseVerdict::AlreadyRecorded]);
    third.bye().await;
    test.close().await;
}

/// The key of a worker that has access to these queues.
fn principal(id: u64, pattern: &str) -> Principal {
    let scopes = Scopes::new([pattern.into()]);
    Principal { key_id: Some(KeyId(id)), scopes }
}

#[tokio::test]
async fn the_ids_of_a_session_and_a_lease_are_no_credentials() {
    let test = TestEngine::start().await;
    let ours = principal(1, "q");
    for (what, theirs) in [
        ("another key of other queues", principal(2, "a.*")),
        ("another key of the same queues", principal(2, "q")),
        ("no key", Principal { key_id: None, scopes: Scopes::ALL }),
    ] {
        test.enqueue(|_| ()).await;
        let owner = Hello { principal: ours.clone(), ..hello(1) };
        let mut worker = ScriptedWorker::join(&test.engine, owner).await;
        let jobs = worker.accept_jobs(1).await;
        let is_in_scope = theirs.scopes.contains("q");
        let attack =
            Hello { principal: theirs.clone(), ..resume_hello(&worker.welcome, &[&jobs[0]]) };
        let mut attacker = ScriptedWorker::join(&test.engine, attack.clone()).await;
        assert_ne!(attacker.welcome.session, worker.welcome.session, "{what}");
        assert_eq!(attacker.verdicts(), [HeldLeaseVerdict::Revoked], "{what}");
        if !is_in_scope {
            let verdicts = attacker.report(vec![succeeded_report(&jobs[0])]).await;
            assert_eq!(verdicts, [ReportVerdict::Fenced], "{what}");
        }
        // The owner notices nothing.
        assert!(!worker.has_ended(), "{what}");
        let verdicts = worker.report(vec![succeeded_report(&jobs[0])]).await;
        assert_eq!(verdicts, [ReportVerdict::Recorded], "{what}");
        attacker.bye().await;
        if !is_in_scope {
            let attacker = ScriptedWorker::join(&test.engine, attack).await;
            assert_eq!(attacker.verdicts(), [HeldLeaseVerdict::Revoked], "{what}");
            attacker.bye().await;
        }
        let resume =
            Hello { principal: ours.clone(), ..resume_hello(&worker.welcome, &[&jobs[0]]) };
        let again = ScriptedWorker::join(&test.engine, resume).await;
        assert_eq!(again.verdicts(), [HeldLeaseVerdict::AlreadyRecorded], "{what}");
        again.bye().await;
    }
    test.close().await;
}

#[tokio::test]
async fn an_unknown_lease_is_revoked() {
    let test = TestEngine::start().await;
    test.enqueue(|_| ()).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    let jobs = worker.accept_jobs(1).await;
    let before = worker.welcome.clone();
    worker.bye().await;
    test.wait_state(jobs[0].id, State::Ready).await;
    let again = ScriptedWorker::resume(&test.engine, &before, &[&jobs[0]]).await;
    assert_eq!(again.verdicts(), [HeldLeaseVerdict::Revoked]);
    again.bye().await;
    test.close().await;
}

#[tokio::test]
async fn a_new_stream_takes_over_its_session() {
    let test = TestEngine::start().await;
    let mut first = ScriptedWorker::join(&test.engine, hello(2)).await;
    let before = first.welcome.clone();
    for round in 0..20 {
        test.enqueue(|_| ()).await;
        let jobs = first.accept_jobs(1).await;
        // In every other round, the old stream disconnects while the new one opens.
        let holds = [&*jobs[0]];
        let rejoin = ScriptedWorker::resume(&test.engine, &before, &holds);
        let mut second = if round % 2 == 0 {
            let (second, ended) = tokio::join!(rejoin, first.disconnect());
            assert!(matches!(ended, StreamEnd::Eof | StreamEnd::Superseded));
            second
        } else {
            let second = rejoin.await;
            assert_eq!(first.closed().await, StreamEnd::Superseded);
            second
        };
        assert_eq!(second.verdicts(), [HeldLeaseVerdict::Keep], "round {round}");
        second.credit(1).await;
        assert_eq!(
            second.report(vec![succeeded_report(&jobs[0])]).await,
            [ReportVerdict::Recorded]
        );
        second.credit(1).await;
        first = second;
    }
    first.bye().await;
    test.close().await;
}

#[tokio::test]
async fn a_superseded_stream_does_not_expire_the_session() {
    let test = TestEngine::with_settings(|s| s.lost_grace_ms = 100).await;
    let job = test.enqueue(|_| ()).await;
    let mut first = ScriptedWorker::join(&test.engine, hello(1)).await;
    let jobs = first.accept_jobs(1).await;
    let second = ScriptedWorker::resume(&test.engine, &first.welcome, &[&jobs[0]]).await;
    assert_eq!(first.closed().await, StreamEnd::Superseded);
    // Longer than the grace period after a disconnect, with sweeps in between.
    holds_for(400, async || {
        assert_eq!(test.job(job.id).await.status.state, State::Running);
    })
    .await;
    second.bye().await;
    test.close().await;
}

#[tokio::test]
async fn an_unreceived_assignment_is_released_and_does_not_count() {
    let test = TestEngine::start().await;
    let job = test.enqueue(|_| ()).await;
    let mut silent = ScriptedWorker::join(&test.engine, hello(1)).await;
    let (_, jobs) = silent.next_assignment().await;
    assert_eq!(silent.next_revoked().await[0].id, job.id);
    let mut other = ScriptedWorker::join(&test.engine, hello(1)).await;
    let again = other.accept_jobs(1).await;
    assert_eq!((again[0].status.attempt, again[0].status.epoch), (1, 2));
    assert_eq!(silent.report(vec![succeeded_report(&jobs[0])]).await, [ReportVerdict::Fenced]);
    assert_eq!(other.report(vec![succeeded_report(&again[0])]).await, [ReportVerdict::Recorded]);
    silent.bye().await;
    other.bye().await;
    test.close().await;
}

#[tokio::test]
async fn an_invalid_hello_names_every_field() {
    let test = TestEngine::start().await;
    let (lanes, _out) = sentinel_engine::session::outbound_queue();
    let bad = Hello {
        instance: String::new(),
        queues: Vec::new(),
        kinds: vec!["x".repeat(129).into()],
        credit_jobs: 100_001,
        ..hello(0)
    };
    let incoming = futures_util::stream::pending::<FromWorker>();
    let ended = test.engine.sessions().run(bad, incoming, lanes, test.tasks.closing()).await;
    let Err(EngineError::Invalid(found)) = ended else { panic!("{ended:?}") };
    let fields: Vec<_> = found.iter().map(|v| v.field.clone()).collect();
    assert_eq!(fields, ["hello.instance", "hello.queues", "hello.credit.jobs", "hello.kinds"]);
    assert_eq!(test.engine.sessions().load(), (0, 0), "no session must be left");
    test.close().await;
}

//! Too much of what is allowed.

use std::time::{Duration, Instant};

use sentinel_proto::jobs::v1::{LogLine, Progress};
use sentinel_proto::workers::v1::session_request::Frame as Up;
use sentinel_proto::workers::v1::{
    HeldVerdict, Lease, LogBatch, ProgressItem, ProgressReport, Verdict,
};

use super::Town;
use crate::raw::session::{Session, hello, kind, success};
use crate::raw::{Raw, spec};

/// What the server may grow by under a flood, with room for a debug build and its allocator.
const GROWTH_MIB: u64 = 400;

#[tokio::test]
async fn a_flood_of_progress_and_lines_is_taken_at_the_servers_pace() {
    let town = Town::start().await;
    let before = town.resident_mib();
    town.raw.enqueue(spec(|_| {})).await.expect("is taken");
    let (mut session, _) = Session::join(&town.raw, hello(|_| {})).await.expect("welcome");
    let lease = session.assigned().await.lease;
    let item = |seq| ProgressItem {
        lease: lease.clone(),
        progress: Some(Progress { seq, message: "p".repeat(4_096), ..Progress::default() }),
    };
    for round in 0..50 {
        let items = (0..1_000).map(|n| item(round * 1_000 + n + 1)).collect();
        session.say(Up::Progress(ProgressReport { items })).await;
    }
    let line = |seq| LogLine { seq, text: "l".repeat(1_024), ..LogLine::default() };
    // The acknowledgements are not read meanwhile.
    for round in 0..100 {
        let lines = (0..1_000).map(|n| line(round * 1_000 + n + 1)).collect();
        session.say(Up::Log(LogBatch { lease: lease.clone(), lines })).await;
        if round % 25 == 0 {
            town.works().await;
        }
    }
    session.is_alive(1).await;
    assert_eq!(session.report(vec![success(lease, Vec::new())]).await, [Verdict::Recorded]);
    let grown = town.resident_mib().saturating_sub(before);
    assert!(grown < GROWTH_MIB, "grown by {grown} MiB");
    town.is_serving().await;
}

#[tokio::test]
async fn thousands_of_sessions_that_come_and_go_leave_nothing() {
    let town = Town::start().await;
    let before = town.resident_mib();
    for round in 0..20 {
        let raw = Raw::connect(&town.world).await;
        let wide = hello(|hello| {
            hello.kinds = (0..1_000).map(|n| kind(format!("k{n}"))).collect();
            hello.queues = (0..100).map(|n| format!("q{n}")).collect();
            hello.credit = Some(Default::default());
        });
        let joins = (0..100).map(|_| Session::join(&raw, wide.clone()));
        let joined = futures_util::future::join_all(joins).await;
        assert!(joined.iter().all(Result::is_ok));
        if round % 5 == 0 {
            town.works().await;
        }
    }
    let grown = town.resident_mib().saturating_sub(before);
    assert!(grown < GROWTH_MIB, "grown by {grown} MiB");
    town.is_serving().await;
}

#[tokio::test]
async fn a_hello_that_claims_a_hundred_thousand_leases_holds_nobody_up() {
    let town = Town::start().await;
    let held: Vec<Lease> = (0..100_000_u64)
        .map(|n| Lease {
            job_id: format!("0190a5c2-0000-7000-8000-{n:012x}"),
            run: 1,
            attempt: 1,
            epoch: 1,
            session: "0190a5c2-0000-7000-8000-000000000000".into(),
        })
        .collect();
    let count = held.len();
    let greedy = hello(|hello| hello.held = held);
    let joined = tokio::spawn({
        let raw = town.raw.clone();
        async move { Session::join(&raw, greedy).await.map(|(_, welcome)| welcome) }
    });
    let mut slowest = Duration::ZERO;
    while !joined.is_finished() {
        let began = Instant::now();
        town.works().await;
        slowest = slowest.max(began.elapsed());
    }
    let welcome = joined.await.expect("the task").expect("welcome");
    let revoked: i32 = HeldVerdict::Revoked.into();
    assert_eq!(welcome.held, vec![revoked; count]);
    assert!(slowest < Duration::from_secs(10), "a job took {slowest:?} meanwhile");
    town.is_serving().await;
}

#[tokio::test]
async fn sixteen_mebibytes_of_results_in_one_frame_are_judged_one_by_one() {
    let town = Town::start().await;
    for _ in 0..16 {
        town.raw.enqueue(spec(|_| {})).await.expect("is taken");
    }
    let roomy = hello(|hello| hello.credit.get_or_insert_default().jobs = 16);
    let (mut session, _) = Session::join(&town.raw, roomy).await.expect("welcome");
    let mut leases = Vec::new();
    while leases.len() < 16 {
        let (seq, items) = session.assignment().await;
        session.say(Up::Received(sentinel_proto::workers::v1::Received { assign_seq: seq })).await;
        leases.extend(items.into_iter().map(|item| item.lease));
    }
    let items = leases.into_iter().map(|lease| success(lease, vec![7; 1 << 20])).collect();
    assert_eq!(session.report(items).await, [Verdict::Recorded; 16]);
    town.is_serving().await;
}

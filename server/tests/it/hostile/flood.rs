//! Valid frames and requests in excessive amounts.

use std::time::{Duration, Instant};

use sentinel_proto::jobs::v1::{LogLine, Progress};
use sentinel_proto::workers::v1::session_request::Frame as Up;
use sentinel_proto::workers::v1::{
    HeldVerdict, Lease, LogBatch, ProgressItem, ProgressReport, Verdict,
};

use super::HostileFixture;
use crate::raw::session::{RawSession, hello, kind, succeeded_report};
use crate::raw::{RawClients, spec};

/// The limit on memory growth during a flood, with reserve for a debug build and its allocator.
const GROWTH_LIMIT_MIB: u64 = 400;

#[tokio::test]
async fn a_flood_of_progress_and_log_lines_is_throttled() {
    let fixture = HostileFixture::start().await;
    let before = fixture.resident_mib();
    fixture.raw.enqueue(spec(|_| {})).await.expect("the server accepts it");
    let (mut session, _) = RawSession::join(&fixture.raw, hello(|_| {})).await.expect("a session");
    let lease = session.accept_job().await.lease;
    let item = |seq| ProgressItem {
        lease: lease.clone(),
        progress: Some(Progress { seq, message: "p".repeat(4_096), ..Progress::default() }),
    };
    for round in 0..50 {
        let items = (0..1_000).map(|n| item(round * 1_000 + n + 1)).collect();
        session.send_frame(Up::Progress(ProgressReport { items })).await;
    }
    let line = |seq| LogLine { seq, text: "l".repeat(1_024), ..LogLine::default() };
    // The session does not read the acknowledgements meanwhile.
    for round in 0..100 {
        let lines = (0..1_000).map(|n| line(round * 1_000 + n + 1)).collect();
        session.send_frame(Up::Log(LogBatch { lease: lease.clone(), lines })).await;
        if round % 25 == 0 {
            fixture.assert_works().await;
        }
    }
    session.assert_alive(1).await;
    assert_eq!(
        session.report(vec![succeeded_report(lease, Vec::new())]).await,
        [Verdict::Recorded]
    );
    let grown = fixture.resident_mib().saturating_sub(before);
    assert!(grown < GROWTH_LIMIT_MIB, "the server has grown by {grown} MiB");
    fixture.assert_serving().await;
}

#[tokio::test]
async fn thousands_of_short_sessions_leak_no_memory() {
    let fixture = HostileFixture::start().await;
    let before = fixture.resident_mib();
    for round in 0..20 {
        let raw = RawClients::connect(&fixture.server).await;
        let large_hello = hello(|hello| {
            hello.kinds = (0..1_000).map(|n| kind(format!("k{n}"))).collect();
            hello.queues = (0..100).map(|n| format!("q{n}")).collect();
            hello.credit = Some(Default::default());
        });
        let joins = (0..100).map(|_| RawSession::join(&raw, large_hello.clone()));
        let joined = futures_util::future::join_all(joins).await;
        assert!(joined.iter().all(Result::is_ok));
        if round % 5 == 0 {
            fixture.assert_works().await;
        }
    }
    let grown = fixture.resident_mib().saturating_sub(before);
    assert!(grown < GROWTH_LIMIT_MIB, "the server has grown by {grown} MiB");
    fixture.assert_serving().await;
}

#[tokio::test]
async fn a_hello_with_a_hundred_thousand_leases_delays_no_other_worker() {
    let fixture = HostileFixture::start().await;
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
    let frame = hello(|hello| hello.held = held);
    let joined = tokio::spawn({
        let raw = fixture.raw.clone();
        async move { RawSession::join(&raw, frame).await.map(|(_, welcome)| welcome) }
    });
    let mut slowest = Duration::ZERO;
    while !joined.is_finished() {
        let start = Instant::now();
        fixture.assert_works().await;
        slowest = slowest.max(start.elapsed());
    }
    let welcome = joined.await.expect("no panic").expect("a session");
    let revoked: i32 = HeldVerdict::Revoked.into();
    assert_eq!(welcome.held, vec![revoked; count]);
    assert!(slowest < Duration::from_secs(10), "a job of the other worker took {slowest:?}");
    fixture.assert_serving().await;
}

#[tokio::test]
async fn sixteen_mebibytes_of_results_in_one_frame_are_recorded() {
    let fixture = HostileFixture::start().await;
    for _ in 0..16 {
        fixture.raw.enqueue(spec(|_| {})).await.expect("the server accepts it");
    }
    let frame = hello(|hello| hello.credit.get_or_insert_default().jobs = 16);
    let (mut session, _) = RawSession::join(&fixture.raw, frame).await.expect("a session");
    let mut leases = Vec::new();
    while leases.len() < 16 {
        let (seq, items) = session.next_assignment().await;
        session
            .send_frame(Up::Received(sentinel_proto::workers::v1::Received { assign_seq: seq }))
            .await;
        leases.extend(items.into_iter().map(|item| item.lease));
    }
    let items = leases.into_iter().map(|lease| succeeded_report(lease, vec![7; 1 << 20])).collect();
    assert_eq!(session.report(items).await, [Verdict::Recorded; 16]);
    fixture.assert_serving().await;
}

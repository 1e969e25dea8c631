//! Frames that the session protocol does not allow, or not in the current state.

use sentinel_proto::jobs::v1::{JobState, LogLine, Progress, ReadLogsRequest};
use sentinel_proto::workers::v1::session_request::Frame as Up;
use sentinel_proto::workers::v1::session_response::Frame as Down;
use sentinel_proto::workers::v1::{
    CancelAck, Checkpoint, Credit, HeldVerdict, Lease, LogBatch, Ping, ProgressItem,
    ProgressReport, Received, Report, ReportItem, SessionRequest, Verdict,
};
use serde_json::json;
use tonic::{Code, Status};

use super::HostileFixture;
use crate::harness::{TIMEOUT, demo_job, enqueue, wait_state, wait_terminal, wait_until};
use crate::raw::session::{RawSession, hello, kind, succeeded_report};
use crate::raw::{assert_invalid_field, error_reason, spec};

/// Asserts that the session was closed with SESSION_PROTOCOL and this message.
#[track_caller]
fn assert_protocol_error(closed: Result<(), Status>, expected: &str) {
    let message = closed.as_ref().expect_err("an error").message().to_owned();
    assert_eq!(error_reason(closed), (Code::InvalidArgument, "SESSION_PROTOCOL".to_owned()));
    assert!(message.contains(expected), "{message:?} does not contain {expected:?}");
}

#[tokio::test]
async fn a_stream_that_does_not_start_with_hello_is_closed() {
    let fixture = HostileFixture::start().await;
    let mut late = RawSession::open(&fixture.raw).await.expect("open a stream");
    for early in [
        Up::Ping(Ping { nonce: 1 }),
        Up::Credit(Credit { jobs: 1, bytes: 0 }),
        Up::Received(Received { assign_seq: 1 }),
        Up::Report(Report::default()),
    ] {
        let mut session = RawSession::open(&fixture.raw).await.expect("open a stream");
        session.send_frame(early).await;
        assert_protocol_error(session.closed().await, "the first frame is not Hello");
    }
    let mut nothing = RawSession::open(&fixture.raw).await.expect("open a stream");
    nothing.send_request(SessionRequest { frame: None }).await;
    assert_protocol_error(nothing.closed().await, "before Hello");
    let mut closed = RawSession::open(&fixture.raw).await.expect("open a stream");
    closed.half_close();
    assert_protocol_error(closed.closed().await, "the stream closed before Hello");
    assert_protocol_error(late.closed().await, "no Hello within 5 s");
    fixture.assert_serving().await;
}

fn lease(change: impl FnOnce(&mut Lease)) -> Option<Lease> {
    let mut lease = Lease {
        job_id: "0190a5c2-0000-7000-8000-000000000000".into(),
        run: 1,
        attempt: 1,
        epoch: 1,
        session: "0190a5c2-0000-7000-8000-000000000000".into(),
    };
    change(&mut lease);
    Some(lease)
}

#[tokio::test]
async fn an_invalid_frame_closes_only_its_own_session() {
    let fixture = HostileFixture::start().await;
    let many = |n: usize| vec![succeeded_report(lease(|_| {}), Vec::new()); n];
    let line = |n: usize| LogBatch { lease: lease(|_| {}), lines: vec![LogLine::default(); n] };
    let item = ProgressItem { lease: lease(|_| {}), progress: Some(Progress::default()) };
    let frames = [
        (Some(Up::Hello(hello(|_| {}))), "a second Hello"),
        (None, "has an unknown type"),
        (Some(Up::Report(Report { items: many(1_001) })), "1001 reports: at most 1000"),
        (Some(Up::Report(Report { items: vec![succeeded_report(None, Vec::new())] })), "no lease"),
        (
            Some(Up::Report(Report {
                items: vec![ReportItem { lease: lease(|_| {}), ..ReportItem::default() }],
            })),
            "no outcome",
        ),
        (Some(Up::Progress(ProgressReport { items: vec![item; 1_001] })), "1001 progress"),
        (Some(Up::Log(line(1_001))), "1001 log lines"),
        (Some(Up::Log(LogBatch::default())), "no lease"),
        (Some(Up::Checkpoint(Checkpoint::default())), "no lease"),
        (Some(Up::CancelAck(CancelAck { leases: vec![Lease::default(); 1_001] })), "1001 leases"),
    ];
    for (frame, expected) in frames {
        let (mut session, _) =
            RawSession::join(&fixture.raw, hello(|_| {})).await.expect("a session");
        session.send_request(SessionRequest { frame }).await;
        assert_protocol_error(session.closed().await, expected);
    }
    for (bad, field, expected) in [
        (lease(|lease| lease.job_id = "x".repeat(1 << 20)), "lease.job_id", "not a UUID"),
        (lease(|lease| lease.session = String::new()), "lease.session", "not a session id"),
    ] {
        let (mut session, _) =
            RawSession::join(&fixture.raw, hello(|_| {})).await.expect("a session");
        session
            .send_frame(Up::Report(Report { items: vec![succeeded_report(bad, Vec::new())] }))
            .await;
        assert_invalid_field(session.closed().await, field, expected);
    }
    // The server counts the items before it decodes them: decoded, they are a hundred times as
    // large.
    let (mut session, _) = RawSession::join(&fixture.raw, hello(|_| {})).await.expect("a session");
    session.send_frame(Up::Report(Report { items: vec![ReportItem::default(); 10_001] })).await;
    assert_protocol_error(session.closed().await, "10001 items");
    let (mut session, _) = RawSession::join(&fixture.raw, hello(|_| {})).await.expect("a session");
    let large = succeeded_report(lease(|_| {}), vec![0; 21 << 20]);
    session.send_frame(Up::Report(Report { items: vec![large] })).await;
    assert_protocol_error(session.closed().await, "message length too large");
    fixture.assert_serving().await;
}

#[tokio::test]
async fn frames_in_the_wrong_state_have_no_effect() {
    let fixture = HostileFixture::start().await;
    let joined =
        RawSession::join(&fixture.raw, hello(|hello| hello.kinds = vec![kind("mine")])).await;
    let (mut session, _) = joined.expect("a session");
    for assign_seq in [0, 1, 7, u64::MAX] {
        session.send_frame(Up::Received(Received { assign_seq })).await;
    }
    for _ in 0..50 {
        session.send_frame(Up::Credit(Credit { jobs: 100_000, bytes: u64::MAX })).await;
        session.send_frame(Up::Credit(Credit { jobs: 0, bytes: 1 })).await;
    }
    let leases = vec![lease(|_| {}).expect("a lease"); 1_000];
    session.send_frame(Up::CancelAck(CancelAck { leases })).await;
    let progress = Some(Progress { seq: u64::MAX, done: u64::MAX, ..Progress::default() });
    let items = vec![ProgressItem { lease: lease(|_| {}), progress }];
    session.send_frame(Up::Progress(ProgressReport { items })).await;
    session.assert_alive(u64::MAX).await;
    // An early receipt does not acknowledge a later assignment.
    let id = fixture
        .raw
        .enqueue(spec(|spec| spec.kind = "mine".into()))
        .await
        .expect("the server accepts it");
    let (seq, items) = session.next_assignment().await;
    assert_eq!((seq, items.len()), (1, 1));
    // Without a receipt, the server releases the job after 2 s and keeps the credit.
    let (seq, again) = session.next_assignment().await;
    assert!(seq > 1 && again[0].lease.as_ref().is_some_and(|l| l.job_id == id && l.epoch == 2));
    fixture.assert_serving().await;
}

#[tokio::test]
async fn only_the_exact_lease_can_change_a_job() {
    let fixture = HostileFixture::start().await;
    let id = fixture.raw.enqueue(spec(|_| {})).await.expect("the server accepts it");
    let (mut owner, _) = RawSession::join(&fixture.raw, hello(|_| {})).await.expect("a session");
    let owned = owner.accept_job().await.lease.expect("a lease");
    let joined =
        RawSession::join(&fixture.raw, hello(|hello| hello.kinds = vec![kind("other")])).await;
    let (mut attacker, welcome) = joined.expect("a session");
    let forged: Vec<_> = [
        Lease { session: welcome.session.clone(), ..owned.clone() },
        Lease { epoch: owned.epoch + 1, ..owned.clone() },
        Lease { epoch: 0, ..owned.clone() },
        Lease { run: 2, ..owned.clone() },
        Lease { attempt: u32::MAX, ..owned.clone() },
        lease(|_| {}).expect("a lease"),
    ]
    .into_iter()
    .map(Some)
    .collect();
    for forged in &forged {
        let verdicts = attacker.report(vec![succeeded_report(forged.clone(), vec![6; 66])]).await;
        assert_eq!(verdicts, [Verdict::Fenced], "{forged:?}");
        let data = vec![6; 66].into();
        attacker
            .send_frame(Up::Checkpoint(Checkpoint { lease: forged.clone(), data, seq: 1 }))
            .await;
        let verdict = attacker.wait_for(|frame| match frame {
            Down::CheckpointAck(ack) => Some(ack.verdict()),
            _ => None,
        });
        assert_eq!(verdict.await, Verdict::Fenced);
        let lines = vec![LogLine { seq: 1, text: "forged".into(), ..LogLine::default() }];
        attacker.send_frame(Up::Log(LogBatch { lease: forged.clone(), lines })).await;
        let progress = Some(Progress { seq: 9, done: 9, ..Progress::default() });
        let items = vec![ProgressItem { lease: forged.clone(), progress }];
        attacker.send_frame(Up::Progress(ProgressReport { items })).await;
    }
    let held = forged.iter().flatten().cloned().collect();
    let again = hello(|hello| (hello.session, hello.held) = (String::new(), held));
    let (_, verdicts) = RawSession::join(&fixture.raw, again).await.expect("a session");
    let revoked: i32 = HeldVerdict::Revoked.into();
    assert_eq!(verdicts.held, vec![revoked; forged.len()]);
    attacker.assert_alive(1).await;
    let job = wait_state(&fixture.client, &id, JobState::Running).await;
    assert!(job.progress.is_none() && job.checkpoint.is_empty(), "{job:?}");
    let request = ReadLogsRequest { id: id.clone(), ..ReadLogsRequest::default() };
    let log = fixture.raw.jobs.clone().read_logs(request).await.expect("open a log").into_inner();
    let log: Vec<_> = tokio_stream::StreamExt::collect(log).await;
    assert!(log.is_empty(), "{log:?}");
    let both = vec![
        succeeded_report(Some(owned.clone()), vec![1]),
        succeeded_report(Some(owned), vec![2]),
    ];
    assert_eq!(owner.report(both).await, [Verdict::Recorded, Verdict::Duplicate]);
    assert_eq!(wait_terminal(&fixture.client, &id).await.result, vec![1]);
    fixture.assert_serving().await;
}

/// Opens a session and returns it with a job that it was assigned instead of the good worker.
async fn take_job(fixture: &HostileFixture) -> (RawSession, String, Lease) {
    let frame = hello(|hello| {
        hello.kinds = vec![kind("demo.noop")];
        hello.credit = Some(Credit { jobs: 1, bytes: 0 });
    });
    let (mut session, _) = RawSession::join(&fixture.raw, frame).await.expect("a session");
    loop {
        let id = enqueue(&fixture.client, demo_job("noop", json!({}))).await;
        let worker = wait_until("a worker gets the job", TIMEOUT, || async {
            let job = fixture.client.get(&id).await.expect("an existing job");
            Some(job.worker).filter(|worker| !worker.is_empty())
        });
        if worker.await == "raw" {
            let (_, mut items) = session.next_assignment().await;
            return (session, id, items.remove(0).lease.expect("a lease"));
        }
    }
}

#[tokio::test]
async fn no_job_is_lost_with_a_worker_that_accepts_it_and_does_nothing() {
    let fixture = HostileFixture::start().await;
    // The worker never acknowledges the assignment.
    let (mut silent, id, lease) = take_job(&fixture).await;
    let job = wait_terminal(&fixture.client, &id).await;
    assert_eq!((job.state(), job.worker.as_str(), job.attempt), (JobState::Succeeded, "good", 1));
    assert_eq!(
        silent.report(vec![succeeded_report(Some(lease), vec![6])]).await,
        [Verdict::Fenced]
    );
    // The worker acknowledges the assignment and closes half of the stream or all of it.
    for is_half in [true, false] {
        let (mut leaving, id, lease) = take_job(&fixture).await;
        leaving.send_frame(Up::Received(Received { assign_seq: u64::MAX })).await;
        leaving.assert_alive(2).await;
        match is_half {
            true => {
                leaving.half_close();
                let _ = leaving.closed().await;
            }
            false => drop(leaving),
        }
        let job = wait_terminal(&fixture.client, &id).await;
        assert_eq!((job.state(), job.worker.as_str()), (JobState::Succeeded, "good"));
        assert!(job.attempt > lease.attempt, "{job:?}");
    }
    // The worker violates the protocol while it holds the lease.
    let (mut violator, id, _) = take_job(&fixture).await;
    violator.send_frame(Up::Hello(hello(|_| {}))).await;
    assert_protocol_error(violator.closed().await, "a second Hello");
    assert_eq!(wait_terminal(&fixture.client, &id).await.worker, "good");
    fixture.assert_serving().await;
}

#[tokio::test]
async fn log_lines_are_accepted_in_any_order_and_with_any_sequence_number() {
    let fixture = HostileFixture::start().await;
    let id = fixture.raw.enqueue(spec(|_| {})).await.expect("the server accepts it");
    let (mut session, _) = RawSession::join(&fixture.raw, hello(|_| {})).await.expect("a session");
    let lease = session.accept_job().await.lease;
    let odd = |seq: u64| LogLine {
        seq,
        time: Some(prost_types::Timestamp { seconds: i64::MAX, nanos: i32::MAX }),
        level: 99,
        text: format!("line {seq}"),
        ..LogLine::default()
    };
    for seqs in [vec![5, 3, 5, 1], vec![4], vec![u64::MAX, 0, 2], vec![1 << 63]] {
        let lines = seqs.iter().map(|seq| odd(*seq)).collect();
        session.send_frame(Up::Log(LogBatch { lease: lease.clone(), lines })).await;
        session.wait_for(|frame| matches!(frame, Down::LogAck(_)).then_some(())).await;
    }
    session.assert_alive(1).await;
    let request = ReadLogsRequest { id: id.clone(), ..ReadLogsRequest::default() };
    let pages = fixture.raw.jobs.clone().read_logs(request).await.expect("open a log").into_inner();
    let pages: Vec<_> = tokio_stream::StreamExt::collect(pages).await;
    let lines: Vec<LogLine> =
        pages.into_iter().flat_map(|page| page.expect("a page").lines).collect();
    let seqs: Vec<u64> = lines.iter().map(|line| line.seq).collect();
    assert!(seqs.is_sorted_by(|a, b| a < b) && seqs.starts_with(&[0, 1, 2, 3, 4, 5]), "{seqs:?}");
    for line in &lines {
        let time = line.time.expect("a time");
        assert!(
            time.to_string().starts_with("9999-12-31"),
            "a time that every client can represent: {time:?}"
        );
    }
    assert_eq!(
        session.report(vec![succeeded_report(lease, Vec::new())]).await,
        [Verdict::Recorded]
    );
    fixture.assert_serving().await;
}

//! Frames that the session protocol does not allow, or not there.

use sentinel_proto::jobs::v1::{JobState, LogLine, Progress, ReadLogsRequest};
use sentinel_proto::workers::v1::session_request::Frame as Up;
use sentinel_proto::workers::v1::session_response::Frame as Down;
use sentinel_proto::workers::v1::{
    CancelAck, Checkpoint, Credit, HeldVerdict, Lease, LogBatch, Ping, ProgressItem,
    ProgressReport, Received, Report, ReportItem, SessionRequest, Verdict,
};
use serde_json::json;
use tonic::{Code, Status};

use super::Town;
use crate::harness::{PATIENCE, demo, end_of, enqueue, in_state, until};
use crate::raw::session::{Session, hello, kind, success};
use crate::raw::{reason, refuses, spec};

/// Ends a session with this reason and this explanation.
#[track_caller]
fn breach(ended: Result<(), Status>, told: &str) {
    let message = ended.as_ref().expect_err("the session is ended").message().to_owned();
    assert_eq!(reason(ended), (Code::InvalidArgument, "SESSION_PROTOCOL".to_owned()));
    assert!(message.contains(told), "{message:?} does not say {told:?}");
}

#[tokio::test]
async fn a_stream_that_does_not_begin_with_hello_is_ended() {
    let town = Town::start().await;
    let mut late = Session::open(&town.raw).await.expect("a stream");
    for early in [
        Up::Ping(Ping { nonce: 1 }),
        Up::Credit(Credit { jobs: 1, bytes: 0 }),
        Up::Received(Received { assign_seq: 1 }),
        Up::Report(Report::default()),
    ] {
        let mut session = Session::open(&town.raw).await.expect("a stream");
        session.say(early).await;
        breach(session.end().await, "the first frame is not Hello");
    }
    let mut nothing = Session::open(&town.raw).await.expect("a stream");
    nothing.send(SessionRequest { frame: None }).await;
    breach(nothing.end().await, "before Hello");
    let mut closed = Session::open(&town.raw).await.expect("a stream");
    closed.half_close();
    breach(closed.end().await, "the stream ended before Hello");
    breach(late.end().await, "no Hello came within 5 s");
    town.is_serving().await;
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
async fn a_frame_that_makes_no_sense_ends_its_session_and_no_other() {
    let town = Town::start().await;
    let many = |n: usize| vec![success(lease(|_| {}), Vec::new()); n];
    let line = |n: usize| LogBatch { lease: lease(|_| {}), lines: vec![LogLine::default(); n] };
    let item = ProgressItem { lease: lease(|_| {}), progress: Some(Progress::default()) };
    let frames = [
        (Some(Up::Hello(hello(|_| {}))), "Hello came twice"),
        (None, "of a newer protocol"),
        (Some(Up::Report(Report { items: many(1_001) })), "1001 reports: at most 1000"),
        (Some(Up::Report(Report { items: vec![success(None, Vec::new())] })), "no lease"),
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
    for (frame, told) in frames {
        let (mut session, _) = Session::join(&town.raw, hello(|_| {})).await.expect("welcome");
        session.send(SessionRequest { frame }).await;
        breach(session.end().await, told);
    }
    for (bad, field, told) in [
        (lease(|lease| lease.job_id = "x".repeat(1 << 20)), "lease.job_id", "not a UUID"),
        (lease(|lease| lease.session = String::new()), "lease.session", "not a session id"),
    ] {
        let (mut session, _) = Session::join(&town.raw, hello(|_| {})).await.expect("welcome");
        session.say(Up::Report(Report { items: vec![success(bad, Vec::new())] })).await;
        refuses(session.end().await, field, told);
    }
    // Counted before they are made: in memory they would be a hundred times as large.
    let (mut session, _) = Session::join(&town.raw, hello(|_| {})).await.expect("welcome");
    session.say(Up::Report(Report { items: vec![ReportItem::default(); 10_001] })).await;
    breach(session.end().await, "10001 items");
    let (mut session, _) = Session::join(&town.raw, hello(|_| {})).await.expect("welcome");
    let large = success(lease(|_| {}), vec![0; 21 << 20]);
    session.say(Up::Report(Report { items: vec![large] })).await;
    breach(session.end().await, "message length too large");
    town.is_serving().await;
}

#[tokio::test]
async fn frames_that_come_at_the_wrong_time_change_nothing() {
    let town = Town::start().await;
    let joined = Session::join(&town.raw, hello(|hello| hello.kinds = vec![kind("mine")])).await;
    let (mut session, _) = joined.expect("welcome");
    for assign_seq in [0, 1, 7, u64::MAX] {
        session.say(Up::Received(Received { assign_seq })).await;
    }
    for _ in 0..50 {
        session.say(Up::Credit(Credit { jobs: 100_000, bytes: u64::MAX })).await;
        session.say(Up::Credit(Credit { jobs: 0, bytes: 1 })).await;
    }
    let leases = vec![lease(|_| {}).expect("a lease"); 1_000];
    session.say(Up::CancelAck(CancelAck { leases })).await;
    let progress = Some(Progress { seq: u64::MAX, done: u64::MAX, ..Progress::default() });
    let items = vec![ProgressItem { lease: lease(|_| {}), progress }];
    session.say(Up::Progress(ProgressReport { items })).await;
    session.is_alive(u64::MAX).await;
    // What it said it had received does not stand for what comes later.
    let id = town.raw.enqueue(spec(|spec| spec.kind = "mine".into())).await.expect("is taken");
    let (seq, items) = session.assignment().await;
    assert_eq!((seq, items.len()), (1, 1));
    // Not acknowledged: taken back after 2 s, and its room is still granted.
    let (seq, again) = session.assignment().await;
    assert!(seq > 1 && again[0].lease.as_ref().is_some_and(|l| l.job_id == id && l.epoch == 2));
    town.is_serving().await;
}

#[tokio::test]
async fn only_the_lease_itself_speaks_for_a_job() {
    let town = Town::start().await;
    let id = town.raw.enqueue(spec(|_| {})).await.expect("is taken");
    let (mut owner, _) = Session::join(&town.raw, hello(|_| {})).await.expect("welcome");
    let owned = owner.assigned().await.lease.expect("a lease");
    let joined = Session::join(&town.raw, hello(|hello| hello.kinds = vec![kind("other")])).await;
    let (mut thief, welcome) = joined.expect("welcome");
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
        let verdicts = thief.report(vec![success(forged.clone(), vec![6; 66])]).await;
        assert_eq!(verdicts, [Verdict::Fenced], "{forged:?}");
        let data = vec![6; 66].into();
        thief.say(Up::Checkpoint(Checkpoint { lease: forged.clone(), data, seq: 1 })).await;
        let verdict = thief.until(|frame| match frame {
            Down::CheckpointAck(ack) => Some(ack.verdict()),
            _ => None,
        });
        assert_eq!(verdict.await, Verdict::Fenced);
        let lines = vec![LogLine { seq: 1, text: "forged".into(), ..LogLine::default() }];
        thief.say(Up::Log(LogBatch { lease: forged.clone(), lines })).await;
        let progress = Some(Progress { seq: 9, done: 9, ..Progress::default() });
        let items = vec![ProgressItem { lease: forged.clone(), progress }];
        thief.say(Up::Progress(ProgressReport { items })).await;
    }
    let held = forged.iter().flatten().cloned().collect();
    let again = hello(|hello| (hello.session, hello.held) = (String::new(), held));
    let (_, verdicts) = Session::join(&town.raw, again).await.expect("welcome");
    let revoked: i32 = HeldVerdict::Revoked.into();
    assert_eq!(verdicts.held, vec![revoked; forged.len()]);
    thief.is_alive(1).await;
    let job = in_state(&town.client, &id, JobState::Running).await;
    assert!(job.progress.is_none() && job.checkpoint.is_empty(), "{job:?}");
    let request = ReadLogsRequest { id: id.clone(), ..ReadLogsRequest::default() };
    let log = town.raw.jobs.clone().read_logs(request).await.expect("a log").into_inner();
    let log: Vec<_> = tokio_stream::StreamExt::collect(log).await;
    assert!(log.is_empty(), "{log:?}");
    let both = vec![success(Some(owned.clone()), vec![1]), success(Some(owned), vec![2])];
    assert_eq!(owner.report(both).await, [Verdict::Recorded, Verdict::Duplicate]);
    assert_eq!(end_of(&town.client, &id).await.result, vec![1]);
    town.is_serving().await;
}

/// Waits for a job that the honest worker could run too.
async fn taken(town: &Town) -> (Session, String, Lease) {
    let greedy = hello(|hello| {
        hello.kinds = vec![kind("demo.noop")];
        hello.credit = Some(Credit { jobs: 1, bytes: 0 });
    });
    let (mut session, _) = Session::join(&town.raw, greedy).await.expect("welcome");
    loop {
        let id = enqueue(&town.client, demo("noop", json!({}))).await;
        let worker = until("somebody takes the job", PATIENCE, || async {
            let job = town.client.get(&id).await.expect("is known");
            Some(job.worker).filter(|worker| !worker.is_empty())
        });
        if worker.await == "raw" {
            let (_, mut items) = session.assignment().await;
            return (session, id, items.remove(0).lease.expect("a lease"));
        }
    }
}

#[tokio::test]
async fn no_job_is_lost_with_a_worker_that_takes_it_and_does_nothing() {
    let town = Town::start().await;
    // It never says that it has it.
    let (mut mute, id, lease) = taken(&town).await;
    let job = end_of(&town.client, &id).await;
    assert_eq!((job.state(), job.worker.as_str(), job.attempt), (JobState::Succeeded, "honest", 1));
    assert_eq!(mute.report(vec![success(Some(lease), vec![6])]).await, [Verdict::Fenced]);
    // It says so and goes, half and whole.
    for is_half in [true, false] {
        let (mut gone, id, lease) = taken(&town).await;
        gone.say(Up::Received(Received { assign_seq: u64::MAX })).await;
        gone.is_alive(2).await;
        match is_half {
            true => {
                gone.half_close();
                let _ = gone.end().await;
            }
            false => drop(gone),
        }
        let job = end_of(&town.client, &id).await;
        assert_eq!((job.state(), job.worker.as_str()), (JobState::Succeeded, "honest"));
        assert!(job.attempt > lease.attempt, "{job:?}");
    }
    // It breaks the protocol while it has it.
    let (mut rude, id, _) = taken(&town).await;
    rude.say(Up::Hello(hello(|_| {}))).await;
    breach(rude.end().await, "Hello came twice");
    assert_eq!(end_of(&town.client, &id).await.worker, "honest");
    town.is_serving().await;
}

#[tokio::test]
async fn log_lines_may_come_in_any_order_and_with_any_number() {
    let town = Town::start().await;
    let id = town.raw.enqueue(spec(|_| {})).await.expect("is taken");
    let (mut session, _) = Session::join(&town.raw, hello(|_| {})).await.expect("welcome");
    let lease = session.assigned().await.lease;
    let odd = |seq: u64| LogLine {
        seq,
        time: Some(prost_types::Timestamp { seconds: i64::MAX, nanos: i32::MAX }),
        level: 99,
        text: format!("line {seq}"),
        ..LogLine::default()
    };
    for seqs in [vec![5, 3, 5, 1], vec![4], vec![u64::MAX, 0, 2], vec![1 << 63]] {
        let lines = seqs.iter().map(|seq| odd(*seq)).collect();
        session.say(Up::Log(LogBatch { lease: lease.clone(), lines })).await;
        session.until(|frame| matches!(frame, Down::LogAck(_)).then_some(())).await;
    }
    session.is_alive(1).await;
    let request = ReadLogsRequest { id: id.clone(), ..ReadLogsRequest::default() };
    let pages = town.raw.jobs.clone().read_logs(request).await.expect("a log").into_inner();
    let pages: Vec<_> = tokio_stream::StreamExt::collect(pages).await;
    let lines: Vec<LogLine> =
        pages.into_iter().flat_map(|page| page.expect("a page").lines).collect();
    let seqs: Vec<u64> = lines.iter().map(|line| line.seq).collect();
    assert!(seqs.is_sorted_by(|a, b| a < b) && seqs.starts_with(&[0, 1, 2, 3, 4, 5]), "{seqs:?}");
    for line in &lines {
        let time = line.time.expect("a time");
        assert!(time.to_string().starts_with("9999-12-31"), "a time that all can read: {time:?}");
    }
    assert_eq!(session.report(vec![success(lease, Vec::new())]).await, [Verdict::Recorded]);
    town.is_serving().await;
}

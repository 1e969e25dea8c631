//! What each demo kind reports.

use sentinel_client::proto::workers::v1::session_request::Frame as Up;
use sentinel_client::proto::workers::v1::session_response::Frame as Down;
use sentinel_client::proto::workers::v1::{
    Assignment, CancelItem, CancelJobs, CheckpointAck, ReportItem, Verdict, report_item,
};

use crate::peer::{Peer, Running, Stream, failure, is_success, job, lease};

async fn open() -> ((Peer, Running), Stream) {
    let mut peer = Peer::listen().await;
    let running = Running::start(sentinel_worker::register(peer.worker()));
    let (stream, hello) = peer.greet().await;
    assert_eq!(hello.kinds.len(), 12);
    ((peer, running), stream)
}

fn with(id: &str, kind: &str, payload: &str) -> Assignment {
    Assignment { payload: payload.to_owned().into(), ..job(id, kind) }
}

/// Runs one job; acknowledges its checkpoints, which are returned in order.
async fn run(stream: &mut Stream, assignment: Assignment) -> (ReportItem, Vec<String>) {
    stream.assign(vec![assignment]).await;
    let mut checkpoints = Vec::new();
    loop {
        match stream.next().await.unwrap() {
            Up::Report(mut report) => return (report.items.remove(0), checkpoints),
            Up::Checkpoint(sent) => {
                checkpoints.push(String::from_utf8(sent.data.to_vec()).unwrap());
                let verdict = Verdict::Recorded.into();
                let ack = CheckpointAck { lease: sent.lease, seq: sent.seq, verdict };
                stream.send(Down::CheckpointAck(ack)).await;
            }
            _ => {}
        }
    }
}

fn result(item: &ReportItem) -> String {
    match &item.outcome {
        Some(report_item::Outcome::Succeeded(done)) => {
            String::from_utf8(done.result.to_vec()).unwrap()
        }
        other => panic!("expected a success, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noop_echo_spin_and_stubborn_succeed() {
    let (_running, mut stream) = open().await;
    assert_eq!(result(&run(&mut stream, job("j1", "demo.noop")).await.0), "");
    assert_eq!(result(&run(&mut stream, with("j2", "demo.echo", "[1]")).await.0), "[1]");
    assert!(is_success(&run(&mut stream, with("j3", "demo.spin", r#"{"ms":1}"#)).await.0));
    assert!(is_success(&run(&mut stream, with("j4", "demo.stubborn", r#"{"ms":1}"#)).await.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_payloads_fail_for_good_and_name_the_field() {
    let (_running, mut stream) = open().await;
    for (kind, payload, part) in [
        ("demo.sleep", "{}", "payload.ms"),
        ("demo.sleep", r#"{"ms":1,"n":2}"#, "payload.n"),
        ("demo.spin", r#"{"ms":-1}"#, "payload.ms"),
        ("demo.progress", r#"{"steps":"x"}"#, "payload.steps"),
        ("demo.fail", r#"{"retryable":1}"#, "payload.retryable"),
        ("demo.snooze", "[]", "payload: expected an object"),
        ("demo.effect", r#"{"file":7}"#, "payload.file"),
    ] {
        let (item, _) = run(&mut stream, with(&format!("{kind}{part}"), kind, payload)).await;
        let (_, error) = failure(&item);
        assert!(error.message.contains(part), "{kind}: {}", error.message);
        assert_eq!((error.code.as_str(), error.retryable), ("BAD_PAYLOAD", false));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fail_counts_attempts() {
    let (_running, mut stream) = open().await;
    let payload = r#"{"message":"no","times":2}"#;
    for attempt in 1..=3 {
        let mut assignment = with("j1", "demo.fail", payload);
        let lease = assignment.lease.as_mut().unwrap();
        (lease.attempt, lease.epoch) = (attempt, u64::from(attempt));
        let (item, _) = run(&mut stream, assignment).await;
        match attempt {
            3 => assert!(is_success(&item)),
            _ => assert_eq!(failure(&item).1.message, "no"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_resumes_after_its_checkpoint() {
    let (_running, mut stream) = open().await;
    let mut assignment = with("j1", "demo.progress", r#"{"steps":4,"step_ms":1}"#);
    assignment.checkpoint = "2".into();
    let (item, checkpoints) = run(&mut stream, assignment).await;
    assert_eq!(result(&item), "4");
    assert_eq!(checkpoints, ["3", "4"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snooze_counts_in_its_checkpoint() {
    let (_running, mut stream) = open().await;
    let payload = r#"{"delay_ms":5,"times":1}"#;
    let (item, checkpoints) = run(&mut stream, with("j1", "demo.snooze", payload)).await;
    assert!(matches!(item.outcome, Some(report_item::Outcome::Snoozed(_))), "{item:?}");
    assert_eq!(checkpoints, ["1"]);
    let mut again = with("j2", "demo.snooze", payload);
    again.checkpoint = "1".into();
    assert!(is_success(&run(&mut stream, again).await.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sleep_stops_when_cancelled() {
    let (_running, mut stream) = open().await;
    stream.assign(vec![with("j1", "demo.sleep", r#"{"ms":600000}"#)]).await;
    let item = CancelItem { lease: Some(lease("j1")), ..CancelItem::default() };
    stream.send(Down::Cancel(CancelJobs { items: vec![item] })).await;
    let item = stream.report_item().await;
    assert!(matches!(item.outcome, Some(report_item::Outcome::Cancelled(_))), "{item:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn effect_leaves_its_marks() {
    let (_running, mut stream) = open().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("effects");
    let payload = serde_json::json!({ "file": file }).to_string();
    let (item, _) = run(&mut stream, with("j1", "demo.effect", &payload)).await;
    assert_eq!(result(&item), "j1/1/1/1");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text, "j1/1/1/1\tw1\tstart\nj1/1/1/1\tw1\tend\n");
}

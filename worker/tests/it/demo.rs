//! The reports of the demo kinds.

use sentinel_client::proto::workers::v1::session_request::Frame as RequestFrame;
use sentinel_client::proto::workers::v1::session_response::Frame as ResponseFrame;
use sentinel_client::proto::workers::v1::{
    Assignment, CancelItem, CancelJobs, CheckpointAck, ReportItem, Verdict, report_item,
};

use crate::scripted_server::{
    RunningWorker, ScriptedServer, SessionStream, failure, is_success, job, lease,
};

async fn start_session() -> ((ScriptedServer, RunningWorker), SessionStream) {
    let mut server = ScriptedServer::start().await;
    let worker = RunningWorker::start(sentinel_worker::register(server.worker()));
    let (stream, hello) = server.accept_session().await;
    assert_eq!(hello.kinds.len(), 12);
    ((server, worker), stream)
}

fn job_with_payload(id: &str, kind: &str, payload: &str) -> Assignment {
    Assignment { payload: payload.to_owned().into(), ..job(id, kind) }
}

/// Runs one job and acknowledges its checkpoints. Returns the report and the checkpoints.
async fn run(stream: &mut SessionStream, assignment: Assignment) -> (ReportItem, Vec<String>) {
    stream.assign(vec![assignment]).await;
    let mut checkpoints = Vec::new();
    loop {
        match stream.next().await.unwrap() {
            RequestFrame::Report(mut report) => return (report.items.remove(0), checkpoints),
            RequestFrame::Checkpoint(sent) => {
                checkpoints.push(String::from_utf8(sent.data.to_vec()).unwrap());
                let verdict = Verdict::Recorded.into();
                let ack = CheckpointAck { lease: sent.lease, seq: sent.seq, verdict };
                stream.send(ResponseFrame::CheckpointAck(ack)).await;
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
    let (_running, mut stream) = start_session().await;
    assert_eq!(result(&run(&mut stream, job("j1", "demo.noop")).await.0), "");
    assert_eq!(
        result(&run(&mut stream, job_with_payload("j2", "demo.echo", "[1]")).await.0),
        "[1]"
    );
    assert!(is_success(
        &run(&mut stream, job_with_payload("j3", "demo.spin", r#"{"ms":1}"#)).await.0
    ));
    assert!(is_success(
        &run(&mut stream, job_with_payload("j4", "demo.stubborn", r#"{"ms":1}"#)).await.0
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_payload_fails_without_a_retry_and_names_the_field() {
    let (_running, mut stream) = start_session().await;
    for (kind, payload, part) in [
        ("demo.sleep", "{}", "payload.ms"),
        ("demo.sleep", r#"{"ms":1,"n":2}"#, "payload.n"),
        ("demo.spin", r#"{"ms":-1}"#, "payload.ms"),
        ("demo.progress", r#"{"steps":"x"}"#, "payload.steps"),
        ("demo.fail", r#"{"retryable":1}"#, "payload.retryable"),
        ("demo.snooze", "[]", "payload: expected an object"),
        ("demo.effect", r#"{"file":7}"#, "payload.file"),
    ] {
        let (item, _) =
            run(&mut stream, job_with_payload(&format!("{kind}{part}"), kind, payload)).await;
        let (_, error) = failure(&item);
        assert!(error.message.contains(part), "{kind}: {}", error.message);
        assert_eq!((error.code.as_str(), error.retryable), ("BAD_PAYLOAD", false));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fail_succeeds_after_the_given_number_of_attempts() {
    let (_running, mut stream) = start_session().await;
    let payload = r#"{"message":"no","times":2}"#;
    for attempt in 1..=3 {
        let mut assignment = job_with_payload("j1", "demo.fail", payload);
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
async fn progress_resumes_at_its_checkpoint() {
    let (_running, mut stream) = start_session().await;
    let mut assignment = job_with_payload("j1", "demo.progress", r#"{"steps":4,"step_ms":1}"#);
    assignment.checkpoint = "2".into();
    let (item, checkpoints) = run(&mut stream, assignment).await;
    assert_eq!(result(&item), "4");
    assert_eq!(checkpoints, ["3", "4"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snooze_counts_in_its_checkpoint() {
    let (_running, mut stream) = start_session().await;
    let payload = r#"{"delay_ms":5,"times":1}"#;
    let (item, checkpoints) =
        run(&mut stream, job_with_payload("j1", "demo.snooze", payload)).await;
    assert!(matches!(item.outcome, Some(report_item::Outcome::Snoozed(_))), "{item:?}");
    assert_eq!(checkpoints, ["1"]);
    let mut second = job_with_payload("j2", "demo.snooze", payload);
    second.checkpoint = "1".into();
    assert!(is_success(&run(&mut stream, second).await.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sleep_stops_when_cancelled() {
    let (_running, mut stream) = start_session().await;
    stream.assign(vec![job_with_payload("j1", "demo.sleep", r#"{"ms":600000}"#)]).await;
    let item = CancelItem { lease: Some(lease("j1")), ..CancelItem::default() };
    stream.send(ResponseFrame::Cancel(CancelJobs { items: vec![item] })).await;
    let item = stream.report_item().await;
    assert!(matches!(item.outcome, Some(report_item::Outcome::Cancelled(_))), "{item:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn effect_appends_start_and_end_to_the_file() {
    let (_running, mut stream) = start_session().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("effects");
    let payload = serde_json::json!({ "file": file }).to_string();
    let (item, _) = run(&mut stream, job_with_payload("j1", "demo.effect", &payload)).await;
    assert_eq!(result(&item), "j1/1/1/1");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text, "j1/1/1/1\tw1\tstart\nj1/1/1/1\tw1\tend\n");
}

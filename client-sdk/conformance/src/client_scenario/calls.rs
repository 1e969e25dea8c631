//! Calls of a client that is connected: many at once, deadlines, ids, errors and retries.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::ClientProgram;
use crate::job_server::{JobServer, RETRY_DELAY};

/// An enqueue of a kind.
pub(super) fn enqueue(kind: &str, deadline: Duration) -> Value {
    let deadline_ms = deadline.as_millis() as u64;
    json!({"call": "enqueue", "kind": kind, "payload": {"n": 1}, "deadline_ms": deadline_ms})
}

fn read(call: &str, job_id: &str) -> Value {
    json!({"call": call, "job_id": job_id, "deadline_ms": 20_000})
}

pub(super) const LONG: Duration = Duration::from_secs(60);

/// 1,000 calls at once are served, twice.
pub(super) async fn client_burst(program: ClientProgram) {
    let server = JobServer::start();
    let mut client = program.start(&[server.url()], &["--credential", "key-1"]);
    for _ in 0..2 {
        let results = client.call_all(vec![enqueue("echo", LONG); 1_000]).await;
        for result in results {
            result.expect("each of 1,000 calls at once must succeed");
        }
    }
    let authorizations = server.received(|received| received.authorizations.clone());
    assert_eq!(authorizations.into_iter().collect::<Vec<_>>(), ["Bearer key-1"]);
    client.assert_clean_exit().await;
}

/// A deadline that passes here or at the server is a timeout, soon after the deadline.
pub(super) async fn client_deadlines(program: ClientProgram) {
    let server = JobServer::start();
    let mut client = program.start(&[server.url()], &[]);
    client.call(enqueue("echo", LONG)).await.expect("the first call connects");
    let start = Instant::now();
    let error = client.call(enqueue("slow", Duration::from_millis(700))).await.unwrap_err();
    assert_eq!(error.kind, "timeout", "{error:?}");
    let elapsed = start.elapsed();
    assert!((600..6_000).contains(&elapsed.as_millis()), "a deadline of 700 ms took {elapsed:?}");
    let error = client.call(enqueue("deadline", Duration::from_secs(20))).await.unwrap_err();
    assert_eq!(error.kind, "timeout", "{error:?}");
}

/// Ids are compared as ids, in whatever spelling the caller has them.
pub(super) async fn client_id_spellings(program: ClientProgram) {
    let server = JobServer::start();
    let mut client = program.start(&[server.url()], &[]);
    let id = "0190a5c3-7e8f-7abc-8def-0123456789ab";
    let spellings = [
        id.to_owned(),
        id.to_uppercase(),
        id.replace("7abc-8def", "7aBc-8DeF"),
        format!("0190A5C3{}", &id[8..]),
    ];
    for spelling in &spellings {
        let job = client.call(read("wait_for_result", spelling)).await;
        let job = job.unwrap_or_else(|error| panic!("wait for {spelling}: {error:?}"));
        assert_eq!((&job["state"], &job["result"]), (&json!("SUCCEEDED"), &json!("text")));
        let job = client.call(read("get", spelling)).await;
        let job = job.unwrap_or_else(|error| panic!("get {spelling}: {error:?}"));
        assert_eq!((&job["state"], &job["version"]), (&json!("SUCCEEDED"), &json!(3)));
    }
}

/// The code, the rejected fields and the requested delay of an error reach the caller.
pub(super) async fn client_error_details(program: ClientProgram) {
    let server = JobServer::start();
    let mut client = program.start(&[server.url()], &[]);
    let error = client.call(enqueue("invalid", LONG)).await.unwrap_err();
    assert_eq!((error.kind.as_str(), error.reason.as_str()), ("api", "INVALID_FIELD"));
    let fields = error.violations.iter().map(|found| (&*found.field, &*found.description));
    let expected = [("spec.queue", "1..128 characters"), ("spec.priority", "0..9")];
    assert_eq!(fields.collect::<Vec<_>>(), expected);
    assert!(error.message.contains("scripted error"), "{error:?}");
    for call in ["get", "wait_for_result"] {
        let nil = "00000000-0000-0000-0000-000000000000";
        let error = client.call(read(call, nil)).await.unwrap_err();
        assert_eq!((error.kind.as_str(), error.reason.as_str()), ("api", "JOB_NOT_FOUND"));
    }
    // The delay is waited for; when the deadline is earlier, the error says what was asked.
    let start = Instant::now();
    client.call(enqueue("exhausted", LONG)).await.expect("repeated after the requested delay");
    assert!(start.elapsed() >= RETRY_DELAY, "repeated after {:?}", start.elapsed());
    let error = client.call(enqueue("exhausted", RETRY_DELAY / 2)).await.unwrap_err();
    assert_eq!((error.kind.as_str(), error.reason.as_str()), ("api", "OVERLOADED"));
    assert_eq!(u128::from(error.retry_delay_ms), RETRY_DELAY.as_millis());
}

/// A call that is repeated has one request id, however often.
pub(super) async fn client_retry_request_id(program: ClientProgram) {
    let server = JobServer::start();
    let mut client = program.start(&[server.url()], &[]);
    client.call(enqueue("unavailable", LONG)).await.expect("repeated until the server answers");
    let sent = server.received(|received| received.request_ids.clone());
    assert_eq!(sent.values().collect::<Vec<_>>(), [&6], "{sent:?}");
    assert!(!sent.contains_key(""), "an enqueue without a request id can not be repeated");
}

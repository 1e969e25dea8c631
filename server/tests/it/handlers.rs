//! The kinds that are built into the fleet binary, end to end: enqueued at a server, run by a
//! worker process, against an HTTP endpoint and with programs of this machine.

pub(crate) mod endpoint;
mod exec;
mod http;
mod tls;

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use sentinel_client::proto::jobs::v1::{BackoffKind, Jitter, Job, JobError, JobState, RetryPolicy};
use sentinel_client::{Client, NewJob};
use serde_json::Value;

use crate::harness::{PATIENCE, end_of, enqueue, until};

/// A job of a built-in kind that does not wait long between its attempts.
fn job(kind: &str, payload: &Value, max_attempts: u32) -> NewJob {
    let pause = prost_types::Duration { seconds: 0, nanos: 20_000_000 };
    let policy = RetryPolicy {
        max_attempts,
        backoff: BackoffKind::Fixed.into(),
        base: Some(pause),
        cap: None,
        jitter: Jitter::None.into(),
    };
    NewJob::new("default", kind).json(payload).expect("a JSON value").retry(policy)
}

/// The result of a job that succeeds.
async fn result_of(client: &Client, job: NewJob) -> Value {
    let id = enqueue(client, job).await;
    let job = end_of(client, &id).await;
    assert_eq!(job.state(), JobState::Succeeded, "{:?}", job.error);
    serde_json::from_slice(&job.result).expect("a result in JSON")
}

/// The error of a job that fails, and the attempts that it took.
async fn failure_of(client: &Client, job: NewJob) -> (JobError, u32) {
    let id = enqueue(client, job).await;
    let job = end_of(client, &id).await;
    failure(job)
}

fn failure(job: Job) -> (JobError, u32) {
    assert_eq!(job.state(), JobState::Failed, "{:?}", String::from_utf8_lossy(&job.result));
    (job.error.expect("a failed job has an error"), job.attempt)
}

/// What the first attempt of a job logged, once these lines are in it: the last ones are stored a
/// moment after the end.
async fn log_with(client: &Client, id: &str, expected: &[&str]) -> Vec<String> {
    until(&format!("the log has {expected:?}"), PATIENCE, || async {
        let log = log_of(client, id).await.remove(&1)?;
        let has = |start: &&str| log.iter().any(|line| line.starts_with(start));
        expected.iter().all(has).then_some(log)
    })
    .await
}

/// What the handlers of a job logged, attempt by attempt.
async fn log_of(client: &Client, id: &str) -> BTreeMap<u32, Vec<String>> {
    let lines = client.read_logs(id, 0, false).await.expect("the log");
    let lines: Vec<_> = lines.try_collect().await.expect("lines");
    let mut by_attempt: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for line in lines {
        by_attempt.entry(line.attempt).or_default().push(line.text);
    }
    by_attempt
}

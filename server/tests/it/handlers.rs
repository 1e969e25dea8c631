//! The built-in handlers of `sentinel-worker`, end to end: jobs go through a server to a worker
//! process, which calls an HTTP endpoint or runs local programs.

pub(crate) mod endpoint;
mod exec;
mod http;
mod tls;

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use sentinel_client::proto::jobs::v1::{BackoffKind, Jitter, Job, JobError, JobState, RetryPolicy};
use sentinel_client::{Client, NewJob};
use serde_json::Value;

use crate::harness::{TIMEOUT, enqueue, wait_terminal, wait_until};

/// Returns a job of a built-in kind with a short backoff.
fn job(kind: &str, payload: &Value, max_attempts: u32) -> NewJob {
    let base = prost_types::Duration { seconds: 0, nanos: 20_000_000 };
    let policy = RetryPolicy {
        max_attempts,
        backoff: BackoffKind::Fixed.into(),
        base: Some(base),
        cap: None,
        jitter: Jitter::None.into(),
    };
    NewJob::new("default", kind).json(payload).expect("a JSON value").retry(policy)
}

/// Enqueues a job that succeeds and returns its result.
async fn result_of(client: &Client, job: NewJob) -> Value {
    let id = enqueue(client, job).await;
    let job = wait_terminal(client, &id).await;
    assert_eq!(job.state(), JobState::Succeeded, "{:?}", job.error);
    serde_json::from_slice(&job.result).expect("a result in JSON")
}

/// Enqueues a job that fails and returns its error and its number of attempts.
async fn failure_of(client: &Client, job: NewJob) -> (JobError, u32) {
    let id = enqueue(client, job).await;
    let job = wait_terminal(client, &id).await;
    failure(job)
}

fn failure(job: Job) -> (JobError, u32) {
    assert_eq!(job.state(), JobState::Failed, "{:?}", String::from_utf8_lossy(&job.result));
    (job.error.expect("a failed job has an error"), job.attempt)
}

/// Waits until the log of the first attempt has these lines and returns it. The last lines are
/// stored shortly after the end of the attempt.
async fn log_with(client: &Client, id: &str, expected: &[&str]) -> Vec<String> {
    wait_until(&format!("the log has {expected:?}"), TIMEOUT, || async {
        let log = log_of(client, id).await.remove(&1)?;
        let has = |start: &&str| log.iter().any(|line| line.starts_with(start));
        expected.iter().all(has).then_some(log)
    })
    .await
}

/// Returns the log lines of a job by attempt.
async fn log_of(client: &Client, id: &str) -> BTreeMap<u32, Vec<String>> {
    let lines = client.read_logs(id, 0, false).await.expect("the log");
    let lines: Vec<_> = lines.try_collect().await.expect("lines");
    let mut by_attempt: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for line in lines {
        by_attempt.entry(line.attempt).or_default().push(line.text);
    }
    by_attempt
}

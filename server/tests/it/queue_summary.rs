//! Queue summaries of watches: alone, together with jobs, for a key with a queue scope, and across
//! a restart of the server.

use std::time::Duration;

use futures_util::StreamExt;
use sentinel_client::proto::admin::v1::Role;
use sentinel_client::proto::jobs::v1::watch_request::Selector;
use sentinel_client::proto::jobs::v1::watch_response::Event;
use sentinel_client::proto::jobs::v1::{
    JobIds, JobState, QueueSummary, SummarySelection, WatchRequest, WatchResponse, WatchSummary,
};
use sentinel_client::{Client, NewJob, WatchEvent, WatchOptions, WatchStream};
use serde_json::json;
use tonic::{Code, Streaming};

use crate::harness::{TIMEOUT, TestServer, demo_job, enqueue, wait_terminal};
use crate::identity::AuthServer;
use crate::raw::{assert_invalid_field, error_reason};

async fn next(events: &mut WatchStream) -> WatchSummary {
    let event = tokio::time::timeout(TIMEOUT, events.next()).await.expect("a result in time");
    match event.expect("no error").expect("no error") {
        WatchEvent::Summary(summary) => summary,
        other => panic!("{other:?}"),
    }
}

fn request(queues: &[&str]) -> WatchRequest {
    let queues = queues.iter().map(|&queue| queue.to_owned()).collect();
    WatchRequest { summary: Some(SummarySelection { queues }), ..WatchRequest::default() }
}

async fn frame(events: &mut Streaming<WatchResponse>) -> Option<WatchResponse> {
    tokio::time::timeout(TIMEOUT, events.message())
        .await
        .expect("a result in time")
        .expect("no error")
}

/// Returns the number of jobs in a state.
fn count(one: &QueueSummary, state: JobState) -> u64 {
    one.states.iter().filter(|of| of.state() == state).map(|of| of.count).sum()
}

fn names(summary: &WatchSummary) -> Vec<&str> {
    summary.queues.iter().map(|one| one.queue.as_str()).collect()
}

fn ms(span: Option<prost_types::Duration>) -> u128 {
    Duration::try_from(span.expect("a duration")).expect("a non-negative duration").as_millis()
}

/// Returns whether the summary includes all six jobs of the test.
fn has_all_jobs(one: &QueueSummary, summary: &WatchSummary) -> bool {
    let window_s = ms(summary.window) as f64 / 1_000.0;
    let rates = [
        one.enqueued_per_second,
        one.started_per_second,
        one.succeeded_per_second,
        one.failed_per_second,
    ];
    let finished = [JobState::Succeeded, JobState::Failed].map(|state| count(one, state));
    let sums = rates.map(|rate| (rate * window_s).round() as u64);
    sums == [6, 6, 4, 2] && finished == [4, 2]
}

#[tokio::test]
async fn a_summary_follows_the_jobs_and_a_restart() {
    let mut server = TestServer::start().await;
    let client = server.client();
    client.enqueue(NewJob::new("slow", "raw")).await.expect("enqueue a job");
    let mut events = client.watch(WatchOptions::summary(["default", "slow"]));
    let first = next(&mut events).await;
    assert_eq!(names(&first), ["slow"], "the other queue does not exist yet");
    assert!(first.as_of.is_some() && first.queues[0].wait.is_none());
    assert_eq!(first.workers, Some(0));
    let _worker = server.start_worker("w1", &[]).await;
    for nth in 0..6 {
        let job = match nth {
            0..4 => demo_job("sleep", json!({"ms": 20})),
            _ => demo_job("fail", json!({"message": "no", "retryable": false})),
        };
        wait_terminal(&client, &enqueue(&client, job).await).await;
    }
    let summary = loop {
        let summary = next(&mut events).await;
        if summary.queues.iter().any(|one| has_all_jobs(one, &summary)) {
            break summary;
        }
    };
    assert_eq!((names(&summary), summary.workers), (vec!["default", "slow"], Some(1)));
    let (one, slow) = (&summary.queues[0], &summary.queues[1]);
    let (wait, run) = (one.wait.expect("a wait time"), one.run.expect("a run time"));
    assert_eq!((wait.samples, run.samples), (6, 6));
    assert!(ms(run.p50) >= 19 && ms(run.p99) >= ms(run.p50), "{run:?}");
    assert_eq!((count(slow, JobState::Ready), one.oldest_ready_age), (1, None));
    assert!(ms(slow.oldest_ready_age) > 0);
    server.kill().await;
    server.restart().await;
    let mut is_new = false;
    loop {
        let again = next(&mut events).await;
        // Wait for a summary of the new server that includes the finished jobs.
        is_new |= ms(again.window) < ms(summary.window);
        if is_new && count(&again.queues[0], JobState::Succeeded) == 4 {
            break;
        }
    }
}

#[tokio::test]
async fn jobs_and_summaries_share_a_stream() {
    let server = TestServer::start().await;
    let client = server.client();
    let id = enqueue(&client, demo_job("sleep", json!({"ms": 10}))).await;
    let selector = Some(Selector::Jobs(JobIds { ids: vec![id.clone()] }));
    let both = WatchRequest { selector, ..request(&[]) };
    let mut events = client.raw_jobs().watch(both).await.expect("open a watch").into_inner();
    let (mut summaries, mut snapshots) = (0, 0);
    while summaries < 3 || snapshots == 0 {
        let frame = frame(&mut events).await.expect("a frame");
        match frame.event {
            Some(Event::Summary(summary)) => {
                assert_eq!((names(&summary), frame.cursor), (vec!["default"], String::new()));
                summaries += 1;
            }
            Some(Event::Snapshot(_)) => snapshots += 1,
            Some(Event::Keepalive(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    let _worker = server.start_worker("w1", &[]).await;
    let mut last = None;
    while let Some(frame) = frame(&mut events).await {
        if let Some(Event::Change(change)) = frame.event {
            last = change.job;
        }
    }
    assert_eq!(last.expect("a change to a terminal state").state(), JobState::Succeeded);
}

#[tokio::test]
async fn a_key_sees_only_the_summaries_of_its_queues() {
    let auth = AuthServer::start(&[]).await;
    let root = auth.client(&auth.root_key);
    for queue in ["ours.a", "ours.b", "theirs"] {
        root.enqueue(NewJob::new(queue, "raw")).await.expect("enqueue a job");
    }
    let scoped = auth.client(&auth.create_key(Role::Viewer, &["ours.*"]).await);
    let shown = async |client: &Client, queues: &[&str]| {
        let mut events = client.watch(WatchOptions::summary(queues.iter().copied()));
        let summary = next(&mut events).await;
        (names(&summary).join(" "), summary.workers)
    };
    assert_eq!(shown(&root, &[]).await, ("ours.a ours.b theirs".to_owned(), Some(0)));
    assert_eq!(shown(&scoped, &[]).await, ("ours.a ours.b".to_owned(), None));
    assert_eq!(shown(&scoped, &["ours.b"]).await, ("ours.b".to_owned(), None));
    let refused = scoped.raw_jobs().watch(request(&["ours.a", "theirs"])).await;
    let not_allowed = (Code::PermissionDenied, "QUEUE_NOT_ALLOWED".to_owned());
    assert_eq!(error_reason(refused.map(|_| ())), not_allowed);
    let mut with_cursor = request(&[]);
    with_cursor.cursor = "7-1".to_owned();
    let refused = scoped.raw_jobs().watch(with_cursor).await.map(|_| ());
    assert_invalid_field(refused, "cursor", "needs the selector");
}

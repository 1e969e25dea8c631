//! Figures of queues over the wire: alone, beside the jobs of a watch, for a key of some queues,
//! and over a restart of the server.

use std::time::Duration;

use futures_util::StreamExt;
use sentinel_client::proto::admin::v1::Role;
use sentinel_client::proto::jobs::v1::watch_request::Selector;
use sentinel_client::proto::jobs::v1::watch_response::Event;
use sentinel_client::proto::jobs::v1::{
    JobIds, JobState, QueueSummary, SummarySelection, WatchRequest, WatchResponse, WatchSummary,
};
use sentinel_client::{Client, NewJob, Watch, WatchEvent, WatchStream};
use serde_json::json;
use tonic::{Code, Streaming};

use crate::harness::{PATIENCE, World, demo, end_of, enqueue};
use crate::identity::Guarded;
use crate::raw::{reason, refuses};

async fn next(events: &mut WatchStream) -> WatchSummary {
    let event = tokio::time::timeout(PATIENCE, events.next()).await.expect("in time");
    match event.expect("goes on").expect("goes on") {
        WatchEvent::Summary(summary) => summary,
        other => panic!("{other:?}"),
    }
}

fn request(queues: &[&str]) -> WatchRequest {
    let queues = queues.iter().map(|&queue| queue.to_owned()).collect();
    WatchRequest { summary: Some(SummarySelection { queues }), ..WatchRequest::default() }
}

async fn frame(events: &mut Streaming<WatchResponse>) -> Option<WatchResponse> {
    tokio::time::timeout(PATIENCE, events.message()).await.expect("in time").expect("goes on")
}

fn count(one: &QueueSummary, state: JobState) -> u64 {
    one.states.iter().filter(|of| of.state() == state).map(|of| of.count).sum()
}

fn names(summary: &WatchSummary) -> Vec<&str> {
    summary.queues.iter().map(|one| one.queue.as_str()).collect()
}

fn ms(span: Option<prost_types::Duration>) -> u128 {
    Duration::try_from(span.expect("is set")).expect("no negative one").as_millis()
}

/// The six jobs of the test are in the figures.
fn is_all(one: &QueueSummary, summary: &WatchSummary) -> bool {
    let window_s = ms(summary.window) as f64 / 1_000.0;
    let rates = [
        one.enqueued_per_second,
        one.started_per_second,
        one.succeeded_per_second,
        one.failed_per_second,
    ];
    let ended = [JobState::Succeeded, JobState::Failed].map(|state| count(one, state));
    let sums = rates.map(|rate| (rate * window_s).round() as u64);
    sums == [6, 6, 4, 2] && ended == [4, 2]
}

#[tokio::test]
async fn a_page_shows_what_goes_on() {
    let mut world = World::start().await;
    let client = world.client();
    client.enqueue(NewJob::new("slow", "raw")).await.expect("enqueued");
    let mut events = client.watch(Watch::summary(["default", "slow"]));
    let first = next(&mut events).await;
    assert_eq!(names(&first), ["slow"], "the other queue is not there yet");
    assert!(first.as_of.is_some() && first.queues[0].wait.is_none());
    assert_eq!(first.workers, Some(0));
    let _worker = world.worker("w1", &[]).await;
    for nth in 0..6 {
        let job = match nth {
            0..4 => demo("sleep", json!({"ms": 20})),
            _ => demo("fail", json!({"message": "no", "retryable": false})),
        };
        end_of(&client, &enqueue(&client, job).await).await;
    }
    let summary = loop {
        let summary = next(&mut events).await;
        if summary.queues.iter().any(|one| is_all(one, &summary)) {
            break summary;
        }
    };
    assert_eq!((names(&summary), summary.workers), (vec!["default", "slow"], Some(1)));
    let (one, slow) = (&summary.queues[0], &summary.queues[1]);
    let (wait, run) = (one.wait.expect("six starts"), one.run.expect("six ends"));
    assert_eq!((wait.samples, run.samples), (6, 6));
    assert!(ms(run.p50) >= 19 && ms(run.p99) >= ms(run.p50), "{run:?}");
    assert_eq!((count(slow, JobState::Ready), one.oldest_ready_age), (1, None));
    assert!(ms(slow.oldest_ready_age) > 0);
    world.server.kill().await;
    world.server.restart().await;
    let mut is_new = false;
    loop {
        let again = next(&mut events).await;
        // Of the new server, and once it has counted what ended.
        is_new |= ms(again.window) < ms(summary.window);
        if is_new && count(&again.queues[0], JobState::Succeeded) == 4 {
            break;
        }
    }
}

#[tokio::test]
async fn jobs_and_figures_share_a_stream() {
    let world = World::start().await;
    let client = world.client();
    let id = enqueue(&client, demo("sleep", json!({"ms": 10}))).await;
    let selector = Some(Selector::Jobs(JobIds { ids: vec![id.clone()] }));
    let both = WatchRequest { selector, ..request(&[]) };
    let mut events = client.raw_jobs().watch(both).await.expect("opens").into_inner();
    let (mut summaries, mut snapshots) = (0, 0);
    while summaries < 3 || snapshots == 0 {
        let frame = frame(&mut events).await.expect("goes on while the job waits");
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
    let _worker = world.worker("w1", &[]).await;
    let mut last = None;
    while let Some(frame) = frame(&mut events).await {
        if let Some(Event::Change(change)) = frame.event {
            last = change.job;
        }
    }
    assert_eq!(last.expect("the final change comes").state(), JobState::Succeeded);
}

#[tokio::test]
async fn a_key_sees_the_figures_of_its_queues() {
    let guarded = Guarded::start(&[]).await;
    let root = guarded.client(&guarded.root);
    for queue in ["ours.a", "ours.b", "theirs"] {
        root.enqueue(NewJob::new(queue, "raw")).await.expect("enqueued");
    }
    let scoped = guarded.client(&guarded.key(Role::Viewer, &["ours.*"]).await);
    let shown = async |client: &Client, queues: &[&str]| {
        let mut events = client.watch(Watch::summary(queues.iter().copied()));
        let summary = next(&mut events).await;
        (names(&summary).join(" "), summary.workers)
    };
    assert_eq!(shown(&root, &[]).await, ("ours.a ours.b theirs".to_owned(), Some(0)));
    assert_eq!(shown(&scoped, &[]).await, ("ours.a ours.b".to_owned(), None));
    assert_eq!(shown(&scoped, &["ours.b"]).await, ("ours.b".to_owned(), None));
    let refused = scoped.raw_jobs().watch(request(&["ours.a", "theirs"])).await;
    let not_allowed = (Code::PermissionDenied, "QUEUE_NOT_ALLOWED".to_owned());
    assert_eq!(reason(refused.map(|_| ())), not_allowed);
    let mut with_cursor = request(&[]);
    with_cursor.cursor = "7-1".to_owned();
    let refused = scoped.raw_jobs().watch(with_cursor).await.map(|_| ());
    refuses(refused, "cursor", "needs the selector");
}

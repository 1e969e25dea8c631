//! A watch sees each version of a job once and in order, whenever it opens and whatever
//! happens to the server, or it says that it may have missed something.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use sentinel_client::proto::jobs::v1::job_service_client::JobServiceClient;
use sentinel_client::proto::jobs::v1::watch_request::Selector;
use sentinel_client::proto::jobs::v1::{
    GapReason, JobFilter, JobSpec, JobState, WatchRequest, WatchResponse,
};
use sentinel_client::{BatchOptions, Client, NewJob, Watch, WatchEvent, WatchStream, is_terminal};
use serde_json::json;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::harness::{PATIENCE, World, demo, end_of, enqueue, in_state, until};

/// The versions that a watch by ids showed of its one job.
async fn versions(client: &Client, id: &str) -> Vec<u64> {
    let events = client.watch(Watch::jobs([id]));
    let versions = events.filter_map(|event| async {
        match event.unwrap() {
            WatchEvent::Snapshot(snapshot) => Some(snapshot.jobs[0].version),
            WatchEvent::Change(change) => Some(change.job.unwrap().version),
            _ => None,
        }
    });
    tokio::time::timeout(PATIENCE, versions.collect()).await.expect("the watch ends by itself")
}

fn assert_dense(versions: &[u64], last: u64) {
    let first = versions[0];
    assert!(versions.iter().copied().eq(first..=last), "{versions:?}, the last is {last}");
}

#[tokio::test]
async fn a_watch_by_id_is_complete_whenever_it_opens() {
    let world = World::start().await;
    let client = world.client();
    let id = enqueue(&client, demo("progress", json!({"steps": 3, "step_ms": 100}))).await;
    let before = versions(&client, &id);
    let rest = async {
        let _worker = world.worker("w1", &[]).await;
        in_state(&client, &id, JobState::Running).await;
        versions(&client, &id).await
    };
    let (before, during) = tokio::join!(before, rest);
    let last = client.get(&id).await.unwrap().version;
    assert_eq!(before[0], 1);
    assert_dense(&before, last);
    assert_dense(&during, last);
    assert!(during.len() >= 2, "opened while it ran: {during:?}");
    assert_eq!(versions(&client, &id).await, [last], "opened after its end");
}

/// What a watch by filter showed: all versions of each job, and its gaps.
#[derive(Default)]
struct Seen {
    versions: BTreeMap<String, Vec<u64>>,
    finals: usize,
    gaps: Vec<GapReason>,
    may_repeat: bool,
}

impl Seen {
    async fn until_final(&mut self, events: &mut WatchStream, finals: usize) {
        while self.finals < finals {
            let event = tokio::time::timeout(PATIENCE, events.next()).await;
            self.see(event.expect("an event in time").unwrap().unwrap());
        }
    }

    fn see(&mut self, event: WatchEvent) {
        let jobs = match event {
            WatchEvent::Snapshot(snapshot) => snapshot.jobs,
            WatchEvent::Change(change) => change.job.into_iter().collect(),
            WatchEvent::Gap(gap) => return self.gaps.push(gap.reason()),
            _ => return,
        };
        for job in jobs {
            self.finals += usize::from(is_terminal(job.state()));
            let versions = self.versions.entry(job.id).or_default();
            // After a resume the last version may come again.
            if !(self.may_repeat && versions.last() == Some(&job.version)) {
                versions.push(job.version);
            }
        }
    }
}

fn labelled(value: &str) -> JobFilter {
    let labels = BTreeMap::from([("watch".to_owned(), value.to_owned())]);
    JobFilter { labels: labels.into_iter().collect(), ..JobFilter::default() }
}

/// Its progress is kept each second, under the version that was shown before.
#[tokio::test]
async fn each_version_of_a_long_job_is_seen_once() {
    let world = World::start().await;
    let client = world.client();
    let _worker = world.worker("w1", &[]).await;
    let mut events = client.watch(Watch::filter(labelled("yes")));
    assert!(matches!(events.next().await, Some(Ok(WatchEvent::Snapshot(_)))));
    let job = demo("progress", json!({"steps": 10, "step_ms": 250})).label("watch", "yes");
    let id = enqueue(&client, job).await;
    let mut seen = Seen::default();
    seen.until_final(&mut events, 1).await;
    assert_dense(&seen.versions[&id], client.get(&id).await.unwrap().version);
}

#[tokio::test]
async fn a_watch_by_filter_misses_nothing_when_the_server_is_killed() {
    let mut world = World::start().await;
    let client = world.client();
    let _worker = world.worker("w1", &[]).await;
    let mut events = client.watch(Watch::filter(labelled("yes")));
    assert!(matches!(events.next().await, Some(Ok(WatchEvent::Snapshot(_)))));
    let mut seen = Seen { may_repeat: true, ..Seen::default() };
    let watching = tokio::spawn(async move {
        seen.until_final(&mut events, 60).await;
        seen
    });
    let step = json!({"steps": 4, "step_ms": 40});
    let job = || demo("progress", step.clone()).label("watch", "yes");
    let mut ids = Vec::new();
    for round in 0..3 {
        for _ in 0..20 {
            ids.push(enqueue(&client, job()).await);
            enqueue(&client, demo("noop", json!({})).label("watch", "no")).await;
        }
        if round < 2 {
            world.server.kill().await;
            world.server.restart().await;
        }
    }
    let seen = watching.await.unwrap();
    assert_eq!(seen.gaps, [], "the journal was there");
    assert_eq!(seen.versions.len(), 60);
    for id in ids {
        let job = end_of(&client, &id).await;
        assert_eq!(seen.versions[&id][0], 1);
        assert_dense(&seen.versions[&id], job.version);
    }
}

fn request(filter: JobFilter, cursor: &str) -> WatchRequest {
    let selector = Some(Selector::Filter(filter));
    WatchRequest { selector, cursor: cursor.to_owned(), ..WatchRequest::default() }
}

async fn open(client: &Client, filter: JobFilter, cursor: &str) -> Streaming<WatchResponse> {
    client.raw_jobs().watch(request(filter, cursor)).await.unwrap().into_inner()
}

async fn next(frames: &mut Streaming<WatchResponse>) -> WatchResponse {
    let frame = tokio::time::timeout(PATIENCE, frames.message()).await;
    frame.expect("a frame in time").unwrap().expect("a frame")
}

#[tokio::test]
async fn a_cursor_resumes_after_its_event_also_after_a_crash() {
    let mut world = World::start().await;
    let client = world.client();
    let mut frames = open(&client, labelled("yes"), "").await;
    let mut cursor;
    next(&mut frames).await;
    let mut spec: JobSpec = demo("noop", json!({})).into();
    spec.labels.insert("watch".to_owned(), "yes".to_owned());
    // One commit with several events: a cursor may stand in the middle of it.
    let batch = client.enqueue_batch(vec![spec; 5], BatchOptions::default()).await.unwrap();
    let ids: Vec<String> = batch.into_iter().map(|job| job.unwrap().id).collect();
    let mut seen = Vec::new();
    for turn in 0..5 {
        let frame = next(&mut frames).await;
        let Some(WatchEvent::Change(change)) = frame.event else {
            panic!("turn {turn}: expected a change, got {frame:?}");
        };
        seen.push(change.job.unwrap().id);
        cursor = frame.cursor;
        drop(frames);
        if turn == 2 {
            world.server.kill().await;
            world.server.restart().await;
        }
        frames = until("the watch opens again", PATIENCE, || async {
            let resumed = client.raw_jobs().watch(request(labelled("yes"), &cursor)).await;
            resumed.ok().map(tonic::Response::into_inner)
        })
        .await;
    }
    assert_eq!(seen, ids);
    client.cancel(&ids[0], "").await.unwrap();
    let frame = next(&mut frames).await;
    let Some(WatchEvent::Change(change)) = frame.event else { panic!("{frame:?}") };
    let job = change.job.unwrap();
    assert_eq!((job.id.as_str(), job.version), (ids[0].as_str(), 2));
}

#[tokio::test]
async fn a_cursor_of_another_store_is_a_gap_and_nonsense_is_refused() {
    let world = World::start().await;
    let client = world.client();
    enqueue(&client, demo("noop", json!({})).label("watch", "yes")).await;
    let mut frames = open(&client, labelled("yes"), "1-1").await;
    let Some(WatchEvent::Gap(gap)) = next(&mut frames).await.event else { panic!("no gap") };
    assert_eq!(gap.reason(), GapReason::Epoch);
    let Some(WatchEvent::Snapshot(_)) = next(&mut frames).await.event else {
        panic!("no snapshot after the gap")
    };
    let nonsense = client.raw_jobs().watch(request(labelled("yes"), "nonsense")).await;
    assert_eq!(nonsense.unwrap_err().code(), tonic::Code::InvalidArgument);
}

/// 80 MiB of journal under a bound of 64 MiB.
#[tokio::test]
async fn a_cursor_older_than_the_journal_is_a_gap() {
    let flags = ["--auto-create-queues", "--journal-max-bytes", "64MiB"];
    let world = World::with(&flags).await;
    let client = world.client();
    let mut frames = open(&client, labelled("yes"), "").await;
    enqueue(&client, demo("noop", json!({})).label("watch", "yes")).await;
    let old = loop {
        let frame = next(&mut frames).await;
        if let Some(WatchEvent::Change(_)) = frame.event {
            break frame.cursor;
        }
    };
    drop(frames);
    let large = |n: u8| NewJob::new("default", "demo.echo").payload(vec![n; 1 << 20]);
    for n in 0..80 {
        // Refused while the ledger is further behind than the journal may be long.
        let taken = || async { client.enqueue(large(n)).await.ok() };
        until("there is room", PATIENCE, taken).await;
    }
    let frame = until("the old entries are dropped", PATIENCE, || async {
        let mut frames = open(&client, labelled("yes"), &old).await;
        // Not trimmed yet: a change from the journal, or nothing at all.
        let frame = tokio::time::timeout(Duration::from_millis(300), frames.message()).await;
        let frame = frame.ok()?.unwrap()?;
        matches!(frame.event, Some(WatchEvent::Gap(_))).then_some(frame)
    })
    .await;
    let Some(WatchEvent::Gap(gap)) = frame.event else { panic!("{frame:?}") };
    assert_eq!(gap.reason(), GapReason::Trimmed);
}

/// A connection that takes in little before it is read.
async fn narrow(url: String) -> JobServiceClient<Channel> {
    let endpoint = Channel::from_shared(url).unwrap();
    let endpoint =
        endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    JobServiceClient::new(endpoint.connect().await.unwrap())
}

/// Streams that nobody reads.
const SLOW_READERS: usize = 16;

/// 24,000 changes of 8,000 jobs, which stay hot for a minute, and the rings of all watchers take
/// less. A queue without a bound for each reader would take more.
const MEMORY_BYTES: u64 = 192 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stops_gets_a_gap_and_slows_nobody() {
    let world = World::start().await;
    let client = world.client();
    let _worker = world.worker("w1", &["--concurrency", "500"]).await;
    let mut slow = narrow(world.server.url()).await;
    let filter = JobFilter { queues: vec!["default".to_owned()], ..JobFilter::default() };
    let mut unread = Vec::new();
    for _ in 0..SLOW_READERS {
        let frames = slow.watch(request(filter.clone(), "")).await.unwrap().into_inner();
        unread.push(frames);
        let first = next(unread.last_mut().unwrap()).await.event;
        assert!(matches!(first, Some(WatchEvent::Snapshot(_))));
    }
    // Another one reads all along.
    let mut reading = client.watch(Watch::filter(JobFilter::default()));
    let first = reading.next().await.unwrap().unwrap();
    assert!(matches!(first, WatchEvent::Snapshot(_)));
    let reading = tokio::spawn(async move {
        let mut seen = Seen::default();
        seen.until_final(&mut reading, 8_000).await;
        seen
    });
    let before = world.server.resident_bytes();
    // Nobody reads the slow ones from here on.
    for _ in 0..8 {
        let specs = vec![demo("noop", json!({})).into_spec(); 1_000];
        client.enqueue_batch(specs, BatchOptions::default()).await.unwrap();
    }
    let done = until("all jobs are done while nobody reads", PATIENCE, || async {
        let counts = client.counts(vec![]).await.unwrap();
        let states = counts.queues.first()?.states.clone();
        (states.len() == 1 && states[0].count == 8_000).then_some(states[0].state())
    })
    .await;
    assert_eq!(done, JobState::Succeeded);
    let seen = reading.await.unwrap();
    assert_eq!((seen.gaps.len(), seen.versions.len()), (0, 8_000));
    assert!(seen.versions.values().all(|versions| *versions == [1, 2, 3]));
    let grown = world.server.resident_bytes().saturating_sub(before);
    println!("the server has grown by {} MiB", grown >> 20);
    assert!(grown < MEMORY_BYTES, "{grown}");
    let mut frames = unread.remove(0);
    // The others share its connection, and would take up its window.
    drop(unread);
    let gap = async {
        loop {
            if let Some(WatchEvent::Gap(gap)) = next(&mut frames).await.event {
                break gap;
            }
        }
    };
    let gap = tokio::time::timeout(PATIENCE, gap).await.expect("a gap among the frames");
    assert_eq!(gap.reason(), GapReason::SlowReader);
    let Some(WatchEvent::Snapshot(snapshot)) = next(&mut frames).await.event else {
        panic!("no snapshot after the gap");
    };
    assert!(!snapshot.jobs.is_empty());
    assert!(snapshot.jobs.iter().all(|job| job.state() == JobState::Succeeded));
}

//! A watch shows every version of a job once and in order, whenever it opens and also across server
//! crashes, or it declares a gap.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use sentinel_client::proto::jobs::v1::job_service_client::JobServiceClient;
use sentinel_client::proto::jobs::v1::watch_request::Selector;
use sentinel_client::proto::jobs::v1::{
    GapReason, JobFilter, JobSpec, JobState, WatchRequest, WatchResponse,
};
use sentinel_client::{
    BatchOptions, Client, NewJob, WatchEvent, WatchOptions, WatchStream, is_terminal,
};
use serde_json::json;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::harness::{
    TIMEOUT, TestServer, demo_job, enqueue, wait_state, wait_terminal, wait_until,
};

/// Returns the versions that a watch of one job shows.
async fn versions(client: &Client, id: &str) -> Vec<u64> {
    let events = client.watch(WatchOptions::jobs([id]));
    let versions = events.filter_map(|event| async {
        match event.unwrap() {
            WatchEvent::Snapshot(snapshot) => Some(snapshot.jobs[0].version),
            WatchEvent::Change(change) => Some(change.job.unwrap().version),
            _ => None,
        }
    });
    tokio::time::timeout(TIMEOUT, versions.collect()).await.expect("the watch closes in time")
}

/// Asserts that no version up to `last` is missing.
fn assert_dense(versions: &[u64], last: u64) {
    let first = versions[0];
    assert!(versions.iter().copied().eq(first..=last), "{versions:?}, the last is {last}");
}

#[tokio::test]
async fn a_watch_by_id_is_complete_whenever_it_opens() {
    let server = TestServer::start().await;
    let client = server.client();
    let id = enqueue(&client, demo_job("progress", json!({"steps": 3, "step_ms": 100}))).await;
    let before = versions(&client, &id);
    let rest = async {
        let _worker = server.start_worker("w1", &[]).await;
        wait_state(&client, &id, JobState::Running).await;
        versions(&client, &id).await
    };
    let (before, during) = tokio::join!(before, rest);
    let last = client.get(&id).await.unwrap().version;
    assert_eq!(before[0], 1);
    assert_dense(&before, last);
    assert_dense(&during, last);
    assert!(during.len() >= 2, "opened while the job ran: {during:?}");
    assert_eq!(versions(&client, &id).await, [last], "opened after the job finished");
}

/// The events of a watch by filter: all versions of each job, and the gaps.
#[derive(Default)]
struct WatchLog {
    versions: BTreeMap<String, Vec<u64>>,
    terminal: usize,
    gaps: Vec<GapReason>,
    may_repeat: bool,
}

impl WatchLog {
    async fn until_terminal(&mut self, events: &mut WatchStream, count: usize) {
        while self.terminal < count {
            let event = tokio::time::timeout(TIMEOUT, events.next()).await;
            self.record(event.expect("an event in time").unwrap().unwrap());
        }
    }

    fn record(&mut self, event: WatchEvent) {
        let jobs = match event {
            WatchEvent::Snapshot(snapshot) => snapshot.jobs,
            WatchEvent::Change(change) => change.job.into_iter().collect(),
            WatchEvent::Gap(gap) => return self.gaps.push(gap.reason()),
            _ => return,
        };
        for job in jobs {
            self.terminal += usize::from(is_terminal(job.state()));
            let versions = self.versions.entry(job.id).or_default();
            // After a resume, the last version may be repeated.
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

/// Progress is stored every second without a new version.
#[tokio::test]
async fn each_version_of_a_long_job_is_shown_once() {
    let server = TestServer::start().await;
    let client = server.client();
    let _worker = server.start_worker("w1", &[]).await;
    let mut events = client.watch(WatchOptions::filter(labelled("yes")));
    assert!(matches!(events.next().await, Some(Ok(WatchEvent::Snapshot(_)))));
    let job = demo_job("progress", json!({"steps": 10, "step_ms": 250})).label("watch", "yes");
    let id = enqueue(&client, job).await;
    let mut watch_log = WatchLog::default();
    watch_log.until_terminal(&mut events, 1).await;
    assert_dense(&watch_log.versions[&id], client.get(&id).await.unwrap().version);
}

#[tokio::test]
async fn a_watch_by_filter_misses_nothing_when_the_server_is_killed() {
    let mut server = TestServer::start().await;
    let client = server.client();
    let _worker = server.start_worker("w1", &[]).await;
    let mut events = client.watch(WatchOptions::filter(labelled("yes")));
    assert!(matches!(events.next().await, Some(Ok(WatchEvent::Snapshot(_)))));
    let mut watch_log = WatchLog { may_repeat: true, ..WatchLog::default() };
    let watching = tokio::spawn(async move {
        watch_log.until_terminal(&mut events, 60).await;
        watch_log
    });
    let step = json!({"steps": 4, "step_ms": 40});
    let job = || demo_job("progress", step.clone()).label("watch", "yes");
    let mut ids = Vec::new();
    for round in 0..3 {
        for _ in 0..20 {
            ids.push(enqueue(&client, job()).await);
            enqueue(&client, demo_job("noop", json!({})).label("watch", "no")).await;
        }
        if round < 2 {
            server.kill().await;
            server.restart().await;
        }
    }
    let watch_log = watching.await.unwrap();
    assert_eq!(watch_log.gaps, [], "the journal must cover the crash");
    assert_eq!(watch_log.versions.len(), 60);
    for id in ids {
        let job = wait_terminal(&client, &id).await;
        assert_eq!(watch_log.versions[&id][0], 1);
        assert_dense(&watch_log.versions[&id], job.version);
    }
}

fn request(filter: JobFilter, cursor: &str) -> WatchRequest {
    let selector = Some(Selector::Filter(filter));
    WatchRequest { selector, cursor: cursor.to_owned(), ..WatchRequest::default() }
}

async fn open(client: &Client, filter: JobFilter, cursor: &str) -> Streaming<WatchResponse> {
    client.raw_jobs().watch(request(filter, cursor)).await.unwrap().into_inner()
}

async fn next_frame(frames: &mut Streaming<WatchResponse>) -> WatchResponse {
    let frame = tokio::time::timeout(TIMEOUT, frames.message()).await;
    frame.expect("a frame in time").unwrap().expect("a frame")
}

#[tokio::test]
async fn a_cursor_resumes_after_its_event_also_after_a_crash() {
    let mut server = TestServer::start().await;
    let client = server.client();
    let mut frames = open(&client, labelled("yes"), "").await;
    let mut cursor;
    next_frame(&mut frames).await;
    let mut spec: JobSpec = demo_job("noop", json!({})).into();
    spec.labels.insert("watch".to_owned(), "yes".to_owned());
    // One commit with several events: a cursor may point into the middle of it.
    let batch = client.enqueue_batch(vec![spec; 5], BatchOptions::default()).await.unwrap();
    let ids: Vec<String> = batch.into_iter().map(|job| job.unwrap().id).collect();
    let mut shown = Vec::new();
    for turn in 0..5 {
        let frame = next_frame(&mut frames).await;
        let Some(WatchEvent::Change(change)) = frame.event else {
            panic!("turn {turn}: expected a change, got {frame:?}");
        };
        shown.push(change.job.unwrap().id);
        cursor = frame.cursor;
        drop(frames);
        if turn == 2 {
            server.kill().await;
            server.restart().await;
        }
        frames = wait_until("the watch opens again", TIMEOUT, || async {
            let resumed = client.raw_jobs().watch(request(labelled("yes"), &cursor)).await;
            resumed.ok().map(tonic::Response::into_inner)
        })
        .await;
    }
    assert_eq!(shown, ids);
    client.cancel(&ids[0], "").await.unwrap();
    let frame = next_frame(&mut frames).await;
    let Some(WatchEvent::Change(change)) = frame.event else { panic!("{frame:?}") };
    let job = change.job.unwrap();
    assert_eq!((job.id.as_str(), job.version), (ids[0].as_str(), 2));
}

#[tokio::test]
async fn a_cursor_of_another_store_causes_a_gap_and_an_invalid_one_is_refused() {
    let server = TestServer::start().await;
    let client = server.client();
    enqueue(&client, demo_job("noop", json!({})).label("watch", "yes")).await;
    let mut frames = open(&client, labelled("yes"), "1-1").await;
    let Some(WatchEvent::Gap(gap)) = next_frame(&mut frames).await.event else { panic!("no gap") };
    assert_eq!(gap.reason(), GapReason::Epoch);
    let Some(WatchEvent::Snapshot(_)) = next_frame(&mut frames).await.event else {
        panic!("no snapshot after the gap")
    };
    let refused = client.raw_jobs().watch(request(labelled("yes"), "nonsense")).await;
    assert_eq!(refused.unwrap_err().code(), tonic::Code::InvalidArgument);
}

/// Writes 80 MiB to a journal with a limit of 64 MiB.
#[tokio::test]
async fn a_cursor_older_than_the_journal_causes_a_gap() {
    let flags = ["--auto-create-queues", "--journal-max-bytes", "64MiB"];
    let server = TestServer::with_flags(&flags).await;
    let client = server.client();
    let mut frames = open(&client, labelled("yes"), "").await;
    enqueue(&client, demo_job("noop", json!({})).label("watch", "yes")).await;
    let old = loop {
        let frame = next_frame(&mut frames).await;
        if let Some(WatchEvent::Change(_)) = frame.event {
            break frame.cursor;
        }
    };
    drop(frames);
    let large = |n: u8| NewJob::new("default", "demo.echo").payload(vec![n; 1 << 20]);
    for n in 0..80 {
        // Refused while the unprojected part of the journal is at its limit.
        let enqueue = || async { client.enqueue(large(n)).await.ok() };
        wait_until("the journal has space", TIMEOUT, enqueue).await;
    }
    let frame = wait_until("the old entries are trimmed", TIMEOUT, || async {
        let mut frames = open(&client, labelled("yes"), &old).await;
        // Until the journal is trimmed, the watch shows a change or nothing.
        let frame = tokio::time::timeout(Duration::from_millis(300), frames.message()).await;
        let frame = frame.ok()?.unwrap()?;
        matches!(frame.event, Some(WatchEvent::Gap(_))).then_some(frame)
    })
    .await;
    let Some(WatchEvent::Gap(gap)) = frame.event else { panic!("{frame:?}") };
    assert_eq!(gap.reason(), GapReason::Trimmed);
}

/// Opens a connection with small flow control windows.
async fn connect_with_small_windows(url: String) -> JobServiceClient<Channel> {
    let endpoint = Channel::from_shared(url).unwrap();
    let endpoint =
        endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    JobServiceClient::new(endpoint.connect().await.unwrap())
}

/// The number of streams that are not read.
const SLOW_READERS: usize = 16;

/// The limit on memory growth. 24,000 changes of 8,000 jobs, which stay in the store for a minute,
/// and the ring buffers of all watches need less. Unbounded queues per reader would need more.
const MEMORY_LIMIT_BYTES: u64 = 192 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_reader_gets_a_gap_and_delays_no_other() {
    let server = TestServer::start().await;
    let client = server.client();
    let _worker = server.start_worker("w1", &["--concurrency", "500"]).await;
    let mut slow = connect_with_small_windows(server.url()).await;
    let filter = JobFilter { queues: vec!["default".to_owned()], ..JobFilter::default() };
    let mut unread = Vec::new();
    for _ in 0..SLOW_READERS {
        let frames = slow.watch(request(filter.clone(), "")).await.unwrap().into_inner();
        unread.push(frames);
        let first = next_frame(unread.last_mut().unwrap()).await.event;
        assert!(matches!(first, Some(WatchEvent::Snapshot(_))));
    }
    // Another watch is read continuously.
    let mut reading = client.watch(WatchOptions::filter(JobFilter::default()));
    let first = reading.next().await.unwrap().unwrap();
    assert!(matches!(first, WatchEvent::Snapshot(_)));
    let reading = tokio::spawn(async move {
        let mut watch_log = WatchLog::default();
        watch_log.until_terminal(&mut reading, 8_000).await;
        watch_log
    });
    let before = server.resident_bytes();
    // The slow streams are not read from here on.
    for _ in 0..8 {
        let specs = vec![demo_job("noop", json!({})).into_spec(); 1_000];
        client.enqueue_batch(specs, BatchOptions::default()).await.unwrap();
    }
    let done =
        wait_until("all jobs finish while the slow streams are not read", TIMEOUT, || async {
            let counts = client.counts(vec![]).await.unwrap();
            let states = counts.queues.first()?.states.clone();
            (states.len() == 1 && states[0].count == 8_000).then_some(states[0].state())
        })
        .await;
    assert_eq!(done, JobState::Succeeded);
    let watch_log = reading.await.unwrap();
    assert_eq!((watch_log.gaps.len(), watch_log.versions.len()), (0, 8_000));
    assert!(watch_log.versions.values().all(|versions| *versions == [1, 2, 3]));
    let grown = server.resident_bytes().saturating_sub(before);
    println!("the server has grown by {} MiB", grown >> 20);
    assert!(grown < MEMORY_LIMIT_BYTES, "{grown}");
    let mut frames = unread.remove(0);
    // The other streams share its connection and would use up its window.
    drop(unread);
    let gap = async {
        loop {
            if let Some(WatchEvent::Gap(gap)) = next_frame(&mut frames).await.event {
                break gap;
            }
        }
    };
    let gap = tokio::time::timeout(TIMEOUT, gap).await.expect("a gap in time");
    assert_eq!(gap.reason(), GapReason::SlowReader);
    let Some(WatchEvent::Snapshot(snapshot)) = next_frame(&mut frames).await.event else {
        panic!("no snapshot after the gap");
    };
    assert!(!snapshot.jobs.is_empty());
    assert!(snapshot.jobs.iter().all(|job| job.state() == JobState::Succeeded));
}

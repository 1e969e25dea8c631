//! Values at their limits fit into the messages that carry them, also many of them together.

use futures_util::StreamExt;
use prost_types::Duration;
use sentinel_client::proto::jobs::v1::watch_request::Selector;
use sentinel_client::proto::jobs::v1::watch_response::Event;
use sentinel_client::proto::jobs::v1::{
    JobFilter, JobIds, JobState, JobView, ListRequest, LogLine, ReadLogsRequest, WatchRequest,
};
use sentinel_client::{BatchOptions, NewJob};
use sentinel_proto::jobs::v1::JobError;
use sentinel_proto::workers::v1::report_item::Outcome;
use sentinel_proto::workers::v1::session_request::Frame as Up;
use sentinel_proto::workers::v1::session_response::Frame as Down;
use sentinel_proto::workers::v1::{Credit, Failed, LogBatch, ReportItem};

use crate::harness::{TIMEOUT, TestServer, wait_terminal, wait_until};
use crate::raw::session::{RawSession, hello};
use crate::raw::{RawClients, spec};

const MIB: usize = 1 << 20;
const JOBS: usize = 40;
/// The number of attempts, and of log lines per attempt.
const ATTEMPTS: u64 = 4;
const LINES: u64 = 160;

/// Enqueues jobs with the largest payload. Together they are twice as large as a message may be.
async fn enqueue_large_jobs(server: &TestServer) -> Vec<String> {
    let client = server.client();
    let mut ids = Vec::new();
    for _ in 0..JOBS / 4 {
        let job = NewJob::new("default", "demo.echo").payload(vec![7_u8; MIB]);
        let jobs = vec![job.into_spec(); 4];
        let made = client
            .enqueue_batch(jobs, BatchOptions::default())
            .await
            .expect("the server accepts it");
        ids.extend(made.into_iter().map(|job| job.expect("the server accepts it").id));
    }
    ids
}

#[tokio::test]
async fn many_large_jobs_are_assigned_listed_and_watched() {
    let server = TestServer::start().await;
    let ids = enqueue_large_jobs(&server).await;
    let _worker = server.start_worker("w1", &["--concurrency", "64"]).await;
    let client = server.client();
    for id in &ids {
        let job = wait_terminal(&client, id).await;
        assert_eq!((job.state(), job.result.len(), job.attempt), (JobState::Succeeded, MIB, 1));
    }
    let raw = RawClients::connect(&server).await;
    wait_until("the ledger has the jobs", TIMEOUT, || async {
        let (found, pages) = list_all(&raw).await;
        (found == ids.len()).then_some(()).inspect(|()| assert!(pages > 5, "{pages} pages"))
    })
    .await;
    for view in [JobView::Basic, JobView::Full] {
        let by_ids = Selector::Jobs(JobIds { ids: ids.clone() });
        let filter = JobFilter { queues: vec!["default".into()], ..JobFilter::default() };
        for selector in [by_ids, Selector::Filter(filter)] {
            let is_by_ids = matches!(selector, Selector::Jobs(_));
            let (found, is_truncated) = snapshot(&raw, selector, view).await;
            // A snapshot from the ledger is a page with a limit in bytes.
            assert!((found == ids.len()) != is_truncated && found > 3, "{found} {view:?}");
            assert!(!(is_by_ids && is_truncated));
        }
    }
}

/// Lists all jobs; returns the number of jobs with a result and the number of pages.
async fn list_all(raw: &RawClients) -> (usize, usize) {
    let (mut jobs, mut pages, mut page_token) = (0, 0, String::new());
    loop {
        let view = JobView::Full.into();
        let request = ListRequest { view, page_size: 1_000, page_token, ..ListRequest::default() };
        let page = raw.jobs.clone().list(request).await.expect("a page").into_inner();
        // The ledger may have a job before its end.
        jobs += page.jobs.iter().filter(|job| job.result.len() == MIB).count();
        pages += 1;
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return (jobs, pages);
        }
    }
}

/// Opens a watch and checks the payloads and results in its snapshot. Returns the number of jobs
/// and whether the snapshot is truncated.
async fn snapshot(raw: &RawClients, selector: Selector, view: JobView) -> (usize, bool) {
    let by_ids = matches!(selector, Selector::Jobs(_));
    let request =
        WatchRequest { selector: Some(selector), view: view.into(), ..WatchRequest::default() };
    // The SDK's limit: no message is larger than 20 MiB.
    let jobs = raw.jobs.clone().max_decoding_message_size(20 * MIB);
    let mut events = { jobs }.watch(request).await.expect("open a watch").into_inner();
    let mut found = 0;
    loop {
        let event = events.next().await.expect("a part").expect("a part").event;
        let Some(Event::Snapshot(part)) = event else { panic!("{event:?}") };
        for job in &part.jobs {
            let has_result = by_ids || view == JobView::Full;
            assert_eq!(job.result.len(), if has_result { MIB } else { 0 });
            let payload = job.spec.as_ref().map_or(0, |spec| spec.payload.len());
            assert_eq!(payload, if view == JobView::Full { MIB } else { 0 });
        }
        found += part.jobs.len();
        if !part.continues {
            return (found, part.truncated);
        }
    }
}

#[tokio::test]
async fn a_log_with_lines_of_the_maximum_length_is_readable() {
    let server = TestServer::start().await;
    let raw = RawClients::connect(&server).await;
    let retried = spec(|spec| spec.retry.get_or_insert_default().max_attempts = 9);
    let id = raw.enqueue(retried).await.expect("the server accepts it");
    let (mut session, _) = RawSession::join(&raw, hello(|_| {})).await.expect("a session");
    let text = "x".repeat(64 << 10);
    let line = |seq| LogLine { seq, text: text.clone(), ..LogLine::default() };
    // Several attempts of 10 MiB each are read as one log.
    for _ in 0..ATTEMPTS {
        let lease = session.accept_job().await.lease;
        let lines = (1..=LINES).map(line).collect();
        session.send_frame(Up::Log(LogBatch { lease: lease.clone(), lines })).await;
        session.wait_for(|frame| matches!(frame, Down::LogAck(_)).then_some(())).await;
        let error = Some(JobError { retryable: true, ..JobError::default() });
        let failed = Failed { error, next_delay: Some(Duration::default()), timeout: false };
        let outcome = Some(Outcome::Failed(failed));
        session.report(vec![ReportItem { lease, started_at: None, outcome }]).await;
        session.send_frame(Up::Credit(Credit { jobs: 1, bytes: 0 })).await;
    }
    let request = ReadLogsRequest { id, ..ReadLogsRequest::default() };
    let jobs = raw.jobs.clone().max_decoding_message_size(20 * MIB);
    let mut pages = { jobs }.read_logs(request).await.expect("open a log").into_inner();
    let mut lines = 0;
    while let Some(page) = pages.next().await {
        lines += page.expect("a page").lines.len();
    }
    assert_eq!(lines as u64, ATTEMPTS * LINES);
}

//! Watches: they resume after disconnects and close only on permanent errors.

use std::time::Duration;

use futures_util::StreamExt;
use sentinel_client::proto::jobs::v1::watch_response::Event;
use sentinel_client::proto::jobs::v1::*;
use sentinel_client::{Error, WatchOptions};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::scripted_job_service::{ScriptedJobService, job};
use crate::scripted_server::TIMEOUT;

type Frames = mpsc::Sender<Result<WatchResponse, Status>>;

async fn send(frames: &Frames, event: Event, cursor: &str) {
    let frame = WatchResponse { event: Some(event), cursor: cursor.to_owned() };
    frames.send(Ok(frame)).await.unwrap();
}

fn snapshot(id: &str, state: JobState) -> Event {
    Event::Snapshot(WatchSnapshot { jobs: vec![job(id, state)], ..WatchSnapshot::default() })
}

fn change(id: &str, state: JobState) -> Event {
    Event::Change(JobChange { job: Some(job(id, state)) })
}

#[tokio::test]
async fn a_watch_resumes_from_the_last_cursor_and_closes_when_the_job_is_terminal() {
    let mut service = ScriptedJobService::start().await;
    let mut events = service.client.watch(WatchOptions::jobs(["j1"]));
    let (first, (request, frames)) = tokio::join!(timeout(TIMEOUT, events.next()), async {
        let (request, frames) = service.next_watch().await;
        send(&frames, snapshot("j1", JobState::Running), "c1").await;
        (request, frames)
    });
    assert_eq!(request.cursor, "");
    assert!(matches!(first.unwrap(), Some(Ok(Event::Snapshot(_)))));
    assert_eq!(events.cursor(), "c1");

    // A keepalive moves the cursor but is not returned. Then the stream fails.
    send(&frames, Event::Keepalive(WatchKeepalive {}), "c2").await;
    frames.send(Err(Status::unavailable("shutting down"))).await.unwrap();
    let (gap, frames) = tokio::join!(timeout(TIMEOUT, events.next()), async {
        // A stream that closes early without an error is a disconnect, too.
        let (request, closed_early) = service.next_watch().await;
        assert_eq!(request.cursor, "c2");
        drop(closed_early);
        let (request, frames) = service.next_watch().await;
        assert_eq!(request.cursor, "c2");
        let reason = GapReason::Trimmed.into();
        send(&frames, Event::Gap(WatchGap { reason }), "").await;
        frames
    });
    assert!(
        matches!(gap.unwrap(), Some(Ok(Event::Gap(gap))) if gap.reason() == GapReason::Trimmed)
    );
    assert_eq!(events.cursor(), "c2", "a frame without a cursor does not change it");

    send(&frames, change("j1", JobState::Succeeded), "c3").await;
    drop(frames);
    assert!(matches!(events.next().await, Some(Ok(Event::Change(_)))));
    assert!(timeout(TIMEOUT, events.next()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_permanent_error_closes_the_watch() {
    let mut service = ScriptedJobService::start().await;
    let mut events = service.client.watch(WatchOptions::filter(JobFilter::default()));
    let (event, ()) = tokio::join!(timeout(TIMEOUT, events.next()), async {
        let (_, frames) = service.next_watch().await;
        frames.send(Err(Status::internal("transient"))).await.unwrap();
        let (_, frames) = service.next_watch().await;
        frames.send(Err(Status::invalid_argument("invalid filter"))).await.unwrap();
    });
    assert_eq!(event.unwrap().unwrap().unwrap_err().code(), Some(Code::InvalidArgument));
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn a_silent_stream_reconnects() {
    let mut service = ScriptedJobService::start().await;
    let watch = WatchOptions::filter(JobFilter::default()).idle_timeout(Duration::from_millis(50));
    let mut events = service.client.watch(watch);
    let (event, _streams) = tokio::join!(timeout(TIMEOUT, events.next()), async {
        let silent = service.next_watch().await;
        let (_, frames) = service.next_watch().await;
        send(&frames, change("j1", JobState::Ready), "c1").await;
        (silent, frames)
    });
    assert!(matches!(event.unwrap(), Some(Ok(Event::Change(_)))));
}

#[tokio::test]
async fn wait_for_result_returns_the_terminal_job() {
    let mut service = ScriptedJobService::start().await;
    let client = service.client.clone();
    let wait = tokio::spawn(async move { client.wait_for_result("j1").await });
    let (request, frames) = service.next_watch().await;
    assert_eq!(request.view(), JobView::Full);
    send(&frames, snapshot("j1", JobState::Running), "c1").await;
    send(&frames, change("j1", JobState::Failed), "c2").await;
    assert_eq!(wait.await.unwrap().unwrap().state(), JobState::Failed);
}

#[tokio::test]
async fn wait_for_result_of_an_unknown_job_is_an_error() {
    let mut service = ScriptedJobService::start().await;
    let client = service.client.clone();
    let wait = tokio::spawn(async move { client.wait_for_result("j1").await });
    let (_, frames) = service.next_watch().await;
    let unknown = WatchSnapshot { unknown_ids: vec!["j1".to_owned()], ..WatchSnapshot::default() };
    send(&frames, Event::Snapshot(unknown), "c1").await;
    assert!(matches!(wait.await.unwrap(), Err(Error::JobNotFound { id }) if id == "j1"));
}

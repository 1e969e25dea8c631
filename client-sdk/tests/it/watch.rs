//! Watches: resumed after breaks, ended only for good.

use std::time::Duration;

use futures_util::StreamExt;
use sentinel_client::proto::jobs::v1::watch_response::Event;
use sentinel_client::proto::jobs::v1::*;
use sentinel_client::{Error, WatchOptions};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::job_peer::{JobPeer, job};
use crate::peer::PATIENCE;

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
async fn resumes_after_the_last_cursor_and_ends_cleanly() {
    let mut peer = JobPeer::listen().await;
    let mut events = peer.client.watch(WatchOptions::jobs(["j1"]));
    let (first, (request, frames)) = tokio::join!(timeout(PATIENCE, events.next()), async {
        let (request, frames) = peer.watch().await;
        send(&frames, snapshot("j1", JobState::Running), "c1").await;
        (request, frames)
    });
    assert_eq!(request.cursor, "");
    assert!(matches!(first.unwrap(), Some(Ok(Event::Snapshot(_)))));
    assert_eq!(events.cursor(), "c1");

    // A keepalive moves the cursor and is not shown; then the server dies.
    send(&frames, Event::Keepalive(WatchKeepalive {}), "c2").await;
    frames.send(Err(Status::unavailable("going"))).await.unwrap();
    let (gap, frames) = tokio::join!(timeout(PATIENCE, events.next()), async {
        // A clean end that comes too early is a break as well.
        let (request, early) = peer.watch().await;
        assert_eq!(request.cursor, "c2");
        drop(early);
        let (request, frames) = peer.watch().await;
        assert_eq!(request.cursor, "c2");
        let reason = GapReason::Trimmed.into();
        send(&frames, Event::Gap(WatchGap { reason }), "").await;
        frames
    });
    assert!(
        matches!(gap.unwrap(), Some(Ok(Event::Gap(gap))) if gap.reason() == GapReason::Trimmed)
    );
    assert_eq!(events.cursor(), "c2", "a frame without a cursor does not move it");

    send(&frames, change("j1", JobState::Succeeded), "c3").await;
    drop(frames);
    assert!(matches!(events.next().await, Some(Ok(Event::Change(_)))));
    assert!(timeout(PATIENCE, events.next()).await.unwrap().is_none());
}

#[tokio::test]
async fn final_errors_end_it() {
    let mut peer = JobPeer::listen().await;
    let mut events = peer.client.watch(WatchOptions::filter(JobFilter::default()));
    let (event, ()) = tokio::join!(timeout(PATIENCE, events.next()), async {
        let (_, frames) = peer.watch().await;
        frames.send(Err(Status::internal("a bug; may pass"))).await.unwrap();
        let (_, frames) = peer.watch().await;
        frames.send(Err(Status::invalid_argument("no"))).await.unwrap();
    });
    assert_eq!(event.unwrap().unwrap().unwrap_err().code(), Some(Code::InvalidArgument));
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn a_silent_stream_is_dialled_again() {
    let mut peer = JobPeer::listen().await;
    let watch = WatchOptions::filter(JobFilter::default()).idle_timeout(Duration::from_millis(50));
    let mut events = peer.client.watch(watch);
    let (event, _streams) = tokio::join!(timeout(PATIENCE, events.next()), async {
        let silent = peer.watch().await;
        let (_, frames) = peer.watch().await;
        send(&frames, change("j1", JobState::Ready), "c1").await;
        (silent, frames)
    });
    assert!(matches!(event.unwrap(), Some(Ok(Event::Change(_)))));
}

#[tokio::test]
async fn wait_answers_the_final_job() {
    let mut peer = JobPeer::listen().await;
    let client = peer.client.clone();
    let wait = tokio::spawn(async move { client.wait_for_result("j1").await });
    let (request, frames) = peer.watch().await;
    assert_eq!(request.view(), JobView::Full);
    send(&frames, snapshot("j1", JobState::Running), "c1").await;
    send(&frames, change("j1", JobState::Failed), "c2").await;
    assert_eq!(wait.await.unwrap().unwrap().state(), JobState::Failed);
}

#[tokio::test]
async fn wait_for_an_unknown_job_is_an_error() {
    let mut peer = JobPeer::listen().await;
    let client = peer.client.clone();
    let wait = tokio::spawn(async move { client.wait_for_result("j1").await });
    let (_, frames) = peer.watch().await;
    let unknown = WatchSnapshot { unknown_ids: vec!["j1".to_owned()], ..WatchSnapshot::default() };
    send(&frames, Event::Snapshot(unknown), "c1").await;
    assert!(matches!(wait.await.unwrap(), Err(Error::JobNotFound { id }) if id == "j1"));
}

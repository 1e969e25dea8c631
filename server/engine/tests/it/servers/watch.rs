//! Watches at one server of what another one's workers do.

use sentinel_domain::{Filter, Progress, State};
use sentinel_engine::session::{FromWorker, LogLine, ReportVerdict, ToWorker};
use sentinel_engine::{Selector, WatchEvent};

use super::Site;
use crate::house::bounded;
use crate::worker::{Worker, held, hello, success};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_runs_elsewhere_is_watched_whole() {
    let (_site, a, b) = Site::two().await;
    let mut worker = Worker::join(&b.engine, hello(1)).await;
    let job = b.enqueue().await;
    let mut watch = a.engine.watch(Selector::Jobs(vec![job.id]), None, false).await.expect("opens");
    let jobs = worker.assigned(1).await;
    let mut versions = Vec::new();
    let mut shown = 0;
    let events = async {
        let mut is_reported = false;
        while let Some(event) = watch.next().await.expect("goes on") {
            match event {
                WatchEvent::Snapshot(snapshot, _) => {
                    versions.push(snapshot.jobs[0].status.version);
                    let progress = Progress { seq: 7, done: 7, total: 9, message: "".into() };
                    let frame = FromWorker::Progress(vec![(held(&jobs[0]), progress)]);
                    worker.send(frame).await;
                }
                WatchEvent::Change(job, _) => versions.push(job.status.version),
                WatchEvent::Progress { progress, .. } => shown = shown.max(progress.seq),
                _ => {}
            }
            if shown == 7 && !is_reported {
                is_reported = true;
                worker.send(FromWorker::Report(vec![success(&jobs[0])])).await;
            }
        }
    };
    bounded("the end of the watch", events).await;
    assert_eq!(worker.acked().await, [ReportVerdict::Recorded]);
    assert!(versions.is_sorted() && versions.windows(2).all(|v| v[1] == v[0] + 1), "{versions:?}");
    assert_eq!(
        a.until_state(job.id, State::Succeeded).await.status.version,
        versions[versions.len() - 1]
    );
    worker.bye().await;
    a.close().await;
    b.close().await;
}

/// Lines are stored where the worker is, and read where somebody watches.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_lines_of_a_job_elsewhere_are_shown() {
    let (_site, a, b) = Site::two().await;
    let mut worker = Worker::join(&b.engine, hello(1)).await;
    let job = b.enqueue().await;
    let mut watch = a.engine.watch(Selector::Jobs(vec![job.id]), None, true).await.expect("opens");
    let jobs = worker.assigned(1).await;
    let mut shown = Vec::new();
    let mut sent = 0;
    let events = async {
        while let Some(event) = watch.next().await.expect("goes on") {
            if let WatchEvent::Logs { rows, .. } = &event {
                shown.extend(rows.iter().map(|row| row.line()));
            }
            // The next ones when the ones before were seen, the last ones just before the end.
            if shown.len() == sent && sent < 6 {
                let line = |seq| LogLine { seq, at: 1, level: 1, text: "line".into() };
                let lines = vec![line(sent as u64 + 1), line(sent as u64 + 2)];
                sent += 2;
                worker.send(FromWorker::Log { held: held(&jobs[0]), lines }).await;
                let stored = |frame| matches!(frame, ToWorker::LogAck { .. }).then_some(());
                worker.until("LogAck", stored).await;
                if sent == 6 {
                    worker.send(FromWorker::Report(vec![success(&jobs[0])])).await;
                }
            }
        }
    };
    bounded("the end of the watch", events).await;
    assert_eq!(shown, [1, 2, 3, 4, 5, 6]);
    worker.bye().await;
    a.close().await;
    b.close().await;
}

/// The other server may not have heard yet of what the cursor is about.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_resumes_at_another_server() {
    let (_site, a, b) = Site::two().await;
    for _ in 0..20 {
        let job = a.enqueue().await;
        let selector = || Selector::Jobs(vec![job.id]);
        let mut watch = a.engine.watch(selector(), None, false).await.expect("opens");
        let Some(WatchEvent::Snapshot(_, cursor)) = watch.next().await.expect("goes on") else {
            panic!("begins with a snapshot")
        };
        a.engine.cancel(job.id, "", "me").await.expect("answers");
        let mut resumed = b.engine.watch(selector(), Some(cursor), false).await.expect("opens");
        let mut last = None;
        while let Some(event) = bounded("an event", resumed.next()).await.expect("goes on") {
            match event {
                WatchEvent::Change(job, _) => last = Some(job.status.state),
                WatchEvent::Gap(reason) => panic!("a gap: {reason:?}"),
                _ => {}
            }
        }
        assert_eq!(last, Some(State::Cancelled), "the end is not missed");
    }
    a.close().await;
    b.close().await;
}

/// What is left of a job tells its spec, which the journal of Redis leaves out elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_deleted_elsewhere_is_shown_to_those_who_watch_its_queue() {
    let (_site, a, b) = Site::two().await;
    let job = b.enqueue().await;
    let filter = Filter { queues: vec![job.spec.queue.clone()], ..Filter::default() };
    let mut watch = a.engine.watch(Selector::Filter(filter), None, false).await.expect("opens");
    b.engine.delete(job.id, "", None).await.expect("it waits");
    let last = async {
        loop {
            let event = watch.next().await.expect("goes on").expect("it never ends");
            if let WatchEvent::Change(job, _) = event
                && job.is_deleted()
            {
                return job;
            }
        }
    };
    let last = bounded("the last change", last).await;
    assert_eq!((last.id, last.status.version), (job.id, 2));
    assert!(a.engine.get(job.id).await.is_err(), "it is gone everywhere");
    a.close().await;
    b.close().await;
}

//! Watches at one server of jobs that run at another.

use sentinel_domain::{Filter, Progress, State};
use sentinel_engine::session::{FromWorker, LogLine, ReportVerdict, ToWorker};
use sentinel_engine::{Selector, WatchEvent};

use super::TestCluster;
use crate::harness::within_timeout;
use crate::worker::{ScriptedWorker, held, hello, succeeded_report};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_shows_every_change_of_a_job_at_another_server() {
    let (_cluster, a, b) = TestCluster::two_servers().await;
    let mut worker = ScriptedWorker::join(&b.engine, hello(1)).await;
    let job = b.enqueue().await;
    let mut watch = a
        .engine
        .watches()
        .open(Selector::Jobs(vec![job.id]), None, false)
        .await
        .expect("open a watch");
    let jobs = worker.accept_jobs(1).await;
    let mut versions = Vec::new();
    let mut shown = 0;
    let events = async {
        let mut is_reported = false;
        while let Some(event) = watch.next().await.expect("no error") {
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
                worker.send(FromWorker::Report(vec![succeeded_report(&jobs[0])])).await;
            }
        }
    };
    within_timeout("the watch closes", events).await;
    assert_eq!(worker.report_verdicts().await, [ReportVerdict::Recorded]);
    assert!(versions.is_sorted() && versions.windows(2).all(|v| v[1] == v[0] + 1), "{versions:?}");
    assert_eq!(
        a.wait_state(job.id, State::Succeeded).await.status.version,
        versions[versions.len() - 1]
    );
    worker.bye().await;
    a.close().await;
    b.close().await;
}

/// The worker's server stores the lines and the watching server reads them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_shows_log_lines_of_a_job_at_another_server() {
    let (_cluster, a, b) = TestCluster::two_servers().await;
    let mut worker = ScriptedWorker::join(&b.engine, hello(1)).await;
    let job = b.enqueue().await;
    let mut watch = a
        .engine
        .watches()
        .open(Selector::Jobs(vec![job.id]), None, true)
        .await
        .expect("open a watch");
    let jobs = worker.accept_jobs(1).await;
    let mut shown = Vec::new();
    let mut sent = 0;
    let events = async {
        while let Some(event) = watch.next().await.expect("no error") {
            if let WatchEvent::Logs { rows, .. } = &event {
                shown.extend(rows.iter().map(|row| row.line()));
            }
            // Send the next lines when the watch has shown the previous ones, and the last lines
            // just before the end.
            if shown.len() == sent && sent < 6 {
                let line = |seq| LogLine { seq, at: 1, level: 1, text: "line".into() };
                let lines = vec![line(sent as u64 + 1), line(sent as u64 + 2)];
                sent += 2;
                worker.send(FromWorker::Log { held: held(&jobs[0]), lines }).await;
                let stored = |frame| matches!(frame, ToWorker::LogAck { .. }).then_some(());
                worker.wait_for("LogAck", stored).await;
                if sent == 6 {
                    worker.send(FromWorker::Report(vec![succeeded_report(&jobs[0])])).await;
                }
            }
        }
    };
    within_timeout("the watch closes", events).await;
    assert_eq!(shown, [1, 2, 3, 4, 5, 6]);
    worker.bye().await;
    a.close().await;
    b.close().await;
}

/// The other server may not have read the journal up to the cursor yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_resumes_at_another_server() {
    let (_cluster, a, b) = TestCluster::two_servers().await;
    for _ in 0..20 {
        let job = a.enqueue().await;
        let selector = || Selector::Jobs(vec![job.id]);
        let mut watch =
            a.engine.watches().open(selector(), None, false).await.expect("open a watch");
        let Some(WatchEvent::Snapshot(_, cursor)) = watch.next().await.expect("no error") else {
            panic!("a watch begins with a snapshot")
        };
        a.engine.jobs().cancel(job.id, "", "me").await.expect("a response");
        let mut resumed =
            b.engine.watches().open(selector(), Some(cursor), false).await.expect("open a watch");
        let mut last = None;
        while let Some(event) = within_timeout("an event", resumed.next()).await.expect("no error")
        {
            match event {
                WatchEvent::Change(job, _) => last = Some(job.status.state),
                WatchEvent::Gap(reason) => panic!("a gap: {reason:?}"),
                _ => {}
            }
        }
        assert_eq!(last, Some(State::Cancelled), "the watch must show the end");
    }
    a.close().await;
    b.close().await;
}

/// The deleted record has the spec, which other entries of the Redis journal omit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_by_queue_shows_the_deletion_of_a_job_by_another_server() {
    let (_cluster, a, b) = TestCluster::two_servers().await;
    let job = b.enqueue().await;
    let filter = Filter { queues: vec![job.spec.queue.clone()], ..Filter::default() };
    let mut watch =
        a.engine.watches().open(Selector::Filter(filter), None, false).await.expect("open a watch");
    b.engine.jobs().delete(job.id, "", None).await.expect("delete a waiting job");
    let last = async {
        loop {
            let event = watch.next().await.expect("no error").expect("an event");
            if let WatchEvent::Change(job, _) = event
                && job.is_deleted()
            {
                return job;
            }
        }
    };
    let last = within_timeout("the deletion", last).await;
    assert_eq!((last.id, last.status.version), (job.id, 2));
    assert!(a.engine.jobs().get(job.id).await.is_err(), "the job is deleted on every server");
    a.close().await;
    b.close().await;
}

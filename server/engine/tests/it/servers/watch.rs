//! Watches at one server of what another one's workers do.

use sentinel_domain::{Progress, State};
use sentinel_engine::session::{FromWorker, ReportVerdict};
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

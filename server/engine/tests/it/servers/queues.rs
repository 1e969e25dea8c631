//! Queues that another server declared.

use sentinel_domain::{Queue, QueueMode, State};
use sentinel_engine::session::ReportVerdict;
use sentinel_engine::{Clock, EngineError, Settings};

use super::Site;
use crate::house::{bounded, new_job};
use crate::worker::{Worker, hello, success};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_declared_elsewhere_is_known_at_once() {
    let site = Site::new().await;
    let strict = Settings { auto_create_queues: false, ..Site::settings() };
    let a = site.server_with(1, Clock::system(), strict).await;
    let b = site.server_with(2, Clock::system(), strict).await;
    for nth in 0..10 {
        let name = format!("q{nth}");
        let on = |name: &str| {
            let name = name.to_owned();
            new_job(|new| new.queue = name)
        };
        let refused = b.engine.enqueue(on(&name), "test", None).await;
        assert!(matches!(refused, Err(EngineError::QueueNotFound(_))), "{refused:?}");
        a.engine.create_queue(Queue::with_defaults(name.as_str().into(), 0)).await.expect("is new");
        b.engine.enqueue(on(&name), "test", None).await.expect("is known");
    }
    a.close().await;
    b.close().await;
}

/// Nothing that a paused queue has is started by any server, and a resume is heard at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_holds_on_every_server() {
    let (_site, a, b) = Site::two().await;
    let mut worker = Worker::join(&b.engine, hello(1)).await;
    bounded("twenty pauses", async {
        for nth in 0..20 {
            let (this, that) = if nth % 2 == 0 { (&a, &b) } else { (&b, &a) };
            let job = this.enqueue().await;
            let jobs = worker.assigned(1).await;
            assert_eq!(jobs[0].id, job.id);
            let name = job.spec.queue.clone();
            let turn = |mode| move |queue: &mut Queue| queue.mode = mode;
            this.engine.update_queue(&name, turn(QueueMode::Paused)).await.expect("is known");
            let held = that.enqueue().await;
            assert_eq!(worker.report(vec![success(&jobs[0])]).await, [ReportVerdict::Recorded]);
            worker.credit(1).await;
            // A commit of the worker's own server has asked for jobs since.
            let session = that.engine.create_queue(Queue::with_defaults("x".into(), 0)).await;
            session.expect("is there or new");
            let state = b.engine.get(held.id).await.expect("a job").status.state;
            assert_eq!(state, State::Ready, "pause {nth}");
            that.engine.update_queue(&name, turn(QueueMode::Open)).await.expect("is known");
            let jobs = worker.assigned(1).await;
            assert_eq!(jobs[0].id, held.id);
            assert_eq!(worker.report(vec![success(&jobs[0])]).await, [ReportVerdict::Recorded]);
            worker.credit(1).await;
        }
    })
    .await;
    worker.bye().await;
    a.close().await;
    b.close().await;
}

/// Many that ask for what nobody declared share a few reads of the store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_queues_do_not_reach_the_store_each() {
    const ASKED: usize = 2_000;
    let site = Site::new().await;
    let strict = Settings { auto_create_queues: false, ..Site::settings() };
    let a = site.server_with(1, Clock::system(), strict).await;
    let reads = || {
        let stats = site.redis.ask("INFO commandstats").expect("answers");
        let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_hvals:calls="));
        line.and_then(|line| line.split(',').next()?.parse::<usize>().ok()).unwrap_or(0)
    };
    let before = reads();
    let asked = (0..ASKED).map(|nth| {
        let new = new_job(|new| new.queue = format!("nobody-{nth}"));
        a.engine.enqueue(new, "test", None)
    });
    for refused in futures_util::future::join_all(asked).await {
        assert!(matches!(refused, Err(EngineError::QueueNotFound(_))), "{refused:?}");
    }
    let reads = reads() - before;
    assert!(reads < ASKED / 10, "{reads} reads for {ASKED} names");
    a.close().await;
}

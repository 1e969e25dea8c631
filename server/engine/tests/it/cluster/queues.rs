//! Queues that another server created or paused.

use sentinel_domain::{Queue, QueueMode, State};
use sentinel_engine::session::ReportVerdict;
use sentinel_engine::{Clock, EngineError, Settings, Submitter};

use super::TestCluster;
use crate::harness::{new_job, within_timeout};
use crate::worker::{ScriptedWorker, hello, succeeded_report};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_created_by_another_server_is_usable_immediately() {
    let cluster = TestCluster::new().await;
    let strict = Settings { auto_create_queues: false, ..TestCluster::settings() };
    let a = cluster.start_server_with(1, Clock::system(), strict).await;
    let b = cluster.start_server_with(2, Clock::system(), strict).await;
    for nth in 0..10 {
        let name = format!("q{nth}");
        let job_in = |name: &str| {
            let name = name.to_owned();
            new_job(|new| new.queue = name)
        };
        let refused =
            b.engine.jobs().enqueue(job_in(&name), Submitter::unrestricted("test"), None).await;
        assert!(matches!(refused, Err(EngineError::QueueNotFound(_))), "{refused:?}");
        a.engine
            .queues()
            .create(Queue::with_defaults(name.as_str().into(), 0))
            .await
            .expect("create a queue");
        b.engine
            .jobs()
            .enqueue(job_in(&name), Submitter::unrestricted("test"), None)
            .await
            .expect("a response");
    }
    a.close().await;
    b.close().await;
}

/// No server starts jobs of a paused queue, and a resume takes effect immediately.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_applies_on_every_server() {
    let (_cluster, a, b) = TestCluster::two_servers().await;
    let mut worker = ScriptedWorker::join(&b.engine, hello(1)).await;
    within_timeout("twenty pauses", async {
        for nth in 0..20 {
            let (this, that) = if nth % 2 == 0 { (&a, &b) } else { (&b, &a) };
            let job = this.enqueue().await;
            let jobs = worker.accept_jobs(1).await;
            assert_eq!(jobs[0].id, job.id);
            let name = job.spec.queue.clone();
            let set_mode = |mode| move |queue: &mut Queue| queue.mode = mode;
            this.engine
                .queues()
                .update(&name, set_mode(QueueMode::Paused))
                .await
                .expect("a response");
            let held = that.enqueue().await;
            assert_eq!(
                worker.report(vec![succeeded_report(&jobs[0])]).await,
                [ReportVerdict::Recorded]
            );
            worker.credit(1).await;
            // Since then, a commit of the worker's server has requested jobs.
            let created = that.engine.queues().create(Queue::with_defaults("x".into(), 0)).await;
            created.expect("create a queue");
            let state = b.engine.jobs().get(held.id).await.expect("a job").status.state;
            assert_eq!(state, State::Ready, "pause {nth}");
            that.engine
                .queues()
                .update(&name, set_mode(QueueMode::Open))
                .await
                .expect("a response");
            let jobs = worker.accept_jobs(1).await;
            assert_eq!(jobs[0].id, held.id);
            assert_eq!(
                worker.report(vec![succeeded_report(&jobs[0])]).await,
                [ReportVerdict::Recorded]
            );
            worker.credit(1).await;
        }
    })
    .await;
    worker.bye().await;
    a.close().await;
    b.close().await;
}

/// Many calls for unknown queues share a few reads of the store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_for_unknown_queues_share_reads_of_the_store() {
    const CALLS: usize = 2_000;
    let cluster = TestCluster::new().await;
    let strict = Settings { auto_create_queues: false, ..TestCluster::settings() };
    let a = cluster.start_server_with(1, Clock::system(), strict).await;
    let reads = || {
        let stats = cluster.redis.ask("INFO commandstats").expect("a response");
        let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_hvals:calls="));
        line.and_then(|line| line.split(',').next()?.parse::<usize>().ok()).unwrap_or(0)
    };
    let before = reads();
    let calls = (0..CALLS).map(|nth| {
        let new = new_job(|new| new.queue = format!("unknown-{nth}"));
        a.engine.jobs().enqueue(new, Submitter::unrestricted("test"), None)
    });
    for refused in futures_util::future::join_all(calls).await {
        assert!(matches!(refused, Err(EngineError::QueueNotFound(_))), "{refused:?}");
    }
    let reads = reads() - before;
    assert!(reads < CALLS / 10, "{reads} reads for {CALLS} names");
    a.close().await;
}

//! Queues that another server declared.

use sentinel_domain::Queue;
use sentinel_engine::{Clock, EngineError, Settings};

use super::Site;
use crate::house::new_job;

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

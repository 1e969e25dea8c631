//! An engine with its store and ledger in a directory of its own.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use sentinel_domain::{Job, JobId, NewJob, State};
use sentinel_engine::{Chance, Clock, Engine, NoObserver, Parts, Settings, Tasks};
use sentinel_ledger::Ledger;
use sentinel_store::{ServerId, Store};
use sentinel_store_embedded::{DirLock, Embedded, OpenOptions, Seed};

use sentinel_store::fault::Faulty;

/// The longest that any test waits for any one thing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) struct House {
    pub(crate) engine: Engine,
    pub(crate) tasks: Tasks,
    pub(crate) store: Arc<Faulty>,
    pub(crate) ledger: Ledger,
    ahead_ms: Arc<AtomicI64>,
    _dir: tempfile::TempDir,
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    pub(crate) async fn with(set: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let ahead_ms = Arc::new(AtomicI64::new(0));
        let (ahead, start) = (ahead_ms.clone(), Instant::now());
        let clock = Clock::new(move || {
            1_700_000_000_000 + start.elapsed().as_millis() as i64 + ahead.load(Ordering::Relaxed)
        });
        let mut settings = Settings {
            auto_create_queues: true,
            lost_grace_ms: 2_000,
            receive_timeout_ms: 300,
            project_linger_ms: 5,
            ..Settings::default()
        };
        set(&mut settings);
        let lock = Arc::new(DirLock::acquire(dir.path()).expect("a lock"));
        let options = OpenOptions { ballast_bytes: 0, ..OpenOptions::new(lock, clock.now()) };
        let embedded = Embedded::open(options, Seed::default()).expect("a store");
        let store = Arc::new(Faulty::new(Arc::new(embedded)));
        let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).await.expect("a ledger");
        let tasks = Tasks::default();
        let parts = Parts {
            store: store.clone(),
            ledger: ledger.clone(),
            clock,
            chance: Chance::system(),
            observer: Arc::new(NoObserver),
            settings,
            server: ServerId(7),
        };
        let engine = Engine::start(parts, &tasks).await.expect("starts");
        Self { engine, tasks, store, ledger, ahead_ms, _dir: dir }
    }

    /// Moves the clock.
    pub(crate) fn advance(&self, ms: i64) {
        self.ahead_ms.fetch_add(ms, Ordering::Relaxed);
    }

    pub(crate) async fn enqueue(&self, set: impl FnOnce(&mut NewJob)) -> Arc<Job> {
        self.engine.enqueue(new_job(set), "test", None).await.expect("is taken").job
    }

    pub(crate) async fn job(&self, id: JobId) -> Arc<Job> {
        self.engine.get(id).await.expect("is there")
    }

    pub(crate) async fn until_state(&self, id: JobId, state: State) -> Arc<Job> {
        let what = format!("{id} is {state:?}");
        eventually(&what, async || Some(self.job(id).await).filter(|j| j.status.state == state))
            .await
    }

    /// Until the ledger has everything.
    pub(crate) async fn until_projected(&self) {
        eventually("the ledger catches up", async || {
            let at = self.ledger.checkpoint().await.expect("answers");
            (at.seq >= self.store.head().borrow().seq).then_some(())
        })
        .await;
    }

    pub(crate) async fn close(self) {
        assert!(self.tasks.close(PATIENCE).await, "every task ends");
    }
}

pub(crate) fn new_job(set: impl FnOnce(&mut NewJob)) -> NewJob {
    let mut new = NewJob { queue: "q".into(), kind: "k".into(), ..NewJob::default() };
    set(&mut new);
    new
}

/// Asks until there is an answer, with a bound.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < until, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Checks again and again that nothing happens for a while.
pub(crate) async fn all_along(ms: u64, mut check: impl AsyncFnMut()) {
    let until = Instant::now() + Duration::from_millis(ms);
    while Instant::now() < until {
        check().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Fails a test that hangs.
pub(crate) async fn bounded<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, work).await;
    done.unwrap_or_else(|_| panic!("not in time: {what}"))
}

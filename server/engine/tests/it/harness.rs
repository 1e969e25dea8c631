//! Fixtures: an engine with a store and a ledger in a temporary directory, and bounded waits.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use sentinel_domain::{Job, JobId, NewJob, State};
use sentinel_engine::{Clock, Engine, EngineDeps, NoObserver, Rng, Settings, Submitter, Tasks};
use sentinel_ledger::Ledger;
use sentinel_store::{ServerId, Store};
use sentinel_store_embedded::{DirLock, EmbeddedStore, LedgerState, OpenOptions};

use sentinel_store::fault::FaultyStore;

/// The limit of every wait.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(15);

/// An engine over an embedded store with injectable faults and a clock that the test can advance.
pub(crate) struct TestEngine {
    pub(crate) engine: Engine,
    pub(crate) tasks: Tasks,
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) ledger: Ledger,
    offset_ms: Arc<AtomicI64>,
    _dir: tempfile::TempDir,
}

impl TestEngine {
    pub(crate) async fn start() -> Self {
        Self::with_settings(|_| ()).await
    }

    pub(crate) async fn with_settings(set: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let offset_ms = Arc::new(AtomicI64::new(0));
        let (offset, start) = (offset_ms.clone(), Instant::now());
        let clock = Clock::new(move || {
            1_700_000_000_000 + start.elapsed().as_millis() as i64 + offset.load(Ordering::Relaxed)
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
        let embedded = EmbeddedStore::open(options, LedgerState::default()).expect("a store");
        let store = Arc::new(FaultyStore::new(Arc::new(embedded)));
        let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).await.expect("a ledger");
        let tasks = Tasks::default();
        let deps = EngineDeps {
            store: store.clone(),
            ledger: ledger.clone(),
            clock,
            rng: Rng::system(),
            observer: Arc::new(NoObserver),
            settings,
            server: ServerId(7),
        };
        let engine = Engine::start(deps, &tasks).await.expect("start an engine");
        Self { engine, tasks, store, ledger, offset_ms, _dir: dir }
    }

    /// Advances the clock.
    pub(crate) fn advance(&self, ms: i64) {
        self.offset_ms.fetch_add(ms, Ordering::Relaxed);
    }

    pub(crate) async fn enqueue(&self, set: impl FnOnce(&mut NewJob)) -> Arc<Job> {
        self.engine
            .jobs()
            .enqueue(new_job(set), Submitter::unrestricted("test"), None)
            .await
            .expect("the engine accepts it")
            .job
    }

    pub(crate) async fn job(&self, id: JobId) -> Arc<Job> {
        self.engine.jobs().get(id).await.expect("an existing job")
    }

    pub(crate) async fn wait_state(&self, id: JobId, state: State) -> Arc<Job> {
        let what = format!("{id} is {state:?}");
        wait_until(&what, async || Some(self.job(id).await).filter(|j| j.status.state == state))
            .await
    }

    /// Waits until the ledger has the whole journal.
    pub(crate) async fn wait_projected(&self) {
        wait_until("the ledger catches up", async || {
            let at = self.ledger.checkpoint().await.expect("a response");
            (at.seq >= self.store.head().borrow().seq).then_some(())
        })
        .await;
    }

    pub(crate) async fn close(self) {
        assert!(self.tasks.close(TIMEOUT).await, "every task must stop");
    }
}

pub(crate) fn new_job(set: impl FnOnce(&mut NewJob)) -> NewJob {
    let mut new = NewJob { queue: "q".into(), kind: "k".into(), ..NewJob::default() };
    set(&mut new);
    new
}

/// Polls until `probe` returns a value; panics after the limit.
pub(crate) async fn wait_until<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(Instant::now() < deadline, "timed out: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Checks a condition repeatedly for a duration.
pub(crate) async fn holds_for(ms: u64, mut check: impl AsyncFnMut()) {
    let until = Instant::now() + Duration::from_millis(ms);
    while Instant::now() < until {
        check().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Awaits a future; panics after the limit.
pub(crate) async fn within_timeout<T>(what: &str, future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(TIMEOUT, future).await;
    result.unwrap_or_else(|_| panic!("timed out: {what}"))
}

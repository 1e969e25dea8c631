//! The simulated system: the store, the ledger, the clock and the RNG, and the current server,
//! which can crash at any time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sentinel_domain::limits::PAYLOAD_MAX_BYTES;
use sentinel_domain::{JobId, Millis, missing_parent_tombstone};
use sentinel_engine::{Clock, Engine, EngineDeps, NoObserver, Rng, Settings, Tasks};
use sentinel_ledger::{Ledger, LedgerOptions};
use sentinel_store::conformance::ReopenState;
use sentinel_store::fault::{FaultRates, FaultyStore};
use sentinel_store::oracle::Oracle;
use sentinel_store::{ServerId, Store};
use tokio::time::Instant;

use super::observations::EventLog;

/// The start time of every schedule.
const T0: Millis = 1_700_000_000_000;

/// Short timeouts, so that a schedule of seconds reaches all of them.
pub(crate) fn settings() -> Settings {
    Settings {
        auto_create_queues: true,
        session_ttl_ms: 2_000,
        ping_ms: 500,
        receive_timeout_ms: 500,
        lost_grace_ms: 300,
        store_retention_ms: 1_500,
        project_linger_ms: 300,
        watch_buffer: 8,
        ..Settings::default()
    }
}

/// A server with its own connection to the store.
pub(crate) struct SimServer {
    pub(crate) engine: Engine,
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) tasks: Tasks,
}

/// What outlives a server.
pub(crate) struct Environment {
    pub(crate) store: Arc<Oracle>,
    pub(crate) ledger: Ledger,
    clock: Clock,
    rng: Rng,
}

impl Environment {
    async fn start_server(&self, number: u64) -> SimServer {
        let store = Arc::new(FaultyStore::new(self.store.clone()));
        let tasks = Tasks::default();
        let deps = EngineDeps {
            store: store.clone(),
            ledger: self.ledger.clone(),
            clock: self.clock.clone(),
            rng: self.rng.clone(),
            observer: Arc::new(NoObserver),
            settings: settings(),
            server: ServerId(number),
        };
        let engine = Engine::start(deps, &tasks).await.expect("start an engine");
        SimServer { engine, store, tasks }
    }
}

pub(crate) struct SimSystem {
    pub(crate) environment: Environment,
    pub(crate) event_log: EventLog,
    pub(crate) server: SimServer,
    /// The fault rates of the store; zero after the steps of a schedule.
    fault_rates: FaultRates,
    seed: u64,
    servers: u64,
    _dir: tempfile::TempDir,
}

/// In memory where possible: schedules do not test the disk.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}

async fn ledger(dir: &tempfile::TempDir) -> Ledger {
    let path: PathBuf = dir.path().join("ledger.sqlite");
    let options =
        LedgerOptions { readers: 1, run_inline: true, ..LedgerOptions::new(PAYLOAD_MAX_BYTES) };
    Ledger::open_with(&path, options).await.expect("a ledger")
}

impl SimSystem {
    pub(crate) async fn new(seed: u64, fault_rates: FaultRates) -> Self {
        let dir = directory();
        let ledger = ledger(&dir).await;
        let start = Instant::now();
        let clock = Clock::new(move || T0 + start.elapsed().as_millis() as Millis);
        let entropy = Mutex::new(StdRng::seed_from_u64(seed));
        let rng = Rng::new(move || entropy.lock().expect("no poisoned lock").random());
        let store = Arc::new(Oracle::default());
        let environment = Environment { store, ledger, clock, rng };
        let server = environment.start_server(1).await;
        let event_log = EventLog::default();
        let system =
            Self { environment, event_log, server, fault_rates, seed, servers: 1, _dir: dir };
        system.start_faults();
        system
    }

    pub(crate) fn now(&self) -> Millis {
        self.environment.clock.now()
    }

    /// Starts the faults of this schedule for the current server.
    fn start_faults(&self) {
        let seed = self.seed.wrapping_add(self.servers);
        self.server.store.commits.seeded(seed, self.fault_rates);
        // Frequent read faults would stop a server from doing anything.
        let fewer =
            FaultRates { unavailable: self.fault_rates.unavailable / 4, ..self.fault_rates };
        self.server.store.reads.seeded(!seed, fewer);
    }

    /// Stops the faults for this server and all later ones.
    pub(crate) fn stop_faults(&mut self) {
        self.fault_rates = FaultRates::default();
        self.server.store.clear_faults();
    }

    /// Stops the faults for this server.
    pub(crate) fn pause_faults(&self) {
        self.server.store.clear_faults();
    }

    /// Kills the server: none of its calls reaches the store.
    pub(crate) fn kill(&mut self) {
        self.server.store.disconnect();
    }

    /// Starts another server. With `rebuilt`, the store also opens again from the ledger and the
    /// journal, like an embedded store.
    pub(crate) async fn start(&mut self, rebuilt: bool) {
        if rebuilt {
            let state = self.reopen_state().await;
            self.environment.store.reopen(&state);
        }
        self.servers += 1;
        self.server = self.environment.start_server(self.servers).await;
        self.start_faults();
    }

    /// Shuts down gracefully; returns false after a timeout.
    pub(crate) async fn stop(&self) -> bool {
        self.server.tasks.close(Duration::from_secs(60)).await
    }

    /// Returns the state that a server passes to the store when it opens it.
    async fn reopen_state(&self) -> ReopenState {
        let checkpoint = self.environment.ledger.checkpoint().await.expect("a response");
        let mut jobs = self.environment.ledger.live_jobs(None, 1_000).await.expect("a response");
        let live: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let waited_for = jobs.iter().flat_map(|job| job.status.waiting_for.iter());
        let mut parents: Vec<JobId> =
            waited_for.filter(|parent| !live.contains(parent)).copied().collect();
        parents.sort();
        parents.dedup();
        let now = self.now();
        let found = self.environment.ledger.get(parents.clone()).await.expect("a response");
        for (id, parent) in parents.into_iter().zip(found) {
            let child = jobs.iter().find(|job| job.status.waiting_for.contains(&id));
            let tombstone = missing_parent_tombstone(
                id,
                child.expect("a child that waits for this parent"),
                now,
            );
            jobs.push(parent.unwrap_or(tombstone));
        }
        ReopenState {
            now,
            sessions_expire_at: now + settings().session_ttl_ms,
            checkpoint,
            jobs,
            queues: self.environment.ledger.queues().await.expect("a response"),
            keys: self.environment.ledger.held_unique_keys(now).await.expect("a response"),
            producers: self.environment.ledger.producer_records(now).await.expect("a response"),
        }
    }

    /// Returns true when the ledger has the whole journal.
    pub(crate) async fn is_projected(&self) -> bool {
        let at = self.environment.ledger.checkpoint().await.expect("a response");
        at.seq >= self.environment.store.head().borrow().seq
    }
}

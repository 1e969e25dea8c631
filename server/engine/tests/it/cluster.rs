//! Several engines over one Redis and one ledger, in one process.

mod cancel;
mod clock;
mod drain;
mod job_notifications;
mod kinds;
mod leader;
mod queues;
mod session_handover;
mod summary;
mod watch;

use std::sync::Arc;

use sentinel_domain::{Job, JobId, State};
use sentinel_engine::{
    Clock, Engine, EngineDeps, EngineError, NoObserver, Rng, Settings, Submitter, Tasks,
};
use sentinel_faults::RedisServer;
use sentinel_ledger::Ledger;
use sentinel_store::ServerId;
use sentinel_store::fault::FaultyStore;
use sentinel_store_redis::{OpenOptions, RedisStore};

use crate::harness::{TIMEOUT, new_job, wait_until};

/// The shared stores of the servers.
pub(crate) struct TestCluster {
    pub(crate) redis: RedisServer,
    pub(crate) ledger: Ledger,
    _dir: tempfile::TempDir,
}

/// One server of the cluster.
pub(crate) struct ClusterServer {
    pub(crate) engine: Engine,
    pub(crate) store: Arc<FaultyStore>,
    tasks: Tasks,
}

impl TestCluster {
    pub(crate) async fn new() -> Self {
        // In memory where possible: these tests are not about the disk.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let dir = dir.expect("a directory");
        let redis = RedisServer::start(dir.path(), &[]);
        let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).await.expect("a ledger");
        Self { redis, ledger, _dir: dir }
    }

    /// Starts two servers.
    pub(crate) async fn two_servers() -> (Self, ClusterServer, ClusterServer) {
        let cluster = Self::new().await;
        let (a, b) = (cluster.start_server(1).await, cluster.start_server(2).await);
        (cluster, a, b)
    }

    pub(crate) fn settings() -> Settings {
        Settings {
            auto_create_queues: true,
            project_linger_ms: 5,
            // A slow machine must not expire leases.
            session_ttl_ms: 60_000,
            receive_timeout_ms: 30_000,
            lost_grace_ms: 30_000,
            ..Settings::default()
        }
    }

    pub(crate) async fn start_server(&self, id: u64) -> ClusterServer {
        self.start_server_with(id, Clock::system(), Self::settings()).await
    }

    pub(crate) async fn start_server_with(
        &self,
        id: u64,
        clock: Clock,
        settings: Settings,
    ) -> ClusterServer {
        self.try_start_server_with(id, clock, settings).await.expect("start an engine")
    }

    pub(crate) async fn try_start_server_with(
        &self,
        id: u64,
        clock: Clock,
        settings: Settings,
    ) -> Result<ClusterServer, EngineError> {
        let options = OpenOptions::new(self.redis.url(), clock.now());
        let redis = RedisStore::open(options).await.expect("a store");
        let store = Arc::new(FaultyStore::new(Arc::new(redis)));
        let tasks = Tasks::default();
        let deps = EngineDeps {
            store: store.clone(),
            ledger: self.ledger.clone(),
            clock,
            rng: Rng::system(),
            observer: Arc::new(NoObserver),
            settings,
            server: ServerId(id),
        };
        let engine = Engine::start(deps, &tasks).await?;
        Ok(ClusterServer { engine, store, tasks })
    }
}

impl ClusterServer {
    pub(crate) async fn enqueue(&self) -> Arc<Job> {
        self.engine
            .jobs()
            .enqueue(new_job(|_| ()), Submitter::unrestricted("test"), None)
            .await
            .expect("the engine accepts it")
            .job
    }

    pub(crate) async fn wait_state(&self, id: JobId, state: State) -> Arc<Job> {
        wait_until(&format!("{id} is {state:?}"), async || {
            let job = self.engine.jobs().get(id).await.expect("an existing job");
            Some(job).filter(|job| job.status.state == state)
        })
        .await
    }

    pub(crate) async fn close(self) {
        assert!(self.tasks.close(TIMEOUT).await, "every task must stop");
    }

    /// Disconnects the server from the store, like SIGKILL.
    pub(crate) fn kill(&self) {
        self.store.disconnect();
    }
}

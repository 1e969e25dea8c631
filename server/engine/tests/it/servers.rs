//! Several servers over one Redis and one ledger, in one process.

mod adopt;
mod cancel;
mod clock;
mod drain;
mod kinds;
mod lead;
mod queues;
mod ready;
mod summary;
mod watch;

use std::sync::Arc;

use sentinel_domain::{Job, JobId, State};
use sentinel_engine::{Chance, Clock, Engine, EngineError, NoObserver, Parts, Settings, Tasks};
use sentinel_faults::RedisServer;
use sentinel_ledger::Ledger;
use sentinel_store::ServerId;
use sentinel_store::fault::Faulty;
use sentinel_store_redis::{OpenOptions, Redis};

use crate::house::{PATIENCE, eventually, new_job};

/// What the servers share.
pub(crate) struct Site {
    pub(crate) redis: RedisServer,
    pub(crate) ledger: Ledger,
    _dir: tempfile::TempDir,
}

/// One of the servers.
pub(crate) struct Member {
    pub(crate) engine: Engine,
    pub(crate) store: Arc<Faulty>,
    tasks: Tasks,
}

impl Site {
    pub(crate) async fn new() -> Self {
        // In memory where there is such a place: the disk is not what is asked about.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let dir = dir.expect("a directory");
        let redis = RedisServer::start(dir.path(), &[]);
        let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).await.expect("a ledger");
        Self { redis, ledger, _dir: dir }
    }

    /// Two servers.
    pub(crate) async fn two() -> (Self, Member, Member) {
        let site = Self::new().await;
        let (a, b) = (site.server(1).await, site.server(2).await);
        (site, a, b)
    }

    pub(crate) fn settings() -> Settings {
        Settings {
            auto_create_queues: true,
            project_linger_ms: 5,
            // Nothing is lost for want of processor time.
            session_ttl_ms: 60_000,
            receive_timeout_ms: 30_000,
            lost_grace_ms: 30_000,
            ..Settings::default()
        }
    }

    pub(crate) async fn server(&self, id: u64) -> Member {
        self.server_with(id, Clock::system(), Self::settings()).await
    }

    pub(crate) async fn server_with(&self, id: u64, clock: Clock, settings: Settings) -> Member {
        self.try_server_with(id, clock, settings).await.expect("starts")
    }

    pub(crate) async fn try_server_with(
        &self,
        id: u64,
        clock: Clock,
        settings: Settings,
    ) -> Result<Member, EngineError> {
        let options = OpenOptions::new(self.redis.url(), clock.now());
        let redis = Redis::open(options).await.expect("a store");
        let store = Arc::new(Faulty::new(Arc::new(redis)));
        let tasks = Tasks::default();
        let parts = Parts {
            store: store.clone(),
            ledger: self.ledger.clone(),
            clock,
            chance: Chance::system(),
            observer: Arc::new(NoObserver),
            settings,
            server: ServerId(id),
        };
        let engine = Engine::start(parts, &tasks).await?;
        Ok(Member { engine, store, tasks })
    }
}

impl Member {
    pub(crate) async fn enqueue(&self) -> Arc<Job> {
        self.engine.enqueue(new_job(|_| ()), "test", None).await.expect("is taken").job
    }

    pub(crate) async fn until_state(&self, id: JobId, state: State) -> Arc<Job> {
        eventually(&format!("{id} is {state:?}"), async || {
            let job = self.engine.get(id).await.expect("is there");
            Some(job).filter(|job| job.status.state == state)
        })
        .await
    }

    pub(crate) async fn close(self) {
        assert!(self.tasks.close(PATIENCE).await, "every task ends");
    }

    /// Nothing that it does reaches the store any more, as after `kill -9`.
    pub(crate) fn kill(&self) {
        self.store.cut();
    }
}

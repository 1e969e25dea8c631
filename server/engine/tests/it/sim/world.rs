//! What outlives a server: the store, the ledger, the clock, the entropy. And the server of the
//! moment, which can die at any time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sentinel_domain::{JobId, Millis, stand_in};
use sentinel_engine::{Chance, Clock, Engine, NoObserver, Parts, Settings, Tasks};
use sentinel_ledger::{Ledger, LedgerOptions};
use sentinel_store::conformance::Restart;
use sentinel_store::fault::{Faulty, Odds};
use sentinel_store::oracle::Oracle;
use sentinel_store::{ServerId, Store};
use tokio::time::Instant;

use super::notes::Notebook;

/// When every schedule begins.
const T0: Millis = 1_700_000_000_000;

/// Everything that has a time is short, so that a schedule of seconds sees it pass.
pub(crate) fn settings() -> Settings {
    Settings {
        auto_create_queues: true,
        session_ttl_ms: 2_000,
        ping_ms: 500,
        receive_timeout_ms: 500,
        lost_grace_ms: 300,
        finals_hot_ms: 1_500,
        project_linger_ms: 300,
        watch_ring: 8,
        ..Settings::default()
    }
}

/// A server, and the store as it sees it.
pub(crate) struct Server {
    pub(crate) engine: Engine,
    pub(crate) front: Arc<Faulty>,
    pub(crate) tasks: Tasks,
}

/// What every server finds when it starts.
pub(crate) struct Outside {
    pub(crate) store: Arc<Oracle>,
    pub(crate) ledger: Ledger,
    clock: Clock,
    chance: Chance,
}

impl Outside {
    async fn serve(&self, number: u64) -> Server {
        let front = Arc::new(Faulty::new(self.store.clone()));
        let tasks = Tasks::default();
        let parts = Parts {
            store: front.clone(),
            ledger: self.ledger.clone(),
            clock: self.clock.clone(),
            chance: self.chance.clone(),
            observer: Arc::new(NoObserver),
            settings: settings(),
            server: ServerId(number),
        };
        let engine = Engine::start(parts, &tasks).await.expect("starts");
        Server { engine, front, tasks }
    }
}

pub(crate) struct World {
    pub(crate) outside: Outside,
    pub(crate) notebook: Notebook,
    pub(crate) server: Server,
    /// What servers meet at the store; none once a schedule is over.
    odds: Odds,
    seed: u64,
    servers: u64,
    _dir: tempfile::TempDir,
}

/// In memory where there is such a place: a schedule is about what is kept, not about the disk.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}

async fn ledger(dir: &tempfile::TempDir) -> Ledger {
    let path: PathBuf = dir.path().join("ledger.sqlite");
    let options = LedgerOptions { readers: 1, is_inline: true, ..LedgerOptions::default() };
    Ledger::open_with(&path, options).await.expect("a ledger")
}

impl World {
    pub(crate) async fn new(seed: u64, odds: Odds) -> Self {
        let dir = directory();
        let ledger = ledger(&dir).await;
        let start = Instant::now();
        let clock = Clock::new(move || T0 + start.elapsed().as_millis() as Millis);
        let entropy = Mutex::new(StdRng::seed_from_u64(seed));
        let chance = Chance::new(move || entropy.lock().expect("not poisoned").random());
        let store = Arc::new(Oracle::default());
        let outside = Outside { store, ledger, clock, chance };
        let server = outside.serve(1).await;
        let notebook = Notebook::default();
        let world = Self { outside, notebook, server, odds, seed, servers: 1, _dir: dir };
        world.trouble();
        world
    }

    pub(crate) fn now(&self) -> Millis {
        self.outside.clock.now()
    }

    /// The faults of this schedule begin for the server of the moment.
    fn trouble(&self) {
        let seed = self.seed.wrapping_add(self.servers);
        self.server.front.commits.seeded(seed, self.odds);
        // A read that fails often keeps a server from everything; that is no trouble but an end.
        let fewer = Odds { unavailable: self.odds.unavailable / 4, ..self.odds };
        self.server.front.reads.seeded(!seed, fewer);
    }

    /// No more faults, for this server and all after it.
    pub(crate) fn heal(&mut self) {
        self.odds = Odds::default();
        self.server.front.heal();
    }

    /// No more faults for this server.
    pub(crate) fn heal_for_a_while(&self) {
        self.server.front.heal();
    }

    /// The server dies as it stands; nothing of it reaches the store any more.
    pub(crate) fn kill(&mut self) {
        self.server.front.cut();
    }

    /// Another server over the same store. With `rebuilt` the store is opened anew, too: it
    /// knows what the ledger and the journal tell it, as an embedded one does.
    pub(crate) async fn start(&mut self, rebuilt: bool) {
        if rebuilt {
            let restart = self.restart().await;
            self.outside.store.restart(&restart);
        }
        self.servers += 1;
        self.server = self.outside.serve(self.servers).await;
        self.trouble();
    }

    /// In good order: everything on its way is finished.
    pub(crate) async fn stop(&self) -> bool {
        self.server.tasks.close(Duration::from_secs(60)).await
    }

    /// What a server hands to a store that it opens.
    async fn restart(&self) -> Restart {
        let checkpoint = self.outside.ledger.checkpoint().await.expect("answers");
        let mut jobs = self.outside.ledger.live(None, 1_000).await.expect("answers");
        let live: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let waited_for = jobs.iter().flat_map(|job| job.status.waiting_for.iter());
        let mut parents: Vec<JobId> =
            waited_for.filter(|parent| !live.contains(parent)).copied().collect();
        parents.sort();
        parents.dedup();
        let now = self.now();
        let found = self.outside.ledger.get(parents.clone()).await.expect("answers");
        for (id, parent) in parents.into_iter().zip(found) {
            let child = jobs.iter().find(|job| job.status.waiting_for.contains(&id));
            let stand_in = stand_in(id, child.expect("it waits"), now);
            jobs.push(parent.unwrap_or(stand_in));
        }
        Restart {
            now,
            sessions_expire_at: now + settings().session_ttl_ms,
            checkpoint,
            jobs,
            queues: self.outside.ledger.queues().await.expect("answers"),
            keys: self.outside.ledger.held_keys(now).await.expect("answers"),
            producers: self.outside.ledger.producers(now).await.expect("answers"),
        }
    }

    /// The ledger has everything.
    pub(crate) async fn is_projected(&self) -> bool {
        let at = self.outside.ledger.checkpoint().await.expect("answers");
        at.seq >= self.outside.store.head().borrow().seq
    }
}

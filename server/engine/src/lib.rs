//! The use-cases, one per file, and the loops behind them.
//!
//! A use-case reads, asks `domain::decide`, and commits what was decided under guards; a
//! conflict is decided again on the newer job, at most five times. Nothing here knows
//! gRPC, SQL or Redis.

mod ack;
mod answer;
mod attempts;
mod batch;
mod bulk;
mod cancel;
mod chance;
mod clock;
mod commit;
mod delete;
mod demand;
mod enqueue;
mod error;
mod fanout;
mod index;
mod ingest;
mod kinds;
mod lead;
mod list;
mod logs;
mod lookup;
mod news;
mod observer;
mod output;
mod parts;
mod project;
mod queue;
mod reach;
mod registry;
mod retain;
mod retry;
mod roster;
mod run_now;
pub mod session;
mod settings;
mod summary;
mod sweep;
mod task;
mod update;
mod watch;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sentinel_domain::JobId;
use sentinel_ledger::Ledger;
use sentinel_store::{ServerId, Store};

pub use attempts::{Attempt, AttemptsPage, CameOfIt};
pub use batch::{BatchItem, ItemRefused};
pub use bulk::{BulkAction, BulkOutcome, BulkStep};
pub use cancel::{CancelOutcome, Cancelled};
pub use chance::Chance;
pub use clock::Clock;
pub use enqueue::{Enqueued, RequestKey};
pub use error::EngineError;
pub use ingest::{Ingest, IngestItem, IngestProgress, Producer, RefusedItem};
pub use kinds::{DeclaredKind, Kind, KindsPage};
pub use list::{CountsPage, JobsPage};
pub use logs::LogFeed;
pub use observer::{NoObserver, Observer};
pub use output::{OutputFeed, OutputPage};
use parts::Shared;
pub use registry::{WorkerCard, WorkersPage};
pub use retain::Forgotten;
pub use settings::Settings;
pub use summary::{Flow, Percentiles, QueueSummary, Summaries, Summary, SummarySelection};
pub use task::Tasks;
pub use watch::{Cursor, GapReason, Selector, Snapshot, Watch, WatchEvent};

/// How often a decision is made anew when the job changed in between.
pub(crate) const TRIES: usize = 5;

/// What an engine runs on.
pub struct Parts {
    pub store: Arc<dyn Store>,
    pub ledger: Ledger,
    pub clock: Clock,
    pub chance: Chance,
    pub observer: Arc<dyn Observer>,
    pub settings: Settings,
    /// Random per start.
    pub server: ServerId,
}

/// One server's engine. Cheap to clone; all clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

impl std::ops::Deref for Engine {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Engine {
    /// Starts the loops in `tasks`. They end when `tasks` is closed.
    pub async fn start(parts: Parts, tasks: &Tasks) -> Result<Self, EngineError> {
        let Parts { store, ledger, clock, chance, observer, settings, server } = parts;
        let queues = queue::Queues::load(store.as_ref()).await?;
        let demand = Arc::new(demand::Demand::default());
        let (commits, submissions) = commit::channel();
        let (logs, log_rows) = logs::channel();
        let (kinds, declarations) = kinds::channel();
        let fanout = Arc::new(fanout::Fanout::new(*store.head().borrow(), settings.watch_ring));
        let engine = Self {
            shared: Arc::new(Shared {
                store,
                ledger,
                clock,
                chance,
                observer,
                settings,
                server,
                commits,
                demand,
                roster: roster::Roster::default(),
                queues,
                fanout,
                logs,
                kinds,
                recorded: ack::Recorded::default(),
                leads: AtomicBool::new(false),
                reach: reach::Reach::default(),
                summing: summary::Summing::default(),
                producing: ingest::Producing::default(),
            }),
        };
        engine.store.extend_sessions(engine.now() + engine.settings.session_ttl_ms).await?;
        tasks.spawn("commit", commit::run(engine.clone(), submissions, tasks.closing()));
        tasks.spawn("sweep", sweep::run(engine.clone(), tasks.closing()));
        tasks.spawn("project", project::run(engine.clone(), tasks.closing()));
        tasks.spawn("retain", retain::run(engine.clone(), tasks.closing()));
        tasks.spawn("fanout", fanout::run(engine.clone(), tasks.closing()));
        tasks.spawn("summary", summary::run(engine.clone(), tasks.closing()));
        tasks.spawn("recorded", ack::run(engine.clone(), tasks.closing()));
        tasks.spawn("news", news::run(engine.clone(), tasks.closing()));
        tasks.spawn("logs", logs::run(engine.clone(), log_rows, tasks.closing()));
        tasks.spawn("kinds", kinds::run(engine.clone(), declarations, tasks.closing()));
        Ok(engine)
    }

    /// How many hot jobs are in each state, per queue.
    pub async fn depths(&self) -> Result<Vec<sentinel_store::Depth>, EngineError> {
        Ok(self.store.depths().await?)
    }

    /// Worker sessions with a live stream here, and the jobs that they have room for.
    pub fn sessions(&self) -> (usize, u64) {
        (self.roster.count(), self.demand.free())
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now()
    }

    fn new_id(&self) -> JobId {
        JobId::new(self.now(), 0, self.chance.throw())
    }
}

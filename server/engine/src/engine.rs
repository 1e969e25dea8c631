//! Assembles the engine of one server and starts its loops.

use std::sync::Arc;

use sentinel_ledger::Ledger;
use sentinel_store::{ServerId, Store};
use tokio::sync::watch;

use crate::cluster::{LeaderLease, Leadership, PeerEventLoop, StoreHealth};
use crate::commit::{
    CommitContext, CommitLoop, CommitQueue, Committer, Durability, Idempotency, LedgerProgress,
    channel,
};
use crate::dispatch::{AssignmentReturner, ClaimScheduler, SessionRegistry, Sweeper};
use crate::history::{History, LogWriter, Projector, Retention, log_channel};
use crate::ingest::Producers;
use crate::jobs::{DecisionCommitter, DraftResolver, Enqueuer, JobReader, Jobs};
use crate::queues::{QueueCache, Queues};
use crate::session::{SessionContext, Sessions};
use crate::summary::{Summaries, SummaryLoop, SummaryState};
use crate::watch::{Fanout, JournalReader, WatchContext, Watches};
use crate::workers::{KindDeclarations, KindLoop, Kinds, Workers, kind_channel};
use crate::{Clock, EngineError, Observer, Rng, Settings, Tasks};

/// What an engine runs on.
#[derive(Clone)]
pub struct EngineDeps {
    pub store: Arc<dyn Store>,
    pub ledger: Ledger,
    pub clock: Clock,
    pub rng: Rng,
    pub observer: Arc<dyn Observer>,
    pub settings: Settings,
    /// Another random number at every start.
    pub server: ServerId,
}

/// The engine of one server. Cheap to clone; all clones are the same engine.
#[derive(Clone)]
pub struct Engine(Arc<EngineInner>);

struct EngineInner {
    jobs: Jobs,
    queues: Queues,
    history: Arc<History>,
    retention: Arc<Retention>,
    producers: Producers,
    workers: Workers,
    kinds: Arc<Kinds>,
    sessions: Sessions,
    watches: Watches,
    summaries: Summaries,
    health: Arc<StoreHealth>,
    leadership: Leadership,
}

impl Engine {
    /// Starts the loops of the engine in `tasks`. They stop when `tasks` is closed.
    pub async fn start(deps: EngineDeps, tasks: &Tasks) -> Result<Self, EngineError> {
        let (shared, submissions) = Shared::new(deps).await?;
        let (logs, log_loop) = log_channel(shared.deps.ledger.clone());
        let (declarations, declared) = kind_channel();
        let summary_state = Arc::new(SummaryState::default());
        let history = Arc::new(shared.history(&logs));
        let workers = shared.workers();
        let kinds = Arc::new(shared.kinds(&workers));
        let retention = Arc::new(shared.retention());
        let until_expiry = shared.deps.clock.now() + shared.deps.settings.session_ttl_ms;
        shared.deps.store.extend_sessions(until_expiry).await?;

        let closing = || tasks.closing();
        tasks.spawn("commit", shared.commit_loop(submissions).run(closing()));
        tasks.spawn("sweep", shared.sweeper().run(closing()));
        tasks.spawn("project", shared.projector().run(closing()));
        tasks.spawn("retain", retention.clone().run(closing()));
        tasks.spawn("fanout", shared.journal_reader(&summary_state).run(closing()));
        tasks.spawn("summary", shared.summary_loop(&summary_state, &workers).run(closing()));
        tasks.spawn("ledger-progress", shared.poll_ledger(closing()));
        tasks.spawn("peer-events", shared.peer_event_loop().run(closing()));
        tasks.spawn("logs", log_loop.run(closing()));
        tasks.spawn("kinds", KindLoop::new(kinds.clone(), declared).run(closing()));

        Ok(Self(Arc::new(EngineInner {
            jobs: shared.jobs(&logs),
            queues: shared.queues(),
            producers: Producers::new(shared.enqueuer(), shared.health.clone()),
            sessions: shared.sessions(&logs, declarations),
            watches: shared.watches(&history),
            summaries: shared.summaries(summary_state),
            history,
            retention,
            workers,
            kinds,
            health: shared.health,
            leadership: shared.leadership,
        })))
    }

    /// Enqueues, reads and changes jobs.
    pub fn jobs(&self) -> &Jobs {
        &self.0.jobs
    }

    /// Declares, reads and changes queues.
    pub fn queues(&self) -> &Queues {
        &self.0.queues
    }

    /// Lists and counts jobs; reads attempts, log lines and output.
    pub fn history(&self) -> &History {
        &self.0.history
    }

    /// Removes old jobs from the history.
    pub fn retention(&self) -> &Retention {
        &self.0.retention
    }

    /// Opens streams of items.
    pub fn producers(&self) -> &Producers {
        &self.0.producers
    }

    /// Lists and drains workers.
    pub fn workers(&self) -> &Workers {
        &self.0.workers
    }

    /// Lists the kinds that workers declare.
    pub fn kinds(&self) -> &Kinds {
        &self.0.kinds
    }

    /// Runs the streams of workers.
    pub fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    /// Opens watches.
    pub fn watches(&self) -> &Watches {
        &self.0.watches
    }

    /// Opens streams of summaries.
    pub fn summaries(&self) -> &Summaries {
        &self.0.summaries
    }

    /// Whether this server runs the projector and retention, as far as it knows.
    pub fn is_leader(&self) -> bool {
        self.0.leadership.is_leader()
    }

    /// Is true while the store does not answer this server. It becomes true after a third of
    /// `session_ttl_ms`, so that disconnected workers can resume their sessions at a peer.
    pub fn store_unreachable(&self) -> watch::Receiver<bool> {
        self.0.health.subscribe()
    }
}

/// What several parts of the engine share.
struct Shared {
    deps: EngineDeps,
    committer: Committer,
    durability: Durability,
    idempotency: Idempotency,
    reader: JobReader,
    ledger_progress: Arc<LedgerProgress>,
    scheduler: Arc<ClaimScheduler>,
    registry: Arc<SessionRegistry>,
    queue_cache: Arc<QueueCache>,
    fanout: Arc<Fanout>,
    health: Arc<StoreHealth>,
    leadership: Leadership,
}

impl Shared {
    async fn new(deps: EngineDeps) -> Result<(Self, CommitQueue), EngineError> {
        let (committer, submissions) = channel();
        let ledger_progress = Arc::new(LedgerProgress::default());
        let durability = Durability::new(committer.clone(), ledger_progress.clone(), deps.settings);
        let idempotency = Idempotency {
            committer: committer.clone(),
            clock: deps.clock.clone(),
            rng: deps.rng.clone(),
        };
        let head = *deps.store.head().borrow();
        let shared = Self {
            reader: JobReader { store: deps.store.clone(), ledger: deps.ledger.clone() },
            committer,
            durability,
            idempotency,
            ledger_progress,
            scheduler: Arc::default(),
            registry: Arc::default(),
            queue_cache: Arc::new(QueueCache::load(deps.store.clone()).await?),
            fanout: Arc::new(Fanout::new(head, deps.settings.watch_buffer)),
            health: Arc::new(StoreHealth::new(&deps.settings)),
            leadership: Leadership::default(),
            deps,
        };
        Ok((shared, submissions))
    }

    fn queues(&self) -> Queues {
        Queues {
            store: self.deps.store.clone(),
            cache: self.queue_cache.clone(),
            durability: self.durability.clone(),
            clock: self.deps.clock.clone(),
            settings: self.deps.settings,
        }
    }

    fn decisions(&self) -> DecisionCommitter {
        DecisionCommitter {
            reader: self.reader.clone(),
            durability: self.durability.clone(),
            idempotency: self.idempotency.clone(),
            clock: self.deps.clock.clone(),
        }
    }

    fn enqueuer(&self) -> Enqueuer {
        Enqueuer {
            resolver: DraftResolver {
                store: self.deps.store.clone(),
                reader: self.reader.clone(),
                clock: self.deps.clock.clone(),
            },
            reader: self.reader.clone(),
            queues: self.queues(),
            committer: self.committer.clone(),
            durability: self.durability.clone(),
            idempotency: self.idempotency.clone(),
            clock: self.deps.clock.clone(),
            rng: self.deps.rng.clone(),
            observer: self.deps.observer.clone(),
            settings: self.deps.settings,
        }
    }

    fn jobs(&self, logs: &LogWriter) -> Jobs {
        Jobs {
            reader: self.reader.clone(),
            enqueuer: self.enqueuer(),
            decisions: self.decisions(),
            durability: self.durability.clone(),
            idempotency: self.idempotency.clone(),
            queues: self.queues(),
            logs: logs.clone(),
            ledger: self.deps.ledger.clone(),
            settings: self.deps.settings,
        }
    }

    fn history(&self, logs: &LogWriter) -> History {
        let (reader, ledger) = (self.reader.clone(), self.deps.ledger.clone());
        History { reader, ledger, logs: logs.clone() }
    }

    fn retention(&self) -> Retention {
        Retention {
            store: self.deps.store.clone(),
            ledger: self.deps.ledger.clone(),
            clock: self.deps.clock.clone(),
            observer: self.deps.observer.clone(),
            settings: self.deps.settings,
            leadership: self.leadership.clone(),
        }
    }

    fn workers(&self) -> Workers {
        Workers {
            store: self.deps.store.clone(),
            durability: self.durability.clone(),
            registry: self.registry.clone(),
            clock: self.deps.clock.clone(),
            settings: self.deps.settings,
        }
    }

    fn kinds(&self, workers: &Workers) -> Kinds {
        Kinds::new(
            self.deps.ledger.clone(),
            self.deps.clock.clone(),
            self.scheduler.clone(),
            self.leadership.clone(),
            workers.clone(),
        )
    }

    fn returner(&self) -> AssignmentReturner {
        AssignmentReturner {
            committer: self.committer.clone(),
            registry: self.registry.clone(),
            clock: self.deps.clock.clone(),
        }
    }

    fn sessions(&self, logs: &LogWriter, kinds: KindDeclarations) -> Sessions {
        Sessions(Arc::new(SessionContext {
            store: self.deps.store.clone(),
            ledger: self.deps.ledger.clone(),
            server: self.deps.server,
            clock: self.deps.clock.clone(),
            rng: self.deps.rng.clone(),
            observer: self.deps.observer.clone(),
            settings: self.deps.settings,
            health: self.health.clone(),
            committer: self.committer.clone(),
            durability: self.durability.clone(),
            reader: self.reader.clone(),
            decisions: self.decisions(),
            scheduler: self.scheduler.clone(),
            registry: self.registry.clone(),
            returner: self.returner(),
            fanout: self.fanout.clone(),
            logs: logs.clone(),
            kinds,
        }))
    }

    fn watches(&self, history: &Arc<History>) -> Watches {
        Watches(Arc::new(WatchContext {
            store: self.deps.store.clone(),
            reader: self.reader.clone(),
            history: history.clone(),
            fanout: self.fanout.clone(),
            registry: self.registry.clone(),
            health: self.health.clone(),
            observer: self.deps.observer.clone(),
        }))
    }

    fn summaries(&self, state: Arc<SummaryState>) -> Summaries {
        let (health, observer) = (self.health.clone(), self.deps.observer.clone());
        Summaries { state, health, observer }
    }

    fn commit_loop(&self, submissions: CommitQueue) -> CommitLoop {
        let context = CommitContext {
            store: self.deps.store.clone(),
            server: self.deps.server,
            clock: self.deps.clock.clone(),
            observer: self.deps.observer.clone(),
            settings: self.deps.settings,
            health: self.health.clone(),
            scheduler: self.scheduler.clone(),
            registry: self.registry.clone(),
            queues: self.queue_cache.clone(),
        };
        CommitLoop { context, submissions }
    }

    fn sweeper(&self) -> Sweeper {
        Sweeper {
            store: self.deps.store.clone(),
            health: self.health.clone(),
            committer: self.committer.clone(),
            registry: self.registry.clone(),
            returner: self.returner(),
            clock: self.deps.clock.clone(),
            rng: self.deps.rng.clone(),
            observer: self.deps.observer.clone(),
            settings: self.deps.settings,
        }
    }

    fn projector(&self) -> Projector {
        let EngineDeps { store, ledger, clock, observer, settings, server, .. } = self.deps.clone();
        let leadership = self.leadership.clone();
        let lease = LeaderLease::new(store.clone(), server, observer.clone(), leadership);
        let progress = self.ledger_progress.clone();
        Projector { store, ledger, clock, observer, settings, progress, lease }
    }

    fn journal_reader(&self, summaries: &Arc<SummaryState>) -> JournalReader {
        JournalReader {
            store: self.deps.store.clone(),
            clock: self.deps.clock.clone(),
            fanout: self.fanout.clone(),
            summaries: summaries.clone(),
        }
    }

    fn summary_loop(&self, state: &Arc<SummaryState>, workers: &Workers) -> SummaryLoop {
        SummaryLoop {
            state: state.clone(),
            store: self.deps.store.clone(),
            ledger: self.deps.ledger.clone(),
            clock: self.deps.clock.clone(),
            queues: self.queue_cache.clone(),
            workers: workers.clone(),
            fanout: self.fanout.clone(),
        }
    }

    fn poll_ledger(
        &self,
        closing: tokio_util::sync::CancellationToken,
    ) -> impl Future<Output = ()> + use<> {
        let (progress, ledger) = (self.ledger_progress.clone(), self.deps.ledger.clone());
        async move { progress.poll(&ledger, closing).await }
    }

    fn peer_event_loop(&self) -> PeerEventLoop {
        PeerEventLoop {
            store: self.deps.store.clone(),
            server: self.deps.server,
            rng: self.deps.rng.clone(),
            committer: self.committer.clone(),
            scheduler: self.scheduler.clone(),
            registry: self.registry.clone(),
            queues: self.queue_cache.clone(),
        }
    }
}

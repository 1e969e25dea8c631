//! A schedule: what happens, when, thrown from one seed; then the faults stop, everything
//! settles, everybody leaves, and what was seen and what is on record are handed over.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sentinel_domain::{
    DependencyFailure, JobId, Millis, NewJob, UniqueKey, UniqueMode, unique_key,
};
use sentinel_store::fault::Odds;
use sentinel_store::{JobEvent, JournalPage, Position, Store};
use tokio::time::Instant;

use super::client::Clients;
use super::notes::History;
use super::watcher::Watcher;
use super::worker::Worker;
use super::world::World;

pub(crate) const QUEUE: &str = "q";
pub(crate) const KIND: &str = "k";

const STEPS: usize = 40;
const JOBS: u64 = 6;
const WATCHES: usize = 2;

/// What is waited for at the end, in steps of [`CALM`]: longer than any pause of a job, the
/// life of a session and the backlog of a watch together.
const SETTLE_STEPS: usize = 400;
const CALM: Duration = Duration::from_millis(150);

/// Lets the clock run. Time is paused: it jumps when nobody has anything to do, so what was
/// set in motion before has come to rest by then.
async fn pass(time: Duration) {
    let until = Instant::now() + time;
    let _ = tokio::time::timeout_at(until, std::future::pending::<()>()).await;
}

pub(crate) struct Schedule {
    pub(crate) world: World,
    entropy: StdRng,
    clients: Clients,
    workers: Vec<Worker>,
    watchers: Vec<Watcher>,
    /// How often each thing happened.
    pub(crate) reached: BTreeMap<&'static str, u64>,
}

/// One schedule of three is calm; the others meet some faults often and the rest seldom.
fn odds(entropy: &mut StdRng) -> Odds {
    if entropy.random_range(0..3) == 0 {
        return Odds::default();
    }
    let mut share = || if entropy.random_bool(0.3) { entropy.random_range(20..150) } else { 5 };
    Odds {
        lost_reply: share(),
        lost_call: share(),
        unavailable: share(),
        full: share(),
        competitor: share(),
        slow_call: share(),
        slow_reply: share(),
        slow_max_ms: 700,
    }
}

impl Schedule {
    pub(crate) async fn new(seed: u64) -> Self {
        let mut entropy = StdRng::seed_from_u64(seed);
        let world = World::new(seed, odds(&mut entropy)).await;
        let clients = Clients::new(&world.notebook);
        let workers = (0..2).map(|_| Worker::new(&world.notebook)).collect();
        Self { world, entropy, clients, workers, watchers: Vec::new(), reached: BTreeMap::new() }
    }

    /// The whole of it.
    pub(crate) async fn run(mut self) -> (History, BTreeMap<&'static str, u64>) {
        for _ in 0..STEPS {
            self.step().await;
            let ms = self.entropy.random_range(1..300);
            pass(Duration::from_millis(ms)).await;
            self.listen();
        }
        if self.world.server.front.met() > 0 {
            self.reach("fault of the store");
        }
        self.settle().await;
        let leftovers = self.leave().await;
        let history = self.history(leftovers).await;
        (history, self.reached)
    }

    fn reach(&mut self, what: &'static str) {
        *self.reached.entry(what).or_default() += 1;
    }

    fn listen(&mut self) {
        let engine = &self.world.server.engine;
        for worker in &mut self.workers {
            if !worker.has_line() && worker.deaf_steps == 0 {
                worker.connect(engine);
            }
            worker.listen();
        }
    }

    fn some_job(&mut self) -> Option<JobId> {
        let ids = self.clients.book().ids.clone();
        (!ids.is_empty()).then(|| ids[self.entropy.random_range(0..ids.len())])
    }

    async fn step(&mut self) {
        let engine = self.world.server.engine.clone();
        let at = self.entropy.random_range(0..self.workers.len());
        match self.entropy.random_range(0..100) {
            0..22 if self.clients.asked() < JOBS => {
                let new = self.new_job();
                self.clients.enqueue(&engine, new);
            }
            22..30 => self.cancel(),
            30..36 => self.retry(),
            36..38 => self.clients.insist(&engine),
            38 => self.delete(),
            39 => self.run_now(),
            40..43 => {
                self.reach("stream broken");
                self.workers[at].disconnect();
            }
            43..46 => {
                self.reach("worker crashed");
                self.workers[at].crash();
            }
            46..48 => {
                self.reach("second stream");
                self.workers[at].connect(&engine);
            }
            48..50 => {
                self.reach("worker silent");
                self.workers[at].deaf_steps = self.entropy.random_range(1..25);
            }
            50..53 => self.watch(),
            53..55 => self.server_dies().await,
            55 => self.server_leaves().await,
            56..60 => self.workers[at].insist(),
            _ => self.workers[at].work(&mut self.entropy),
        }
    }

    fn cancel(&mut self) {
        if let Some(id) = self.some_job() {
            self.reach("cancel");
            let engine = self.world.server.engine.clone();
            self.clients.cancel(&engine, id);
        }
    }

    fn retry(&mut self) {
        if let Some(id) = self.some_job() {
            self.reach("retry");
            let engine = self.world.server.engine.clone();
            self.clients.retry(&engine, id);
        }
    }

    fn delete(&mut self) {
        if let Some(id) = self.some_job() {
            self.reach("delete");
            let engine = self.world.server.engine.clone();
            self.clients.delete(&engine, id);
        }
    }

    fn run_now(&mut self) {
        if let Some(id) = self.some_job() {
            self.reach("run now");
            let engine = self.world.server.engine.clone();
            self.clients.run_now(&engine, id);
        }
    }

    fn watch(&mut self) {
        let number = self.watchers.len();
        if number == WATCHES {
            // The reader goes away and comes back where it was.
            self.watchers[0].open(&self.world.server.engine);
            return;
        }
        let wanted = match self.some_job() {
            Some(id) if self.entropy.random_bool(0.5) => Some(vec![id]),
            _ => None,
        };
        let mut watcher = Watcher::new(number, wanted, &self.world.notebook);
        watcher.open(&self.world.server.engine);
        self.watchers.push(watcher);
    }

    fn new_job(&mut self) -> NewJob {
        let parent = self.some_job().filter(|_| self.entropy.random_bool(0.3));
        let entropy = &mut self.entropy;
        let mut new = NewJob { queue: QUEUE.into(), kind: KIND.into(), ..NewJob::default() };
        new.max_attempts = entropy.random_range(1..4);
        new.retry_base_ms = Some(100);
        new.retry_cap_ms = Some(500);
        new.cancel_grace_ms = Some(entropy.random_range(0..800));
        new.delay_ms = entropy.random_bool(0.2).then(|| entropy.random_range(1..600));
        new.run_timeout_ms = entropy.random_bool(0.2).then(|| entropy.random_range(100..900));
        if entropy.random_bool(0.2) {
            new.start_deadline =
                Some(self.world.now() + entropy.random_range(700..2_500) as Millis);
        }
        if entropy.random_bool(0.4) {
            let modes = [UniqueMode::ReturnExisting, UniqueMode::ReplacePending];
            new.unique_key = Some(format!("key-{}", entropy.random_range(0..2)));
            new.unique_mode = Some(modes[entropy.random_range(0..2)]);
        }
        if let Some(parent) = parent {
            new.depends_on = vec![parent.to_string()];
            let run = entropy.random_bool(0.5);
            new.on_dependency_failure = run.then_some(DependencyFailure::Run);
        }
        new
    }

    /// As it stands, in the middle of everything.
    async fn server_dies(&mut self) {
        self.reach("server died");
        self.world.kill();
        self.workers.iter_mut().for_each(Worker::server_died);
        self.watchers.iter_mut().for_each(Watcher::close);
        self.clients.server_died().await;
        let away_ms = self.entropy.random_range(0..3_000);
        pass(Duration::from_millis(away_ms)).await;
        self.begin_again().await;
    }

    /// In good order; its workers keep what they hold.
    async fn server_leaves(&mut self) {
        self.reach("server left");
        self.world.heal_for_a_while();
        self.workers.iter_mut().for_each(Worker::disconnect);
        self.watchers.iter_mut().for_each(Watcher::close);
        assert!(self.world.stop().await, "every task of a server ends when it is told to");
        self.clients.server_died().await;
        self.begin_again().await;
    }

    async fn begin_again(&mut self) {
        let rebuilt = self.entropy.random_bool(0.5);
        self.world.start(rebuilt).await;
        for watcher in &mut self.watchers {
            watcher.open(&self.world.server.engine);
        }
    }

    async fn settle(&mut self) {
        self.world.heal();
        for worker in &mut self.workers {
            worker.deaf_steps = 0;
        }
        for _ in 0..SETTLE_STEPS {
            pass(CALM).await;
            self.listen();
            for worker in &mut self.workers {
                worker.finish_all(&mut self.entropy);
            }
            self.clients.insist(&self.world.server.engine.clone());
            if self.clients.is_settled() && self.is_over().await {
                return;
            }
        }
    }

    async fn is_over(&self) -> bool {
        let ids = self.clients.book().ids.clone();
        let jobs = self.world.server.engine.get_many(&ids).await.expect("the faults are over");
        jobs.iter().flatten().all(|job| job.status.state.is_terminal())
            && self.workers.iter().all(Worker::is_idle)
    }

    /// Everybody goes, and nothing may stay behind.
    async fn leave(&mut self) -> BTreeMap<&'static str, usize> {
        let engine = self.world.server.engine.clone();
        // A watch by ids ended with its jobs; those that were retried since are shown now.
        self.watchers.iter_mut().filter(|w| w.has_ended()).for_each(|w| w.open(&engine));
        self.workers.iter_mut().for_each(Worker::leave);
        let mut leftovers = BTreeMap::new();
        for _ in 0..SETTLE_STEPS {
            pass(CALM).await;
            leftovers = self.leftovers().await;
            if leftovers.values().all(|count| *count == 0) {
                break;
            }
        }
        // Whoever reads on behalf of watchers may be at a slow read since before the faults ended.
        pass(Duration::from_secs(2)).await;
        leftovers
    }

    async fn leftovers(&self) -> BTreeMap<&'static str, usize> {
        let World { outside, server, .. } = &self.world;
        let (streams, free) = server.engine.sessions();
        let ever = Millis::MAX / 2;
        let found = outside.store.due_work(ever, 1_000).await.expect("the oracle answers");
        let keys = self.keys().await;
        let held = outside.store.holders(keys, self.world.now()).await.expect("answers");
        let unprojected = usize::from(!self.world.is_projected().await);
        let by_ids = self.watchers.iter().filter(|watcher| watcher.wanted.is_some());
        BTreeMap::from([
            ("streams", streams),
            ("room", free as usize),
            ("sessions", found.expired.len()),
            ("leases", found.lost.len()),
            ("blocked", found.unblocked.len()),
            ("keys", held.iter().flatten().count()),
            ("unprojected", unprojected),
            ("open watches", by_ids.filter(|watcher| !watcher.has_ended()).count()),
        ])
    }

    async fn keys(&self) -> Vec<UniqueKey> {
        let journal = self.journal().await;
        journal.iter().filter_map(|e| unique_key(e.spec.as_deref()?)).collect()
    }

    async fn journal(&self) -> Vec<JobEvent> {
        let all = self.world.outside.store.tail(Position::default(), usize::MAX).await;
        let Ok(JournalPage::Entries(entries)) = all else { panic!("the oracle forgets nothing") };
        entries.iter().flat_map(|entry| entry.jobs.clone()).collect()
    }

    async fn history(&self, leftovers: BTreeMap<&'static str, usize>) -> History {
        let World { outside, notebook, server, .. } = &self.world;
        let journal = self.journal().await;
        let mut ids: Vec<JobId> = journal.iter().map(|event| event.id).collect();
        ids.sort();
        ids.dedup();
        let recorded = outside.ledger.get(ids.clone()).await.expect("answers");
        let got = server.engine.get_many(&ids).await.expect("answers");
        let got = got.into_iter().flatten().map(|job| (job.id, (*job).clone()));
        History {
            notes: notebook.all(),
            journal,
            ledger: recorded.into_iter().flatten().map(|job| (job.id, job)).collect(),
            got: got.collect(),
            watches: self.watchers.iter().map(|watcher| watcher.wanted.clone()).collect(),
            leftovers,
        }
    }
}

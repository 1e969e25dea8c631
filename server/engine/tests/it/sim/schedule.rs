//! A random schedule from one seed. After its steps the faults stop, the jobs finish, all workers
//! leave, and the schedule returns its history.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sentinel_domain::{
    DependencyFailure, JobId, Millis, NewJob, UniqueKey, UniqueMode, unique_key,
};
use sentinel_store::fault::FaultRates;
use sentinel_store::{JobEvent, JournalPage, Position, Store};
use tokio::time::Instant;

use super::client::Clients;
use super::observations::History;
use super::system::SimSystem;
use super::watcher::Watcher;
use super::worker::SimWorker;

pub(crate) const QUEUE: &str = "q";
pub(crate) const KIND: &str = "k";

const STEPS: usize = 40;
const JOBS: u64 = 6;
const WATCHES: usize = 2;

/// The longest wait at the end, in steps of [`SETTLE_STEP`]: longer than the pauses of a job, the
/// TTL of a session and the backlog of a watch together.
const SETTLE_STEPS: usize = 400;
const SETTLE_STEP: Duration = Duration::from_millis(150);

/// Advances the paused clock. It jumps only when every task is idle, so earlier work has completed.
async fn run_for(time: Duration) {
    let deadline = Instant::now() + time;
    let _ = tokio::time::timeout_at(deadline, std::future::pending::<()>()).await;
}

pub(crate) struct Schedule {
    pub(crate) system: SimSystem,
    entropy: StdRng,
    clients: Clients,
    workers: Vec<SimWorker>,
    watchers: Vec<Watcher>,
    /// How often each thing happened.
    pub(crate) reached: BTreeMap<&'static str, u64>,
}

/// One schedule of three has no faults. In the others some faults are frequent and the rest rare.
fn fault_rates(entropy: &mut StdRng) -> FaultRates {
    if entropy.random_range(0..3) == 0 {
        return FaultRates::default();
    }
    let mut rate = || if entropy.random_bool(0.3) { entropy.random_range(20..150) } else { 5 };
    FaultRates {
        lost_response: rate(),
        lost_request: rate(),
        unavailable: rate(),
        full: rate(),
        concurrent_update: rate(),
        slow_request: rate(),
        slow_response: rate(),
        slow_max_ms: 700,
    }
}

impl Schedule {
    pub(crate) async fn new(seed: u64) -> Self {
        let mut entropy = StdRng::seed_from_u64(seed);
        let system = SimSystem::new(seed, fault_rates(&mut entropy)).await;
        let clients = Clients::new(&system.event_log);
        let workers = (0..2).map(|_| SimWorker::new(&system.event_log)).collect();
        Self { system, entropy, clients, workers, watchers: Vec::new(), reached: BTreeMap::new() }
    }

    /// Runs the schedule and returns its history and counters.
    pub(crate) async fn run(mut self) -> (History, BTreeMap<&'static str, u64>) {
        for _ in 0..STEPS {
            self.step().await;
            let ms = self.entropy.random_range(1..300);
            run_for(Duration::from_millis(ms)).await;
            self.receive();
        }
        if self.system.server.store.injected() > 0 {
            self.reach("store fault");
        }
        self.settle().await;
        let leftovers = self.leave().await;
        let history = self.history(leftovers).await;
        (history, self.reached)
    }

    fn reach(&mut self, what: &'static str) {
        *self.reached.entry(what).or_default() += 1;
    }

    fn receive(&mut self) {
        let engine = &self.system.server.engine;
        for worker in &mut self.workers {
            if !worker.is_connected() && worker.silent_steps == 0 {
                worker.connect(engine);
            }
            worker.receive();
        }
    }

    fn pick_job(&mut self) -> Option<JobId> {
        let ids = self.clients.state().ids.clone();
        (!ids.is_empty()).then(|| ids[self.entropy.random_range(0..ids.len())])
    }

    async fn step(&mut self) {
        let engine = self.system.server.engine.clone();
        let at = self.entropy.random_range(0..self.workers.len());
        match self.entropy.random_range(0..100) {
            0..22 if self.clients.sent() < JOBS => {
                let new = self.new_job();
                self.clients.enqueue(&engine, new);
            }
            22..30 => self.cancel(),
            30..36 => self.retry(),
            36..38 => self.clients.resend(&engine),
            38 => self.delete(),
            39 => self.run_now(),
            40..43 => {
                self.reach("broken stream");
                self.workers[at].disconnect();
            }
            43..46 => {
                self.reach("crashed worker");
                self.workers[at].crash();
            }
            46..48 => {
                self.reach("second stream");
                self.workers[at].connect(&engine);
            }
            48..50 => {
                self.reach("silent worker");
                self.workers[at].silent_steps = self.entropy.random_range(1..25);
            }
            50..53 => self.watch(),
            53..55 => self.kill_server().await,
            55 => self.stop_server().await,
            56..60 => self.workers[at].resend(),
            _ => self.workers[at].step(&mut self.entropy),
        }
    }

    fn cancel(&mut self) {
        if let Some(id) = self.pick_job() {
            self.reach("cancel");
            let engine = self.system.server.engine.clone();
            self.clients.cancel(&engine, id);
        }
    }

    fn retry(&mut self) {
        if let Some(id) = self.pick_job() {
            self.reach("retry");
            let engine = self.system.server.engine.clone();
            self.clients.retry(&engine, id);
        }
    }

    fn delete(&mut self) {
        if let Some(id) = self.pick_job() {
            self.reach("delete");
            let engine = self.system.server.engine.clone();
            self.clients.delete(&engine, id);
        }
    }

    fn run_now(&mut self) {
        if let Some(id) = self.pick_job() {
            self.reach("run now");
            let engine = self.system.server.engine.clone();
            self.clients.run_now(&engine, id);
        }
    }

    fn watch(&mut self) {
        let number = self.watchers.len();
        if number == WATCHES {
            // The reader disconnects and resumes.
            self.watchers[0].open(&self.system.server.engine);
            return;
        }
        let wanted = match self.pick_job() {
            Some(id) if self.entropy.random_bool(0.5) => Some(vec![id]),
            _ => None,
        };
        let mut watcher = Watcher::new(number, wanted, &self.system.event_log);
        watcher.open(&self.system.server.engine);
        self.watchers.push(watcher);
    }

    fn new_job(&mut self) -> NewJob {
        let parent = self.pick_job().filter(|_| self.entropy.random_bool(0.3));
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
                Some(self.system.now() + entropy.random_range(700..2_500) as Millis);
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

    /// Kills the server without a shutdown; starts another after a while.
    async fn kill_server(&mut self) {
        self.reach("killed server");
        self.system.kill();
        self.workers.iter_mut().for_each(SimWorker::on_server_death);
        self.watchers.iter_mut().for_each(Watcher::close);
        self.clients.on_server_death().await;
        let downtime_ms = self.entropy.random_range(0..3_000);
        run_for(Duration::from_millis(downtime_ms)).await;
        self.start_server().await;
    }

    /// Shuts the server down gracefully; its workers keep their leases.
    async fn stop_server(&mut self) {
        self.reach("stopped server");
        self.system.pause_faults();
        self.workers.iter_mut().for_each(SimWorker::disconnect);
        self.watchers.iter_mut().for_each(Watcher::close);
        assert!(self.system.stop().await, "every task of the server must stop");
        self.clients.on_server_death().await;
        self.start_server().await;
    }

    async fn start_server(&mut self) {
        let rebuilt = self.entropy.random_bool(0.5);
        self.system.start(rebuilt).await;
        for watcher in &mut self.watchers {
            watcher.open(&self.system.server.engine);
        }
    }

    async fn settle(&mut self) {
        self.system.stop_faults();
        for worker in &mut self.workers {
            worker.silent_steps = 0;
        }
        for _ in 0..SETTLE_STEPS {
            run_for(SETTLE_STEP).await;
            self.receive();
            for worker in &mut self.workers {
                worker.finish_all(&mut self.entropy);
            }
            self.clients.resend(&self.system.server.engine.clone());
            if self.clients.is_settled() && self.is_finished().await {
                return;
            }
        }
    }

    async fn is_finished(&self) -> bool {
        let ids = self.clients.state().ids.clone();
        let jobs = self
            .system
            .server
            .engine
            .jobs()
            .get_many(&ids)
            .await
            .expect("a response without faults");
        jobs.iter().flatten().all(|job| job.status.state.is_terminal())
            && self.workers.iter().all(SimWorker::is_idle)
    }

    /// Disconnects everyone and returns what is left.
    async fn leave(&mut self) -> BTreeMap<&'static str, usize> {
        let engine = self.system.server.engine.clone();
        // A watch by ids ends with its jobs. It opens again for jobs that were retried since.
        self.watchers.iter_mut().filter(|w| w.has_ended()).for_each(|w| w.open(&engine));
        self.workers.iter_mut().for_each(SimWorker::leave);
        let mut leftovers = BTreeMap::new();
        for _ in 0..SETTLE_STEPS {
            run_for(SETTLE_STEP).await;
            leftovers = self.leftovers().await;
            if leftovers.values().all(|count| *count == 0) {
                break;
            }
        }
        // A slow read for a watch may have started before the faults stopped.
        run_for(Duration::from_secs(2)).await;
        leftovers
    }

    async fn leftovers(&self) -> BTreeMap<&'static str, usize> {
        let SimSystem { environment, server, .. } = &self.system;
        let (streams, free) = server.engine.sessions().load();
        let far_future = Millis::MAX / 2;
        let due = environment.store.due_work(far_future, 1_000).await.expect("a response");
        let keys = self.keys().await;
        let holders = environment.store.holders(keys, self.system.now()).await.expect("a response");
        let unprojected = usize::from(!self.system.is_projected().await);
        let by_ids = self.watchers.iter().filter(|watcher| watcher.wanted.is_some());
        BTreeMap::from([
            ("streams", streams),
            ("credit", free as usize),
            ("sessions", due.expired_sessions.len()),
            ("leases", due.lost.len()),
            ("blocked", due.unblocked.len()),
            ("keys", holders.iter().flatten().count()),
            ("unprojected", unprojected),
            ("open watches", by_ids.filter(|watcher| !watcher.has_ended()).count()),
        ])
    }

    async fn keys(&self) -> Vec<UniqueKey> {
        let journal = self.journal().await;
        journal.iter().filter_map(|e| unique_key(e.spec.as_deref()?)).collect()
    }

    async fn journal(&self) -> Vec<JobEvent> {
        let all = self.system.environment.store.read_journal(Position::default(), usize::MAX).await;
        let Ok(JournalPage::Entries(entries)) = all else {
            panic!("the reference store keeps its journal")
        };
        entries.iter().flat_map(|entry| entry.jobs.clone()).collect()
    }

    async fn history(&self, leftovers: BTreeMap<&'static str, usize>) -> History {
        let SimSystem { environment, event_log, server, .. } = &self.system;
        let journal = self.journal().await;
        let mut ids: Vec<JobId> = journal.iter().map(|event| event.id).collect();
        ids.sort();
        ids.dedup();
        let recorded = environment.ledger.get(ids.clone()).await.expect("a response");
        let got = server.engine.jobs().get_many(&ids).await.expect("a response");
        let got = got.into_iter().flatten().map(|job| (job.id, (*job).clone()));
        History {
            observations: event_log.all(),
            journal,
            ledger: recorded.into_iter().flatten().map(|job| (job.id, job)).collect(),
            got: got.collect(),
            watches: self.watchers.iter().map(|watcher| watcher.wanted.clone()).collect(),
            leftovers,
        }
    }
}

//! Random lives of jobs under workers that crash, leave and come back: every job ends with
//! one final record, and every slot can be used again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use sentinel_domain::{Job, JobId};
use sentinel_engine::Engine;
use sentinel_engine::session::{FromWorker, HeldVerdict, Hello, ReportVerdict, ToWorker};
use sentinel_store::{JournalPage, Store};

use crate::house::{House, eventually, new_job};
use crate::worker::{Worker, crash, hello, hello_again, success};
use sentinel_store::fault::Odds;

const SLOTS: usize = 4;
const JOBS: usize = 120;

/// Says Hello until the store is there to hear it.
async fn join(engine: &Engine, hello: Hello) -> Worker {
    eventually("Welcome", async || Worker::try_join(engine, hello.clone()).await).await
}

/// A worker that keeps books about its slots.
struct Clerk {
    engine: Engine,
    worker: Option<Worker>,
    running: HashMap<JobId, Arc<Job>>,
    reported: HashSet<JobId>,
    /// Slots that the server may still fill.
    granted: usize,
}

impl Clerk {
    async fn new(engine: &Engine) -> Self {
        let worker = Some(join(engine, hello(SLOTS)).await);
        let (running, reported) = (HashMap::new(), HashSet::new());
        Self { engine: engine.clone(), worker, running, reported, granted: SLOTS }
    }

    fn books(&self) -> impl std::fmt::Debug {
        let session = self.worker.as_ref().map(|w| w.welcome.session);
        (session, self.granted, self.running.keys().collect::<Vec<_>>(), self.reported.len())
    }

    fn worker(&mut self) -> &mut Worker {
        self.worker.as_mut().expect("it is here")
    }

    /// Lost where the session has ended.
    async fn send(&mut self, frame: FromWorker) {
        self.worker().try_send(frame).await;
    }

    fn drop_lease(&mut self, id: JobId, epoch: u64) {
        let is_it = self.running.get(&id).is_some_and(|job| job.status.epoch == epoch);
        if is_it {
            self.running.remove(&id);
            self.reported.remove(&id);
        }
    }

    /// Takes in what the server has said so far.
    async fn listen(&mut self) {
        // On a machine that stands still for longer than the TTL the server ends a session.
        if self.worker().has_ended() {
            self.reconnect(true).await;
        }
        while let Some(frame) = self.worker().poll().await {
            match frame {
                ToWorker::Assign { assign_seq, jobs } => {
                    assert!(jobs.len() <= self.granted, "never more than was granted");
                    self.granted -= jobs.len();
                    for job in jobs {
                        self.running.insert(job.id, job);
                    }
                    self.send(FromWorker::Received { assign_seq }).await;
                }
                ToWorker::ReportAck(items) => {
                    for (held, verdict) in items {
                        match verdict {
                            ReportVerdict::RetryLater => drop(self.reported.remove(&held.id)),
                            _ => self.drop_lease(held.id, held.lease.epoch),
                        }
                    }
                }
                ToWorker::Revoked(all) => {
                    all.iter().for_each(|held| self.drop_lease(held.id, held.lease.epoch));
                }
                ToWorker::Cancel(jobs) => {
                    let acked = jobs.iter().map(|job| crate::worker::held(job)).collect();
                    self.send(FromWorker::CancelAck(acked)).await;
                }
                _ => {}
            }
        }
        self.send(FromWorker::Ping { nonce: 0 }).await;
        let free = SLOTS.saturating_sub(self.running.len() + self.granted);
        if free > 0 {
            self.granted += free;
            self.send(FromWorker::Credit { jobs: free, bytes: None }).await;
        }
    }

    async fn report(&mut self, entropy: &mut impl Rng) {
        let mut items = Vec::new();
        for (id, job) in &self.running {
            if self.reported.contains(id) || entropy.random_bool(0.3) {
                continue;
            }
            items.push(if entropy.random_bool(0.8) { success(job) } else { crash(job, true) });
        }
        if !items.is_empty() {
            self.reported.extend(items.iter().map(|item| item.held.id));
            self.send(FromWorker::Report(items)).await;
        }
    }

    /// The stream breaks; the worker comes back with all it holds, or as another one.
    async fn reconnect(&mut self, keeps: bool) {
        let worker = self.worker.take().expect("it is here");
        let welcome = worker.welcome.clone();
        self.granted = 0;
        self.reported.clear();
        if !keeps {
            worker.eof().await;
            *self = Self::new(&self.engine).await;
            return;
        }
        let jobs: Vec<_> = self.running.values().cloned().collect();
        let holds: Vec<&Job> = jobs.iter().map(|job| &**job).collect();
        let again = join(&self.engine, hello_again(&welcome, &holds));
        let (again, _) = tokio::join!(again, worker.eof());
        for (job, verdict) in jobs.iter().zip(again.verdicts()) {
            if *verdict != HeldVerdict::Keep {
                self.running.remove(&job.id);
            }
        }
        self.worker = Some(again);
    }
}

async fn walk(seed: u64) {
    let house = House::with(|s| {
        s.lost_grace_ms = 30;
        s.receive_timeout_ms = 2_000;
        // What a suspected network, or a store that is away at the end of a stream, costs.
        s.session_ttl_ms = 4_000;
    })
    .await;
    let mut entropy = StdRng::seed_from_u64(seed);
    let mut clerks = Vec::new();
    for _ in 0..3 {
        clerks.push(Clerk::new(&house.engine).await);
    }
    // Thrown per call: faults planned per step would pile up faster than calls meet them.
    let odds = Odds { lost_reply: 60, unavailable: 60, ..Odds::default() };
    house.store.commits.seeded(seed, odds);
    let mut ids = Vec::new();
    let until = std::time::Instant::now() + crate::house::PATIENCE;
    loop {
        if std::time::Instant::now() >= until {
            let jobs = house.engine.get_many(&ids).await.expect("answers");
            let open = jobs.iter().flatten().filter(|job| !job.status.state.is_terminal());
            let open: Vec<_> = open.map(|job| (job.id, &job.status)).collect();
            let books: Vec<_> = clerks.iter().map(Clerk::books).collect();
            panic!("seed {seed}: {books:?}, {} jobs are open: {open:?}", open.len());
        }
        if ids.len() < JOBS {
            let set = |new: &mut sentinel_domain::NewJob| {
                new.max_attempts = 100;
                new.retry_base_ms = Some(1);
                new.retry_cap_ms = Some(1);
            };
            // Refused while the store is away.
            if let Ok(enqueued) = house.engine.enqueue(new_job(set), "", None).await {
                ids.push(enqueued.job.id);
            }
        }
        let at = entropy.random_range(0..clerks.len());
        match entropy.random_range(0..38) {
            0 => clerks[at].reconnect(true).await,
            1 if ids.len() < JOBS => clerks[at].reconnect(false).await,
            2..6 if !ids.is_empty() => {
                let id = ids.get(entropy.random_range(0..JOBS)).copied().unwrap_or(ids[0]);
                // A store that is away refuses it: then it was not asked for.
                let _ = house.engine.cancel(id, "", "").await;
            }
            _ => clerks[at].report(&mut entropy).await,
        }
        clerks[at].listen().await;
        if ids.len() == JOBS {
            let jobs = house.engine.get_many(&ids).await.expect("answers");
            if jobs.iter().flatten().all(|job| job.status.state.is_terminal()) {
                break;
            }
        }
    }
    one_final_each(&house, &ids, seed).await;
    slots_return(&house, &mut clerks, &mut entropy, seed).await;
    for clerk in &mut clerks {
        clerk.worker.take().expect("it is here").bye().await;
    }
    house.close().await;
}

async fn one_final_each(house: &House, ids: &[JobId], seed: u64) {
    let mut finals: HashMap<JobId, usize> = HashMap::new();
    let mut versions: HashMap<JobId, u64> = HashMap::new();
    let mut after = sentinel_store::Position::default();
    loop {
        let JournalPage::Entries(entries) = house.store.tail(after, 100).await.expect("answers")
        else {
            panic!("seed {seed}: the journal is whole");
        };
        let Some(last) = entries.last() else { break };
        after = last.position;
        for event in entries.iter().flat_map(|entry| &entry.jobs) {
            let before = versions.insert(event.id, event.status.version).unwrap_or(0);
            assert!(event.status.version - before <= 1, "seed {seed}: versions are dense");
            *finals.entry(event.id).or_default() += usize::from(event.status.state.is_terminal());
        }
    }
    assert_eq!(finals.len(), ids.len());
    assert!(finals.values().all(|count| *count == 1), "seed {seed}: {finals:?}");
}

async fn slots_return(house: &House, clerks: &mut [Clerk], entropy: &mut StdRng, seed: u64) {
    let what = format!("seed {seed}: all slots are free");
    eventually(&what, async || {
        for clerk in clerks.iter_mut() {
            // What is left are leases that died on their way: their reports are fenced.
            clerk.report(entropy).await;
            clerk.listen().await;
        }
        let (sessions, free) = house.engine.sessions();
        (sessions == clerks.len() && free == (SLOTS * clerks.len()) as u64).then_some(())
    })
    .await;
}

#[tokio::test]
async fn every_job_ends_once_and_slots_return() {
    for seed in 0..3 {
        walk(seed).await;
    }
}

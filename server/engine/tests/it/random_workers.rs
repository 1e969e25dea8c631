//! Random faults with workers that crash, disconnect and resume: every job reaches one terminal
//! state, and every slot becomes free again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use sentinel_domain::{Job, JobId};
use sentinel_engine::session::{FromWorker, HeldLeaseVerdict, Hello, ReportVerdict, ToWorker};
use sentinel_engine::{Engine, Submitter};
use sentinel_store::{JournalPage, Store};

use crate::harness::{TestEngine, new_job, wait_until};
use crate::worker::{ScriptedWorker, failed_report, hello, resume_hello, succeeded_report};
use sentinel_store::fault::FaultRates;

const SLOTS: usize = 4;
const JOBS: usize = 120;

/// Sends Hello until the store is available.
async fn join(engine: &Engine, hello: Hello) -> ScriptedWorker {
    wait_until("Welcome", async || ScriptedWorker::try_join(engine, hello.clone()).await).await
}

/// A worker that tracks its slots.
struct TrackingWorker {
    engine: Engine,
    worker: Option<ScriptedWorker>,
    running: HashMap<JobId, Arc<Job>>,
    reported: HashSet<JobId>,
    /// Slots that the server may still fill.
    granted: usize,
}

impl TrackingWorker {
    async fn new(engine: &Engine) -> Self {
        let worker = Some(join(engine, hello(SLOTS)).await);
        let (running, reported) = (HashMap::new(), HashSet::new());
        Self { engine: engine.clone(), worker, running, reported, granted: SLOTS }
    }

    fn debug_state(&self) -> impl std::fmt::Debug {
        let session = self.worker.as_ref().map(|w| w.welcome.session);
        (session, self.granted, self.running.keys().collect::<Vec<_>>(), self.reported.len())
    }

    fn worker(&mut self) -> &mut ScriptedWorker {
        self.worker.as_mut().expect("a connected worker")
    }

    /// Sends a frame; it is lost when the session has closed.
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

    /// Handles the frames that have arrived.
    async fn receive(&mut self) {
        // After a pause of the machine longer than the TTL, the server closes the session.
        if self.worker().has_ended() {
            self.reconnect(true).await;
        }
        while let Some(frame) = self.worker().try_next().await {
            match frame {
                ToWorker::Assign { assign_seq, jobs } => {
                    assert!(jobs.len() <= self.granted, "the assignment exceeds the credit");
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
            items.push(if entropy.random_bool(0.8) {
                succeeded_report(job)
            } else {
                failed_report(job, true)
            });
        }
        if !items.is_empty() {
            self.reported.extend(items.iter().map(|item| item.held.id));
            self.send(FromWorker::Report(items)).await;
        }
    }

    /// Breaks the stream; then resumes with all leases, or starts as another worker.
    async fn reconnect(&mut self, resumes: bool) {
        let worker = self.worker.take().expect("a connected worker");
        let welcome = worker.welcome.clone();
        self.granted = 0;
        self.reported.clear();
        if !resumes {
            worker.disconnect().await;
            *self = Self::new(&self.engine).await;
            return;
        }
        let jobs: Vec<_> = self.running.values().cloned().collect();
        let held: Vec<&Job> = jobs.iter().map(|job| &**job).collect();
        let again = join(&self.engine, resume_hello(&welcome, &held));
        let (again, _) = tokio::join!(again, worker.disconnect());
        for (job, verdict) in jobs.iter().zip(again.verdicts()) {
            if *verdict != HeldLeaseVerdict::Keep {
                self.running.remove(&job.id);
            }
        }
        self.worker = Some(again);
    }
}

async fn run_random(seed: u64) {
    let test = TestEngine::with_settings(|s| {
        s.lost_grace_ms = 30;
        s.receive_timeout_ms = 2_000;
        // A suspected network fault, or an unavailable store at the end of a stream, delays the
        // loss of a session by this.
        s.session_ttl_ms = 4_000;
    })
    .await;
    let mut entropy = StdRng::seed_from_u64(seed);
    let mut workers = Vec::new();
    for _ in 0..3 {
        workers.push(TrackingWorker::new(&test.engine).await);
    }
    // Random per call: faults planned per step would accumulate faster than calls consume them.
    let rates = FaultRates { lost_response: 60, unavailable: 60, ..FaultRates::default() };
    test.store.commits.seeded(seed, rates);
    let mut ids = Vec::new();
    let deadline = std::time::Instant::now() + crate::harness::TIMEOUT;
    loop {
        if std::time::Instant::now() >= deadline {
            let jobs = test.engine.jobs().get_many(&ids).await.expect("a response");
            let open = jobs.iter().flatten().filter(|job| !job.status.state.is_terminal());
            let open: Vec<_> = open.map(|job| (job.id, &job.status)).collect();
            let states: Vec<_> = workers.iter().map(TrackingWorker::debug_state).collect();
            panic!("seed {seed}: {states:?}, {} jobs are not terminal: {open:?}", open.len());
        }
        if ids.len() < JOBS {
            let set = |new: &mut sentinel_domain::NewJob| {
                new.max_attempts = 100;
                new.retry_base_ms = Some(1);
                new.retry_cap_ms = Some(1);
            };
            // Refused while the store is unavailable.
            if let Ok(enqueued) =
                test.engine.jobs().enqueue(new_job(set), Submitter::unrestricted(""), None).await
            {
                ids.push(enqueued.job.id);
            }
        }
        let at = entropy.random_range(0..workers.len());
        match entropy.random_range(0..38) {
            0 => workers[at].reconnect(true).await,
            1 if ids.len() < JOBS => workers[at].reconnect(false).await,
            2..6 if !ids.is_empty() => {
                let id = ids.get(entropy.random_range(0..JOBS)).copied().unwrap_or(ids[0]);
                // An unavailable store refuses the cancel.
                let _ = test.engine.jobs().cancel(id, "", "").await;
            }
            _ => workers[at].report(&mut entropy).await,
        }
        workers[at].receive().await;
        if ids.len() == JOBS {
            let jobs = test.engine.jobs().get_many(&ids).await.expect("a response");
            if jobs.iter().flatten().all(|job| job.status.state.is_terminal()) {
                break;
            }
        }
    }
    assert_one_terminal_state(&test, &ids, seed).await;
    wait_free_slots(&test, &mut workers, &mut entropy, seed).await;
    for tracked in &mut workers {
        tracked.worker.take().expect("a connected worker").bye().await;
    }
    test.close().await;
}

async fn assert_one_terminal_state(test: &TestEngine, ids: &[JobId], seed: u64) {
    let mut terminal_states: HashMap<JobId, usize> = HashMap::new();
    let mut versions: HashMap<JobId, u64> = HashMap::new();
    let mut after = sentinel_store::Position::default();
    loop {
        let JournalPage::Entries(entries) =
            test.store.read_journal(after, 100).await.expect("a response")
        else {
            panic!("seed {seed}: the journal has no gap");
        };
        let Some(last) = entries.last() else { break };
        after = last.position;
        for event in entries.iter().flat_map(|entry| &entry.jobs) {
            let before = versions.insert(event.id, event.status.version).unwrap_or(0);
            assert!(event.status.version - before <= 1, "seed {seed}: versions have no gap");
            *terminal_states.entry(event.id).or_default() +=
                usize::from(event.status.state.is_terminal());
        }
    }
    assert_eq!(terminal_states.len(), ids.len());
    assert!(terminal_states.values().all(|count| *count == 1), "seed {seed}: {terminal_states:?}");
}

async fn wait_free_slots(
    test: &TestEngine,
    workers: &mut [TrackingWorker],
    entropy: &mut StdRng,
    seed: u64,
) {
    let what = format!("seed {seed}: all slots are free");
    wait_until(&what, async || {
        for tracked in workers.iter_mut() {
            // Expired leases remain; their reports are fenced.
            tracked.report(entropy).await;
            tracked.receive().await;
        }
        let (sessions, free) = test.engine.sessions().load();
        (sessions == workers.len() && free == (SLOTS * workers.len()) as u64).then_some(())
    })
    .await;
}

#[tokio::test]
async fn every_job_reaches_one_terminal_state_and_all_slots_become_free() {
    for seed in 0..3 {
        run_random(seed).await;
    }
}

//! A seeded load of enqueues, batches, cancels and retries, which notes what was
//! acknowledged.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sentinel_client::proto::jobs::v1::{CancelOutcome, EnqueueRequest, JobSpec};
use sentinel_client::{BatchOptions, Client, NewJob};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::harness::{PATIENCE, demo, until};
use crate::history::{Cancelled, History};

const CLIENTS: u64 = 4;

/// One try. On a half-open connection it never gets an answer.
const TRY: Duration = Duration::from_secs(2);

/// Calls of one client a second at most: the load is there to be right under, not to be fast.
const EVERY: Duration = Duration::from_millis(10);

/// A call under a request id is repeated for so long: over restarts, a connection that is found
/// to be half-open, and a full disk.
const ANSWER: Duration = Duration::from_secs(60);

struct Shared {
    history: Mutex<History>,
    acknowledged: AtomicUsize,
    is_over: AtomicBool,
    file: PathBuf,
}

/// A running load.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// The clients take turns with the addresses of the server.
    pub(crate) fn start(urls: &[String], seed: u64, file: &Path) -> Self {
        let shared = Arc::new(Shared {
            history: Mutex::default(),
            acknowledged: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            file: file.to_owned(),
        });
        let clients = (0..CLIENTS).map(|n| {
            let caller = Caller {
                client: client(&urls[n as usize % urls.len()]),
                entropy: StdRng::seed_from_u64(seed.wrapping_mul(CLIENTS) + n),
                shared: shared.clone(),
                name: n,
                calls: 0,
                ids: Vec::new(),
            };
            tokio::spawn(caller.run())
        });
        Self { clients: clients.collect(), shared }
    }

    /// Waits for so many more acknowledged calls.
    pub(crate) async fn acknowledges(&self, more: usize) {
        let count = || self.shared.acknowledged.load(Ordering::Relaxed);
        let wanted = count() + more;
        until("the load goes on", PATIENCE, || async { (count() >= wanted).then_some(()) }).await;
    }

    /// The jobs that were acknowledged so far.
    pub(crate) fn acknowledged(&self) -> BTreeSet<String> {
        self.shared.history.lock().expect("the history").acknowledged.iter().cloned().collect()
    }

    /// What others than its clients were told.
    pub(crate) fn note<T>(&self, note: impl FnOnce(&mut History) -> T) -> T {
        note(&mut self.shared.history.lock().expect("the history"))
    }

    /// Ends after the calls under way; answers what was noted.
    pub(crate) async fn stop(&mut self) -> History {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.await.expect("a client of the load");
        }
        std::mem::take(&mut self.shared.history.lock().expect("the history"))
    }
}

fn client(url: &str) -> Client {
    Client::lazy(url).expect("the address of a server").with_timeout(TRY)
}

struct Caller {
    client: Client,
    entropy: StdRng,
    shared: Arc<Shared>,
    name: u64,
    calls: u64,
    ids: Vec<String>,
}

impl Caller {
    async fn run(mut self) {
        let mut pace = tokio::time::interval(EVERY);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.shared.is_over.load(Ordering::Relaxed) {
            pace.tick().await;
            self.calls += 1;
            let acknowledged = match self.entropy.random_range(0..100) {
                0..50 => self.enqueue().await,
                50..62 => self.enqueue_once().await,
                62..75 => self.batch().await,
                75..90 => self.cancel().await,
                _ => self.retry().await,
            };
            if acknowledged {
                self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn note<T>(&self, note: impl FnOnce(&mut History) -> T) -> T {
        note(&mut self.shared.history.lock().expect("the history"))
    }

    fn job(&mut self) -> NewJob {
        let ms = self.entropy.random_range(0..=120);
        let job = demo("effect", json!({"file": self.shared.file, "ms": ms}));
        let job = job.max_attempts(20).priority(self.entropy.random_range(0..=9));
        if self.entropy.random_ratio(1, 5) {
            job.delay(Duration::from_millis(self.entropy.random_range(1..=600)))
        } else {
            job
        }
    }

    /// Repeated under its request id until there is an answer: stored exactly once.
    async fn enqueue(&mut self) -> bool {
        let request_id = format!("{}-{}", self.name, self.calls);
        let job = self.job().request_id(&request_id);
        let client = self.client.clone();
        let call = || async { client.enqueue(job.clone()).await.ok() };
        let enqueued = until(&format!("an answer to {request_id}"), ANSWER, call).await;
        self.stored(&request_id, vec![enqueued.job.id]);
        // A repeat gets the same answer.
        if self.entropy.random_ratio(1, 10)
            && let Some(again) = call().await
        {
            self.stored(&request_id, vec![again.job.id]);
        }
        true
    }

    /// One call without a request id: it is not known what became of it without an answer.
    async fn enqueue_once(&mut self) -> bool {
        let spec = Some(self.job().into());
        let mut request = tonic::Request::new(EnqueueRequest { spec, ..Default::default() });
        request.set_timeout(TRY);
        match self.client.raw_jobs().enqueue(request).await {
            Ok(response) => {
                let id = response.into_inner().job.expect("a job").id;
                self.note(|history| history.acknowledged.insert(id.clone()));
                self.ids.push(id);
                true
            }
            Err(_) => {
                self.note(|history| history.unknown_jobs += 1);
                false
            }
        }
    }

    async fn batch(&mut self) -> bool {
        let request_id = format!("{}-{}", self.name, self.calls);
        let count = self.entropy.random_range(2..=8);
        let specs: Vec<JobSpec> = (0..count).map(|_| self.job().into_spec()).collect();
        let options =
            BatchOptions { request_id: request_id.clone(), atomic: true, ..Default::default() };
        let call =
            || async { self.client.enqueue_batch(specs.clone(), options.clone()).await.ok() };
        let results = until(&format!("an answer to {request_id}"), ANSWER, call).await;
        let ids = results.into_iter().map(|job| job.expect("an item").id).collect();
        self.stored("", ids);
        true
    }

    fn stored(&mut self, request_id: &str, ids: Vec<String>) {
        self.note(|history| {
            history.acknowledged.extend(ids.iter().cloned());
            if !request_id.is_empty() {
                history.requests.entry(request_id.to_owned()).or_default().extend(ids.clone());
            }
        });
        self.ids.extend(ids);
    }

    /// One of the newest, so that some still wait and some run.
    fn some_job(&mut self, newest: usize) -> Option<String> {
        let from = self.ids.len().saturating_sub(newest);
        (from < self.ids.len())
            .then(|| self.ids[self.entropy.random_range(from..self.ids.len())].clone())
    }

    async fn cancel(&mut self) -> bool {
        let Some(id) = self.some_job(3) else { return false };
        let Ok(reply) = self.client.cancel(&id, "load").await else { return false };
        if reply.outcome != CancelOutcome::AlreadyFinal {
            let lines = std::fs::read(&self.shared.file).unwrap_or_default();
            let lines_before = lines.iter().filter(|byte| **byte == b'\n').count();
            let (run, version) = (reply.job.run, reply.job.version);
            self.note(|h| h.cancels.push(Cancelled { id, run, version, lines_before }));
        }
        true
    }

    /// Final ones are run again; the others refuse.
    async fn retry(&mut self) -> bool {
        let Some(id) = self.some_job(200) else { return false };
        let Ok(job) = self.client.retry(&id).await else { return false };
        self.note(|history| history.retries.push((id, job.run)));
        true
    }
}

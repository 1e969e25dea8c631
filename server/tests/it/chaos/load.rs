//! A seeded load of enqueues, batches, cancels and retries that records what was acknowledged.

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

use crate::harness::{TIMEOUT, demo_job, wait_until};
use crate::history::{AcknowledgedCancel, History};

const CLIENTS: u64 = 4;

/// The timeout of one call. A call on a half-open connection never gets a response.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// The interval between two calls of a client. The load tests correctness, not throughput.
const INTERVAL: Duration = Duration::from_millis(10);

/// How long a call with a request id is repeated, over restarts, half-open connections and a full
/// disk.
const RETRY_LIMIT: Duration = Duration::from_secs(60);

/// The state that all clients of the load share.
struct LoadState {
    history: Mutex<History>,
    acknowledged: AtomicUsize,
    is_stopped: AtomicBool,
    file: PathBuf,
}

/// A running load.
pub(crate) struct Load {
    shared: Arc<LoadState>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts the clients and distributes them over the addresses.
    pub(crate) fn start(urls: &[String], seed: u64, file: &Path) -> Self {
        let shared = Arc::new(LoadState {
            history: Mutex::default(),
            acknowledged: AtomicUsize::new(0),
            is_stopped: AtomicBool::new(false),
            file: file.to_owned(),
        });
        let clients = (0..CLIENTS).map(|n| {
            let client = LoadClient {
                client: client(&urls[n as usize % urls.len()]),
                entropy: StdRng::seed_from_u64(seed.wrapping_mul(CLIENTS) + n),
                shared: shared.clone(),
                name: n,
                calls: 0,
                ids: Vec::new(),
            };
            tokio::spawn(client.run())
        });
        Self { clients: clients.collect(), shared }
    }

    /// Waits for this many more acknowledged calls.
    pub(crate) async fn wait_acknowledged(&self, more: usize) {
        let count = || self.shared.acknowledged.load(Ordering::Relaxed);
        let target = count() + more;
        wait_until("the load continues", TIMEOUT, || async { (count() >= target).then_some(()) })
            .await;
    }

    /// Returns the jobs that were acknowledged so far.
    pub(crate) fn acknowledged(&self) -> BTreeSet<String> {
        self.shared.history.lock().expect("no poisoned lock").acknowledged.iter().cloned().collect()
    }

    /// Records an observation that was made outside of the load.
    pub(crate) fn record<T>(&self, record: impl FnOnce(&mut History) -> T) -> T {
        record(&mut self.shared.history.lock().expect("no poisoned lock"))
    }

    /// Waits for the calls in flight and returns the history.
    pub(crate) async fn stop(&mut self) -> History {
        self.shared.is_stopped.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.await.expect("no panic in a client");
        }
        std::mem::take(&mut self.shared.history.lock().expect("no poisoned lock"))
    }
}

fn client(url: &str) -> Client {
    let client = Client::connect_lazy(url).expect("a valid server address");
    client.with_timeout(CALL_TIMEOUT).with_deadline(4 * CALL_TIMEOUT)
}

struct LoadClient {
    client: Client,
    entropy: StdRng,
    shared: Arc<LoadState>,
    name: u64,
    calls: u64,
    ids: Vec<String>,
}

impl LoadClient {
    async fn run(mut self) {
        let mut pace = tokio::time::interval(INTERVAL);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.shared.is_stopped.load(Ordering::Relaxed) {
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

    fn record<T>(&self, record: impl FnOnce(&mut History) -> T) -> T {
        record(&mut self.shared.history.lock().expect("no poisoned lock"))
    }

    fn job(&mut self) -> NewJob {
        let ms = self.entropy.random_range(0..=120);
        let job = demo_job("effect", json!({"file": self.shared.file, "ms": ms}));
        let job = job.max_attempts(20).priority(self.entropy.random_range(0..=9));
        if self.entropy.random_ratio(1, 5) {
            job.delay(Duration::from_millis(self.entropy.random_range(1..=600)))
        } else {
            job
        }
    }

    /// Repeats the call with its request id until it gets a response; the job is stored exactly
    /// once.
    async fn enqueue(&mut self) -> bool {
        let request_id = format!("{}-{}", self.name, self.calls);
        let job = self.job().request_id(&request_id);
        let client = self.client.clone();
        let call = || async { client.enqueue(job.clone()).await.ok() };
        let enqueued = wait_until(&format!("a response for {request_id}"), RETRY_LIMIT, call).await;
        self.record_jobs(&request_id, vec![enqueued.job.id]);
        // A repeated call returns the same job.
        if self.entropy.random_ratio(1, 10)
            && let Some(again) = call().await
        {
            self.record_jobs(&request_id, vec![again.job.id]);
        }
        true
    }

    /// Makes one call without a request id. Without a response its outcome is unknown.
    async fn enqueue_once(&mut self) -> bool {
        let spec = Some(self.job().into());
        let mut request = tonic::Request::new(EnqueueRequest { spec, ..Default::default() });
        request.set_timeout(CALL_TIMEOUT);
        match self.client.raw_jobs().enqueue(request).await {
            Ok(response) => {
                let id = response.into_inner().job.expect("a job").id;
                self.record(|history| history.acknowledged.insert(id.clone()));
                self.ids.push(id);
                true
            }
            Err(_) => {
                self.record(|history| history.unknown_jobs += 1);
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
        let results = wait_until(&format!("a response for {request_id}"), RETRY_LIMIT, call).await;
        let ids = results.into_iter().map(|job| job.expect("a stored job").id).collect();
        self.record_jobs("", ids);
        true
    }

    fn record_jobs(&mut self, request_id: &str, ids: Vec<String>) {
        self.record(|history| {
            history.acknowledged.extend(ids.iter().cloned());
            if !request_id.is_empty() {
                history.requests.entry(request_id.to_owned()).or_default().extend(ids.clone());
            }
        });
        self.ids.extend(ids);
    }

    /// Picks one of the newest jobs, which may be waiting, running or terminal.
    fn pick_job(&mut self, newest: usize) -> Option<String> {
        let from = self.ids.len().saturating_sub(newest);
        (from < self.ids.len())
            .then(|| self.ids[self.entropy.random_range(from..self.ids.len())].clone())
    }

    async fn cancel(&mut self) -> bool {
        let Some(id) = self.pick_job(3) else { return false };
        let Ok(reply) = self.client.cancel(&id, "load").await else { return false };
        if reply.outcome != CancelOutcome::AlreadyTerminal {
            let lines = std::fs::read(&self.shared.file).unwrap_or_default();
            let lines_before = lines.iter().filter(|byte| **byte == b'\n').count();
            let (run, version) = (reply.job.run, reply.job.version);
            self.record(|h| h.cancels.push(AcknowledgedCancel { id, run, version, lines_before }));
        }
        true
    }

    /// Retries a job; the server refuses this unless the job is terminal.
    async fn retry(&mut self) -> bool {
        let Some(id) = self.pick_job(200) else { return false };
        let Ok(job) = self.client.retry(&id).await else { return false };
        self.record(|history| history.retries.push((id, job.run)));
        true
    }
}

//! Checks over new connections that the system recovers in time after a fault.

use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use sentinel_client::proto::jobs::v1::{JobFilter, JobState, JobView};
use sentinel_client::{Client, NewJob, is_terminal};
use serde_json::json;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::fault::Fault;
use super::fixture::ChaosFixture;
use crate::harness::poll;

/// The recovery limit of a single server.
const RECOVERY_LIMIT: Duration = Duration::from_secs(10);

/// The recovery limit of a cluster. A client detects a half-open connection after 8 s, a server
/// detects one to Redis after 5 s, and the lease of a hanging leader expires after 3 s. The new
/// leader may wait 5 s for rows that the former leader has locked, until the database gives up on
/// that connection, and 2 s for a half-open connection of its own. Then it projects the backlog.
const CLUSTER_RECOVERY_LIMIT: Duration = Duration::from_secs(20);

const SERVICES: [&str; 6] = [
    "sentinel.jobs.v1.IngestService",
    "sentinel.jobs.v1.KindService",
    "sentinel.jobs.v1.JobService",
    "sentinel.workers.v1.WorkerService",
    "sentinel.admin.v1.QueueService",
    "sentinel.admin.v1.WorkerRegistryService",
];

/// The result of the health checks.
pub(super) struct Health {
    /// The time until all checks passed, or until the limit.
    pub(super) took: Duration,
    pub(super) failures: Vec<String>,
    /// The jobs that the checks enqueued.
    pub(super) jobs: Vec<String>,
}

impl ChaosFixture {
    /// Asserts that the system recovers in time after a fault.
    pub(crate) async fn assert_recovers(&mut self, fault: Fault) {
        self.assert_recovers_after(fault, Duration::ZERO).await;
    }

    /// Like [`Self::assert_recovers`], when the ledger was unavailable for `behind`. The projector
    /// catches up at least three times as fast as entries arrived, beside the load.
    pub(crate) async fn assert_recovers_after(&mut self, fault: Fault, behind: Duration) {
        let health = self.health(behind / 3).await;
        let failures = health.failures;
        println!("          recovered after {:?}", health.took);
        assert!(failures.is_empty(), "seed {}, {fault:?}: {failures:#?}", self.seed);
        self.worst_recovery = self.worst_recovery.max(health.took);
        self.load.record(|history| history.acknowledged.extend(health.jobs));
    }

    /// Runs all checks until they pass or the limit is reached. `extra` is added to the limit.
    pub(super) async fn health(&self, extra: Duration) -> Health {
        let start = Instant::now();
        let limit = if self.servers.len() > 1 { CLUSTER_RECOVERY_LIMIT } else { RECOVERY_LIMIT };
        let left = || (limit + extra).saturating_sub(start.elapsed());
        let mut health = Health { took: Duration::ZERO, failures: Vec::new(), jobs: Vec::new() };
        for server in &self.servers {
            for service in SERVICES {
                if poll(left(), || is_serving(server.url(), service)).await.is_none() {
                    health.failures.push(format!("{service} is not SERVING at {}", server.url()));
                }
            }
        }
        // One job per worker, in the queue that only this worker serves, through each server in
        // turn.
        for (nth, worker) in self.worker_names().enumerate() {
            let client = self.client(nth);
            let job = NewJob::new(worker, "demo.effect").priority(9).max_attempts(20);
            let job = job.json(&json!({"file": self.file})).expect("a JSON value");
            let enqueued = poll(left(), || async { client.enqueue(job.clone()).await.ok() });
            match enqueued.await {
                Some(enqueued) => health.jobs.push(enqueued.job.id),
                None => {
                    health.failures.push(format!("no server accepted a job for worker {worker}"))
                }
            }
        }
        for (nth, (id, worker)) in health.jobs.iter().zip(self.worker_names()).enumerate() {
            let client = self.client(nth + 1);
            let succeeded = || async {
                let job = client.get(id).await.ok()?;
                (job.state() == JobState::Succeeded && job.worker == *worker).then_some(())
            };
            if poll(left(), succeeded).await.is_none() {
                let job = client.get(id).await;
                health.failures.push(format!("worker {worker} did not run its job: {job:?}"));
            }
        }
        for (number, recorder) in self.recorders.iter().enumerate() {
            let shows_all =
                || async { health.jobs.iter().all(|id| recorder.shows_end_of(id)).then_some(()) };
            if poll(left(), shows_all).await.is_none() {
                health
                    .failures
                    .push(format!("watch {number} did not show the end of all check jobs"));
            }
        }
        for nth in 0..self.servers.len() {
            let client = self.client(nth);
            for (id, worker) in health.jobs.iter().zip(self.worker_names()) {
                if poll(left(), || lists_end_of(&client, worker, id)).await.is_none() {
                    health.failures.push(format!("server {nth} does not list the end of {id}"));
                }
            }
        }
        health.took = start.elapsed();
        health
    }
}

async fn is_serving(url: String, service: &str) -> Option<()> {
    let endpoint = tonic::transport::Endpoint::from_shared(url).ok()?;
    let channel = endpoint.connect().await.ok()?;
    let request = HealthCheckRequest { service: service.to_owned() };
    let response = HealthClient::new(channel).check(request).await.ok()?.into_inner();
    (response.status() == ServingStatus::Serving).then_some(())
}

/// Returns `Some` when the ledger has the end of the job.
async fn lists_end_of(client: &Client, queue: &str, id: &str) -> Option<()> {
    let of_queue = JobFilter { queues: vec![queue.to_owned()], ..JobFilter::default() };
    let jobs = client.list_all(of_queue, 1_000, JobView::Basic);
    let jobs: Vec<_> = jobs.try_collect().await.ok()?;
    jobs.iter().any(|job| job.id == id && is_terminal(job.state())).then_some(())
}

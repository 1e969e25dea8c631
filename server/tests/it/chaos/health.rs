//! Whether everything is well again soon after a fault: asked from outside, with fresh
//! connections.

use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use sentinel_client::proto::jobs::v1::{JobFilter, JobState, JobView};
use sentinel_client::{Client, NewJob, is_terminal};
use serde_json::json;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::fault::Fault;
use super::site::Site;
use crate::harness::probe;

/// After a fault of one server everything must be well within this time.
const WELL_WITHIN: Duration = Duration::from_secs(10);

/// The same for several servers over their stores. A client finds out in 8 s that its
/// connection is half-open, a server in 5 s that the one to Redis is, and the lead of one that
/// hangs ends in 3 s. Whoever takes it may wait 5 s for rows that the former leader wrote, until
/// the database gives up on it, and 2 s for a connection of its own that is half-open; then it
/// carries over what has piled up.
const MANY_WELL_WITHIN: Duration = Duration::from_secs(20);

const SERVICES: [&str; 6] = [
    "sentinel.jobs.v1.IngestService",
    "sentinel.jobs.v1.KindService",
    "sentinel.jobs.v1.JobService",
    "sentinel.workers.v1.WorkerService",
    "sentinel.admin.v1.QueueService",
    "sentinel.admin.v1.WorkerRegistryService",
];

/// What was found.
pub(super) struct Health {
    /// From the last fault until all was well, or until it was given up.
    pub(super) took: Duration,
    pub(super) ailments: Vec<String>,
    /// Jobs that were enqueued in order to see them run.
    pub(super) jobs: Vec<String>,
}

impl Site {
    /// All is well in time after a fault.
    pub(crate) async fn recovers(&mut self, fault: Fault) {
        self.recovers_from(fault, Duration::ZERO).await;
    }

    /// The same when the history fell behind for so long: it catches up at least three times
    /// as fast as it did, on a machine that is busy with the load as well.
    pub(crate) async fn recovers_from(&mut self, fault: Fault, behind: Duration) {
        let health = self.health(behind / 3).await;
        let ailments = health.ailments;
        println!("          well after {:?}", health.took);
        assert!(ailments.is_empty(), "seed {}, {fault:?}: {ailments:#?}", self.seed);
        self.worst_well_after = self.worst_well_after.max(health.took);
        self.load.note(|history| history.acknowledged.extend(health.jobs));
    }

    /// Looks until all is well or the time is over.
    pub(super) async fn health(&self, more: Duration) -> Health {
        let start = Instant::now();
        let within = if self.servers.len() > 1 { MANY_WELL_WITHIN } else { WELL_WITHIN };
        let left = || (within + more).saturating_sub(start.elapsed());
        let mut health = Health { took: Duration::ZERO, ailments: Vec::new(), jobs: Vec::new() };
        for server in &self.servers {
            for service in SERVICES {
                if probe(left(), || serves(server.url(), service)).await.is_none() {
                    health.ailments.push(format!("{service} is not SERVING at {}", server.url()));
                }
            }
        }
        // One job for each worker, in the queue that it alone serves, by each server in turn.
        for (nth, worker) in self.workers().enumerate() {
            let client = self.client(nth);
            let job = NewJob::new(worker, "demo.effect").priority(9).max_attempts(20);
            let job = job.json(&json!({"file": self.file})).expect("a JSON value");
            let enqueued = probe(left(), || async { client.enqueue(job.clone()).await.ok() });
            match enqueued.await {
                Some(enqueued) => health.jobs.push(enqueued.job.id),
                None => health.ailments.push(format!("no job for worker {worker} was taken")),
            }
        }
        for (nth, (id, worker)) in health.jobs.iter().zip(self.workers()).enumerate() {
            let client = self.client(nth + 1);
            let succeeded = || async {
                let job = client.get(id).await.ok()?;
                (job.state() == JobState::Succeeded && job.worker == *worker).then_some(())
            };
            if probe(left(), succeeded).await.is_none() {
                let job = client.get(id).await;
                health.ailments.push(format!("worker {worker} did not run its job: {job:?}"));
            }
        }
        for (number, recorder) in self.recorders.iter().enumerate() {
            let all =
                || async { health.jobs.iter().all(|id| recorder.has_end_of(id)).then_some(()) };
            if probe(left(), all).await.is_none() {
                health.ailments.push(format!("watch {number} did not show the last jobs"));
            }
        }
        for nth in 0..self.servers.len() {
            let client = self.client(nth);
            for (id, worker) in health.jobs.iter().zip(self.workers()) {
                if probe(left(), || lists(&client, worker, id)).await.is_none() {
                    health.ailments.push(format!("server {nth} does not list the end of {id}"));
                }
            }
        }
        health.took = start.elapsed();
        health
    }
}

async fn serves(url: String, service: &str) -> Option<()> {
    let endpoint = tonic::transport::Endpoint::from_shared(url).ok()?;
    let channel = endpoint.connect().await.ok()?;
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = HealthClient::new(channel).check(request).await.ok()?.into_inner();
    (answer.status() == ServingStatus::Serving).then_some(())
}

/// The ledger has the end of a job.
async fn lists(client: &Client, queue: &str, id: &str) -> Option<()> {
    let of_queue = JobFilter { queues: vec![queue.to_owned()], ..JobFilter::default() };
    let jobs = client.list_all(of_queue, 1_000, JobView::Basic);
    let jobs: Vec<_> = jobs.try_collect().await.ok()?;
    jobs.iter().any(|job| job.id == id && is_terminal(job.state())).then_some(())
}

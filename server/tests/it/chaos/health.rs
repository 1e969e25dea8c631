//! Whether everything is well again soon after the last fault: asked from outside, with fresh
//! connections.

use std::time::{Duration, Instant};

use sentinel_client::proto::jobs::v1::JobState;
use sentinel_client::{Client, NewJob};
use serde_json::json;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::site::Site;
use crate::harness::probe;

/// After the last fault everything must be well within this time.
pub(super) const WELL_WITHIN: Duration = Duration::from_secs(10);

const SERVICES: [&str; 3] = [
    "sentinel.jobs.v1.JobService",
    "sentinel.workers.v1.WorkerService",
    "sentinel.admin.v1.QueueService",
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
    /// Looks until all is well or the time is over.
    pub(super) async fn health(&self) -> Health {
        let start = Instant::now();
        let left = || WELL_WITHIN.saturating_sub(start.elapsed());
        let mut health = Health { took: Duration::ZERO, ailments: Vec::new(), jobs: Vec::new() };
        let url = self.world.server.url();
        for service in SERVICES {
            if probe(left(), || serves(&url, service)).await.is_none() {
                health.ailments.push(format!("{service} is not SERVING"));
            }
        }
        let client = Client::lazy(&url).expect("the address of the server");
        // One job for each worker, in the queue that it alone serves.
        for worker in self.workers() {
            let job = NewJob::new(worker, "demo.effect").priority(9).max_attempts(20);
            let job = job.json(&json!({"file": self.file})).expect("a JSON value");
            let enqueued = probe(left(), || async { client.enqueue(job.clone()).await.ok() });
            match enqueued.await {
                Some(enqueued) => health.jobs.push(enqueued.job.id),
                None => health.ailments.push(format!("no job for worker {worker} was taken")),
            }
        }
        for (id, worker) in health.jobs.iter().zip(self.workers()) {
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
        health.took = start.elapsed();
        health
    }
}

async fn serves(url: &str, service: &str) -> Option<()> {
    let endpoint = tonic::transport::Endpoint::from_shared(url.to_owned()).ok()?;
    let channel = endpoint.connect().await.ok()?;
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = HealthClient::new(channel).check(request).await.ok()?.into_inner();
    (answer.status() == ServingStatus::Serving).then_some(())
}

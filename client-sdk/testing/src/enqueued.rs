//! What the code under test has enqueued, in the eyes of the server.

use std::time::Duration;

use futures_util::TryStreamExt;
use sentinel_client::Job;
use sentinel_client::proto::jobs::v1::{self as wire, JobFilter, JobView};

use crate::TestServer;

/// Lists are a moment behind; under load that is more than a moment.
const PATIENCE: Duration = Duration::from_secs(15);
const EVERY: Duration = Duration::from_millis(20);
const PAGE: i32 = 500;

impl TestServer {
    /// Waits until `at_least` jobs of this kind were enqueued, in whatever state they are; answers
    /// the payloads of all of them, oldest first. Those of one batch are in no order.
    ///
    /// # Panics
    /// When there are fewer after 15 s, or a payload is of another shape.
    pub async fn wait_for_payloads<J: Job>(&self, at_least: usize) -> Vec<J> {
        let payload = |job: &wire::Job| {
            let payload = job.spec.as_ref().map(|spec| spec.payload.as_ref()).unwrap_or_default();
            serde_json::from_slice(payload)
                .unwrap_or_else(|error| panic!("the payload of a {} job: {error}", J::KIND))
        };
        self.wait_for_jobs::<J>(at_least).await.iter().map(payload).collect()
    }

    /// As [`TestServer::wait_for_payloads`], with all that the server knows of the jobs.
    ///
    /// # Panics
    /// When there are fewer after 15 s.
    pub async fn wait_for_jobs<J: Job>(&self, at_least: usize) -> Vec<wire::Job> {
        let filter = JobFilter { kinds: vec![J::KIND.to_owned()], ..JobFilter::default() };
        let start = std::time::Instant::now();
        loop {
            let jobs = self.client().list_all(filter.clone(), PAGE, JobView::Full);
            let mut jobs: Vec<wire::Job> = jobs.try_collect().await.expect("a list of jobs");
            if jobs.len() >= at_least {
                jobs.reverse();
                return jobs;
            }
            let found = jobs.len();
            let kind = J::KIND;
            assert!(start.elapsed() < PATIENCE, "{found} jobs of kind {kind}, not {at_least}");
            tokio::time::sleep(EVERY).await;
        }
    }
}

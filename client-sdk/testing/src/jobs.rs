//! The jobs that the code under test has enqueued.

use std::time::Duration;

use futures_util::TryStreamExt;
use sentinel_client::Job;
use sentinel_client::proto::jobs::v1::{self as wire, JobFilter, JobView};

use crate::TestServer;

/// Lists are updated with a short delay, which is longer under load.
const TIMEOUT: Duration = Duration::from_secs(15);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
const PAGE_SIZE: i32 = 500;

impl TestServer {
    /// Waits until at least `count` jobs of the kind were enqueued, in any state. Returns the
    /// payloads of all of them, oldest first; jobs of one batch have no defined order.
    ///
    /// # Panics
    /// When there are fewer jobs after 15 s, or a payload does not deserialize.
    pub async fn wait_for_payloads<J: Job>(&self, count: usize) -> Vec<J> {
        let payload = |job: &wire::Job| {
            let payload = job.spec.as_ref().map(|spec| spec.payload.as_ref()).unwrap_or_default();
            serde_json::from_slice(payload)
                .unwrap_or_else(|error| panic!("the payload of a {} job: {error}", J::KIND))
        };
        self.wait_for_jobs::<J>(count).await.iter().map(payload).collect()
    }

    /// As [`TestServer::wait_for_payloads`], but returns the jobs.
    ///
    /// # Panics
    /// When there are fewer jobs after 15 s.
    pub async fn wait_for_jobs<J: Job>(&self, count: usize) -> Vec<wire::Job> {
        let filter = JobFilter { kinds: vec![J::KIND.to_owned()], ..JobFilter::default() };
        let start = std::time::Instant::now();
        loop {
            let jobs = self.client().list_all(filter.clone(), PAGE_SIZE, JobView::Full);
            let mut jobs: Vec<wire::Job> = jobs.try_collect().await.expect("list jobs");
            if jobs.len() >= count {
                jobs.reverse();
                return jobs;
            }
            let found = jobs.len();
            let kind = J::KIND;
            assert!(
                start.elapsed() < TIMEOUT,
                "found {found} jobs of kind {kind}, expected at least {count}"
            );
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

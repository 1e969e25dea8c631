//! The end of a run: stops the load, waits until all jobs are terminal and checks the history.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use sentinel_client::proto::jobs::v1::{JobFilter, JobState, JobView};
use sentinel_client::{Client, is_terminal};
use serde_json::json;

use super::fixture::ChaosFixture;
use super::recorder::WatchRecorder;
use crate::harness::{TIMEOUT, demo_job, enqueue, wait_terminal, wait_until};
use crate::history::{History, ObservedJob, RecordedEvent, check, side_effects};

/// Concurrent Get calls.
const GETS: usize = 16;

impl ChaosFixture {
    /// Stops the load, waits until the system is healthy and idle, and checks the history.
    pub(crate) async fn finish(mut self) {
        self.restore();
        let health = self.health(Duration::ZERO).await;
        let mut history = self.load.stop().await;
        self.worst_recovery = self.worst_recovery.max(health.took);
        history.acknowledged.extend(health.jobs);
        history.health_failures = health.failures;
        let client = self.client(0);
        get_all(&client, &mut history).await;
        // A watch keeps the order: once it shows this job, it has shown all earlier changes.
        let last = enqueue(&self.client(1), demo_job("noop", json!({}))).await;
        history
            .got
            .insert(last.clone(), ObservedJob::from(&wait_terminal(&self.client(2), &last).await));
        wait_until("all watches show the end of the last job", TIMEOUT, || async {
            self.recorders.iter().all(|recorder| recorder.shows_end_of(&last)).then_some(())
        })
        .await;
        history.acknowledged.insert(last.clone());
        list_all(&self.client(1), &last, &mut history).await;
        history.side_effects = side_effects(&self.file);
        history.watches = self.recorders.drain(..).map(WatchRecorder::stop).collect();
        let report = json!({
            "test": self.name,
            "seed": self.seed,
            "faults": self.faults,
            "recovered_after_ms":
                u64::try_from(self.worst_recovery.as_millis()).expect("a short time"),
            "checked": counts(&history),
        });
        // `cargo xtask soak` parses this line.
        println!("soak {report}");
        let violations = check(&history);
        assert!(violations.is_empty(), "seed {}: {violations:#?}", self.seed);
        self.assert_workers_alive();
    }
}

/// Waits until every acknowledged job is terminal, as Get returns it from the store.
async fn get_all(client: &Client, history: &mut History) {
    let jobs = stream::iter(history.acknowledged.clone()).map(|id| async {
        let what = format!("job {id} is terminal");
        let job = wait_until(&what, TIMEOUT, || async {
            client.get(&id).await.ok().filter(|job| is_terminal(job.state()))
        });
        let job = ObservedJob::from(&job.await);
        (id, job)
    });
    history.got.extend(jobs.buffer_unordered(GETS).collect::<Vec<_>>().await);
}

/// Waits until every job is terminal in the ledger, which lags behind the store. This includes
/// jobs that calls without a response have stored.
async fn list_all(client: &Client, last: &str, history: &mut History) {
    history.listed = wait_until("the list has the end of every job", TIMEOUT, || async {
        let jobs = client.list_all(JobFilter::default(), 1_000, JobView::Basic);
        let jobs: Vec<_> = jobs
            .map_ok(|job| (job.id.clone(), ObservedJob::from(&job)))
            .try_collect()
            .await
            .ok()?;
        let has_last = jobs.iter().any(|(id, _)| id == last);
        (has_last && jobs.iter().all(|(_, job)| is_terminal(job.state))).then_some(jobs)
    })
    .await;
}

fn counts(history: &History) -> serde_json::Value {
    let of = |state| history.got.values().filter(|job| job.state == state).count();
    json!({
        "jobs": history.acknowledged.len(),
        "succeeded": of(JobState::Succeeded),
        "cancelled": of(JobState::Cancelled),
        "failed": of(JobState::Failed),
        "handlers_started": history.side_effects.iter().filter(|line| line.is_start).count(),
        "cancels": history.cancels.len(),
        "retries": history.retries.len(),
        "calls_without_response": history.unknown_jobs,
        "watch_events": history.watches.iter().map(Vec::len).sum::<usize>(),
        "gaps": history
            .watches
            .iter()
            .flatten()
            .filter(|event| matches!(event, RecordedEvent::Gap))
            .count(),
    })
}

//! The end of a dose: the load stops, all comes to rest, and the history is judged.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use sentinel_client::proto::jobs::v1::{JobFilter, JobState, JobView};
use sentinel_client::{Client, is_terminal};
use serde_json::json;

use super::recorder::Recorder;
use super::site::Site;
use crate::harness::{PATIENCE, demo, end_of, enqueue, until};
use crate::history::{History, Look, Seen, check, effects};

/// Calls under way at once.
const GETS: usize = 16;

impl Site {
    /// Ends the load, waits until all is well and nothing moves, and judges the history.
    pub(crate) async fn close(mut self) {
        self.restore();
        let health = self.health(Duration::ZERO).await;
        let mut history = self.load.stop().await;
        self.worst_well_after = self.worst_well_after.max(health.took);
        history.acknowledged.extend(health.jobs);
        history.ailments = health.ailments;
        let client = self.client(0);
        ends(&client, &mut history).await;
        // A watch keeps the order: what shows this one has shown all before.
        let last = enqueue(&self.client(1), demo("noop", json!({}))).await;
        history.got.insert(last.clone(), Look::from(&end_of(&self.client(2), &last).await));
        until("the watches show the last job", PATIENCE, || async {
            self.recorders.iter().all(|recorder| recorder.has_end_of(&last)).then_some(())
        })
        .await;
        history.acknowledged.insert(last.clone());
        list(&self.client(1), &last, &mut history).await;
        history.effects = effects(&self.file);
        history.watches = self.recorders.drain(..).map(Recorder::stop).collect();
        let dose = json!({
            "dose": self.name,
            "seed": self.seed,
            "faults": self.faults,
            "well_after_ms":
                u64::try_from(self.worst_well_after.as_millis()).expect("a short time"),
            "checked": counts(&history),
        });
        // Read by `cargo xtask soak`.
        println!("dose {dose}");
        let violations = check(&history);
        assert!(violations.is_empty(), "seed {}: {violations:#?}", self.seed);
        self.assert_fleet();
    }
}

/// Waits until nothing moves any more: the ends that the hot store tells.
async fn ends(client: &Client, history: &mut History) {
    let looks = stream::iter(history.acknowledged.clone()).map(|id| async {
        let what = format!("job {id} is final");
        let job = until(&what, PATIENCE, || async {
            client.get(&id).await.ok().filter(|job| is_terminal(job.state()))
        });
        let look = Look::from(&job.await);
        (id, look)
    });
    history.got.extend(looks.buffer_unordered(GETS).collect::<Vec<_>>().await);
}

/// The ends that the ledger tells, which follows; what calls without an answer stored must
/// end, too.
async fn list(client: &Client, last: &str, history: &mut History) {
    history.listed = until("the list has all ends", PATIENCE, || async {
        let jobs = client.list_all(JobFilter::default(), 1_000, JobView::Basic);
        let jobs: Vec<_> =
            jobs.map_ok(|job| (job.id.clone(), Look::from(&job))).try_collect().await.ok()?;
        let has_last = jobs.iter().any(|(id, _)| id == last);
        (has_last && jobs.iter().all(|(_, look)| is_terminal(look.state))).then_some(jobs)
    })
    .await;
}

fn counts(history: &History) -> serde_json::Value {
    let of = |state| history.got.values().filter(|look| look.state == state).count();
    json!({
        "jobs": history.acknowledged.len(),
        "succeeded": of(JobState::Succeeded),
        "cancelled": of(JobState::Cancelled),
        "failed": of(JobState::Failed),
        "handlers_begun": history.effects.iter().filter(|line| line.is_start).count(),
        "cancels": history.cancels.len(),
        "retries": history.retries.len(),
        "calls_without_answer": history.unknown_jobs,
        "changes_seen": history.watches.iter().map(Vec::len).sum::<usize>(),
        "gaps_declared": history
            .watches
            .iter()
            .flatten()
            .filter(|seen| matches!(seen, Seen::Gap))
            .count(),
    })
}

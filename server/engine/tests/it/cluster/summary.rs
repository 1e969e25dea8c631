//! Queue summaries of one server include the activity of another.

use sentinel_domain::{Scopes, State};
use sentinel_engine::SummarySelection;

use super::TestCluster;
use crate::harness::within_timeout;
use crate::worker::{ScriptedWorker, failed_report, hello, succeeded_report};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_summary_includes_the_jobs_of_another_server() {
    let (_cluster, a, b) = TestCluster::two_servers().await;
    // A job from before the first watch: later journal entries do not repeat its queue.
    let job = b.enqueue().await;
    a.wait_state(job.id, State::Ready).await;
    let selection = SummarySelection { queues: vec!["q".into()], within: Scopes::ALL };
    let mut summaries = a.engine.summaries().open(selection, true).expect("open a watch");
    within_timeout("the first summary", summaries.next()).await.expect("no error");
    for _ in 0..4 {
        b.enqueue().await;
    }
    let mut worker = ScriptedWorker::join(&b.engine, hello(4)).await;
    let jobs = worker.accept_jobs(4).await;
    worker
        .report(vec![
            succeeded_report(&jobs[0]),
            succeeded_report(&jobs[1]),
            failed_report(&jobs[2], false),
        ])
        .await;
    // Each job uses one credit.
    let expected =
        [(State::Ready, 1), (State::Running, 1), (State::Succeeded, 2), (State::Failed, 1)];
    within_timeout("a summary with all jobs", async {
        loop {
            let summary = summaries.next().await.expect("no error").expect("a summary");
            let [one] = &summary.queues[..] else { continue };
            let window_s = summary.window_ms as f64 / 1_000.0;
            let activity = &one.activity;
            let rates = [
                activity.enqueued_per_second,
                activity.started_per_second,
                activity.succeeded_per_second,
                activity.failed_per_second,
            ];
            let sums = rates.map(|rate| (rate * window_s).round() as u64);
            let states: Vec<_> = one.states.iter().map(|of| (of.state, of.count)).collect();
            let samples = [activity.wait, activity.run].map(|of| of.map_or(0, |of| of.samples));
            assert!(sums[0] <= 4 && sums[1] <= 4 && sums[2] <= 2 && sums[3] <= 1, "{sums:?}");
            let is_complete = sums == [4, 4, 2, 1] && states == expected && samples == [4, 3];
            if is_complete && one.oldest_ready_ms.is_some() {
                break;
            }
        }
    })
    .await;
    worker.bye().await;
    a.close().await;
    b.close().await;
}

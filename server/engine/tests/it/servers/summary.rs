//! Figures at one server of what happens at another one.

use sentinel_domain::{Scopes, State};
use sentinel_engine::SummarySelection;

use super::Site;
use crate::house::bounded;
use crate::worker::{Worker, crash, hello, success};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_elsewhere_is_summed() {
    let (_site, a, b) = Site::two().await;
    // From before anybody watched: the journal says its queue no more.
    let job = b.enqueue().await;
    a.until_state(job.id, State::Ready).await;
    let selection = SummarySelection { queues: vec!["q".into()], within: Scopes::ALL };
    let mut summaries = a.engine.summaries(selection, true).expect("opens");
    bounded("the first", summaries.next()).await.expect("goes on");
    for _ in 0..4 {
        b.enqueue().await;
    }
    let mut worker = Worker::join(&b.engine, hello(4)).await;
    let jobs = worker.assigned(4).await;
    worker.report(vec![success(&jobs[0]), success(&jobs[1]), crash(&jobs[2], false)]).await;
    // A credit is gone with each job.
    let expected =
        [(State::Ready, 1), (State::Running, 1), (State::Succeeded, 2), (State::Failed, 1)];
    bounded("the figures of what was done", async {
        loop {
            let summary = summaries.next().await.expect("goes on").expect("a summary");
            let [one] = &summary.queues[..] else { continue };
            let window_s = summary.window_ms as f64 / 1_000.0;
            let flow = &one.flow;
            let rates = [
                flow.enqueued_per_second,
                flow.started_per_second,
                flow.succeeded_per_second,
                flow.failed_per_second,
            ];
            let sums = rates.map(|rate| (rate * window_s).round() as u64);
            let states: Vec<_> = one.states.iter().map(|of| (of.state, of.count)).collect();
            let samples = [flow.wait, flow.run].map(|of| of.map_or(0, |of| of.samples));
            assert!(sums[0] <= 4 && sums[1] <= 4 && sums[2] <= 2 && sums[3] <= 1, "{sums:?}");
            let is_whole = sums == [4, 4, 2, 1] && states == expected && samples == [4, 3];
            if is_whole && one.oldest_ready_ms.is_some() {
                break;
            }
        }
    })
    .await;
    worker.bye().await;
    a.close().await;
    b.close().await;
}

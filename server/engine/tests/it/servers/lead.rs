//! One server at a time carries the journal over.

use sentinel_domain::State;
use sentinel_engine::session::ReportVerdict;

use super::{Member, Site};
use crate::house::eventually;
use crate::worker::{Worker, hello, success};

/// Who has the lead.
async fn leader(members: &[&Member]) -> usize {
    eventually("somebody leads", async || members.iter().position(|member| member.engine.leads()))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_server_takes_over_when_the_leader_dies() {
    let (site, a, b) = Site::two().await;
    let first = leader(&[&a, &b]).await;
    let (dead, alive) = if first == 0 { (a, b) } else { (b, a) };
    let mut worker = Worker::join(&alive.engine, hello(1)).await;
    dead.kill();
    let job = alive.enqueue().await;
    let jobs = worker.assigned(1).await;
    assert_eq!(worker.report(vec![success(&jobs[0])]).await, [ReportVerdict::Recorded]);
    eventually("the other one projects", async || {
        let found = site.ledger.get(vec![job.id]).await.expect("answers").pop().flatten();
        found.filter(|job| job.status.state == State::Succeeded)
    })
    .await;
    assert!(alive.engine.leads());
    worker.bye().await;
    alive.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_closes_hands_the_lead_on() {
    let (_site, a, b) = Site::two().await;
    let first = leader(&[&a, &b]).await;
    let (leaves, stays) = if first == 0 { (a, b) } else { (b, a) };
    assert!(!stays.engine.leads());
    leaves.close().await;
    leader(&[&stays]).await;
    stays.close().await;
}

//! The leader, which runs the projector, dies and another server takes over.

use std::time::{Duration, Instant};

use sentinel_client::proto::jobs::v1::{JobFilter, ListRequest};
use sentinel_client::{Client, NewJob, is_terminal};

use super::SERVERS;
use crate::chaos::fixture::{ChaosFixture, Topology};
use crate::chaos::seed;
use crate::harness::{ServerProcess, TIMEOUT, enqueue, wait_terminal, wait_until};

/// Kills of the leader.
const KILLS: usize = 2;

/// The leader lease expires 3 s after its last renewal and the other servers try to acquire it
/// once a second; the rest is reserve for a loaded machine.
const FAILOVER_LIMIT: Duration = Duration::from_secs(8);

/// Returns whether the last log line about the leader lease says that the server holds it. A server
/// may acquire the lease before it serves.
fn is_leader(server: &ServerProcess) -> bool {
    let log = server.log();
    let is_about = |line: &&str| {
        line.contains("leadership changed") || line.contains("\"message\":\"opened shared stores\"")
    };
    log.lines().rev().find(is_about).is_some_and(|line| line.contains("\"is_leader\":true"))
}

/// Returns `Some` when the ledger has the end of the job. The queue has few jobs, so the job is on
/// the first page.
async fn lists_end_of(client: &Client, queue: &str, id: &str) -> Option<()> {
    let filter = JobFilter { queues: vec![queue.to_owned()], ..JobFilter::default() };
    let request = ListRequest { filter: Some(filter), page_size: 100, ..Default::default() };
    let page = client.list_page(request).await.ok()?;
    page.jobs.iter().any(|job| job.id == id && is_terminal(job.state())).then_some(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_projector_continues_soon_after_the_leader_dies() {
    let mut fixture = ChaosFixture::start("leader failover", seed(), Topology::Cluster).await;
    for _ in 0..KILLS {
        fixture.load.wait_acknowledged(40).await;
        let leader = wait_until("exactly one server is the leader", TIMEOUT, || async {
            let mut leaders = (0..SERVERS).filter(|nth| is_leader(&fixture.servers[*nth]));
            let leader = leaders.next();
            leader.filter(|_| leaders.next().is_none())
        })
        .await;
        fixture.servers[leader].kill().await;
        let start = Instant::now();
        let client = fixture.client(leader + 1);
        let queue = fixture.worker_names().next().expect("a worker").clone();
        let id = enqueue(&client, NewJob::new(&queue, "demo.noop")).await;
        wait_terminal(&client, &id).await;
        wait_until("the list shows the new terminal job", TIMEOUT, || {
            lists_end_of(&client, &queue, &id)
        })
        .await;
        let took = start.elapsed();
        println!("server {leader} was the leader; the projector continued after {took:?}");
        assert!(took < FAILOVER_LIMIT, "{took:?}");
        fixture.load.record(|history| history.acknowledged.insert(id));
        fixture.servers[leader].restart().await;
    }
    fixture.finish().await;
}

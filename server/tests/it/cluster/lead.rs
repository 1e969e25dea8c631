//! The server that carries the journal into the ledger dies, and another one goes on.

use std::time::{Duration, Instant};

use sentinel_client::proto::jobs::v1::{JobFilter, ListRequest};
use sentinel_client::{Client, NewJob, is_terminal};

use super::SERVERS;
use crate::chaos::seed;
use crate::chaos::site::{Ground, Site};
use crate::harness::{PATIENCE, Server, end_of, enqueue, until};

const DEATHS: usize = 3;

/// The lead lasts 3 s beyond its server, and the others ask for it once a second; the rest is
/// what a loaded machine takes.
const GOES_ON_WITHIN: Duration = Duration::from_secs(8);

/// What the log of a server said last about the lead, since its start. It may lead before it serves.
fn leads(server: &Server) -> bool {
    let log = server.log();
    let is_about = |line: &&str| {
        line.contains("the lead among servers") || line.contains("\"message\":\"stores opened\"")
    };
    log.lines().rev().find(is_about).is_some_and(|line| line.contains("\"holds\":true"))
}

/// The ledger has the end of a job. Its queue has few others, so that it is on the first page.
async fn lists(client: &Client, queue: &str, id: &str) -> Option<()> {
    let filter = JobFilter { queues: vec![queue.to_owned()], ..JobFilter::default() };
    let request = ListRequest { filter: Some(filter), page_size: 100, ..Default::default() };
    let page = client.list(request).await.ok()?;
    page.jobs.iter().any(|job| job.id == id && is_terminal(job.state())).then_some(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_goes_on_soon_after_the_death_of_the_server_that_leads() {
    let mut site = Site::start("lead", seed(), Ground::Shared).await;
    for _ in 0..DEATHS {
        site.load.acknowledges(40).await;
        let leader = until("one server leads", PATIENCE, || async {
            let mut leading = (0..SERVERS).filter(|nth| leads(&site.servers[*nth]));
            let leader = leading.next();
            leader.filter(|_| leading.next().is_none())
        })
        .await;
        site.servers[leader].kill().await;
        let start = Instant::now();
        let client = site.client(leader + 1);
        let queue = site.workers().next().expect("a worker").clone();
        let id = enqueue(&client, NewJob::new(&queue, "demo.noop")).await;
        end_of(&client, &id).await;
        until("the list shows what ended since", PATIENCE, || lists(&client, &queue, &id)).await;
        let took = start.elapsed();
        println!("server {leader} led; the history went on after {took:?}");
        assert!(took < GOES_ON_WITHIN, "{took:?}");
        site.load.note(|history| history.acknowledged.insert(id));
        site.servers[leader].restart().await;
    }
    site.close().await;
}

//! The conformance suite on a Redis Cluster of three primaries.

use std::path::Path;
use std::time::Duration;

use sentinel_faults::{RedisServer, free_port};
use sentinel_store::Store;
use sentinel_store::conformance::{fixture, run_suite};
use sentinel_store_redis::{OpenOptions, RedisStore};

use crate::conformance::harness;
use crate::support::{temp_dir, wait_until};

const NOW: i64 = 1_000;
const LONG: Duration = Duration::from_secs(10);

/// A Redis Cluster of three primaries.
pub(crate) struct Cluster {
    nodes: Vec<RedisServer>,
}

impl Cluster {
    pub(crate) fn start(dir: &Path) -> Self {
        Self::start_with(dir, &[])
    }

    /// Starts the nodes with additional arguments.
    pub(crate) fn start_with(dir: &Path, more: &[&str]) -> Self {
        let mut nodes = Vec::new();
        let mut buses = Vec::new();
        for (name, first, last) in [("a", 0, 5_460), ("b", 5_461, 10_922), ("c", 10_923, 16_383)] {
            let dir = dir.join(name);
            std::fs::create_dir(&dir).expect("a directory");
            let bus = free_port().to_string();
            let node = node(&dir, &bus, more);
            node.ask(&format!("CLUSTER ADDSLOTSRANGE {first} {last}")).expect("a reply");
            nodes.push(node);
            buses.push(bus);
        }
        for (node, bus) in nodes.iter().zip(&buses).skip(1) {
            nodes[0]
                .ask(&format!("CLUSTER MEET 127.0.0.1 {} {bus}", node.port()))
                .expect("a reply");
        }
        for node in &nodes {
            wait_until("the Cluster is complete", || {
                let info = node.ask("CLUSTER INFO").unwrap_or_default();
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            });
        }
        Self { nodes }
    }

    /// Returns the index of the primary of the shard.
    fn owner(&self) -> usize {
        let slot = self.nodes[0].ask("CLUSTER KEYSLOT sentinel:{s0}:meta").expect("a reply");
        let slot: u32 = slot.trim().parse().expect("a number");
        [5_460, 10_922].iter().filter(|last| slot > **last).count()
    }

    /// Adds replicas to the primary of the shard.
    pub(crate) fn replicate(&self, dir: &Path, count: usize, more: &[&str]) -> Vec<RedisServer> {
        let owner = &self.nodes[self.owner()];
        let id = owner.ask("CLUSTER MYID").expect("a reply");
        let mut replicas = Vec::new();
        for n in 0..count {
            let dir = dir.join(format!("replica-{n}"));
            std::fs::create_dir(&dir).expect("a directory");
            let bus = free_port().to_string();
            let replica = node(&dir, &bus, more);
            owner
                .ask(&format!("CLUSTER MEET 127.0.0.1 {} {bus}", replica.port()))
                .expect("a reply");
            replicas.push(replica);
        }
        for replica in &replicas {
            // The replica must know the primary before it can follow it.
            let follow = format!("CLUSTER REPLICATE {}", id.trim());
            wait_until("a replica joins", || {
                replica.ask(&follow).is_some_and(|answer| answer.starts_with("OK"))
            });
        }
        for node in self.nodes.iter().chain(&replicas) {
            wait_until("the Cluster knows its replicas", || {
                let nodes = node.ask("CLUSTER NODES").unwrap_or_default();
                let joined = nodes.lines().filter(|line| line.contains("slave")).count();
                joined == count && !nodes.contains("fail")
            });
        }
        wait_until("the replicas follow", || {
            let info = owner.ask("INFO replication").unwrap_or_default();
            info.matches("state=online").count() == count
        });
        replicas
    }

    /// Kills the primary of the shard.
    pub(crate) fn kill_owner(&mut self) {
        let owner = self.owner();
        self.nodes[owner].kill();
    }

    /// Returns the URL of two nodes, so that the client must discover the third one.
    pub(crate) fn url(&self) -> String {
        let hosts = self.nodes[..2].iter().map(|node| format!("127.0.0.1:{}", node.port()));
        format!("redis+cluster://{}", hosts.collect::<Vec<_>>().join(","))
    }
}

fn node(dir: &Path, bus: &str, more: &[&str]) -> RedisServer {
    let args = [&["--cluster-enabled", "yes", "--cluster-port", bus], more].concat();
    RedisServer::start(dir, &args)
}

#[tokio::test]
async fn the_store_passes_the_conformance_suite_on_a_cluster() {
    let dir = temp_dir();
    let cluster = Cluster::start(dir.path());
    let url = cluster.url();
    other_servers_receive_positions(&url).await;
    run_suite(async || harness(&url).await).await;
    let has_keys =
        |node: &RedisServer| node.ask("DBSIZE").is_some_and(|text| !text.starts_with('0'));
    let holders = cluster.nodes.iter().filter(|node| has_keys(node)).count();
    assert_eq!(holders, 1, "all keys of a shard are on one node");
}

/// Checks the channel of the shard, which is on the node with its keys.
async fn other_servers_receive_positions(url: &str) {
    let [a, b] = [open(url).await, open(url).await];
    let mut head = b.head();
    let mut writer = fixture::Writer::new(1);
    for n in 0..5 {
        let call = writer
            .request(NOW)
            .transaction(fixture::create(&fixture::job("q", "k", NOW, n)))
            .build();
        let at = a.commit(call).await.expect("committed").position;
        let reached = tokio::time::timeout(LONG, head.wait_for(|head| *head >= at)).await;
        reached.expect("in time").expect("the store is open");
    }
}

async fn open(url: &str) -> RedisStore {
    RedisStore::open(OpenOptions::new(url, NOW)).await.expect("opened")
}

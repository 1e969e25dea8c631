//! The suite of the port on a Cluster of three primaries.

use std::path::Path;
use std::time::Duration;

use sentinel_faults::{RedisServer, free_port};
use sentinel_store::Store;
use sentinel_store::conformance::{run_suite, fixture};
use sentinel_store_redis::{OpenOptions, RedisStore};

use crate::conformance::harness;
use crate::place::{directory, eventually};

const NOW: i64 = 1_000;
const LONG: Duration = Duration::from_secs(10);

/// Three primaries that share the slots.
pub(crate) struct Cluster {
    nodes: Vec<RedisServer>,
}

impl Cluster {
    pub(crate) fn start(dir: &Path) -> Self {
        Self::start_with(dir, &[])
    }

    /// With more words on the command lines.
    pub(crate) fn start_with(dir: &Path, more: &[&str]) -> Self {
        let mut nodes = Vec::new();
        let mut buses = Vec::new();
        for (name, first, last) in [("a", 0, 5_460), ("b", 5_461, 10_922), ("c", 10_923, 16_383)] {
            let dir = dir.join(name);
            std::fs::create_dir(&dir).expect("a directory");
            let bus = free_port().to_string();
            let node = node(&dir, &bus, more);
            node.ask(&format!("CLUSTER ADDSLOTSRANGE {first} {last}")).expect("answers");
            nodes.push(node);
            buses.push(bus);
        }
        for (node, bus) in nodes.iter().zip(&buses).skip(1) {
            nodes[0]
                .ask(&format!("CLUSTER MEET 127.0.0.1 {} {bus}", node.port()))
                .expect("answers");
        }
        for node in &nodes {
            eventually("the Cluster is whole", || {
                let info = node.ask("CLUSTER INFO").unwrap_or_default();
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            });
        }
        Self { nodes }
    }

    /// The primary of the shard.
    fn owner(&self) -> usize {
        let slot = self.nodes[0].ask("CLUSTER KEYSLOT sentinel:{s0}:meta").expect("answers");
        let slot: u32 = slot.trim().parse().expect("a number");
        [5_460, 10_922].iter().filter(|last| slot > **last).count()
    }

    /// Gives the primary of the shard replicas.
    pub(crate) fn replicate(&self, dir: &Path, count: usize, more: &[&str]) -> Vec<RedisServer> {
        let owner = &self.nodes[self.owner()];
        let id = owner.ask("CLUSTER MYID").expect("answers");
        let mut replicas = Vec::new();
        for n in 0..count {
            let dir = dir.join(format!("replica-{n}"));
            std::fs::create_dir(&dir).expect("a directory");
            let bus = free_port().to_string();
            let replica = node(&dir, &bus, more);
            owner
                .ask(&format!("CLUSTER MEET 127.0.0.1 {} {bus}", replica.port()))
                .expect("answers");
            replicas.push(replica);
        }
        for replica in &replicas {
            // It has to know the primary before it can follow it.
            let follow = format!("CLUSTER REPLICATE {}", id.trim());
            eventually("a replica joins", || {
                replica.ask(&follow).is_some_and(|answer| answer.starts_with("OK"))
            });
        }
        for node in self.nodes.iter().chain(&replicas) {
            eventually("the Cluster knows its replicas", || {
                let nodes = node.ask("CLUSTER NODES").unwrap_or_default();
                let joined = nodes.lines().filter(|line| line.contains("slave")).count();
                joined == count && !nodes.contains("fail")
            });
        }
        eventually("the replicas follow", || {
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

    /// By some nodes, so that the others have to be found.
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
async fn it_conforms_on_a_cluster() {
    let dir = directory();
    let cluster = Cluster::start(dir.path());
    let url = cluster.url();
    others_are_told(&url).await;
    run_suite(async || harness(&url).await).await;
    let held = |node: &RedisServer| node.ask("DBSIZE").is_some_and(|text| !text.starts_with('0'));
    let holders = cluster.nodes.iter().filter(|node| held(node)).count();
    assert_eq!(holders, 1, "everything of a shard is on one node");
}

/// The channel of the shard is on the node that has its keys.
async fn others_are_told(url: &str) {
    let [a, b] = [open(url).await, open(url).await];
    let mut head = b.head();
    let mut writer = fixture::Writer::new(1);
    for n in 0..5 {
        let call = writer.request(NOW).transaction(fixture::create(&fixture::job("q", "k", NOW, n))).build();
        let at = a.commit(call).await.expect("commits").position;
        let told = tokio::time::timeout(LONG, head.wait_for(|head| *head >= at)).await;
        told.expect("it is told").expect("the store lives");
    }
}

async fn open(url: &str) -> RedisStore {
    RedisStore::open(OpenOptions::new(url, NOW)).await.expect("opens")
}

//! The suite of the port on a Cluster of three primaries.

use std::path::Path;

use sentinel_broker::conformance::exercise;

use crate::conformance::harness;
use crate::server::{Server, directory, eventually, free_port};

/// Three primaries that share the slots.
struct Cluster {
    nodes: Vec<Server>,
}

impl Cluster {
    fn start(dir: &Path) -> Self {
        let mut nodes = Vec::new();
        let mut buses = Vec::new();
        for (name, first, last) in [("a", 0, 5_460), ("b", 5_461, 10_922), ("c", 10_923, 16_383)] {
            let dir = dir.join(name);
            std::fs::create_dir(&dir).expect("a directory");
            let bus = free_port().to_string();
            let args = ["--cluster-enabled", "yes", "--cluster-port", &bus];
            let node = Server::start(&dir, &args);
            node.ask(&format!("CLUSTER ADDSLOTSRANGE {first} {last}")).expect("answers");
            nodes.push(node);
            buses.push(bus);
        }
        for (node, bus) in nodes.iter().zip(&buses).skip(1) {
            nodes[0].ask(&format!("CLUSTER MEET 127.0.0.1 {} {bus}", node.port)).expect("answers");
        }
        for node in &nodes {
            eventually("the Cluster is whole", || {
                let info = node.ask("CLUSTER INFO").unwrap_or_default();
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            });
        }
        Self { nodes }
    }

    /// By some nodes, so that the others have to be found.
    fn url(&self) -> String {
        let hosts = self.nodes[..2].iter().map(|node| format!("127.0.0.1:{}", node.port));
        format!("redis+cluster://{}", hosts.collect::<Vec<_>>().join(","))
    }
}

#[tokio::test]
async fn it_conforms_on_a_cluster() {
    let dir = directory();
    let cluster = Cluster::start(dir.path());
    let url = cluster.url();
    exercise(async || harness(&url).await).await;
    let held = |node: &Server| node.ask("DBSIZE").is_some_and(|text| !text.starts_with('0'));
    let holders = cluster.nodes.iter().filter(|node| held(node)).count();
    assert_eq!(holders, 1, "everything of a shard is on one node");
}

//! The clients for Node and Python offer every verb of JobService, and each works.

use crate::harness::{World, run};
use crate::languages::program::{Language, root};

async fn every_verb(language: Language) {
    let world = World::start().await;
    let _worker = world.worker("w1", &["--queues", language.name()]).await;
    let mut verbs = language.program("verbs");
    verbs.arg(world.server.url());
    assert_eq!(run(verbs).await.ok(), "all verbs\n");
}

#[tokio::test]
async fn the_node_client_has_every_verb() {
    every_verb(Language::Node).await;
    let client = root().join("client-sdk/node/src/client.ts");
    has_all(&std::fs::read_to_string(client).expect("the client"), |rpc| {
        format!("raw.{}{}(", rpc[..1].to_lowercase(), &rpc[1..])
    });
}

#[tokio::test]
async fn the_python_client_has_every_verb() {
    every_verb(Language::Python).await;
    let client = root().join("client-sdk/python/src/sentinel_client/client.py");
    has_all(&std::fs::read_to_string(client).expect("the client"), |rpc| format!("\"{rpc}\""));
}

/// A call that the contract gains has to come to the clients.
fn has_all(client: &str, call: impl Fn(&str) -> String) {
    let contract = root().join("proto/sentinel/jobs/v1/job_service.proto");
    let contract = std::fs::read_to_string(contract).expect("the contract");
    let rpcs = contract.lines().filter_map(|line| line.trim().strip_prefix("rpc "));
    let names: Vec<&str> = rpcs.filter_map(|rpc| rpc.split('(').next()).collect();
    assert!(names.contains(&"Enqueue"), "{names:?}");
    // The watch is built around it.
    let missing = names.iter().filter(|name| **name != "Watch" && !client.contains(&call(name)));
    let missing: Vec<&&str> = missing.collect();
    assert!(missing.is_empty(), "{missing:?}");
}

//! The Node and Python clients have a working method for every call of JobService.

use crate::harness::{TestServer, run};
use crate::languages::program::{Language, root};

/// Runs the test program that calls every method of the client.
async fn call_every_method(language: Language) {
    let server = TestServer::start().await;
    let _worker = server.start_worker("w1", &["--queues", language.name()]).await;
    let mut program = language.program("methods");
    program.arg(server.url());
    assert_eq!(run(program).await.ok(), "all methods\n");
}

#[tokio::test]
async fn the_node_client_has_every_method() {
    call_every_method(Language::Node).await;
    let client = root().join("client-sdk/node/src/client.ts");
    assert_all_methods(
        &std::fs::read_to_string(client).expect("read the client's source"),
        |rpc| format!("raw.{}{}(", rpc[..1].to_lowercase(), &rpc[1..]),
    );
}

#[tokio::test]
async fn the_python_client_has_every_method() {
    call_every_method(Language::Python).await;
    let client = root().join("client-sdk/python/src/sentinel_client/client.py");
    assert_all_methods(
        &std::fs::read_to_string(client).expect("read the client's source"),
        |rpc| format!("\"{rpc}\""),
    );
}

/// Asserts that the source of a client has a method for every call in the proto file.
fn assert_all_methods(client: &str, call: impl Fn(&str) -> String) {
    let proto = root().join("proto/sentinel/jobs/v1/job_service.proto");
    let proto = std::fs::read_to_string(proto).expect("read the proto file");
    let rpcs = proto.lines().filter_map(|line| line.trim().strip_prefix("rpc "));
    let names: Vec<&str> = rpcs.filter_map(|rpc| rpc.split('(').next()).collect();
    assert!(names.contains(&"Enqueue"), "{names:?}");
    // The clients implement Watch with a wrapper.
    let missing = names.iter().filter(|name| **name != "Watch" && !client.contains(&call(name)));
    let missing: Vec<&&str> = missing.collect();
    assert!(missing.is_empty(), "{missing:?}");
}

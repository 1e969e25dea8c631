//! Hello, authentication and reconnects of a worker without a session.

use std::time::Instant;

use serde_json::json;
use tonic::Code;

use crate::WorkerProgram;
use crate::fixtures::{job, ms, result};
use crate::scripted_server::ScriptedServer;

pub(super) async fn hello(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &["--concurrency", "3", "--instance", "w1"]);
    let (_stream, hello) = server.accept_hello().await;
    assert_eq!(hello.instance, "w1");
    assert_eq!(hello.build, "1.2.3");
    assert_eq!(hello.queues, ["default"]);
    assert_eq!(hello.labels.get("zone").map(String::as_str), Some("a"));
    assert_eq!(hello.labels.len(), 1);
    assert_eq!(hello.session, "", "the first Hello has no session");
    assert_eq!(hello.held, []);
    assert_eq!(hello.credit.unwrap_or_default().jobs, 3, "all slots are granted");
    let mut kinds: Vec<&str> = hello.kinds.iter().map(|kind| kind.name.as_str()).collect();
    kinds.sort_unstable();
    let expected = [
        "advise_hostile",
        "busy_loop",
        "checkpoint",
        "demo.effect",
        "echo",
        "fail",
        "ignore_cancel",
        "large_result",
        "log",
        "output",
        "progress",
        "release",
        "return_hostile",
        "sleep",
        "snooze",
        "throw",
        "throw_deep",
        "throw_hostile",
        "wait_for_cancel",
    ];
    assert_eq!(kinds, expected);
}

/// The credential is sent with each stream.
pub(super) async fn credential(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &["--credential", "key-1"]);
    for _ in 0..2 {
        let stream = server.accept().await;
        assert_eq!(stream.authorization.as_deref(), Some("Bearer key-1"));
        stream.disconnect().await;
    }
}

pub(super) async fn hello_rejected(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let mut worker = program.start(&server, &[]);
    let (stream, _) = server.accept_hello().await;
    stream.close_with(Code::NotFound, "queue default does not exist").await;
    let status = worker.wait_for_exit().await;
    assert!(!status.success(), "a worker whose first Hello is rejected must exit with an error");
    let stderr = worker.stderr().await;
    assert!(
        stderr.contains("queue default does not exist"),
        "the reason must be printed: {stderr}"
    );
}

/// After transient errors the worker reconnects with exponential backoff: 0, 50, 100, 200 ms ...
/// with jitter.
pub(super) async fn reconnect_backoff(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &[]);
    drop(server.accept().await); // closes without a status, as a proxy does
    let start = Instant::now();
    for round in 0..8 {
        let code = [Code::Unavailable, Code::Internal, Code::ResourceExhausted][round % 3];
        let (stream, hello) = server.accept_hello().await;
        assert_eq!(hello.session, "");
        stream.close_with(code, "unavailable").await;
    }
    // Eight delays, uniform in 0..50 ms, 0..100 ms and so on. A smaller sum has a probability below
    // one in a million.
    assert!(start.elapsed() >= ms(100), "nine connections within {:?}", start.elapsed());
    let (mut stream, _) = server.accept_session().await;
    stream.assign(vec![job("j1", "echo", json!(1))]).await;
    assert_eq!(result(&stream.report_item().await), "1");
}

pub(super) async fn endpoint_failover(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let _worker = program.start_at(&[closed, server.url()], &[]);
    let (mut stream, _) = server.accept_session().await;
    stream.assign(vec![job("j1", "echo", json!(1))]).await;
    assert_eq!(result(&stream.report_item().await), "1");
}

//! Hello, and what becomes of a worker that is not welcomed.

use std::time::Instant;

use serde_json::json;
use tonic::Code;

use super::{job, ms, result};
use crate::Runtime;
use crate::peer::Peer;

pub(super) async fn hello(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &["--concurrency", "3", "--instance", "w1"]);
    let (_stream, hello) = peer.hello().await;
    assert_eq!(hello.instance, "w1");
    assert_eq!(hello.build, "1.2.3");
    assert_eq!(hello.queues, ["default"]);
    assert_eq!(hello.labels.get("zone").map(String::as_str), Some("a"));
    assert_eq!(hello.labels.len(), 1);
    assert_eq!(hello.session, "", "the first Hello begins a new session");
    assert_eq!(hello.held, []);
    assert_eq!(hello.credit.unwrap_or_default().jobs, 3, "all the room there is");
    let mut kinds: Vec<&str> = hello.kinds.iter().map(|kind| kind.name.as_str()).collect();
    kinds.sort_unstable();
    let agreed = [
        "big",
        "checkpoint",
        "deaf",
        "demo.effect",
        "echo",
        "fail",
        "log",
        "output",
        "progress",
        "release",
        "sleep",
        "snooze",
        "spin",
        "throw",
        "wait",
    ];
    assert_eq!(kinds, agreed);
}

/// Whoever holds a credential shows it with each stream.
pub(super) async fn credential(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &["--credential", "key-1"]);
    for _ in 0..2 {
        let stream = peer.accept().await;
        assert_eq!(stream.authorization.as_deref(), Some("Bearer key-1"));
        stream.cut().await;
    }
}

pub(super) async fn refused_hello(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let mut worker = runtime.start(&peer, &[]);
    let (stream, _) = peer.hello().await;
    stream.refuse(Code::NotFound, "queue default does not exist").await;
    let status = worker.end().await;
    assert!(!status.success(), "a worker whose first Hello is refused ends with an error");
    let told = worker.told().await;
    assert!(told.contains("queue default does not exist"), "it tells why: {told}");
}

/// What may pass is tried again, ever more rarely: 0, 50, 100, 200 ms ... with jitter.
pub(super) async fn redials_back_off(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &[]);
    drop(peer.accept().await); // as a proxy does, without any status
    let begun = Instant::now();
    for round in 0..8 {
        let code = [Code::Unavailable, Code::Internal, Code::ResourceExhausted][round % 3];
        let (stream, hello) = peer.hello().await;
        assert_eq!(hello.session, "");
        stream.refuse(code, "not now").await;
    }
    // Eight pauses, each drawn between 0 and twice the one before, from 50 ms on: less than this
    // in all is one draw in millions.
    assert!(begun.elapsed() >= ms(100), "nine dials within {:?}", begun.elapsed());
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "echo", json!(1))]).await;
    assert_eq!(result(&stream.report_item().await), "1");
}

pub(super) async fn second_server(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let _worker = runtime.start_at(&[closed, peer.url()], &[]);
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "echo", json!(1))]).await;
    assert_eq!(result(&stream.report_item().await), "1");
}

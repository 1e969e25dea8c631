//! Signals and exit codes, with and without a server in reach.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use sentinel_client::proto::workers::v1::session_request::Frame as Up;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::peer::{Peer, Stream, job};

const PATIENCE: Duration = Duration::from_secs(20);

/// The worker, once it dials. Nothing listens on the discard port.
async fn dialling(format: &str) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sentinel-worker"))
        .args(["--server", "http://127.0.0.1:9", "--log-format", format])
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    loop {
        let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
        if line.contains("can not open a session") {
            // Read on, or the child would write to a closed pipe.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return (child, line);
        }
    }
}

async fn exit_after(mut child: Child, signal: &str) -> Option<i32> {
    let pid = child.id().unwrap().to_string();
    let status = Command::new("kill").args([signal, &pid]).status().await.unwrap();
    assert!(status.success());
    timeout(PATIENCE, child.wait()).await.unwrap().unwrap().code()
}

#[tokio::test]
async fn a_signal_drains_also_without_a_server() {
    for signal in ["-TERM", "-INT"] {
        let (child, _) = dialling("pretty").await;
        assert_eq!(exit_after(child, signal).await, Some(0), "{signal}");
    }
}

#[tokio::test]
async fn json_log_lines_are_objects() {
    let (child, line) = dialling("json").await;
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["server"], "http://127.0.0.1:9/");
    assert_eq!(exit_after(child, "-TERM").await, Some(0));
}

#[tokio::test]
async fn a_bad_flag_is_named() {
    let out = Command::new(env!("CARGO_BIN_EXE_sentinel-worker"))
        .args(["--queues", "not a name"])
        .output()
        .await
        .unwrap();
    assert_eq!(out.status.code(), Some(1));
    let text = String::from_utf8(out.stderr).unwrap();
    assert!(text.contains("not a name") && text.contains("1..128"), "{text}");
}

/// The worker as a process with a session on the peer.
async fn in_session(peer: &mut Peer) -> (Child, Stream) {
    let child = Command::new(env!("CARGO_BIN_EXE_sentinel-worker"))
        .args(["--server", &peer.url(), "--queues", "default", "--log", "error"])
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (stream, _) = peer.greet().await;
    (child, stream)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_stops_at_once() {
    let mut peer = Peer::listen().await;
    let (child, mut stream) = in_session(&mut peer).await;
    let mut assignment = job("j1", "demo.stubborn");
    assignment.payload = r#"{"ms":600000}"#.into();
    stream.assign(vec![assignment]).await;
    stream.until(|frame| matches!(frame, Up::Received(_)).then_some(())).await;
    let pid = child.id().unwrap().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
    // The first one is known to have arrived by its Drain.
    stream.until(|frame| matches!(frame, Up::Drain(_)).then_some(())).await;
    assert_eq!(exit_after(child, "-TERM").await, Some(130));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_crash_takes_the_process_down() {
    const SIGABRT: i32 = 6;
    let mut peer = Peer::listen().await;
    let (mut child, mut stream) = in_session(&mut peer).await;
    stream.assign(vec![job("j1", "demo.crash")]).await;
    let status = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.signal(), Some(SIGABRT));
    // No Bye, no report: the stream just ends.
    while let Some(frame) = stream.next().await {
        assert!(matches!(frame, Up::Received(_)), "{frame:?}");
    }
}

/// What a worker with these flags declares, by kind: its schema.
async fn declared(flags: &[&str]) -> std::collections::BTreeMap<String, String> {
    let mut peer = Peer::listen().await;
    let _child = Command::new(env!("CARGO_BIN_EXE_sentinel-worker"))
        .args(["--server", &peer.url(), "--log", "error"])
        .args(flags)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (_stream, hello) = peer.greet().await;
    hello.kinds.into_iter().map(|kind| (kind.name, kind.input_schema)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinds_are_declared_with_schemas_and_only_when_they_are_allowed() {
    let plain = declared(&[]).await;
    assert!(plain.contains_key("http.request") && !plain.contains_key("process.exec"), "{plain:?}");
    assert!(!declared(&["--no-http"]).await.contains_key("http.request"));
    let with_program = declared(&["--allow-program", "sh=/bin/sh"]).await;
    for kind in ["http.request", "process.exec"] {
        let schema: serde_json::Value = serde_json::from_str(&with_program[kind]).unwrap();
        assert_eq!((&schema["title"], &schema["type"]), (&kind.into(), &"object".into()));
    }
}

#[tokio::test]
async fn flags_that_open_nothing_are_refused_at_the_start() {
    for (flags, part) in [
        (["--http-allow", "10.0.0.0/33"], "--http-allow: \"10.0.0.0/33\" is no target"),
        (["--http-secret", "shop=plain"], "--http-secret: expected NAME=env:VARIABLE or"),
        (["--allow-program", "x=/does/not/exist"], "--allow-program: program x: /does/not/exist"),
    ] {
        let out = Command::new(env!("CARGO_BIN_EXE_sentinel-worker")).args(flags).output().await;
        let out = out.unwrap();
        assert_eq!(out.status.code(), Some(1));
        let text = String::from_utf8(out.stderr).unwrap();
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn the_help_teaches_the_kinds() {
    let out = Command::new(env!("CARGO_BIN_EXE_sentinel-worker")).arg("--help").output().await;
    let text = String::from_utf8(out.unwrap().stdout).unwrap();
    for part in
        ["http.request", "process.exec", "--allow-program", "--http-allow", "docs/handlers.md"]
    {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

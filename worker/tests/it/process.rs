//! Signals and exit codes, with and without a reachable server.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use sentinel_client::proto::workers::v1::session_request::Frame as RequestFrame;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::scripted_server::{ScriptedServer, SessionStream, job};

const TIMEOUT: Duration = Duration::from_secs(20);

/// Starts a worker and returns it with the log line of its first failed connection. No process
/// listens on the discard port.
async fn start_without_server(format: &str) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sentinel-worker"))
        .args(["--server", "http://127.0.0.1:9", "--log-format", format])
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    loop {
        let line = timeout(TIMEOUT, lines.next_line()).await.unwrap().unwrap().unwrap();
        if line.contains("cannot open a session") {
            // Keep reading, so that the child does not write to a closed pipe.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return (child, line);
        }
    }
}

async fn exit_after(mut child: Child, signal: &str) -> Option<i32> {
    let pid = child.id().unwrap().to_string();
    let status = Command::new("kill").args([signal, &pid]).status().await.unwrap();
    assert!(status.success());
    timeout(TIMEOUT, child.wait()).await.unwrap().unwrap().code()
}

#[tokio::test]
async fn a_signal_stops_a_worker_without_a_server() {
    for signal in ["-TERM", "-INT"] {
        let (child, _) = start_without_server("pretty").await;
        assert_eq!(exit_after(child, signal).await, Some(0), "{signal}");
    }
}

#[tokio::test]
async fn json_log_lines_are_objects() {
    let (child, line) = start_without_server("json").await;
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["server"], "http://127.0.0.1:9/");
    assert_eq!(exit_after(child, "-TERM").await, Some(0));
}

#[tokio::test]
async fn an_invalid_flag_value_is_reported() {
    let out = Command::new(env!("CARGO_BIN_EXE_sentinel-worker"))
        .args(["--queues", "not a name"])
        .output()
        .await
        .unwrap();
    assert_eq!(out.status.code(), Some(1));
    let text = String::from_utf8(out.stderr).unwrap();
    assert!(text.contains("not a name") && text.contains("1..128"), "{text}");
}

/// Starts a worker process and accepts its session.
async fn start_with_session(server: &mut ScriptedServer) -> (Child, SessionStream) {
    let child = Command::new(env!("CARGO_BIN_EXE_sentinel-worker"))
        .args(["--server", &server.url(), "--queues", "default", "--log", "error"])
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (stream, _) = server.accept_session().await;
    (child, stream)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_stops_the_process_immediately() {
    let mut server = ScriptedServer::start().await;
    let (child, mut stream) = start_with_session(&mut server).await;
    let mut assignment = job("j1", "demo.stubborn");
    assignment.payload = r#"{"ms":600000}"#.into();
    stream.assign(vec![assignment]).await;
    stream.next_matching(|frame| matches!(frame, RequestFrame::Received(_)).then_some(())).await;
    let pid = child.id().unwrap().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
    // The Drain frame shows that the worker has received the first signal.
    stream.next_matching(|frame| matches!(frame, RequestFrame::Drain(_)).then_some(())).await;
    assert_eq!(exit_after(child, "-TERM").await, Some(130));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_crash_aborts_the_process() {
    const SIGABRT: i32 = 6;
    let mut server = ScriptedServer::start().await;
    let (mut child, mut stream) = start_with_session(&mut server).await;
    stream.assign(vec![job("j1", "demo.crash")]).await;
    let status = timeout(TIMEOUT, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.signal(), Some(SIGABRT));
    // The stream closes without Bye and without a report.
    while let Some(frame) = stream.next().await {
        assert!(matches!(frame, RequestFrame::Received(_)), "{frame:?}");
    }
}

/// Returns the kinds that a worker with these flags declares, with their schemas.
async fn declared_kinds(flags: &[&str]) -> std::collections::BTreeMap<String, String> {
    let mut server = ScriptedServer::start().await;
    let _child = Command::new(env!("CARGO_BIN_EXE_sentinel-worker"))
        .args(["--server", &server.url(), "--log", "error"])
        .args(flags)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (_stream, hello) = server.accept_session().await;
    hello.kinds.into_iter().map(|kind| (kind.name, kind.input_schema)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinds_are_declared_with_schemas_if_they_are_enabled() {
    let plain = declared_kinds(&[]).await;
    assert!(plain.contains_key("http.request") && !plain.contains_key("process.exec"), "{plain:?}");
    assert!(!declared_kinds(&["--no-http"]).await.contains_key("http.request"));
    let with_program = declared_kinds(&["--allow-program", "sh=/bin/sh"]).await;
    for kind in ["http.request", "process.exec"] {
        let schema: serde_json::Value = serde_json::from_str(&with_program[kind]).unwrap();
        assert_eq!((&schema["title"], &schema["type"]), (&kind.into(), &"object".into()));
    }
}

#[tokio::test]
async fn invalid_flags_are_rejected_at_startup() {
    for (flags, part) in [
        (["--http-allow", "10.0.0.0/33"], "--http-allow: \"10.0.0.0/33\" is not a valid target"),
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
async fn the_help_describes_the_kinds() {
    let out = Command::new(env!("CARGO_BIN_EXE_sentinel-worker")).arg("--help").output().await;
    let text = String::from_utf8(out.unwrap().stdout).unwrap();
    for part in
        ["http.request", "process.exec", "--allow-program", "--http-allow", "docs/handlers.md"]
    {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

//! Signals and exit codes, with no server in reach.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

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

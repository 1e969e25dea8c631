//! `sentinel job ingest`: enqueues the lines of a file, and resumes after a kill.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use sentinel_faults::{Direction, Proxy};
use serde_json::json;
use tokio::process::Command;

use crate::harness::{CommandOutput, TIMEOUT, TestServer, binary, sentinel, wait_until};

async fn ingest(server: &TestServer, file: &Path, more: &[&str]) -> CommandOutput {
    let (url, file) = (server.url(), file.to_str().expect("a path"));
    let args = ["job", "ingest", file, "--producer", "orders", "--server", &url];
    sentinel(args.iter().chain(more)).await
}

/// Returns the number of jobs in the ledger.
async fn count(server: &TestServer) -> u64 {
    let client = server.client();
    let counts = client.counts(Vec::new()).await.expect("counts");
    counts.queues.iter().flat_map(|queue| &queue.states).map(|state| state.count).sum()
}

async fn wait_count(server: &TestServer, jobs: u64) {
    wait_until(&format!("the ledger has {jobs} jobs"), TIMEOUT, || async {
        (count(server).await == jobs).then_some(())
    })
    .await;
}

#[tokio::test]
async fn each_line_becomes_one_job_and_refused_lines_are_reported() {
    let server = TestServer::with_flags(&[]).await;
    sentinel(["queue", "create", "mail", "--server", &server.url()]).await.ok();
    let file = server.dir.path().join("orders.ndjson");
    let lines = [
        r#"{"kind":"mail.send","queue":"mail","payload":{"to":"a"},"priority":3}"#,
        r#"{"queue":"mail","labels":{"shop":"42"},"runAt":"10m"}"#,
        r#"{"queue":"missing"}"#,
        r#"{"queue":"mail","priority":10}"#,
        r#"{"queue":"mail"}"#,
    ];
    std::fs::write(&file, lines.join("\n")).expect("write a file");
    let first = ingest(&server, &file, &["--kind", "order.ship"]).await;
    assert_eq!(
        (first.code, first.stdout.as_str()),
        (1, "5 lines committed, 2 refused\n"),
        "{first:?}"
    );
    let errors: Vec<&str> = first.stderr.lines().collect();
    assert_eq!(errors.len(), 2, "{first:?}");
    assert!(
        errors[0].starts_with("line 3: ") && errors[0].ends_with("(QUEUE_NOT_FOUND)"),
        "{first:?}"
    );
    assert!(
        errors[1].starts_with("line 4: spec.priority ") && errors[1].contains("0..=9"),
        "{first:?}"
    );
    wait_count(&server, 3).await;
    // Run again with one more line and one unreadable line.
    let mut more = lines.join("\n");
    more.push_str("\n{\"queue\":\"mail\"}\n{\"que\":1}\n");
    std::fs::write(&file, &more).expect("write a file");
    let again = ingest(&server, &file, &["--kind", "order.ship"]).await;
    assert_eq!(again.code, 2, "{again:?}");
    assert!(again.stdout.contains("6 lines committed, 5 of them before"), "{again:?}");
    assert!(again.stderr.contains("FILE: line 7 is not a job: unknown field"), "{again:?}");
    wait_count(&server, 4).await;
    std::fs::write(&file, more.replace("que\":1", "kind\":\"b\",\"queue\":\"mail\""))
        .expect("write a file");
    let repaired = ingest(&server, &file, &["--json"]).await;
    let events = repaired.json();
    assert_eq!((repaired.code, events.len()), (1, 3), "{repaired:?}");
    assert_eq!((&events[0]["line"], &events[0]["reason"]), (&json!(3), &json!("QUEUE_NOT_FOUND")));
    assert_eq!(events[2], json!({ "committed": 7, "sent": 1, "refused": 2 }));
    wait_count(&server, 5).await;
    std::fs::write(&file, lines[0]).expect("write a file");
    let other = ingest(&server, &file, &[]).await;
    assert_eq!(other.code, 2, "{other:?}");
    assert!(
        other.stderr.contains("7 committed lines") && other.stderr.contains("has only 1"),
        "{other:?}"
    );
}

#[tokio::test]
async fn a_killed_command_resumes_when_it_is_run_again() {
    const LINES: u64 = 3_000;
    let server = TestServer::start().await;
    let file = server.dir.path().join("orders.ndjson");
    let mut text = String::new();
    for number in 0..LINES {
        writeln!(text, "{{\"payload\":{number}}}").expect("write a file");
    }
    std::fs::write(&file, text).expect("write a file");
    // Slow enough to be killed midway.
    let proxy = Proxy::start(server.socket_address()).await.expect("a proxy");
    proxy.delay(Direction::Down, Duration::from_millis(300));
    let mut command = Command::new(binary("sentinel"));
    command.args(["job", "ingest"]).arg(&file).args(["--producer", "orders", "--kind", "a"]);
    command.arg("--server").arg(format!("http://{}", proxy.address()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().expect("start a process");
    wait_until("some lines are jobs", TIMEOUT, || async {
        (count(&server).await > 0).then_some(())
    })
    .await;
    child.kill().await.expect("kill a process");
    let rest = ingest(&server, &file, &["--kind", "a"]).await.ok();
    assert!(rest.starts_with("3000 lines committed, "), "{rest}");
    wait_count(&server, LINES).await;
    let nothing = ingest(&server, &file, &["--kind", "a"]).await.ok();
    assert_eq!(nothing, "3000 lines committed, 3000 of them before this run, 0 refused\n");
    wait_count(&server, LINES).await;
}

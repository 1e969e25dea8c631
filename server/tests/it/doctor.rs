//! `sentinel doctor` on healthy and on misconfigured systems.

use std::process::Stdio;

use sentinel_faults::{MariaDb, RedisServer, free_port};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::harness::{TIMEOUT, TestServer, binary, sentinel};

fn severity_of<'a>(findings: &'a [Value], component: &str) -> &'a str {
    let finding = findings.iter().find(|finding| finding["component"] == component);
    finding.and_then(|finding| finding["severity"].as_str()).unwrap_or("no finding")
}

#[tokio::test]
async fn a_healthy_system_has_only_ok_findings() {
    let server = TestServer::start().await;
    let (url, dir) = (server.url(), server.dir.path().join("data"));
    let dir = dir.to_str().expect("UTF-8");
    let output = sentinel(["doctor", "--server", &url, "--data-dir", dir, "--json"]).await;
    assert_eq!(output.code, 0, "{output:?}");
    let findings = output.json();
    assert_eq!(severity_of(&findings, "ledger"), "ok", "{findings:?}");
    let of_server = findings.iter().filter(|finding| finding["component"] == "server");
    let severities: Vec<&Value> = of_server.map(|finding| &finding["severity"]).collect();
    assert_eq!(severities, ["ok"; 4], "{findings:?}");
    let text = sentinel(["doctor", "--server", &url, "--data-dir", dir]).await.ok();
    assert!(text.starts_with("SEVERITY") && !text.contains('\u{1b}'), "{text}");
}

#[tokio::test]
async fn each_problem_is_reported_with_a_remedy() {
    let dir = tempfile::tempdir().expect("a directory");
    let misconfigured = ["--appendonly", "no", "--maxmemory-policy", "allkeys-lru"];
    let redis = RedisServer::start(dir.path(), &misconfigured);
    let unreachable = format!("http://127.0.0.1:{}", free_port());
    let database = MariaDb::start();
    let (store, ledger) = (redis.url(), database.url());
    let stores = ["--store-url", &store, "--ledger-url", &ledger];
    let doctor = ["doctor", "--server", &unreachable, "--json"];
    let output = sentinel(doctor.into_iter().chain(stores)).await;
    assert_eq!(output.code, 5, "{output:?}");
    let findings = output.json();
    for (component, severity) in [
        ("store", "warning"),
        ("store eviction", "error"),
        ("store durability", "error"),
        ("store memory", "warning"),
        ("store replicas", "warning"),
        ("store clock", "ok"),
        ("ledger", "error"),
        ("server", "error"),
    ] {
        assert_eq!(severity_of(&findings, component), severity, "{component}: {findings:?}");
    }
    for finding in &findings {
        let has_remedy = finding["remedy"].is_string();
        assert_eq!(has_remedy, finding["severity"] != "ok", "{finding}");
    }
    sentinel(["migrate", "--ledger-url", &ledger]).await.ok();
    let output = sentinel(doctor.into_iter().chain(stores)).await;
    assert_eq!(severity_of(&output.json(), "ledger"), "ok", "{output:?}");
}

#[tokio::test]
async fn the_commands_that_dev_prints_work_beside_it_and_doctor_finds_its_data() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let any = "127.0.0.1:0";
    let mut dev = Command::new(binary("sentinel"))
        .args(["dev", "--listen", any, "--ops-listen", any, "--gateway-listen", any])
        .current_dir(dir.path())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("sentinel starts");
    let mut lines = BufReader::new(dev.stderr.take().expect("its standard error")).lines();
    let list = tokio::time::timeout(TIMEOUT, async {
        loop {
            let line = lines.next_line().await.expect("text").expect("more output");
            if line.contains(" job list") {
                return line;
            }
        }
    });
    let list = list.await.expect("the commands are printed");
    let run = async |command: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(dir.path());
        let output = shell.output().await.expect("a shell");
        assert!(output.status.success(), "{command}: {output:?}");
    };
    run(&list).await;
    let (_, server) = list.split_once(" --server ").expect("an address of its own");
    run(&format!("{} doctor --server {server}", binary("sentinel").display())).await;
}

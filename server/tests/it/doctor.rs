//! `sentinel doctor` on healthy and on misconfigured systems.

use sentinel_faults::{MariaDb, RedisServer, free_port};
use serde_json::Value;

use crate::harness::{TestServer, sentinel};

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

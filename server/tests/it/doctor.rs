//! `sentinel doctor` on installations that are well, and on what is wrong with others.

use sentinel_faults::{MariaDb, RedisServer, free_port};
use serde_json::Value;

use crate::harness::{World, sentinel};

fn verdict_of<'a>(findings: &'a [Value], about: &str) -> &'a str {
    let found = findings.iter().find(|finding| finding["about"] == about);
    found.and_then(|finding| finding["verdict"].as_str()).unwrap_or("nothing")
}

#[tokio::test]
async fn what_is_well_is_told_as_well() {
    let world = World::start().await;
    let (url, dir) = (world.server.url(), world.dir.path().join("data"));
    let dir = dir.to_str().expect("a plain name");
    let looked = sentinel(["doctor", "--server", &url, "--data-dir", dir, "--json"]).await;
    assert_eq!(looked.code, 0, "{looked:?}");
    let findings = looked.json();
    assert_eq!(verdict_of(&findings, "ledger"), "ok", "{findings:?}");
    let of_server = findings.iter().filter(|finding| finding["about"] == "server");
    let verdicts: Vec<&Value> = of_server.map(|finding| &finding["verdict"]).collect();
    assert_eq!(verdicts, ["ok"; 4], "{findings:?}");
    let text = sentinel(["doctor", "--server", &url, "--data-dir", dir]).await.ok();
    assert!(text.starts_with("VERDICT") && !text.contains('\u{1b}'), "{text}");
}

#[tokio::test]
async fn what_is_wrong_is_told_with_a_remedy() {
    let dir = tempfile::tempdir().expect("a directory");
    let careless = ["--appendonly", "no", "--maxmemory-policy", "allkeys-lru"];
    let redis = RedisServer::start(dir.path(), &careless);
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let database = MariaDb::start();
    let (store, ledger) = (redis.url(), database.url());
    let stores = ["--store-url", &store, "--ledger-url", &ledger];
    let doctor = ["doctor", "--server", &nobody, "--json"];
    let looked = sentinel(doctor.into_iter().chain(stores)).await;
    assert_eq!(looked.code, 5, "{looked:?}");
    let findings = looked.json();
    for (about, verdict) in [
        ("store", "warn"),
        ("store eviction", "bad"),
        ("store durability", "bad"),
        ("store memory", "warn"),
        ("store replicas", "warn"),
        ("store clock", "ok"),
        ("ledger", "bad"),
        ("server", "bad"),
    ] {
        assert_eq!(verdict_of(&findings, about), verdict, "{about}: {findings:?}");
    }
    for finding in &findings {
        let has_remedy = finding["remedy"].is_string();
        assert_eq!(has_remedy, finding["verdict"] != "ok", "{finding}");
    }
    sentinel(["migrate", "--ledger-url", &ledger]).await.ok();
    let looked = sentinel(doctor.into_iter().chain(stores)).await;
    assert_eq!(verdict_of(&looked.json(), "ledger"), "ok", "{looked:?}");
}

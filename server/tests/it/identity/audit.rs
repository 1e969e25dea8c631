//! The audit log: it records the actions and refused attempts of people, and not those of services.

use std::time::Duration;

use sentinel_client::NewJob;
use sentinel_client::proto::admin::v1::{ListAuditEntriesRequest, Queue, Role};
use sentinel_client::proto::jobs::v1::JobState;
use sentinel_domain::limits::AUDIT_REFUSALS;
use tokio::time::timeout;

use super::{AuthServer, key_id};
use crate::harness::{TIMEOUT, run, sentinel, wait_until};

#[tokio::test]
async fn actions_of_people_are_in_the_audit_log() {
    let mut auth = AuthServer::start(&[]).await;
    let root = auth.client(&auth.root_key);
    let viewer = auth.create_key(Role::Viewer, &[]).await;
    let operator = auth.create_key(Role::Operator, &[]).await;
    let producer = auth.create_key(Role::Producer, &[]).await;
    let enqueue = || NewJob::new("mail", "raw");
    let mut jobs = Vec::new();
    for _ in 0..2 {
        jobs.push(auth.client(&producer).enqueue(enqueue()).await.expect("enqueue a job").job.id);
    }
    auth.client(&producer).cancel(&jobs[0], "").await.expect("cancel the job");
    let ann = auth.client(&operator).with_actor("ann");
    ann.cancel(&jobs[1], "not needed").await.expect("cancel the job");
    ann.cancel("00000000-0000-7000-8000-000000000000", "")
        .await
        .expect_err("an error for an unknown job");
    auth.client(&viewer).cancel(&jobs[1], "").await.expect_err("an error");
    let queue = Queue { name: "urgent".into(), ..Queue::default() };
    ann.create_queue(queue).await.expect("create a queue");
    root.revoke_key(key_id(&viewer)).await.expect("revoke the key");
    let expected = [
        ("root", "KeyService/RevokeKey", key_id(&viewer), "OK"),
        ("operator:ann", "QueueService/CreateQueue", "urgent", "OK"),
        ("viewer", "JobService/Cancel", "", "ROLE_NOT_ALLOWED"),
        (
            "operator:ann",
            "JobService/Cancel",
            "00000000-0000-7000-8000-000000000000",
            "JOB_NOT_FOUND",
        ),
        ("operator:ann", "JobService/Cancel", &jobs[1], "OK"),
        ("root", "KeyService/CreateKey", "producer", "OK"),
        ("root", "KeyService/CreateKey", "operator", "OK"),
        ("root", "KeyService/CreateKey", "viewer", "OK"),
    ];
    let entries = wait_until("the audit log has all entries", TIMEOUT, || async {
        let entries = root.list_audit_entries(100).await.expect("entries");
        (entries.len() >= expected.len()).then_some(entries)
    })
    .await;
    let found: Vec<_> = entries
        .iter()
        .map(|one| {
            let action = one.action.trim_start_matches("sentinel.jobs.v1.");
            let action = action.trim_start_matches("sentinel.admin.v1.");
            (one.actor.as_str(), action, one.target.as_str(), one.outcome.as_str())
        })
        .collect();
    assert_eq!(found, expected);
    assert!(entries.iter().all(|one| one.peer == "127.0.0.1"), "{entries:?}");
    assert_eq!(entries[2].key_id, key_id(&viewer));

    // The pages are complete, also after a restart.
    auth.server.kill().await;
    auth.server.restart().await;
    let mut raw = auth.client(&auth.root_key).raw_audit();
    let mut page_token = String::new();
    let mut ids = Vec::new();
    loop {
        let request = ListAuditEntriesRequest { page_size: 3, page_token };
        let page = raw.list_audit_entries(request).await.expect("a page").into_inner();
        ids.extend(page.entries.into_iter().map(|one| one.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(ids, entries.iter().map(|one| one.id.clone()).collect::<Vec<_>>());
}

#[tokio::test]
async fn repeated_refusals_are_limited_in_the_audit_log() {
    let auth = AuthServer::start(&[]).await;
    let viewer = auth.client(&auth.create_key(Role::Viewer, &[]).await);
    // The limit is per minute, and a minute may end in between.
    let (attempts, max) = (500, 2 * (AUDIT_REFUSALS as usize + 1));
    for _ in 0..attempts {
        viewer.cancel("a\u{7}b", "").await.expect_err("an error");
    }
    let operator = auth.client(&auth.create_key(Role::Operator, &[]).await);
    let long = "x".repeat(100_000);
    operator.cancel(&long, "").await.expect_err("an error for an invalid id");
    let root = auth.client(&auth.root_key);
    let entries = wait_until("the last attempt is in the audit log", TIMEOUT, || async {
        let entries = root.list_audit_entries(1_000).await.expect("entries");
        entries.iter().any(|one| one.target.starts_with("xxx")).then_some(entries)
    })
    .await;
    let refused = |outcome: &str| entries.iter().filter(|one| one.outcome == outcome).count();
    let recorded = refused("ROLE_NOT_ALLOWED");
    assert!(recorded >= AUDIT_REFUSALS as usize && recorded <= max, "{recorded}");
    assert!((1..=2).contains(&refused("NOT_ALL_NOTED")), "{}", refused("NOT_ALL_NOTED"));
    assert!(entries.iter().all(|one| one.target.len() <= 256), "targets are truncated");
}

#[tokio::test]
async fn the_cli_manages_keys_and_reads_the_audit_log() {
    let auth = AuthServer::start(&[]).await;
    let url = auth.server.url();
    let file = auth.server.dir.path().join("root.key");
    std::fs::write(&file, format!("{}\n", auth.root_key)).expect("write a file");
    let at = format!("@{}", file.display());
    let with = |args: &[&str]| {
        let mut all: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        all.extend(["--server", &url, "--credential", &at, "--json"].map(str::to_owned));
        all
    };
    let created = sentinel(with(&[
        "key",
        "create",
        "--name",
        "shop",
        "--role",
        "producer",
        "--queue",
        "shop.*",
        "--expires",
        "1h",
    ]))
    .await;
    let created = created.json().remove(0);
    let (id, key) =
        (created["id"].as_str().expect("an id"), created["credential"].as_str().expect("a key"));
    let listed = sentinel(with(&["key", "list"])).await.json();
    assert_eq!(listed.len(), 2, "{listed:?}");
    let shop = listed.iter().find(|one| one["id"] == id).expect("the key");
    assert_eq!((&shop["name"], &shop["role"]), (&"shop".into(), &"ROLE_PRODUCER".into()));
    let mut command = tokio::process::Command::new(crate::harness::binary("sentinel"));
    command.args(["job", "enqueue", "raw", "--queue", "other", "--server", &url]);
    command.args(["--credential", key]);
    let refused = run(command).await;
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(
        refused.stderr.contains("QUEUE_NOT_ALLOWED") || refused.stderr.contains("does not reach"),
        "{refused:?}"
    );
    sentinel(with(&["key", "revoke", id])).await.ok();
    let entries = wait_until("the audit log has all entries", TIMEOUT, || async {
        let entries = sentinel(with(&["audit", "list"])).await.json();
        (entries.len() >= 2).then_some(entries)
    })
    .await;
    assert_eq!(entries[0]["target"], id);
    let missing = sentinel(["key", "list", "--server", &url]).await;
    assert_eq!(missing.code, 5, "{missing:?}");
    assert!(missing.stderr.contains("sentinel key create --name root --role admin"), "{missing:?}");
}

#[tokio::test]
async fn changes_for_disconnected_callers_are_in_the_audit_log() {
    let auth = AuthServer::start(&["--ack", "ledger"]).await;
    let root = auth.client(&auth.root_key);
    let operator = auth.client(&auth.create_key(Role::Operator, &[]).await);
    let (mut jobs, mut disconnected) = (Vec::new(), 0);
    for timeout_ms in 0..30 {
        let id = root.enqueue(NewJob::new("mail", "raw")).await.expect("enqueue a job").job.id;
        let cancel = operator.cancel(&id, "");
        disconnected +=
            u32::from(timeout(Duration::from_millis(timeout_ms), cancel).await.is_err());
        jobs.push(id);
    }
    let mut cancelled = Vec::new();
    for id in jobs {
        if root.get(&id).await.expect("a job").state() == JobState::Cancelled {
            cancelled.push(id);
        }
    }
    println!("{disconnected} callers disconnected, {} jobs are cancelled", cancelled.len());
    wait_until("every cancel is in the audit log", TIMEOUT, || async {
        let entries = root.list_audit_entries(1_000).await.expect("entries");
        let is_recorded =
            |id: &String| entries.iter().any(|one| one.target == *id && one.outcome == "OK");
        cancelled.iter().all(is_recorded).then_some(())
    })
    .await;
}

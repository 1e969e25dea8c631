//! The audit trail: what people did and tried, and nothing of what services do.

use std::time::Duration;

use sentinel_client::NewJob;
use sentinel_client::proto::admin::v1::{ListAuditEntriesRequest, Queue, Role};
use sentinel_client::proto::jobs::v1::JobState;
use sentinel_domain::limits::AUDIT_REFUSALS;
use tokio::time::timeout;

use super::{Guarded, id_of};
use crate::harness::{PATIENCE, run, sentinel, until};

#[tokio::test]
async fn what_people_do_is_in_the_trail() {
    let mut guarded = Guarded::start(&[]).await;
    let root = guarded.client(&guarded.root);
    let viewer = guarded.key(Role::Viewer, &[]).await;
    let operator = guarded.key(Role::Operator, &[]).await;
    let producer = guarded.key(Role::Producer, &[]).await;
    let enqueue = || NewJob::new("mail", "raw");
    let mut jobs = Vec::new();
    for _ in 0..2 {
        jobs.push(guarded.client(&producer).enqueue(enqueue()).await.expect("enqueued").job.id);
    }
    guarded.client(&producer).cancel(&jobs[0], "").await.expect("cancelled");
    let ann = guarded.client(&operator).with_actor("ann");
    ann.cancel(&jobs[1], "not needed").await.expect("cancelled");
    ann.cancel("00000000-0000-7000-8000-000000000000", "").await.expect_err("no such job");
    guarded.client(&viewer).cancel(&jobs[1], "").await.expect_err("refused");
    let queue = Queue { name: "urgent".into(), ..Queue::default() };
    ann.create_queue(queue).await.expect("created");
    root.revoke_key(id_of(&viewer)).await.expect("revoked");
    let expected = [
        ("root", "KeyService/RevokeKey", id_of(&viewer), "OK"),
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
    let entries = until("the trail is written", PATIENCE, || async {
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
    assert_eq!(entries[2].key_id, id_of(&viewer));

    // Page by page, and after a restart.
    guarded.world.server.kill().await;
    guarded.world.server.restart().await;
    let mut raw = guarded.client(&guarded.root).raw_audit();
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
async fn who_is_refused_in_a_loop_fills_no_trail() {
    let guarded = Guarded::start(&[]).await;
    let viewer = guarded.client(&guarded.key(Role::Viewer, &[]).await);
    // A minute may end in between.
    let (tries, most) = (500, 2 * (AUDIT_REFUSALS as usize + 1));
    for _ in 0..tries {
        viewer.cancel("a\u{7}b", "").await.expect_err("refused");
    }
    let operator = guarded.client(&guarded.key(Role::Operator, &[]).await);
    let long = "x".repeat(100_000);
    operator.cancel(&long, "").await.expect_err("no id");
    let root = guarded.client(&guarded.root);
    let entries = until("the last try is in the trail", PATIENCE, || async {
        let entries = root.list_audit_entries(1_000).await.expect("entries");
        entries.iter().any(|one| one.target.starts_with("xxx")).then_some(entries)
    })
    .await;
    let refused = |outcome: &str| entries.iter().filter(|one| one.outcome == outcome).count();
    let noted = refused("ROLE_NOT_ALLOWED");
    assert!(noted >= AUDIT_REFUSALS as usize && noted <= most, "{noted}");
    assert!((1..=2).contains(&refused("NOT_ALL_NOTED")), "{}", refused("NOT_ALL_NOTED"));
    assert!(entries.iter().all(|one| one.target.len() <= 256), "texts are cut");
}

#[tokio::test]
async fn the_command_line_manages_keys_and_reads_the_trail() {
    let guarded = Guarded::start(&[]).await;
    let url = guarded.world.server.url();
    let file = guarded.world.dir.path().join("root.key");
    std::fs::write(&file, format!("{}\n", guarded.root)).expect("written");
    let at = format!("@{}", file.display());
    let with = |args: &[&str]| {
        let mut all: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        all.extend(["--server", &url, "--credential", &at, "--json"].map(str::to_owned));
        all
    };
    let made = sentinel(with(&[
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
    let made = made.json().remove(0);
    let (id, key) =
        (made["id"].as_str().expect("an id"), made["credential"].as_str().expect("a key"));
    let listed = sentinel(with(&["key", "list"])).await.json();
    assert_eq!(listed.len(), 2, "{listed:?}");
    let shop = listed.iter().find(|one| one["id"] == id).expect("the key");
    assert_eq!((&shop["name"], &shop["role"]), (&"shop".into(), &"producer".into()));
    let mut command = tokio::process::Command::new(crate::harness::binary("sentinel"));
    command.args(["job", "enqueue", "raw", "--queue", "other", "--server", &url]);
    command.args(["--credential", key]);
    let refused = run(command).await;
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(
        refused.err.contains("QUEUE_NOT_ALLOWED") || refused.err.contains("does not reach"),
        "{refused:?}"
    );
    sentinel(with(&["key", "revoke", id])).await.ok();
    let entries = until("the trail is written", PATIENCE, || async {
        let entries = sentinel(with(&["audit", "list"])).await.json();
        (entries.len() >= 2).then_some(entries)
    })
    .await;
    assert_eq!(entries[0]["target"], id);
    let missing = sentinel(["key", "list", "--server", &url]).await;
    assert_eq!(missing.code, 5, "{missing:?}");
    assert!(missing.err.contains("sentinel key create --role admin"), "{missing:?}");
}

#[tokio::test]
async fn what_was_done_for_a_caller_who_left_is_in_the_trail() {
    let guarded = Guarded::start(&["--ack", "ledger"]).await;
    let root = guarded.client(&guarded.root);
    let operator = guarded.client(&guarded.key(Role::Operator, &[]).await);
    let (mut jobs, mut left) = (Vec::new(), 0);
    for patience_ms in 0..30 {
        let id = root.enqueue(NewJob::new("mail", "raw")).await.expect("enqueued").job.id;
        let cancel = operator.cancel(&id, "");
        left += u32::from(timeout(Duration::from_millis(patience_ms), cancel).await.is_err());
        jobs.push(id);
    }
    let mut cancelled = Vec::new();
    for id in jobs {
        if root.get(&id).await.expect("a job").state() == JobState::Cancelled {
            cancelled.push(id);
        }
    }
    println!("{left} callers left, {} jobs are cancelled", cancelled.len());
    until("all that was done is in the trail", PATIENCE, || async {
        let entries = root.list_audit_entries(1_000).await.expect("entries");
        let noted =
            |id: &String| entries.iter().any(|one| one.target == *id && one.outcome == "OK");
        cancelled.iter().all(noted).then_some(())
    })
    .await;
}

//! The verbs of the binary against a live server: exit codes, shapes, and what goes where.

use serde_json::{Value, json};

use crate::harness::{Ended, PATIENCE, World, sentinel, until};

/// `sentinel <args> --server <world>`.
async fn at(world: &World, args: &[&str]) -> Ended {
    let url = world.server.url();
    sentinel(args.iter().copied().chain(["--server", &url])).await
}

const SLEEP: &str = r#"{"ms":60000}"#;

#[tokio::test]
async fn a_job_is_enqueued_watched_and_shown() {
    let world = World::start().await;
    let _worker = world.worker("w1", &[]).await;
    let payload = r#"{"steps":2,"step_ms":50}"#;
    let args = ["job", "enqueue", "demo.progress", "--payload", payload, "--watch"];
    let watched = at(&world, &args).await;
    let out = watched.ok();
    assert!(out.contains("succeeded") && out.contains("running"), "{out}");
    assert!(!out.contains('\u{1b}'), "colours in a pipe: {out:?}");
    let id = out.lines().next().unwrap().to_owned();
    let shown = at(&world, &["job", "get", id.split(' ').next().unwrap(), "--json"]).await;
    let job = &shown.json()[0];
    assert_eq!(job["state"], "JOB_STATE_SUCCEEDED", "{job}");
    assert_eq!(job["spec"]["payload"], json!({"steps": 2, "step_ms": 50}));
    assert_eq!(job["result"], 2);
    let listed = until("the list has the job", PATIENCE, || async {
        let listed = at(&world, &["job", "list", "--state", "succeeded"]).await.ok();
        listed.contains("demo.progress").then_some(listed)
    })
    .await;
    let header = listed.lines().next().unwrap();
    assert!(header.starts_with("ID") && header.contains("STATE"), "{listed}");
    assert!(!listed.contains('\u{1b}'), "{listed:?}");
    let logs = at(&world, &["job", "logs", job["id"].as_str().unwrap(), "--json"]).await;
    assert_eq!(logs.json()[0]["text"], "step 1 of 2");
    let id = job["id"].as_str().unwrap();
    let attempts = at(&world, &["job", "attempts", id, "--json"]).await.json();
    assert_eq!(attempts.len(), 1, "{attempts:?}");
    assert_eq!(attempts[0]["outcome"], "ATTEMPT_OUTCOME_SUCCEEDED", "{attempts:?}");
    let unknown = "0190a5c2-0000-7000-8000-000000000000";
    let both = at(&world, &["job", "get", unknown, id, "--json"]).await;
    assert_eq!((both.code, both.json().len()), (3, 1), "{both:?}");
    assert!(both.err.contains(unknown), "{both:?}");
    let counts = at(&world, &["job", "counts", "--json"]).await.json();
    assert_eq!(counts[0]["queue"], "default", "{counts:?}");
}

#[tokio::test]
async fn a_watch_in_json_carries_states_and_cursors() {
    let world = World::start().await;
    let _worker = world.worker("w1", &[]).await;
    let args = ["job", "enqueue", "demo.fail", "--max-attempts", "1", "--watch", "--json"];
    let failed = at(&world, &args).await;
    assert_eq!(failed.code, 1, "{failed:?}");
    let lines = failed.json();
    // A job that has ended before the watch opens comes with its snapshot.
    let seen = |line: &Value| {
        let job = [&line["change"]["job"], &line["snapshot"]["jobs"][0]];
        job.into_iter().find_map(|job| job.get("state").cloned())
    };
    let states: Vec<Value> = lines.iter().filter_map(seen).collect();
    assert_eq!(states.last(), Some(&json!("JOB_STATE_FAILED")), "{lines:?}");
    assert!(lines.iter().any(|line| line["cursor"].is_string()), "{lines:?}");
    let many = at(&world, &["job", "enqueue", "demo.noop", "--count", "3"]).await.ok();
    assert_eq!(many.lines().count(), 3, "an id a line: {many}");
}

#[tokio::test]
async fn exit_codes_tell_what_happened() {
    let world = World::with(&[]).await;
    let unknown = "0190a5c2-0000-7000-8000-000000000000";
    let no_queue = at(&world, &["job", "enqueue", "demo.sleep"]).await;
    assert_eq!(no_queue.code, 3, "{no_queue:?}");
    assert!(no_queue.out.is_empty() && no_queue.err.contains("queue create"), "{no_queue:?}");
    at(&world, &["queue", "create", "default"]).await.ok();
    at(&world, &["queue", "create", "default"]).await.ok();
    let exists = at(&world, &["queue", "create", "default", "--order", "strict"]).await;
    assert_eq!(exists.code, 5, "{exists:?}");
    let queues = at(&world, &["queue", "list", "--json"]).await.json();
    assert_eq!(queues[0]["name"], "default");
    let id = at(&world, &["job", "enqueue", "demo.sleep", "--payload", SLEEP]).await.ok();
    let id = id.trim();
    assert_eq!(at(&world, &["job", "retry", id]).await.code, 5);
    at(&world, &["job", "cancel", id]).await.ok();
    assert_eq!(at(&world, &["job", "cancel", id]).await.code, 5);
    let again = at(&world, &["job", "retry", id, "--json"]).await.json();
    assert_eq!((&again[0]["run"], &again[0]["state"]), (&json!(2), &json!("JOB_STATE_READY")));
    for verb in ["get", "cancel", "retry", "watch", "attempts", "run-now", "delete"] {
        assert_eq!(at(&world, &["job", verb, unknown]).await.code, 3, "{verb}");
    }
    assert_eq!(at(&world, &["job", "get", "nonsense"]).await.code, 2);
    assert_eq!(at(&world, &["job", "enqueue", "a b"]).await.code, 2);
    assert_eq!(at(&world, &["job", "watch"]).await.code, 2);
    assert_eq!(sentinel(["job", "frobnicate"]).await.code, 2);
    let refused = at(&world, &["job", "enqueue", "a b", "--json"]).await;
    let error: Value = serde_json::from_str(&refused.err).unwrap();
    assert_eq!(error["error"]["reason"], "INVALID_FIELD");
    assert_eq!(error["error"]["fieldViolations"][0]["field"], "spec.kind");
    assert_eq!(error["exitCode"], 2);
}

#[tokio::test]
async fn jobs_start_ahead_of_their_time_and_are_deleted() {
    let world = World::start().await;
    let args = ["job", "enqueue", "demo.noop", "--delay", "1h"];
    let id = at(&world, &args).await.ok();
    let id = id.trim();
    let ready = at(&world, &["job", "run-now", id, "--json"]).await.json();
    assert_eq!(ready[0]["state"], "JOB_STATE_READY", "{ready:?}");
    let again = at(&world, &["job", "run-now", id, "--json"]).await;
    assert_eq!(again.code, 5, "{again:?}");
    assert!(again.err.contains("JOB_NOT_SCHEDULED"), "{again:?}");
    at(&world, &["job", "delete", id]).await.ok();
    assert_eq!(at(&world, &["job", "get", id]).await.code, 3);
    let _worker = world.worker("w1", &[]).await;
    let id = at(&world, &["job", "enqueue", "demo.sleep", "--payload", SLEEP]).await.ok();
    let id = id.trim();
    until("it runs", PATIENCE, || async {
        let job = at(&world, &["job", "get", id, "--json"]).await.json();
        (job[0]["state"] == "JOB_STATE_RUNNING").then_some(())
    })
    .await;
    let refused = at(&world, &["job", "delete", id, "--json"]).await;
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(refused.err.contains("JOB_RUNNING"), "{refused:?}");
}

#[tokio::test]
async fn many_jobs_are_counted_before_they_are_cancelled() {
    let world = World::start().await;
    let args = ["job", "enqueue", "demo.noop", "--count", "230", "--label", "shop=42"];
    at(&world, &args).await.ok();
    let bulk = async |more: &[&str]| {
        let args = ["job", "bulk", "cancel", "--label", "shop=42"];
        at(&world, &args.iter().chain(more).copied().collect::<Vec<_>>()).await
    };
    let counted = bulk(&["--dry-run", "--json"]).await.json();
    assert_eq!(counted[0], json!({"matched": 230, "capped": false}));
    let unasked = bulk(&[]).await;
    assert_eq!(unasked.code, 2, "{unasked:?}");
    assert!(unasked.err.contains("230 jobs") && unasked.err.contains("--yes"), "{unasked:?}");
    let done = bulk(&["--yes", "--json"]).await.json();
    assert_eq!(done[0]["counts"], json!({"cancelled": 230}), "{done:?}");
    let none = bulk(&["--yes"]).await.ok();
    assert!(none.contains("no jobs match"), "{none}");
    let all = at(&world, &["job", "bulk", "delete", "--yes"]).await;
    assert_eq!(all.code, 2, "every job is not a filter: {all:?}");
}

#[tokio::test]
async fn no_server_is_said_at_once() {
    // Bound and never accepting is not "no server"; a port that was just given back is.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{port}");
    let ended = sentinel(["job", "list", "--server", &url]).await;
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(ended.err.contains(&url) && ended.err.contains("sentinel dev"), "{ended:?}");
    assert!(ended.out.is_empty());
}

#[tokio::test]
async fn a_database_is_migrated_once_and_the_password_is_not_shown() {
    let database = sentinel_faults::MariaDb::start();
    let url = database.url();
    let migrate = async |more: &[&str]| {
        let args = ["migrate", "--ledger-url", &url];
        sentinel(args.into_iter().chain(more.iter().copied())).await
    };
    let planned = migrate(&["--dry-run"]).await.ok();
    assert!(planned.contains("would go from format 0"), "{planned}");
    assert!(!planned.contains("hush"), "{planned}");
    let done = &migrate(&["--json"]).await.json()[0];
    assert_eq!((&done["from"], &done["steps"]), (&json!(0), &json!([1, 2, 3, 4, 5, 6])), "{done}");
    let again = migrate(&[]).await.ok();
    assert!(again.contains("already"), "{again}");
    let wrong = sentinel(["migrate", "--ledger-url", "mysql://u:secret@nowhere"]).await;
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(!format!("{wrong:?}").contains("secret"), "{wrong:?}");
}

#[tokio::test]
async fn completion_scripts_are_written() {
    for shell in ["bash", "zsh", "fish"] {
        let script = sentinel(["completion", shell]).await.ok();
        assert!(script.contains("enqueue") && script.contains("sentinel"), "{shell}");
    }
}

#[tokio::test]
async fn the_effective_settings_are_printed_and_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sentinel.toml");
    let args = ["serve", "--session-ttl", "20s", "--print-config"];
    let printed = sentinel(args).await.ok();
    let line = printed.lines().find(|line| line.starts_with("session_ttl")).unwrap();
    assert!(line.contains("\"20s\"") && line.contains('#'), "{line}");
    std::fs::write(&file, &printed).unwrap();
    let path = file.display().to_string();
    let again = sentinel(["serve", "--config", &path, "--print-config"]).await.ok();
    let values = |text: &str| -> Vec<String> {
        let value = |line: &str| line.split("  #").next().unwrap().trim().to_owned();
        text.lines().map(value).filter(|line| !line.starts_with('#')).collect()
    };
    assert_eq!(values(&again), values(&printed));
}

#[tokio::test]
async fn all_mistakes_of_a_configuration_are_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sentinel.toml");
    std::fs::write(&file, "sesion_ttl = \"20s\"\npayload_max_bytes = \"99GiB\"\n").unwrap();
    let path = file.display().to_string();
    let args = ["serve", "--config", &path, "--ping", "soon", "--listen", "0.0.0.0:0"];
    let ended = sentinel(args).await;
    assert_eq!(ended.code, 2, "{ended:?}");
    for told in ["sesion_ttl", "session_ttl", "payload_max_bytes", "ping", "insecure"] {
        assert!(ended.err.contains(told), "{told} is missing: {}", ended.err);
    }
}

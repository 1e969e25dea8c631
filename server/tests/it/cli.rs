//! The commands of `sentinel` against a running server: exit codes, output formats, and the choice
//! of standard output or standard error.

use serde_json::{Value, json};

use crate::harness::{CommandOutput, TIMEOUT, TestServer, sentinel, wait_until};

/// Runs `sentinel <args> --server <url>`.
async fn cli(server: &TestServer, args: &[&str]) -> CommandOutput {
    let url = server.url();
    sentinel(args.iter().copied().chain(["--server", &url])).await
}

const SLEEP: &str = r#"{"ms":60000}"#;

#[tokio::test]
async fn a_job_is_enqueued_watched_and_shown() {
    let server = TestServer::start().await;
    let _worker = server.start_worker("w1", &[]).await;
    let payload = r#"{"steps":2,"step_ms":50}"#;
    let args = ["job", "enqueue", "demo.progress", "--payload", payload, "--watch"];
    let watched = cli(&server, &args).await;
    let out = watched.ok();
    assert!(out.contains("succeeded") && out.contains("running"), "{out}");
    assert!(!out.contains('\u{1b}'), "the output to a pipe has colours: {out:?}");
    let id = out.lines().next().unwrap().to_owned();
    let shown = cli(&server, &["job", "get", id.split(' ').next().unwrap(), "--json"]).await;
    let job = &shown.json()[0];
    assert_eq!(job["state"], "JOB_STATE_SUCCEEDED", "{job}");
    assert_eq!(job["spec"]["payload"], json!({"steps": 2, "step_ms": 50}));
    assert_eq!(job["result"], 2);
    let listed = wait_until("the list has the job", TIMEOUT, || async {
        let listed = cli(&server, &["job", "list", "--state", "succeeded"]).await.ok();
        listed.contains("demo.progress").then_some(listed)
    })
    .await;
    let header = listed.lines().next().unwrap();
    assert!(header.starts_with("ID") && header.contains("STATE"), "{listed}");
    assert!(!listed.contains('\u{1b}'), "{listed:?}");
    let logs = cli(&server, &["job", "logs", job["id"].as_str().unwrap(), "--json"]).await;
    assert_eq!(logs.json()[0]["text"], "step 1 of 2");
    let id = job["id"].as_str().unwrap();
    let attempts = cli(&server, &["job", "attempts", id, "--json"]).await.json();
    assert_eq!(attempts.len(), 1, "{attempts:?}");
    assert_eq!(attempts[0]["outcome"], "ATTEMPT_OUTCOME_SUCCEEDED", "{attempts:?}");
    let unknown = "0190a5c2-0000-7000-8000-000000000000";
    let both = cli(&server, &["job", "get", unknown, id, "--json"]).await;
    assert_eq!((both.code, both.json().len()), (3, 1), "{both:?}");
    assert!(both.stderr.contains(unknown), "{both:?}");
    let counts = cli(&server, &["job", "counts", "--json"]).await.json();
    assert_eq!(counts[0]["queue"], "default", "{counts:?}");
}

#[tokio::test]
async fn a_watch_in_json_carries_states_and_cursors() {
    let server = TestServer::start().await;
    let _worker = server.start_worker("w1", &[]).await;
    let args = ["job", "enqueue", "demo.fail", "--max-attempts", "1", "--watch", "--json"];
    let failed = cli(&server, &args).await;
    assert_eq!(failed.code, 1, "{failed:?}");
    let lines = failed.json();
    // A job that is terminal before the watch opens is in the snapshot.
    let state_of = |line: &Value| {
        let job = [&line["change"]["job"], &line["snapshot"]["jobs"][0]];
        job.into_iter().find_map(|job| job.get("state").cloned())
    };
    let states: Vec<Value> = lines.iter().filter_map(state_of).collect();
    assert_eq!(states.last(), Some(&json!("JOB_STATE_FAILED")), "{lines:?}");
    assert!(lines.iter().any(|line| line["cursor"].is_string()), "{lines:?}");
    let many = cli(&server, &["job", "enqueue", "demo.noop", "--count", "3"]).await.ok();
    assert_eq!(many.lines().count(), 3, "one id per line: {many}");
}

#[tokio::test]
async fn exit_codes_identify_the_error() {
    let server = TestServer::with_flags(&[]).await;
    let unknown = "0190a5c2-0000-7000-8000-000000000000";
    let no_queue = cli(&server, &["job", "enqueue", "demo.sleep"]).await;
    assert_eq!(no_queue.code, 3, "{no_queue:?}");
    assert!(no_queue.stdout.is_empty() && no_queue.stderr.contains("queue create"), "{no_queue:?}");
    cli(&server, &["queue", "create", "default"]).await.ok();
    cli(&server, &["queue", "create", "default"]).await.ok();
    let exists = cli(&server, &["queue", "create", "default", "--order", "strict"]).await;
    assert_eq!(exists.code, 5, "{exists:?}");
    let queues = cli(&server, &["queue", "list", "--json"]).await.json();
    assert_eq!(queues[0]["name"], "default");
    let id = cli(&server, &["job", "enqueue", "demo.sleep", "--payload", SLEEP]).await.ok();
    let id = id.trim();
    assert_eq!(cli(&server, &["job", "retry", id]).await.code, 5);
    cli(&server, &["job", "cancel", id]).await.ok();
    assert_eq!(cli(&server, &["job", "cancel", id]).await.code, 5);
    let again = cli(&server, &["job", "retry", id, "--json"]).await.json();
    assert_eq!((&again[0]["run"], &again[0]["state"]), (&json!(2), &json!("JOB_STATE_READY")));
    for verb in ["get", "cancel", "retry", "watch", "attempts", "run-now", "delete"] {
        assert_eq!(cli(&server, &["job", verb, unknown]).await.code, 3, "{verb}");
    }
    assert_eq!(cli(&server, &["job", "get", "nonsense"]).await.code, 2);
    assert_eq!(cli(&server, &["job", "enqueue", "a b"]).await.code, 2);
    assert_eq!(cli(&server, &["job", "watch"]).await.code, 2);
    assert_eq!(sentinel(["job", "frobnicate"]).await.code, 2);
    let refused = cli(&server, &["job", "enqueue", "a b", "--json"]).await;
    let error: Value = serde_json::from_str(&refused.stderr).unwrap();
    assert_eq!(error["error"]["reason"], "INVALID_FIELD");
    assert_eq!(error["error"]["fieldViolations"][0]["field"], "spec.kind");
    assert_eq!(error["exitCode"], 2);
}

#[tokio::test]
async fn a_scheduled_job_is_run_now_and_deleted() {
    let server = TestServer::start().await;
    let args = ["job", "enqueue", "demo.noop", "--delay", "1h"];
    let id = cli(&server, &args).await.ok();
    let id = id.trim();
    let ready = cli(&server, &["job", "run-now", id, "--json"]).await.json();
    assert_eq!(ready[0]["state"], "JOB_STATE_READY", "{ready:?}");
    let again = cli(&server, &["job", "run-now", id, "--json"]).await;
    assert_eq!(again.code, 5, "{again:?}");
    assert!(again.stderr.contains("JOB_NOT_SCHEDULED"), "{again:?}");
    cli(&server, &["job", "delete", id]).await.ok();
    assert_eq!(cli(&server, &["job", "get", id]).await.code, 3);
    let _worker = server.start_worker("w1", &[]).await;
    let id = cli(&server, &["job", "enqueue", "demo.sleep", "--payload", SLEEP]).await.ok();
    let id = id.trim();
    wait_until("it runs", TIMEOUT, || async {
        let job = cli(&server, &["job", "get", id, "--json"]).await.json();
        (job[0]["state"] == "JOB_STATE_RUNNING").then_some(())
    })
    .await;
    let refused = cli(&server, &["job", "delete", id, "--json"]).await;
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(refused.stderr.contains("JOB_RUNNING"), "{refused:?}");
}

#[tokio::test]
async fn a_bulk_cancel_requires_confirmation_with_the_count() {
    let server = TestServer::start().await;
    let args = ["job", "enqueue", "demo.noop", "--count", "230", "--label", "shop=42"];
    cli(&server, &args).await.ok();
    let bulk = async |more: &[&str]| {
        let args = ["job", "bulk", "cancel", "--label", "shop=42"];
        cli(&server, &args.iter().chain(more).copied().collect::<Vec<_>>()).await
    };
    let counted = bulk(&["--dry-run", "--json"]).await.json();
    assert_eq!(counted[0], json!({"matched": 230, "capped": false}));
    let unasked = bulk(&[]).await;
    assert_eq!(unasked.code, 2, "{unasked:?}");
    assert!(unasked.stderr.contains("230 jobs") && unasked.stderr.contains("--yes"), "{unasked:?}");
    let done = bulk(&["--yes", "--json"]).await.json();
    assert_eq!(done[0]["counts"], json!({"cancelled": 230}), "{done:?}");
    let none = bulk(&["--yes"]).await.ok();
    assert!(none.contains("no jobs match"), "{none}");
    let all = cli(&server, &["job", "bulk", "delete", "--yes"]).await;
    assert_eq!(all.code, 2, "bulk requires a filter: {all:?}");
}

#[tokio::test]
async fn an_unreachable_server_is_reported_immediately() {
    // A port that was released a moment ago refuses connections.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{port}");
    let output = sentinel(["job", "list", "--server", &url]).await;
    assert_eq!(output.code, 4, "{output:?}");
    assert!(output.stderr.contains(&url) && output.stderr.contains("sentinel dev"), "{output:?}");
    assert!(output.stdout.is_empty());
}

#[tokio::test]
async fn migrate_is_idempotent_and_does_not_print_the_password() {
    let database = sentinel_faults::MariaDb::start();
    let url = database.url();
    let migrate = async |more: &[&str]| {
        let args = ["migrate", "--ledger-url", &url];
        sentinel(args.into_iter().chain(more.iter().copied())).await
    };
    let planned = migrate(&["--dry-run"]).await.ok();
    assert!(planned.contains("would be upgraded from format 0"), "{planned}");
    assert!(!planned.contains("hush"), "{planned}");
    let done = &migrate(&["--json"]).await.json()[0];
    assert_eq!(
        (&done["from"], &done["steps"]),
        (&json!(0), &json!([1, 2, 3, 4, 5, 6, 7])),
        "{done}"
    );
    let again = migrate(&[]).await.ok();
    assert!(again.contains("already"), "{again}");
    let wrong = sentinel(["migrate", "--ledger-url", "mysql://u:secret@nowhere"]).await;
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(!format!("{wrong:?}").contains("secret"), "{wrong:?}");
}

/// A database server as its package configures it accepts packets of 16 MiB.
#[tokio::test]
async fn every_command_works_with_the_default_settings_of_a_database_server() {
    let database = sentinel_faults::MariaDb::start_with(&["--max-allowed-packet=16M"]);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let redis = sentinel_faults::RedisServer::start(dir.path(), &[]);
    let (ledger, store) = (database.url(), redis.url());
    let both = ["--ledger-url", &ledger, "--store-url", &store];
    sentinel(["migrate", "--ledger-url", &ledger]).await.ok();
    let create = ["key", "create", "--name", "root", "--role", "admin", "--ledger-url", &ledger];
    assert!(sentinel(create).await.ok().starts_with("snt_"));
    sentinel(["rebuild", "--yes"].into_iter().chain(both)).await.ok();
    let doctor = sentinel(["doctor"].into_iter().chain(both)).await;
    assert!(!doctor.stdout.contains("max_allowed_packet"), "{doctor:?}");
}

#[tokio::test]
async fn completion_scripts_are_generated() {
    for shell in ["bash", "zsh", "fish"] {
        let script = sentinel(["completion", shell]).await.ok();
        assert!(script.contains("enqueue") && script.contains("sentinel"), "{shell}");
    }
}

#[tokio::test]
async fn printed_settings_can_be_read_back() {
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
async fn all_configuration_errors_are_reported_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sentinel.toml");
    std::fs::write(&file, "sesion_ttl = \"20s\"\npayload_max_bytes = \"99GiB\"\n").unwrap();
    let path = file.display().to_string();
    let args = ["serve", "--config", &path, "--ping-interval", "soon", "--listen", "0.0.0.0:0"];
    let output = sentinel(args).await;
    assert_eq!(output.code, 2, "{output:?}");
    for expected in ["sesion_ttl", "session_ttl", "payload_max_bytes", "ping", "insecure"] {
        assert!(output.stderr.contains(expected), "{expected} is missing: {}", output.stderr);
    }
}

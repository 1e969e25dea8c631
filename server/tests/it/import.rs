//! Import of a data directory into Redis and a database: every job, log line and queue is
//! unchanged, and jobs continue.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::TryStreamExt;
use sentinel_client::proto::admin::v1::{Key, Queue};
use sentinel_client::proto::jobs::v1::{
    AckLevel, Job, JobFilter, JobKind, JobState, JobView, LogLine, Unique,
};
use sentinel_client::{BatchOptions, Client, ConnectOptions, NewJob};
use sentinel_faults::{MariaDb, RedisServer};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::{
    CommandOutput, Process, ServerProcess, TIMEOUT, TestServer, WorkerProcess, binary, demo_job,
    enqueue, run, sentinel, wait_state, wait_until,
};
use crate::history::side_effects;
use crate::identity::{create_key_offline, key_id};
use crate::stored_formats::populate;

/// Jobs in the data directory of an import that is killed.
const MANY: usize = 20_000;

/// A long session TTL keeps the lease of a running job during the test.
const FLAGS: [&str; 3] = ["--auto-create-queues", "--session-ttl", "10m"];

/// The stores that the data is imported into.
struct SharedStores {
    redis: RedisServer,
    database: MariaDb,
    dir: tempfile::TempDir,
}

impl SharedStores {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let redis_dir = dir.path().join("redis");
        std::fs::create_dir(&redis_dir).expect("a directory");
        let redis = RedisServer::start(&redis_dir, &[]);
        let stores = Self { redis, database: MariaDb::start(), dir };
        sentinel(["migrate", "--ledger-url", &stores.database.url()]).await.ok();
        stores
    }

    fn flags(&self) -> [String; 4] {
        let (store, ledger) = (self.redis.url(), self.database.url());
        ["--store-url", &store, "--ledger-url", &ledger].map(str::to_owned)
    }

    fn import_command(&self, from: &Path) -> Command {
        let mut command = Command::new(binary("sentinel"));
        command.args(["import", "--json", "--from"]).arg(from).args(self.flags());
        command
    }

    async fn import_from(&self, from: &Path) -> CommandOutput {
        run(self.import_command(from)).await
    }

    async fn serve(&self, more: &[&str]) -> ServerProcess {
        let flags = self.flags();
        let flags: Vec<&str> =
            flags.iter().map(String::as_str).chain(more.iter().copied()).collect();
        ServerProcess::start(self.dir.path(), &flags).await
    }

    /// Returns the number of imported rows and the step of the import.
    fn progress(&self) -> (u64, u64) {
        let row = self.database.ask("SELECT moved, step FROM moves");
        let mut words = row.split_whitespace().map(|word| word.parse().expect("a number"));
        (words.next().unwrap_or(0), words.next().unwrap_or(0))
    }

    /// Returns the number of jobs in Redis.
    fn jobs_in_redis(&self) -> usize {
        let count = self.redis.ask("HLEN sentinel:{s0}:status").unwrap_or_default();
        count.trim().parse().unwrap_or(0)
    }
}

/// Returns the JSON output of a successful command.
fn parsed(output: &CommandOutput) -> Value {
    assert_eq!(output.code, 0, "{}", output.stderr);
    serde_json::from_str(&output.stdout).expect("one JSON object")
}

/// Returns the error text of a command that failed with this code.
fn refused(output: &CommandOutput, code: i32) -> &str {
    assert_eq!((output.code, output.stdout.as_str()), (code, ""), "{}", output.stderr);
    assert!(!output.stderr.contains("hush"), "the error shows the password: {}", output.stderr);
    &output.stderr
}

fn data_of(source: &TestServer) -> PathBuf {
    source.dir.path().join("data")
}

/// Runs `sentinel serve` on a data directory.
async fn serve_on(data: &Path) -> CommandOutput {
    let any = "127.0.0.1:0";
    let data = data.to_str().expect("UTF-8");
    sentinel(["serve", "--listen", any, "--ops-listen", any, "--data-dir", data]).await
}

/// Everything that the public calls return.
#[derive(Debug, PartialEq)]
struct PublicState {
    got: BTreeMap<String, Job>,
    listed: Vec<Job>,
    logs: BTreeMap<String, Vec<LogLine>>,
    counts: BTreeMap<(String, i32), i64>,
    queues: Vec<Queue>,
}

async fn read_all(client: &Client) -> PublicState {
    let filter = JobFilter::default;
    let listed: Vec<Job> =
        client.list_all(filter(), 100, JobView::Full).try_collect().await.expect("list jobs");
    let (mut got, mut logs) = (BTreeMap::new(), BTreeMap::new());
    for job in &listed {
        got.insert(job.id.clone(), client.get(&job.id).await.expect("an existing job"));
        let lines = client.read_logs(&job.id, 0, false).await.expect("logs");
        logs.insert(job.id.clone(), lines.try_collect().await.expect("lines"));
    }
    let mut counts = BTreeMap::new();
    for queue in client.counts(Vec::new()).await.expect("counts").queues {
        for state in queue.states {
            counts.insert((queue.queue.clone(), state.state), state.count as i64);
        }
    }
    PublicState {
        got,
        listed,
        logs,
        counts,
        queues: client.list_queues().await.expect("list queues"),
    }
}

/// Returns the declarations of all kinds.
async fn kinds(client: &Client) -> Vec<(String, String, String, Option<prost_types::Timestamp>)> {
    let kinds = client.list_kinds().await.expect("kinds");
    let fields = |kind: JobKind| (kind.name, kind.description, kind.input_schema, kind.declared_at);
    kinds.into_iter().map(fields).collect()
}

/// Waits until the store and the ledger return the same jobs.
async fn wait_settled(client: &Client, jobs: usize) -> PublicState {
    wait_until("the store and the ledger agree", TIMEOUT, || async {
        let state = read_all(client).await;
        let is_all = state.listed.len() == jobs;
        let is_same = state.listed.iter().all(|job| state.got.get(&job.id) == Some(job));
        (is_all && is_same).then_some(state)
    })
    .await
}

/// Jobs in a queue without workers.
struct PendingJobs {
    ready: Vec<String>,
    scheduled: String,
    blocked: String,
    unique: NewJob,
    unique_holder: String,
}

/// Enqueues jobs that write to the file when they run.
async fn enqueue_pending(client: &Client, file: &Path) -> PendingJobs {
    let job_in = |queue: &str| {
        let job = NewJob::new(queue, "demo.effect").json(&json!({ "file": file }));
        job.expect("a JSON value").label("shop", "s2")
    };
    let job = || job_in("later");
    let mut ready = Vec::new();
    for nth in 0..20 {
        ready.push(enqueue(client, job().priority(nth % 10)).await);
    }
    let scheduled = enqueue(client, job_in("soon").delay(Duration::from_secs(20))).await;
    let blocked = enqueue(client, job().depends_on(&ready[0]).depends_on(&scheduled)).await;
    let unique = job().unique_key("only one").delay(Duration::from_secs(100_000));
    let unique_holder = enqueue(client, unique.clone()).await;
    PendingJobs { ready, scheduled, blocked, unique, unique_holder }
}

/// Asserts that everything is unchanged, except for the running job, which was released, and the
/// job in the queue `soon`, which may be due by now.
fn assert_unchanged(
    mut before: PublicState,
    mut after: PublicState,
    running: &str,
    scheduled: &str,
) {
    let of = |state: &mut PublicState, id: &str| {
        state.listed.retain(|job| job.id != id);
        state.got.remove(id).expect("an existing job")
    };
    let (old, new) = (of(&mut before, scheduled), of(&mut after, scheduled));
    assert_eq!((old.spec, old.run), (new.spec, new.run));
    for state in [&mut before, &mut after] {
        state.counts.retain(|(queue, _), _| queue != "soon");
    }
    let (old, new) = (of(&mut before, running), of(&mut after, running));
    assert_eq!((old.state(), new.state()), (JobState::Running, JobState::Ready));
    assert_eq!((new.attempt, &new.spec), (0, &old.spec));
    for (state, by) in [(JobState::Running, -1), (JobState::Ready, 1)] {
        let of = ("default".to_owned(), state as i32);
        *before.counts.entry(of).or_default() += by;
    }
    before.counts.retain(|_, count| *count != 0);
    assert_eq!(before, after);
}

/// Waits until a job has started twice, under two fencing tokens.
async fn wait_for_second_start(file: &Path, id: &str) {
    wait_until("the released job runs again", TIMEOUT, || async {
        let lines = side_effects(file);
        let fences = lines.iter().filter(|line| line.is_start && line.id == id);
        let fences: Vec<_> = fences.map(|line| line.fence()).collect();
        (fences.len() == 2 && fences[0] != fences[1]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_import_keeps_every_job_and_jobs_continue() {
    let mut source = TestServer::with_flags(&FLAGS).await;
    let client = source.client();
    let file = source.dir.path().join("effects");
    let mut worker = source.start_worker("w1", &["--concurrency", "8"]).await;
    let mut jobs = populate(&client, &file, "ledger").await.len();
    let unique = Unique { key: "ledger".to_owned(), ..Unique::default() };
    let kept_unique = NewJob::new("idle", "demo.noop").unique(unique);
    let terminal_holder = client.enqueue(kept_unique.clone()).await.expect("a response");
    assert!(terminal_holder.deduplicated, "the unique key of a terminal job is held for a day");
    let pending = enqueue_pending(&client, &file).await;
    jobs += pending.ready.len() + 3;
    let running = enqueue(&client, demo_job("effect", json!({"file": file, "ms": 600_000}))).await;
    wait_state(&client, &running, JobState::Running).await;
    let with_request_id =
        demo_job("noop", json!({})).delay(Duration::from_secs(100_000)).request_id("asked");
    let first = enqueue(&client, with_request_id.clone()).await;
    let before = wait_settled(&client, jobs + 2).await;
    let kinds = kinds(&client).await;
    assert!(kinds.iter().any(|(name, ..)| name == "demo.effect"), "{kinds:?}");
    println!("{} jobs, {} log lines", before.listed.len(), before.logs.values().flatten().count());
    let data = data_of(&source);
    let stores = SharedStores::start().await;
    let in_use = stores.import_from(&data).await;
    assert!(refused(&in_use, 5).contains("in use by process "), "{}", in_use.stderr);
    assert_eq!(stores.progress(), (0, 0), "no import has started");
    worker.kill().await;
    source.kill().await;

    let done = parsed(&stores.import_from(&data).await);
    println!("{done}");
    assert_eq!(
        (&done["revokedJobs"], &done["missingDependencies"]),
        (&json!(1), &json!(0)),
        "{done}"
    );
    let server = stores.serve(&FLAGS).await;
    let client = Client::connect_lazy(server.url()).expect("a valid server address");
    let after = wait_settled(&client, jobs + 2).await;
    assert_unchanged(before, after, &running, &pending.scheduled);
    assert_eq!(self::kinds(&client).await, kinds, "kinds must be kept without a new declaration");

    // Idempotency records and unique keys are kept.
    let again = client.enqueue(with_request_id).await.expect("a response");
    assert_eq!((again.job.id.as_str(), again.deduplicated), (first.as_str(), true));
    let held = client.enqueue(pending.unique.clone()).await.expect("a response");
    assert_eq!((held.job.id.as_str(), held.deduplicated), (pending.unique_holder.as_str(), true));
    let by_terminal = client.enqueue(kept_unique).await.expect("a response");
    assert_eq!((by_terminal.job.id, by_terminal.deduplicated), (terminal_holder.job.id, true));
    let flags = ["--concurrency", "8", "--queues", "later,soon"];
    let _worker = WorkerProcess::start(stores.dir.path(), &server.url(), "w2", &flags);
    for id in pending.ready.iter().chain([&pending.scheduled, &pending.blocked]) {
        let end = tokio::time::timeout(2 * TIMEOUT, client.wait_for_result(id))
            .await
            .expect("a result in time");
        assert_eq!(end.expect("no error").state(), JobState::Succeeded, "{id}");
        let lines = side_effects(&file);
        let starts = lines.iter().filter(|line| line.is_start && line.id == *id).count();
        assert_eq!(starts, 1, "{id} must run exactly once");
    }
    let _other = WorkerProcess::start(stores.dir.path(), &server.url(), "w3", &[]);
    wait_for_second_start(&file, &running).await;

    let rejected = serve_on(&data).await;
    let error = refused(&rejected, 1);
    assert!(
        error.contains("was imported into redis://") && error.contains("moved.json"),
        "{error}"
    );
    let again = parsed(&stores.import_from(&data).await);
    assert_eq!(again["jobs"], Value::Null, "the import was already complete: {again}");
}

#[tokio::test]
async fn an_import_keeps_keys_and_the_audit_log() {
    let mut source = TestServer::with_flags(&FLAGS).await;
    let data = data_of(&source);
    let root = create_key_offline(&data, &["--name", "root", "--role", "admin"]).await;
    let revoked = create_key_offline(&data, &["--name", "revoked", "--role", "viewer"]).await;
    let with = |url: String, key: &str| {
        let access = ConnectOptions::default().with_credential(key).expect("a key");
        Client::connect_lazy_with(url, &access).expect("a valid server address")
    };
    let client = with(source.url(), &root);
    wait_until("the server has loaded the keys", TIMEOUT, || async {
        (client.list_keys().await.ok()?.len() == 2).then_some(())
    })
    .await;
    client.revoke_key(key_id(&revoked)).await.expect("revoke the key");
    client
        .create_queue(Queue { name: "made".into(), ..Queue::default() })
        .await
        .expect("create a queue");
    let before = wait_until("both actions are in the audit log", TIMEOUT, || async {
        let entries = client.list_audit_entries(10).await.expect("entries");
        (entries.len() == 2).then_some(entries)
    })
    .await;
    let summarize = |keys: Vec<Key>| {
        let of = |key: Key| (key.id, key.name, key.role, key.created_at, key.revoked_at);
        let mut summaries: Vec<_> = keys.into_iter().map(of).collect();
        summaries.sort_by(|a, b| a.0.cmp(&b.0));
        summaries
    };
    let keys = summarize(client.list_keys().await.expect("keys"));
    source.kill().await;
    let stores = SharedStores::start().await;
    parsed(&stores.import_from(&data).await);
    let server = stores.serve(&["--auto-create-queues", "--credentials", "required"]).await;
    let client = with(server.url(), &root);
    assert_eq!(client.list_audit_entries(10).await.expect("entries"), before);
    assert_eq!(summarize(client.list_keys().await.expect("keys")), keys);
    let refused = with(server.url(), &revoked).list_queues().await.expect_err("an error");
    assert_eq!(refused.reason(), Some("CREDENTIAL_REVOKED"));
}

/// Returns a killed server with many scheduled jobs.
async fn killed_server_with_jobs() -> TestServer {
    let mut source = TestServer::with_flags(&FLAGS).await;
    let job = demo_job("effect", json!({"file": "none"})).delay(Duration::from_secs(100_000));
    let specs = vec![job.label("shop", "s1").into_spec(); 1_000];
    for _ in 0..MANY / 1_000 {
        let stored = source.client().enqueue_batch(specs.clone(), BatchOptions::default()).await;
        assert!(stored.expect("a response").iter().all(Result::is_ok));
    }
    source.kill().await;
    source
}

#[tokio::test]
async fn a_killed_import_resumes_where_it_stopped() {
    let source = killed_server_with_jobs().await;
    let data = data_of(&source);
    let stores = SharedStores::start().await;
    // One row per job, one per label and one for the queue.
    let rows = 2 * MANY as u64 + 1;
    let stops: [(&str, &dyn Fn() -> bool); 5] = [
        ("the import has started", &|| stores.progress().1 >= 1),
        ("some jobs are imported", &|| stores.progress().0 >= rows / 5),
        ("some labels are imported", &|| stores.progress().0 >= rows * 3 / 5),
        ("all rows are imported", &|| stores.progress().1 >= 2),
        ("Redis has some jobs", &|| stores.jobs_in_redis() > 0),
    ];
    let log = source.dir.path().join("import.log");
    let mut last = 0;
    for (what, is_reached) in stops {
        let mut killed = Process::start(stores.import_command(&data), &log);
        wait_until(what, TIMEOUT, || async { is_reached().then_some(()) }).await;
        killed.kill().await;
        let (rows_done, step) = stores.progress();
        println!(
            "killed when {what}: {rows_done} rows, step {step}, {} in Redis",
            stores.jobs_in_redis()
        );
        assert!(rows_done >= last && rows_done <= rows, "{rows_done} after {last}");
        last = rows_done;
        let source = serve_on(&data).await;
        let error = refused(&source, 1);
        assert!(error.contains("is unfinished") || step == 3, "{error}");
        if step < 3 {
            let flags = stores.flags();
            let words = ["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
            let output = sentinel(words.into_iter().chain(flags.iter().map(String::as_str))).await;
            assert!(refused(&output, 1).contains("sentinel import"), "{}", output.stderr);
        }
    }
    let other = SharedStores::start().await;
    let other_target = other.import_from(&data).await;
    refused(&other_target, 5);
    let done = parsed(&stores.import_from(&data).await);
    assert_eq!(stores.progress(), (rows, 3), "{done}");
    assert_eq!(stores.jobs_in_redis(), MANY);
    let server = stores.serve(&FLAGS).await;
    let client = Client::connect_lazy(server.url()).expect("a valid server address");
    let listed = client.list_all(JobFilter::default(), 1_000, JobView::Basic);
    let mut ids: Vec<String> = listed.map_ok(|job| job.id).try_collect().await.expect("list jobs");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), MANY);
    let newest = client.get(&ids[MANY - 1]).await.expect("an existing job");
    assert_eq!(newest.state(), JobState::Scheduled);
}

#[tokio::test]
async fn unsuitable_imports_are_refused_without_changes() {
    let mut source = TestServer::start().await;
    enqueue(&source.client(), demo_job("noop", json!({}))).await;
    source.kill().await;
    let data = data_of(&source);
    let absent = SharedStores::start().await.import_from(&source.dir.path().join("absent")).await;
    assert!(refused(&absent, 5).contains("--from"), "{}", absent.stderr);

    let non_empty = SharedStores::start().await;
    let mut server = non_empty.serve(&["--auto-create-queues"]).await;
    let client = Client::connect_lazy(server.url()).expect("a valid server address");
    // With this durability level the job is in the database.
    enqueue(&client, demo_job("noop", json!({})).ack(AckLevel::Ledger)).await;
    server.kill().await;
    let redis_full = non_empty.import_from(&data).await;
    assert!(refused(&redis_full, 5).contains("Redis is not empty"), "{}", redis_full.stderr);
    non_empty.redis.ask("FLUSHALL").expect("a reply of Redis");
    let database_full = non_empty.import_from(&data).await;
    assert!(
        refused(&database_full, 5).contains("is not empty: it contains"),
        "{}",
        database_full.stderr
    );

    let small = SharedStores::start().await;
    small.redis.ask("CONFIG SET maxmemory 100000").expect("a reply of Redis");
    let too_small = small.import_from(&data).await;
    assert!(refused(&too_small, 5).contains("raise maxmemory"), "{}", too_small.stderr);
    small.redis.ask("CONFIG SET maxmemory 0").expect("a reply of Redis");
    let without_target = sentinel(["import", "--from", data.to_str().expect("UTF-8")]).await;
    assert!(refused(&without_target, 2).contains("--store-url"), "{}", without_target.stderr);

    // The refused imports changed nothing: the server can continue and be imported later.
    source.restart().await;
    let late = enqueue(&source.client(), demo_job("noop", json!({}))).await;
    source.kill().await;
    let done = parsed(&small.import_from(&data).await);
    assert_eq!(done["jobs"], 2, "{done}");

    // The operator continues to use the old directory and imports it again.
    std::fs::remove_file(data.join("moved.json")).expect("remove a file");
    source.restart().await;
    wait_state(&source.client(), &late, JobState::Ready).await;
    enqueue(&source.client(), demo_job("noop", json!({}))).await;
    source.kill().await;
    let older = small.import_from(&data).await;
    assert!(refused(&older, 5).contains("a server has run on it since"), "{}", older.stderr);
    source.restart().await;
}

//! A grown installation on one machine goes over to Redis and a database: every job, log line
//! and queue is as it was, and the work goes on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::TryStreamExt;
use sentinel_client::proto::admin::v1::{Key, Queue};
use sentinel_client::proto::jobs::v1::{
    AckLevel, Job, JobFilter, JobKind, JobState, JobView, LogLine, Unique,
};
use sentinel_client::{Access, BatchOptions, Client, NewJob};
use sentinel_faults::{MariaDb, RedisServer};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::format::populate;
use crate::harness::{
    Ended, PATIENCE, Process, Server, Worker, World, binary, demo, enqueue, in_state, run,
    sentinel, until,
};
use crate::history::effects;
use crate::identity::{id_of, offline_key};

/// Jobs that a move is killed over.
const MANY: usize = 20_000;

/// So that a running job keeps its lease while it is looked at.
const FLAGS: [&str; 3] = ["--auto-create-queues", "--session-ttl", "10m"];

/// The shared stores of the new time.
struct Stores {
    redis: RedisServer,
    database: MariaDb,
    dir: tempfile::TempDir,
}

impl Stores {
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

    fn move_command(&self, from: &Path) -> Command {
        let mut command = Command::new(binary("sentinel"));
        command.args(["move", "--json", "--from"]).arg(from).args(self.flags());
        command
    }

    async fn move_from(&self, from: &Path) -> Ended {
        run(self.move_command(from)).await
    }

    async fn serve(&self, more: &[&str]) -> Server {
        let flags = self.flags();
        let flags: Vec<&str> =
            flags.iter().map(String::as_str).chain(more.iter().copied()).collect();
        Server::start(self.dir.path(), &flags).await
    }

    /// How many rows are there, and the step of the move.
    fn moved(&self) -> (u64, u64) {
        let told = self.database.ask("SELECT moved, step FROM moves");
        let mut words = told.split_whitespace().map(|word| word.parse().expect("a number"));
        (words.next().unwrap_or(0), words.next().unwrap_or(0))
    }

    fn in_redis(&self) -> usize {
        let count = self.redis.ask("HLEN sentinel:{s0}:status").unwrap_or_default();
        count.trim().parse().unwrap_or(0)
    }
}

fn answer(ended: &Ended) -> Value {
    assert_eq!(ended.code, 0, "{}", ended.err);
    serde_json::from_str(&ended.out).expect("one JSON object")
}

/// The message of a refusal.
fn refused(ended: &Ended, code: i32) -> &str {
    assert_eq!((ended.code, ended.out.as_str()), (code, ""), "{}", ended.err);
    assert!(!ended.err.contains("hush"), "the password is shown: {}", ended.err);
    &ended.err
}

fn data_of(world: &World) -> PathBuf {
    world.dir.path().join("data")
}

async fn serve_on(data: &Path) -> Ended {
    let any = "127.0.0.1:0";
    let data = data.to_str().expect("UTF-8");
    sentinel(["serve", "--listen", any, "--ops-listen", any, "--data-dir", data]).await
}

/// All that the public calls tell.
#[derive(Debug, PartialEq)]
struct Told {
    got: BTreeMap<String, Job>,
    listed: Vec<Job>,
    logs: BTreeMap<String, Vec<LogLine>>,
    counts: BTreeMap<(String, i32), i64>,
    queues: Vec<Queue>,
}

async fn told(client: &Client) -> Told {
    let filter = JobFilter::default;
    let listed: Vec<Job> =
        client.list_all(filter(), 100, JobView::Full).try_collect().await.expect("lists");
    let (mut got, mut logs) = (BTreeMap::new(), BTreeMap::new());
    for job in &listed {
        got.insert(job.id.clone(), client.get(&job.id).await.expect("is there"));
        let lines = client.read_logs(&job.id, 0, false).await.expect("logs");
        logs.insert(job.id.clone(), lines.try_collect().await.expect("lines"));
    }
    let mut counts = BTreeMap::new();
    for queue in client.counts(Vec::new()).await.expect("counts").queues {
        for state in queue.states {
            counts.insert((queue.queue.clone(), state.state), state.count as i64);
        }
    }
    Told { got, listed, logs, counts, queues: client.list_queues().await.expect("queues") }
}

/// The words of workers.
async fn kinds(client: &Client) -> Vec<(String, String, String, Option<prost_types::Timestamp>)> {
    let kinds = client.list_kinds().await.expect("kinds");
    let words = |kind: JobKind| (kind.name, kind.description, kind.input_schema, kind.declared_at);
    kinds.into_iter().map(words).collect()
}

/// The same from the hot store and from the ledger, once that has all of it.
async fn settled(client: &Client, jobs: usize) -> Told {
    until("the history has come to rest", PATIENCE, || async {
        let told = told(client).await;
        let is_all = told.listed.len() == jobs;
        let is_same = told.listed.iter().all(|job| told.got.get(&job.id) == Some(job));
        (is_all && is_same).then_some(told)
    })
    .await
}

/// What waits in a queue without workers, and what it will leave in the file when it runs.
struct Waiting {
    ready: Vec<String>,
    scheduled: String,
    blocked: String,
    held: NewJob,
    holder: String,
}

async fn waiting(client: &Client, file: &Path) -> Waiting {
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
    let held = job().unique_key("only one").delay(Duration::from_secs(100_000));
    let holder = enqueue(client, held.clone()).await;
    Waiting { ready, scheduled, blocked, held, holder }
}

/// The job that ran goes back to its queue, and that of the queue `soon` may be due by now; all
/// else is as it was.
fn is_the_same(mut before: Told, mut after: Told, running: &str, scheduled: &str) {
    let of = |told: &mut Told, id: &str| {
        told.listed.retain(|job| job.id != id);
        told.got.remove(id).expect("is there")
    };
    let (then, now) = (of(&mut before, scheduled), of(&mut after, scheduled));
    assert_eq!((then.spec, then.run), (now.spec, now.run));
    for told in [&mut before, &mut after] {
        told.counts.retain(|(queue, _), _| queue != "soon");
    }
    let (ran, taken_back) = (of(&mut before, running), of(&mut after, running));
    assert_eq!((ran.state(), taken_back.state()), (JobState::Running, JobState::Ready));
    assert_eq!((taken_back.attempt, &taken_back.spec), (0, &ran.spec));
    for (state, by) in [(JobState::Running, -1), (JobState::Ready, 1)] {
        let of = ("default".to_owned(), state as i32);
        *before.counts.entry(of).or_default() += by;
    }
    before.counts.retain(|_, count| *count != 0);
    assert_eq!(before, after);
}

#[tokio::test]
async fn every_job_is_as_it_was_and_the_work_goes_on() {
    let mut world = World::with(&FLAGS).await;
    let client = world.client();
    let file = world.dir.path().join("effects");
    let mut worker = world.worker("w1", &["--concurrency", "8"]).await;
    let mut jobs = populate(&client, &file, "ledger").await.len();
    let unique = Unique { key: "ledger".to_owned(), ..Unique::default() };
    let outlives = NewJob::new("idle", "demo.noop").unique(unique);
    let ended = client.enqueue(outlives.clone()).await.expect("is answered");
    assert!(ended.deduplicated, "the key of a job that ended is held for a day");
    let waits = waiting(&client, &file).await;
    jobs += waits.ready.len() + 3;
    let running = enqueue(&client, demo("effect", json!({"file": file, "ms": 600_000}))).await;
    in_state(&client, &running, JobState::Running).await;
    let asked = demo("noop", json!({})).delay(Duration::from_secs(100_000)).request_id("asked");
    let once = enqueue(&client, asked.clone()).await;
    let before = settled(&client, jobs + 2).await;
    let kinds = kinds(&client).await;
    assert!(kinds.iter().any(|(name, ..)| name == "demo.effect"), "{kinds:?}");
    println!("{} jobs, {} log lines", before.listed.len(), before.logs.values().flatten().count());
    let data = data_of(&world);
    let stores = Stores::start().await;
    let alive = stores.move_from(&data).await;
    assert!(refused(&alive, 5).contains("in use by process "), "{}", alive.err);
    assert_eq!(stores.moved(), (0, 0), "nothing was begun");
    worker.kill().await;
    world.server.kill().await;

    let done = answer(&stores.move_from(&data).await);
    println!("{done}");
    assert_eq!((&done["revokedJobs"], &done["orphans"]), (&json!(1), &json!(0)), "{done}");
    let server = stores.serve(&FLAGS).await;
    let client = Client::lazy(server.url()).expect("the address of a server");
    let after = settled(&client, jobs + 2).await;
    is_the_same(before, after, &running, &waits.scheduled);
    assert_eq!(self::kinds(&client).await, kinds, "no worker has said them again");

    // Answers, keys and the order of things are those of before.
    let again = client.enqueue(asked).await.expect("is answered");
    assert_eq!((again.job.id.as_str(), again.deduplicated), (once.as_str(), true));
    let held = client.enqueue(waits.held.clone()).await.expect("is answered");
    assert_eq!((held.job.id.as_str(), held.deduplicated), (waits.holder.as_str(), true));
    let outlived = client.enqueue(outlives).await.expect("is answered");
    assert_eq!((outlived.job.id, outlived.deduplicated), (ended.job.id, true));
    let flags = ["--concurrency", "8", "--queues", "later,soon"];
    let _worker = Worker::start(stores.dir.path(), &server.url(), "w2", &flags);
    for id in waits.ready.iter().chain([&waits.scheduled, &waits.blocked]) {
        let end = tokio::time::timeout(2 * PATIENCE, client.wait(id)).await.expect("in time");
        assert_eq!(end.expect("ends").state(), JobState::Succeeded, "{id}");
        let lines = effects(&file);
        let starts = lines.iter().filter(|line| line.is_start && line.id == *id).count();
        assert_eq!(starts, 1, "{id} ran once");
    }
    let _other = Worker::start(stores.dir.path(), &server.url(), "w3", &[]);
    until("it runs once more", PATIENCE, || async {
        let lines = effects(&file);
        let fences = lines.iter().filter(|line| line.is_start && line.id == running);
        let fences: Vec<_> = fences.map(|line| line.fence()).collect();
        (fences.len() == 2 && fences[0] != fences[1]).then_some(())
    })
    .await;

    let gone = serve_on(&data).await;
    let said = refused(&gone, 1);
    assert!(said.contains("was moved to redis://") && said.contains("moved.json"), "{said}");
    let again = answer(&stores.move_from(&data).await);
    assert_eq!(again["jobs"], Value::Null, "nothing was left to do: {again}");
}

#[tokio::test]
async fn keys_and_the_audit_trail_go_along() {
    let mut world = World::with(&FLAGS).await;
    let data = data_of(&world);
    let root = offline_key(&data, &["--name", "root", "--role", "admin"]).await;
    let over = offline_key(&data, &["--name", "over", "--role", "viewer"]).await;
    let with = |url: String, key: &str| {
        let access = Access::default().with_credential(key).expect("a key");
        Client::lazy_with(url, &access).expect("the address of a server")
    };
    let client = with(world.server.url(), &root);
    until("the server knows the keys", PATIENCE, || async {
        (client.list_keys().await.ok()?.len() == 2).then_some(())
    })
    .await;
    client.revoke_key(id_of(&over)).await.expect("revoked");
    client.create_queue(Queue { name: "made".into(), ..Queue::default() }).await.expect("made");
    let before = until("both are in the trail", PATIENCE, || async {
        let entries = client.list_audit_entries(10).await.expect("entries");
        (entries.len() == 2).then_some(entries)
    })
    .await;
    let told = |keys: Vec<Key>| {
        let of = |key: Key| (key.id, key.name, key.role, key.created_at, key.revoked_at);
        let mut told: Vec<_> = keys.into_iter().map(of).collect();
        told.sort_by(|a, b| a.0.cmp(&b.0));
        told
    };
    let keys = told(client.list_keys().await.expect("keys"));
    world.server.kill().await;
    let stores = Stores::start().await;
    answer(&stores.move_from(&data).await);
    let server = stores.serve(&["--auto-create-queues", "--credentials", "required"]).await;
    let client = with(server.url(), &root);
    assert_eq!(client.list_audit_entries(10).await.expect("entries"), before);
    assert_eq!(told(client.list_keys().await.expect("keys")), keys);
    let refused = with(server.url(), &over).list_queues().await.expect_err("revoked");
    assert_eq!(refused.reason(), Some("CREDENTIAL_REVOKED"));
}

/// A server with many scheduled jobs that was killed.
async fn grown() -> World {
    let mut world = World::with(&FLAGS).await;
    let job = demo("effect", json!({"file": "none"})).delay(Duration::from_secs(100_000));
    let specs = vec![job.label("shop", "s1").into_spec(); 1_000];
    for _ in 0..MANY / 1_000 {
        let stored = world.client().enqueue_batch(specs.clone(), BatchOptions::default()).await;
        assert!(stored.expect("stored").iter().all(Result::is_ok));
    }
    world.server.kill().await;
    world
}

#[tokio::test]
async fn a_move_that_was_killed_goes_on_where_it_stopped() {
    let world = grown().await;
    let data = data_of(&world);
    let stores = Stores::start().await;
    // A label each, and the queue.
    let rows = 2 * MANY as u64 + 1;
    let stops: [(&str, &dyn Fn() -> bool); 5] = [
        ("it has begun", &|| stores.moved().1 >= 1),
        ("some jobs are there", &|| stores.moved().0 >= rows / 5),
        ("some labels are there", &|| stores.moved().0 >= rows * 3 / 5),
        ("all rows are there", &|| stores.moved().1 >= 2),
        ("Redis has some", &|| stores.in_redis() > 0),
    ];
    let log = world.dir.path().join("move.log");
    let mut last = 0;
    for (what, is_there) in stops {
        let mut killed = Process::start(stores.move_command(&data), &log);
        until(what, PATIENCE, || async { is_there().then_some(()) }).await;
        killed.kill().await;
        let (moved, step) = stores.moved();
        println!("killed when {what}: {moved} rows, step {step}, {} in Redis", stores.in_redis());
        assert!(moved >= last && moved <= rows, "{moved} after {last}");
        last = moved;
        let source = serve_on(&data).await;
        let said = refused(&source, 1);
        assert!(said.contains("has not ended") || step == 3, "{said}");
        if step < 3 {
            let flags = stores.flags();
            let words = ["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
            let ended = sentinel(words.into_iter().chain(flags.iter().map(String::as_str))).await;
            assert!(refused(&ended, 1).contains("sentinel move"), "{}", ended.err);
        }
    }
    let other = Stores::start().await;
    let elsewhere = other.move_from(&data).await;
    refused(&elsewhere, 5);
    let done = answer(&stores.move_from(&data).await);
    assert_eq!(stores.moved(), (rows, 3), "{done}");
    assert_eq!(stores.in_redis(), MANY);
    let server = stores.serve(&FLAGS).await;
    let client = Client::lazy(server.url()).expect("the address of a server");
    let listed = client.list_all(JobFilter::default(), 1_000, JobView::Basic);
    let mut ids: Vec<String> = listed.map_ok(|job| job.id).try_collect().await.expect("lists");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), MANY);
    let newest = client.get(&ids[MANY - 1]).await.expect("is there");
    assert_eq!(newest.state(), JobState::Scheduled);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_nothing_is_changed() {
    let mut world = World::start().await;
    enqueue(&world.client(), demo("noop", json!({}))).await;
    world.server.kill().await;
    let data = data_of(&world);
    let nothing = Stores::start().await.move_from(&world.dir.path().join("absent")).await;
    assert!(refused(&nothing, 5).contains("--from"), "{}", nothing.err);

    let used = Stores::start().await;
    let mut server = used.serve(&["--auto-create-queues"]).await;
    let client = Client::lazy(server.url()).expect("the address of a server");
    // So that the database has it.
    enqueue(&client, demo("noop", json!({})).ack(AckLevel::Ledger)).await;
    server.kill().await;
    let taken = used.move_from(&data).await;
    assert!(refused(&taken, 5).contains("Redis is not empty"), "{}", taken.err);
    used.redis.ask("FLUSHALL").expect("it answers");
    let full = used.move_from(&data).await;
    assert!(refused(&full, 5).contains("is not empty: it holds"), "{}", full.err);

    let narrow = Stores::start().await;
    narrow.redis.ask("CONFIG SET maxmemory 100000").expect("it answers");
    let small = narrow.move_from(&data).await;
    assert!(refused(&small, 5).contains("raise maxmemory"), "{}", small.err);
    narrow.redis.ask("CONFIG SET maxmemory 0").expect("it answers");
    let bare = sentinel(["move", "--from", data.to_str().expect("UTF-8")]).await;
    assert!(refused(&bare, 2).contains("--store-url"), "{}", bare.err);

    // None of it was a beginning: the server goes on, and what it does is moved later.
    world.server.restart().await;
    let late = enqueue(&world.client(), demo("noop", json!({}))).await;
    world.server.kill().await;
    let done = answer(&narrow.move_from(&data).await);
    assert_eq!(done["jobs"], 2, "{done}");

    // Somebody goes back to the directory, works on it, and wants to move once more.
    std::fs::remove_file(data.join("moved.json")).expect("removed");
    world.server.restart().await;
    in_state(&world.client(), &late, JobState::Ready).await;
    enqueue(&world.client(), demo("noop", json!({}))).await;
    world.server.kill().await;
    let older = narrow.move_from(&data).await;
    assert!(refused(&older, 5).contains("a server ran on it since"), "{}", older.err);
    world.server.restart().await;
}

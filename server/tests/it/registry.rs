//! The workers of two servers over one Redis and one MariaDB: listed by either, drained by
//! either, gone when their sessions end.

use std::collections::HashSet;

use rustix::process::Signal;
use sentinel_faults::{MariaDb, RedisServer};
use sentinel_proto::admin::v1::{DrainWorkerRequest, ListWorkersRequest, Worker as Listed};
use sentinel_proto::jobs::v1::{GetRequest, JobState};
use sentinel_proto::workers::v1::session_request::Frame as Up;
use sentinel_proto::workers::v1::session_response::Frame as Down;
use sentinel_proto::workers::v1::{Credit, Ping, Verdict};
use tonic::Code;

use crate::harness::{PATIENCE, Server, Worker, World, sentinel, until};
use crate::raw::session::{Session, hello, kind, success};
use crate::raw::{Raw, reason, refuses, spec};

/// Workers of these tests do not ping.
const SILENT: &str = "--session-ttl=5m";

/// Fields are dropped in order: processes before stores, stores before directories.
struct Pair {
    a: Server,
    b: Server,
    _redis: RedisServer,
    _ledger: MariaDb,
    dir: tempfile::TempDir,
}

impl Pair {
    /// With these settings beside what the two share.
    async fn start(settings: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let place = |name: &str| {
            let place = dir.path().join(name);
            std::fs::create_dir(&place).expect("a directory");
            place
        };
        let redis = RedisServer::start(&place("redis"), &[]);
        let ledger = MariaDb::start();
        sentinel(["migrate", "--ledger-url", &ledger.url(), "--json"]).await.ok();
        let store_url = format!("--store-url={}", redis.url());
        let ledger_url = format!("--ledger-url={}", ledger.url());
        let start = async |name: &str| {
            let name_flag = format!("--server-name=server-{name}");
            let own = ["--auto-create-queues", &name_flag, &store_url, &ledger_url];
            let flags = [&own[..], settings].concat();
            Server::start(&place(name), &flags).await
        };
        let (a, b) = (start("a").await, start("b").await);
        Self { a, b, _redis: redis, _ledger: ledger, dir }
    }

    fn worker(&self, server: &Server, instance: &str) -> Worker {
        Worker::start(self.dir.path(), &server.url(), instance, &[])
    }
}

async fn list(raw: &Raw) -> Vec<Listed> {
    let all = raw.registry.clone().list_workers(ListWorkersRequest::default()).await;
    all.expect("answers").into_inner().workers
}

async fn named(raw: &Raw, instance: &str) -> Option<Listed> {
    list(raw).await.into_iter().find(|worker| worker.instance == instance)
}

async fn drain(raw: &Raw, id: &str) -> Result<Listed, tonic::Status> {
    let request = DrainWorkerRequest { id: id.to_owned(), actor: "test".into() };
    let answer = raw.registry.clone().drain_worker(request).await?;
    Ok(answer.into_inner().worker.expect("an answer has its worker"))
}

/// What was sent before the answer to a ping: no job.
async fn has_no_job(session: &mut Session, nonce: u64) {
    session.say(Up::Ping(Ping { nonce })).await;
    let job = session
        .until(|frame| match frame {
            Down::Assign(assign) => Some(Some(assign)),
            Down::Pong(pong) if pong.nonce == nonce => Some(None),
            _ => None,
        })
        .await;
    assert!(job.is_none(), "a drained worker got {job:?}");
}

/// Takes jobs until so many have come, and ends them.
async fn works_off(session: &mut Session, count: usize) -> HashSet<String> {
    let mut done = HashSet::new();
    while done.len() < count {
        let (_, items) = session.assignment().await;
        for item in items {
            let lease = item.lease.clone();
            done.insert(lease.clone().expect("a lease").job_id);
            let verdicts = session.report(vec![success(lease, Vec::new())]).await;
            assert_eq!(verdicts, [Verdict::Recorded]);
        }
    }
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_of_one_server_is_listed_and_drained_by_the_other() {
    let pair = Pair::start(&[SILENT]).await;
    let (a, b) = (Raw::at(pair.a.url()).await, Raw::at(pair.b.url()).await);
    let greeting = hello(|hello| {
        hello.instance = "first".into();
        hello.build = "1.2.3".into();
        hello.capabilities = vec!["new".into()];
        hello.labels = [("zone".to_owned(), "a".to_owned())].into();
        hello.kinds = vec![kind("raw"), kind("other")];
        hello.credit = Some(Credit { jobs: 5, bytes: 0 });
    });
    let (mut first, welcome) = Session::join(&b, greeting).await.expect("joins");
    let running = b.enqueue(spec(|_| {})).await.expect("is taken");
    let runs = first.assigned().await;
    let its = named(&a, "first").await.expect("the other server lists it");
    let told = (&*its.build, &*its.server, its.draining, its.running_jobs, its.slots);
    assert_eq!(told, ("1.2.3", "server-b", false, 1, 5));
    assert_eq!(
        (&its.queues, &its.kinds),
        (&vec!["default".into()], &vec!["other".into(), "raw".into()])
    );
    assert_eq!((&its.capabilities, its.labels["zone"].as_str()), (&vec!["new".to_owned()], "a"));
    assert!(its.since.is_some() && its.last_seen.is_some(), "{its:?}");
    assert_ne!(its.id, welcome.session, "the session is a secret");
    assert!(!format!("{its:?}").contains(&welcome.session));

    let drained = drain(&a, &its.id).await.expect("is there");
    assert_eq!((drained.draining, drained.running_jobs), (true, 1));
    assert!(drain(&b, &its.id).await.expect("is still there").draining, "safe to repeat");
    let mut waiting = HashSet::new();
    for raw in [&a, &b, &a, &b, &a, &b] {
        waiting.insert(raw.enqueue(spec(|_| {})).await.expect("is taken"));
    }
    let greeting = hello(|hello| hello.credit = Some(Credit { jobs: 99, bytes: 0 }));
    let (mut second, _) = Session::join(&b, greeting).await.expect("joins");
    assert_eq!(works_off(&mut second, waiting.len()).await, waiting, "others do them all");
    first.say(Up::Credit(Credit { jobs: 50, bytes: 0 })).await;
    has_no_job(&mut first, 1).await;
    assert_eq!(first.report(vec![success(runs.lease, Vec::new())]).await, [Verdict::Recorded]);
    let job = a.jobs.clone().get(GetRequest { id: running, ..GetRequest::default() }).await;
    let job = job.expect("answers").into_inner().job.expect("the job");
    assert_eq!(job.state(), JobState::Succeeded, "what it ran is done");

    // It comes back at the other server, with the same session and new room.
    let back = hello(|hello| {
        hello.instance = "first".into();
        hello.session.clone_from(&welcome.session);
        hello.credit = Some(Credit { jobs: 7, bytes: 0 });
    });
    let (mut first, _) = Session::join(&a, back).await.expect("is adopted");
    let after = until("the card is that of the other server", PATIENCE, || async {
        named(&b, "first").await.filter(|worker| worker.server == "server-a")
    })
    .await;
    assert_eq!((&after.id, after.draining, after.running_jobs), (&its.id, true, 0));
    assert_eq!((after.since, after.slots), (its.since, 7));
    let last = a.enqueue(spec(|_| {})).await.expect("is taken");
    assert_eq!(works_off(&mut second, 1).await, [last].into());
    has_no_job(&mut first, 2).await;
    // A farewell ends the session, and the drain with it.
    first.say(Up::Bye(sentinel_proto::workers::v1::Bye::default())).await;
    until("it is gone", PATIENCE, || async { named(&b, "first").await.is_none().then_some(()) })
        .await;
    assert_eq!(reason(drain(&b, &its.id).await), (Code::NotFound, "WORKER_NOT_FOUND".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_worker_and_a_frozen_one_are_gone_when_their_sessions_end() {
    let pair = Pair::start(&["--ping=1s", "--session-ttl=4s"]).await;
    let a = Raw::at(pair.a.url()).await;
    let mut killed = pair.worker(&pair.b, "killed");
    let frozen = pair.worker(&pair.b, "frozen");
    let stays = pair.worker(&pair.a, "stays");
    let names = async || list(&a).await.into_iter().map(|w| w.instance).collect::<HashSet<_>>();
    let all = ["killed", "frozen", "stays"].map(str::to_owned);
    until("all are listed", PATIENCE, || async {
        (names().await == all.clone().into()).then_some(())
    })
    .await;
    killed.kill().await;
    frozen.signal(Signal::STOP);
    until("only one is listed", PATIENCE, || async {
        (names().await == ["stays".to_owned()].into()).then_some(())
    })
    .await;
    frozen.signal(Signal::CONT);
    until("it is back", PATIENCE, || async { named(&a, "frozen").await.map(drop) }).await;
    drop((frozen, stays));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_workers_and_refusals() {
    let world = World::with(&["--auto-create-queues", SILENT]).await;
    let raw = Raw::connect(&world).await;
    let mut sessions = Vec::new();
    for nth in 0..7 {
        let greeting = hello(|hello| hello.instance = format!("w{nth}"));
        sessions.push(Session::join(&raw, greeting).await.expect("joins"));
    }
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListWorkersRequest { page_size: 3, page_token };
        let page = raw.registry.clone().list_workers(request).await.expect("answers").into_inner();
        assert!(page.workers.len() <= 3);
        found.extend(page.workers.into_iter().map(|worker| worker.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert!(found.is_sorted() && found.len() == 7, "{found:?}");
    let list = async |page_size: i32, page_token: &str| {
        let request = ListWorkersRequest { page_size, page_token: page_token.into() };
        raw.registry.clone().list_workers(request).await
    };
    refuses(list(1_001, "").await, "page_size", "0..=1000");
    refuses(list(0, "not a token").await, "page_token", "next_page_token");
    refuses(drain(&raw, "not an id").await, "id", "UUID");
    let (code, name) = reason(drain(&raw, &uuid()).await);
    assert_eq!((code, name.as_str()), (Code::NotFound, "WORKER_NOT_FOUND"));
    large_cards_make_small_pages(&world, &raw).await;
}

fn uuid() -> String {
    "00000000-0000-4000-8000-000000000000".into()
}

/// A worker with every kind that it may have is 130 KB of a list.
async fn large_cards_make_small_pages(world: &World, raw: &Raw) {
    let mut sessions = Vec::new();
    for nth in 0..40 {
        let greeting = hello(|hello| {
            hello.instance = format!("large{nth}");
            hello.kinds = (0..1_000).map(|n| kind(format!("{n:0128}"))).collect();
        });
        sessions.push(Session::join(raw, greeting).await.expect("joins"));
    }
    let request = ListWorkersRequest { page_size: 1_000, ..Default::default() };
    let page = raw.registry.clone().list_workers(request).await.expect("fits into a message");
    let page = page.into_inner();
    assert!(page.workers.len() < 40 && !page.next_page_token.is_empty());
    let all = world.client().list_workers().await.expect("answers");
    assert_eq!(all.len(), 47, "the pages together have them all");
}

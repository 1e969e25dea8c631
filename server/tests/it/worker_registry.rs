//! The worker registry of two servers over one Redis and one MariaDB: either server lists and
//! drains all workers, and workers disappear when their sessions end.

use std::collections::HashSet;

use rustix::process::Signal;
use sentinel_faults::{MariaDb, RedisServer};
use sentinel_proto::admin::v1::{DrainWorkerRequest, ListWorkersRequest, Worker as Listed};
use sentinel_proto::jobs::v1::{GetRequest, JobState};
use sentinel_proto::workers::v1::session_request::Frame as Up;
use sentinel_proto::workers::v1::session_response::Frame as Down;
use sentinel_proto::workers::v1::{Credit, Ping, Verdict};
use tonic::Code;

use crate::harness::{ServerProcess, TIMEOUT, TestServer, WorkerProcess, sentinel, wait_until};
use crate::raw::session::{RawSession, hello, kind, succeeded_report};
use crate::raw::{RawClients, assert_invalid_field, error_reason, spec};

/// A long session TTL, because the sessions of these tests do not ping.
const LONG_SESSION_TTL: &str = "--session-ttl=5m";

/// Two servers with shared stores. Fields are dropped in order: processes before stores, stores
/// before directories.
struct TestCluster {
    a: ServerProcess,
    b: ServerProcess,
    _redis: RedisServer,
    _ledger: MariaDb,
    dir: tempfile::TempDir,
}

impl TestCluster {
    /// Starts both servers with these flags in addition to the common ones.
    async fn start(extra_flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let subdir = |name: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir(&path).expect("create a directory");
            path
        };
        let redis = RedisServer::start(&subdir("redis"), &[]);
        let ledger = MariaDb::start();
        sentinel(["migrate", "--ledger-url", &ledger.url(), "--json"]).await.ok();
        let store_url = format!("--store-url={}", redis.url());
        let ledger_url = format!("--ledger-url={}", ledger.url());
        let start = async |name: &str| {
            let name_flag = format!("--server-name=server-{name}");
            let common = ["--auto-create-queues", &name_flag, &store_url, &ledger_url];
            let flags = [&common[..], extra_flags].concat();
            ServerProcess::start(&subdir(name), &flags).await
        };
        let (a, b) = (start("a").await, start("b").await);
        Self { a, b, _redis: redis, _ledger: ledger, dir }
    }

    fn spawn_worker(&self, server: &ServerProcess, instance: &str) -> WorkerProcess {
        WorkerProcess::start(self.dir.path(), &server.url(), instance, &[])
    }
}

async fn list_workers(raw: &RawClients) -> Vec<Listed> {
    let response = raw.registry.clone().list_workers(ListWorkersRequest::default()).await;
    response.expect("a response").into_inner().workers
}

async fn find(raw: &RawClients, instance: &str) -> Option<Listed> {
    list_workers(raw).await.into_iter().find(|worker| worker.instance == instance)
}

async fn drain(raw: &RawClients, id: &str) -> Result<Listed, tonic::Status> {
    let request = DrainWorkerRequest { id: id.to_owned(), actor: "test".into() };
    let response = raw.registry.clone().drain_worker(request).await?;
    Ok(response.into_inner().worker.expect("a worker"))
}

/// Asserts that the server sends no job before the response to a ping.
async fn assert_no_job(session: &mut RawSession, nonce: u64) {
    session.send_frame(Up::Ping(Ping { nonce })).await;
    let job = session
        .wait_for(|frame| match frame {
            Down::Assign(assign) => Some(Some(assign)),
            Down::Pong(pong) if pong.nonce == nonce => Some(None),
            _ => None,
        })
        .await;
    assert!(job.is_none(), "a drained worker got {job:?}");
}

/// Accepts this many jobs, reports success for each and returns their ids.
async fn complete_jobs(session: &mut RawSession, count: usize) -> HashSet<String> {
    let mut done = HashSet::new();
    while done.len() < count {
        let (_, items) = session.next_assignment().await;
        for item in items {
            let lease = item.lease.clone();
            done.insert(lease.clone().expect("a lease").job_id);
            let verdicts = session.report(vec![succeeded_report(lease, Vec::new())]).await;
            assert_eq!(verdicts, [Verdict::Recorded]);
        }
    }
    done
}

/// Asserts that a worker is listed as it said in its Hello, without its secret session id.
fn assert_first_worker(listed: &Listed, session: &str) {
    let found =
        (&*listed.build, &*listed.server, listed.draining, listed.running_jobs, listed.slots);
    assert_eq!(found, ("1.2.3", "server-b", false, 1, 5));
    assert_eq!(
        (&listed.queues, &listed.kinds),
        (&vec!["default".into()], &vec!["other".into(), "raw".into()])
    );
    assert_eq!(
        (&listed.capabilities, listed.labels["zone"].as_str()),
        (&vec!["new".to_owned()], "a")
    );
    assert!(listed.since.is_some() && listed.last_seen.is_some(), "{listed:?}");
    assert_ne!(listed.id, session, "the session is a secret");
    assert!(!format!("{listed:?}").contains(session));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_of_one_server_is_listed_and_drained_by_the_other() {
    let cluster = TestCluster::start(&[LONG_SESSION_TTL]).await;
    let (a, b) = (RawClients::at(cluster.a.url()).await, RawClients::at(cluster.b.url()).await);
    let frame = hello(|hello| {
        hello.instance = "first".into();
        hello.build = "1.2.3".into();
        hello.capabilities = vec!["new".into()];
        hello.labels = [("zone".to_owned(), "a".to_owned())].into();
        hello.kinds = vec![kind("raw"), kind("other")];
        hello.credit = Some(Credit { jobs: 5, bytes: 0 });
    });
    let (mut first, welcome) = RawSession::join(&b, frame).await.expect("a session");
    let running = b.enqueue(spec(|_| {})).await.expect("the server accepts it");
    let assignment = first.accept_job().await;
    let listed = find(&a, "first").await.expect("the worker in the other server's list");
    assert_first_worker(&listed, &welcome.session);

    let drained = drain(&a, &listed.id).await.expect("an existing job");
    assert_eq!((drained.draining, drained.running_jobs), (true, 1));
    assert!(
        drain(&b, &listed.id).await.expect("an existing worker").draining,
        "a drain can be repeated"
    );
    let mut waiting = HashSet::new();
    for raw in [&a, &b, &a, &b, &a, &b] {
        waiting.insert(raw.enqueue(spec(|_| {})).await.expect("the server accepts it"));
    }
    let frame = hello(|hello| hello.credit = Some(Credit { jobs: 99, bytes: 0 }));
    let (mut second, _) = RawSession::join(&b, frame).await.expect("a session");
    assert_eq!(
        complete_jobs(&mut second, waiting.len()).await,
        waiting,
        "another worker must run all jobs"
    );
    first.send_frame(Up::Credit(Credit { jobs: 50, bytes: 0 })).await;
    assert_no_job(&mut first, 1).await;
    assert_eq!(
        first.report(vec![succeeded_report(assignment.lease, Vec::new())]).await,
        [Verdict::Recorded]
    );
    let job = a.jobs.clone().get(GetRequest { id: running, ..GetRequest::default() }).await;
    let job = job.expect("a response").into_inner().job.expect("an existing job");
    assert_eq!(job.state(), JobState::Succeeded, "the drained worker finishes its job");

    // The worker resumes its session at the other server with new credit.
    let back = hello(|hello| {
        hello.instance = "first".into();
        hello.session.clone_from(&welcome.session);
        hello.credit = Some(Credit { jobs: 7, bytes: 0 });
    });
    let (mut first, _) = RawSession::join(&a, back).await.expect("a resumed session");
    let after = wait_until("the worker is registered at the other server", TIMEOUT, || async {
        find(&b, "first").await.filter(|worker| worker.server == "server-a")
    })
    .await;
    assert_eq!((&after.id, after.draining, after.running_jobs), (&listed.id, true, 0));
    assert_eq!((after.since, after.slots), (listed.since, 7));
    let last = a.enqueue(spec(|_| {})).await.expect("the server accepts it");
    assert_eq!(complete_jobs(&mut second, 1).await, [last].into());
    assert_no_job(&mut first, 2).await;
    // Bye ends the session, and the drain with it.
    first.send_frame(Up::Bye(sentinel_proto::workers::v1::Bye::default())).await;
    wait_until("the worker is gone", TIMEOUT, || async {
        find(&b, "first").await.is_none().then_some(())
    })
    .await;
    assert_eq!(
        error_reason(drain(&b, &listed.id).await),
        (Code::NotFound, "WORKER_NOT_FOUND".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_frozen_workers_disappear_when_their_sessions_end() {
    let cluster = TestCluster::start(&["--ping-interval=1s", "--session-ttl=4s"]).await;
    let a = RawClients::at(cluster.a.url()).await;
    let mut killed = cluster.spawn_worker(&cluster.b, "killed");
    let frozen = cluster.spawn_worker(&cluster.b, "frozen");
    let healthy = cluster.spawn_worker(&cluster.a, "healthy");
    let names =
        async || list_workers(&a).await.into_iter().map(|w| w.instance).collect::<HashSet<_>>();
    let all = ["killed", "frozen", "healthy"].map(str::to_owned);
    wait_until("all workers are listed", TIMEOUT, || async {
        (names().await == all.clone().into()).then_some(())
    })
    .await;
    killed.kill().await;
    frozen.signal(Signal::STOP);
    wait_until("only one worker is listed", TIMEOUT, || async {
        (names().await == ["healthy".to_owned()].into()).then_some(())
    })
    .await;
    frozen.signal(Signal::CONT);
    wait_until("the frozen worker is listed again", TIMEOUT, || async {
        find(&a, "frozen").await.map(drop)
    })
    .await;
    drop((frozen, healthy));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_are_paged_and_invalid_requests_are_refused() {
    let server = TestServer::with_flags(&["--auto-create-queues", LONG_SESSION_TTL]).await;
    let raw = RawClients::connect(&server).await;
    let mut sessions = Vec::new();
    for nth in 0..7 {
        let frame = hello(|hello| hello.instance = format!("w{nth}"));
        sessions.push(RawSession::join(&raw, frame).await.expect("a session"));
    }
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListWorkersRequest { page_size: 3, page_token };
        let page =
            raw.registry.clone().list_workers(request).await.expect("a response").into_inner();
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
    assert_invalid_field(list(1_001, "").await, "page_size", "0..=1000");
    assert_invalid_field(list(0, "not a token").await, "page_token", "next_page_token");
    assert_invalid_field(drain(&raw, "not an id").await, "id", "UUID");
    let (code, name) = error_reason(drain(&raw, &unknown_id()).await);
    assert_eq!((code, name.as_str()), (Code::NotFound, "WORKER_NOT_FOUND"));
    check_byte_limit_of_pages(&server, &raw).await;
}

/// Returns the id of a worker that does not exist.
fn unknown_id() -> String {
    "00000000-0000-4000-8000-000000000000".into()
}

/// A worker with the maximum number of kinds needs 130 KB in a list, so a page has fewer workers.
async fn check_byte_limit_of_pages(server: &TestServer, raw: &RawClients) {
    let mut sessions = Vec::new();
    for nth in 0..40 {
        let frame = hello(|hello| {
            hello.instance = format!("large{nth}");
            hello.kinds = (0..1_000).map(|n| kind(format!("{n:0128}"))).collect();
        });
        sessions.push(RawSession::join(raw, frame).await.expect("a session"));
    }
    let request = ListWorkersRequest { page_size: 1_000, ..Default::default() };
    let page = raw.registry.clone().list_workers(request).await.expect("a page");
    let page = page.into_inner();
    assert!(page.workers.len() < 40 && !page.next_page_token.is_empty());
    let all = server.client().list_workers().await.expect("a response");
    assert_eq!(all.len(), 47, "the pages together must have all workers");
}

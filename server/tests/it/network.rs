//! The network between workers and the server fails, and the workers do not: what they run
//! goes on, once.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use sentinel_client::proto::jobs::v1::JobState;
use sentinel_client::worker::{JobContext, WorkerBuilder};
use sentinel_client::{Client, NewJob, WatchEvent, WatchOptions};
use sentinel_faults::Proxy;
use tokio::sync::watch;

use crate::harness::{
    InProcessWorker, TIMEOUT, TestServer, enqueue, let_fault_last, wait_terminal, wait_until,
};

/// Jobs that run until they are let go, and a note of each start.
struct BlockingHandler {
    fences: Arc<Mutex<Vec<String>>>,
    go: watch::Sender<bool>,
}

impl BlockingHandler {
    fn new() -> Self {
        Self { fences: Arc::default(), go: watch::Sender::new(false) }
    }

    fn handler(&self, worker: WorkerBuilder) -> WorkerBuilder {
        let (fences, go) = (self.fences.clone(), self.go.clone());
        worker.handler("test.held", move |job: JobContext| {
            fences.lock().unwrap().push(job.fencing_token());
            let mut go = go.subscribe();
            async move {
                go.wait_for(|go| *go).await.expect("the test holds the sender");
            }
        })
    }

    fn starts(&self) -> usize {
        self.fences.lock().unwrap().len()
    }

    async fn run(&self, jobs: usize) {
        let what = format!("{jobs} handlers have begun");
        wait_until(&what, TIMEOUT, || async { (self.starts() >= jobs).then_some(()) }).await;
    }
}

fn blocking_job() -> NewJob {
    NewJob::new("default", "test.held")
}

/// How often something was logged by the server.
fn told(server: &TestServer, what: &str) -> usize {
    server.log().lines().filter(|line| line.contains(what)).count()
}

const BEGAN: &str = "a worker session began";
const ENDED: &str = "a worker session ended";
const SESSIONS: usize = 50;

/// Away for longer than a lost worker gets (1 s), and back within 3 s.
const AWAY: Duration = Duration::from_millis(2_500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_are_cut_together_come_back_to_their_jobs() {
    let server = TestServer::start().await;
    let client = server.client();
    let proxy = Proxy::start(server.socket_address()).await.unwrap();
    let handler = BlockingHandler::new();
    let mut fleet = Vec::new();
    for n in 0..SESSIONS {
        let worker = InProcessWorker::builder(proxy.address(), &format!("w{n}")).concurrency(1);
        fleet.push(InProcessWorker::start(handler.handler(worker)));
    }
    let mut ids = Vec::new();
    for _ in 0..SESSIONS {
        ids.push(enqueue(&client, blocking_job()).await);
    }
    handler.run(SESSIONS).await;
    proxy.refuse();
    let start = Instant::now();
    assert_eq!(proxy.cut(), SESSIONS);
    wait_until("the server sees all streams end", TIMEOUT, || async {
        (told(&server, ENDED) == SESSIONS).then_some(())
    })
    .await;
    let_fault_last(AWAY.saturating_sub(start.elapsed())).await;
    proxy.restore();
    let away = start.elapsed();
    assert!(away < Duration::from_secs(3), "{away:?}");
    wait_until("all sessions are back", TIMEOUT, || async {
        (told(&server, BEGAN) >= 2 * SESSIONS).then_some(())
    })
    .await;
    println!("{SESSIONS} sessions cut for {away:?}, all back after {:?}", start.elapsed());
    handler.go.send_replace(true);
    for id in &ids {
        let job = wait_terminal(&client, id).await;
        assert_eq!((job.state(), job.attempt, job.crashes), (JobState::Succeeded, 1, 0), "{job:?}");
    }
    assert_eq!(handler.starts(), SESSIONS, "no job began twice");
    for worker in fleet {
        worker.stop().await;
    }
}

/// The SDK takes a stream for dead after 5 s without a frame; a session lives for 15 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_finds_out_that_its_connection_is_half_open() {
    let server = TestServer::start().await;
    let client = server.client();
    let proxy = Proxy::start(server.socket_address()).await.unwrap();
    let handler = BlockingHandler::new();
    let worker = InProcessWorker::builder(proxy.address(), "w1");
    let worker = InProcessWorker::start(handler.handler(worker));
    let id = enqueue(&client, blocking_job()).await;
    handler.run(1).await;
    proxy.discard();
    let start = Instant::now();
    wait_until("a ping is lost", TIMEOUT, || async {
        (proxy.counts().discarded_bytes > 0).then_some(())
    })
    .await;
    // The connection stays dead; the way is free for a new one.
    proxy.restore();
    wait_until("the worker dials again", TIMEOUT, || async {
        (told(&server, BEGAN) == 2).then_some(())
    })
    .await;
    let silence = start.elapsed();
    println!("dialled again after {silence:?}");
    // The last frame before the hole may be up to one ping old.
    let expected = Duration::from_millis(2_900)..Duration::from_secs(8);
    assert!(expected.contains(&silence), "{silence:?}");
    handler.go.send_replace(true);
    let job = wait_terminal(&client, &id).await;
    assert_eq!((job.state(), job.attempt, job.crashes), (JobState::Succeeded, 1, 0));
    assert_eq!(handler.starts(), 1);
    worker.stop().await;
}

/// HTTP/2 pings find it out in 8 s at most.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_finds_out_that_its_connection_is_half_open() {
    let server = TestServer::start().await;
    let proxy = Proxy::start(server.socket_address()).await.unwrap();
    let client = Client::connect_lazy(format!("http://{}", proxy.address())).unwrap();
    let id = enqueue(&client, blocking_job()).await;
    let mut events = client.watch(WatchOptions::jobs([id.clone()]));
    let first = events.next().await.unwrap().unwrap();
    assert!(matches!(first, WatchEvent::Snapshot(_)), "{first:?}");
    proxy.discard();
    let start = Instant::now();
    // A call of the dead connection, which stays dead.
    let call = client.get(&id);
    let lost = wait_until("the call is lost", TIMEOUT, || async {
        (proxy.counts().discarded_bytes > 0).then(|| proxy.restore())
    });
    let (called, ()) = tokio::join!(call, lost);
    println!("a call got its answer after {:?}: {:?}", start.elapsed(), called.is_ok());
    server.client().cancel(&id, "").await.unwrap();
    let end = async {
        loop {
            if let WatchEvent::Change(change) = events.next().await.unwrap().unwrap() {
                return change.job.unwrap().state();
            }
        }
    };
    let state = tokio::time::timeout(TIMEOUT, end).await.expect("no error");
    assert_eq!(state, JobState::Cancelled);
    println!("the watch went on after {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!(called.unwrap().id, id, "a read is repeated on a new connection");
}

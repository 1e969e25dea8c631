//! Network faults between workers and the server: running jobs continue and run only once.

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

/// A handler that blocks until it is released, and records each start.
struct BlockingHandler {
    started: Arc<Mutex<Vec<String>>>,
    release: watch::Sender<bool>,
}

impl BlockingHandler {
    fn new() -> Self {
        Self { started: Arc::default(), release: watch::Sender::new(false) }
    }

    /// Adds the handler to a worker.
    fn add_to(&self, worker: WorkerBuilder) -> WorkerBuilder {
        let (started, release) = (self.started.clone(), self.release.clone());
        worker.handler("test.block", move |job: JobContext| {
            started.lock().unwrap().push(job.fencing_token());
            let mut released = release.subscribe();
            async move {
                released.wait_for(|released| *released).await.expect("the test holds the sender");
            }
        })
    }

    fn starts(&self) -> usize {
        self.started.lock().unwrap().len()
    }

    async fn wait_started(&self, jobs: usize) {
        let what = format!("{jobs} handlers have started");
        wait_until(&what, TIMEOUT, || async { (self.starts() >= jobs).then_some(()) }).await;
    }
}

fn blocking_job() -> NewJob {
    NewJob::new("default", "test.block")
}

/// Counts the log lines of the server that contain a text.
fn count_log_lines(server: &TestServer, what: &str) -> usize {
    server.log().lines().filter(|line| line.contains(what)).count()
}

const SESSION_STARTED: &str = "worker stream opened";
const SESSION_ENDED: &str = "worker stream closed";
const SESSIONS: usize = 50;

/// Longer than the server waits for a lost worker (1 s). The workers must be back within 3 s.
const OUTAGE: Duration = Duration::from_millis(2_500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_are_disconnected_together_resume_their_jobs() {
    let server = TestServer::start().await;
    let client = server.client();
    let proxy = Proxy::start(server.socket_address()).await.unwrap();
    let handler = BlockingHandler::new();
    let mut workers = Vec::new();
    for n in 0..SESSIONS {
        let worker = InProcessWorker::builder(proxy.address(), &format!("w{n}")).concurrency(1);
        workers.push(InProcessWorker::start(handler.add_to(worker)));
    }
    let mut ids = Vec::new();
    for _ in 0..SESSIONS {
        ids.push(enqueue(&client, blocking_job()).await);
    }
    handler.wait_started(SESSIONS).await;
    proxy.refuse();
    let start = Instant::now();
    assert_eq!(proxy.cut(), SESSIONS);
    wait_until("the server sees that all streams have closed", TIMEOUT, || async {
        (count_log_lines(&server, SESSION_ENDED) == SESSIONS).then_some(())
    })
    .await;
    let_fault_last(OUTAGE.saturating_sub(start.elapsed())).await;
    proxy.restore();
    let outage = start.elapsed();
    assert!(outage < Duration::from_secs(3), "{outage:?}");
    wait_until("all sessions have resumed", TIMEOUT, || async {
        (count_log_lines(&server, SESSION_STARTED) >= 2 * SESSIONS).then_some(())
    })
    .await;
    println!(
        "{SESSIONS} sessions disconnected for {outage:?}, all resumed after {:?}",
        start.elapsed()
    );
    handler.release.send_replace(true);
    for id in &ids {
        let job = wait_terminal(&client, id).await;
        assert_eq!((job.state(), job.attempt, job.crashes), (JobState::Succeeded, 1, 0), "{job:?}");
    }
    assert_eq!(handler.starts(), SESSIONS, "every job must start exactly once");
    for worker in workers {
        worker.stop().await;
    }
}

/// The SDK considers a stream dead after 5 s without a frame; the session TTL is 15 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_detects_a_half_open_connection() {
    let server = TestServer::start().await;
    let client = server.client();
    let proxy = Proxy::start(server.socket_address()).await.unwrap();
    let handler = BlockingHandler::new();
    let worker = InProcessWorker::builder(proxy.address(), "w1");
    let worker = InProcessWorker::start(handler.add_to(worker));
    let id = enqueue(&client, blocking_job()).await;
    handler.wait_started(1).await;
    proxy.discard();
    let start = Instant::now();
    wait_until("a ping is lost", TIMEOUT, || async {
        (proxy.counts().discarded_bytes > 0).then_some(())
    })
    .await;
    // The connection stays dead; the proxy accepts new ones.
    proxy.restore();
    wait_until("the worker reconnects", TIMEOUT, || async {
        (count_log_lines(&server, SESSION_STARTED) == 2).then_some(())
    })
    .await;
    let took = start.elapsed();
    println!("reconnected after {took:?}");
    // The last frame before the fault may be up to one ping interval old.
    let expected = Duration::from_millis(2_900)..Duration::from_secs(8);
    assert!(expected.contains(&took), "{took:?}");
    handler.release.send_replace(true);
    let job = wait_terminal(&client, &id).await;
    assert_eq!((job.state(), job.attempt, job.crashes), (JobState::Succeeded, 1, 0));
    assert_eq!(handler.starts(), 1);
    worker.stop().await;
}

/// HTTP/2 keepalive pings detect it within 8 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_detects_a_half_open_connection() {
    let server = TestServer::start().await;
    let proxy = Proxy::start(server.socket_address()).await.unwrap();
    let client = Client::connect_lazy(format!("http://{}", proxy.address())).unwrap();
    let id = enqueue(&client, blocking_job()).await;
    let mut events = client.watch(WatchOptions::jobs([id.clone()]));
    let first = events.next().await.unwrap().unwrap();
    assert!(matches!(first, WatchEvent::Snapshot(_)), "{first:?}");
    proxy.discard();
    let start = Instant::now();
    // A call on the dead connection.
    let call = client.get(&id);
    let lost = wait_until("the call is lost", TIMEOUT, || async {
        (proxy.counts().discarded_bytes > 0).then(|| proxy.restore())
    });
    let (called, ()) = tokio::join!(call, lost);
    println!("a call returned after {:?}: {:?}", start.elapsed(), called.is_ok());
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
    println!("the watch continued after {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!(called.unwrap().id, id, "a read must be retried on a new connection");
}

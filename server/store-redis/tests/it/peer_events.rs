//! The events that a commit sends to other servers.

use std::sync::Arc;

use sentinel_domain::{Command, Job, Name, Queue, SessionId, decide};
use sentinel_faults::RedisServer;
use sentinel_store::conformance::fixture;
use sentinel_store::{CommitRequest, CommitResult, PeerEvents, ServerId, Store, Transaction};
use sentinel_store_redis::{OpenOptions, RedisStore};

use crate::support::{TIMEOUT, temp_dir};

const NOW: i64 = 1_000;
const LIVE: i64 = 90_000;

/// A server with its store, and the events that it received.
pub(crate) struct Server {
    store: RedisStore,
    writer: fixture::Writer,
    id: ServerId,
    markers: u64,
    pub(crate) events: PeerEvents,
}

impl Server {
    /// Opens a server, and waits until it is subscribed.
    pub(crate) async fn open(url: &str, id: u64) -> Self {
        let store = RedisStore::open(OpenOptions::new(url, NOW)).await.expect("opened");
        let events = PeerEvents::default();
        let mut server =
            Self { store, writer: fixture::Writer::new(id), id: ServerId(id), markers: 0, events };
        server.until("subscribed", |events| events.is_incomplete && events.server_count > 0).await;
        server
    }

    async fn commit(&self, call: CommitRequest) -> CommitResult {
        self.store.commit(call).await.expect("committed")
    }

    async fn apply(&mut self, transaction: Transaction) {
        let call = self.writer.request(NOW).transaction(transaction).build();
        self.commit(call).await;
    }

    /// Receives events until a condition is met.
    pub(crate) async fn until(&mut self, condition: &str, is_met: impl Fn(&PeerEvents) -> bool) {
        let all = async {
            while !is_met(&self.events) {
                let events = self.store.peer_events(self.id).await.expect("a reply");
                self.events.ready.extend(events.ready);
                self.events.jobs.extend(events.jobs);
                self.events.sessions.extend(events.sessions);
                self.events.queues_changed |= events.queues_changed;
                self.events.is_incomplete |= events.is_incomplete;
                self.events.server_count = events.server_count;
            }
        };
        tokio::time::timeout(TIMEOUT, all)
            .await
            .unwrap_or_else(|_| panic!("timed out: {condition}"));
    }

    /// Returns all events up to now, delimited by a marker job of another server.
    async fn events_until_now(&mut self, other: &mut Self) -> PeerEvents {
        other.markers += 1;
        let marker = fixture::job("marker", "k", NOW, 1_000 * other.id.0 + other.markers);
        other.apply(fixture::create(&marker)).await;
        self.until("the marker arrives", |events| {
            events.ready.iter().any(|(queue, _)| &**queue == "marker")
        })
        .await;
        let mut events = std::mem::take(&mut self.events);
        events.ready.retain(|(queue, _)| &**queue != "marker");
        events
    }
}

async fn two_servers() -> (tempfile::TempDir, RedisServer, Server, Server) {
    let dir = temp_dir();
    let redis = RedisServer::start(dir.path(), &[]);
    let (mut a, mut b) = (Server::open(&redis.url(), 1).await, Server::open(&redis.url(), 2).await);
    // Discards the events so far.
    (a.events, b.events) = (PeerEvents::default(), PeerEvents::default());
    (dir, redis, a, b)
}

/// Creates a job that runs under a session of `b`.
async fn running_job(a: &mut Server, b: &mut Server, session: SessionId) -> Arc<Job> {
    let job = fixture::job("q", "k", NOW, session.as_u128() as u64);
    a.apply(fixture::create(&job)).await;
    let call = b.writer.request(NOW).transaction(fixture::put_session(session, 2, LIVE));
    let call = call.claim(fixture::claim(session, &["q"], &["k"], 1)).build();
    b.commit(call).await.claimed[0][0].clone()
}

fn cancel(job: &Job) -> Transaction {
    let command = Command::Cancel { reason: "".into(), actor: "me".into() };
    fixture::update(job, decide(job, &command, NOW).expect("it runs"))
}

#[tokio::test]
async fn each_kind_of_event_reaches_the_affected_server() {
    let (_dir, _redis, mut a, mut b) = two_servers().await;
    let session = fixture::session(1);
    let job = running_job(&mut a, &mut b, session).await;
    let class: (Name, Name) = ("q".into(), "k".into());
    assert_eq!(b.events_until_now(&mut a).await.ready, [class], "became ready");

    a.apply(cancel(&job)).await;
    let events = b.events_until_now(&mut a).await;
    assert_eq!((&events.jobs[..], &events.sessions[..]), (&[(session, job.id)][..], &[][..]));

    a.apply(fixture::put_session(session, 1, LIVE)).await;
    assert_eq!(b.events_until_now(&mut a).await.sessions, [session], "adopted");

    let queue = fixture::put_queue(Queue::with_defaults("declared".into(), NOW));
    a.apply(queue).await;
    let events = b.events_until_now(&mut a).await;
    assert!(events.queues_changed);
    assert_eq!(events.server_count, 2, "this server subscribed after the other one");

    let own = a.events_until_now(&mut b).await;
    assert_eq!(
        own,
        PeerEvents { server_count: own.server_count, ..PeerEvents::default() },
        "a server does not receive its own events"
    );
}

#[tokio::test]
async fn a_job_that_is_claimed_by_its_own_call_causes_no_event() {
    let (_dir, _redis, mut a, mut b) = two_servers().await;
    let (session, job) = (fixture::session(1), fixture::job("q", "k", NOW, 1));
    let call = a.writer.request(NOW).transaction(fixture::put_session(session, 1, LIVE));
    let call =
        call.transaction(fixture::create(&job)).claim(fixture::claim(session, &["q"], &["k"], 1));
    assert_eq!(a.commit(call.build()).await.claimed[0].len(), 1);
    assert_eq!(b.events_until_now(&mut a).await.ready, []);
}

/// The subscriber reconnects, and reports that events may be lost.
#[tokio::test]
async fn a_lost_subscription_is_reported() {
    let (_dir, redis, mut a, mut b) = two_servers().await;
    for nth in 1..=3 {
        let session = fixture::session(nth);
        let job = running_job(&mut a, &mut b, session).await;
        redis.ask("CLIENT KILL TYPE pubsub").expect("a reply");
        a.apply(cancel(&job)).await;
        b.until("events may be lost", |events| events.is_incomplete).await;
        b.events = PeerEvents::default();
        // Events arrive again.
        a.apply(fixture::put_session(session, 1, LIVE)).await;
        b.until("events arrive again", |events| {
            events.sessions == [session] || events.is_incomplete
        })
        .await;
        b.events = PeerEvents::default();
    }
}

/// A lost message on an intact connection.
#[tokio::test]
async fn a_lost_message_is_detected_by_its_number() {
    let (_dir, redis, mut a, mut b) = two_servers().await;
    let session = fixture::session(1);
    let job = running_job(&mut a, &mut b, session).await;
    b.events_until_now(&mut a).await;
    redis.ask("INCR sentinel:{s0}:to:0000000000000002").expect("a reply");
    b.until("a message is lost", |events| events.is_incomplete).await;
    b.events = PeerEvents::default();
    a.apply(cancel(&job)).await;
    let events = b.events_until_now(&mut a).await;
    assert_eq!(events.jobs, [(session, job.id)]);
    assert!(!events.is_incomplete, "later messages are complete");
}

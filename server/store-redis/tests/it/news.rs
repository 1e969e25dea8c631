//! What the commits of one server tell another one.

use std::sync::Arc;

use sentinel_domain::{Command, Job, Name, Queue, SessionId, decide};
use sentinel_faults::RedisServer;
use sentinel_store::conformance::fixture;
use sentinel_store::{CommitRequest, CommitResult, PeerEvents, ServerId, Store, Transaction};
use sentinel_store_redis::{OpenOptions, RedisStore};

use crate::place::{PATIENCE, directory};

const NOW: i64 = 1_000;
const LIVE: i64 = 90_000;

/// A server with its store, and the news that it took.
pub(crate) struct Server {
    store: RedisStore,
    writer: fixture::Writer,
    id: ServerId,
    marks: u64,
    pub(crate) news: PeerEvents,
}

impl Server {
    /// One that is told of everything from now on.
    pub(crate) async fn open(url: &str, id: u64) -> Self {
        let store = RedisStore::open(OpenOptions::new(url, NOW)).await.expect("opens");
        let news = PeerEvents::default();
        let mut server =
            Self { store, writer: fixture::Writer::new(id), id: ServerId(id), marks: 0, news };
        server.until("it listens", |news| news.is_incomplete && news.server_count > 0).await;
        server
    }

    async fn commit(&self, call: CommitRequest) -> CommitResult {
        self.store.commit(call).await.expect("commits")
    }

    async fn does(&mut self, group: Transaction) {
        let call = self.writer.request(NOW).transaction(group).build();
        self.commit(call).await;
    }

    /// Takes news until something is among them.
    pub(crate) async fn until(&mut self, what: &str, is: impl Fn(&PeerEvents) -> bool) {
        let all = async {
            while !is(&self.news) {
                let news = self.store.peer_events(self.id).await.expect("answers");
                self.news.ready.extend(news.ready);
                self.news.jobs.extend(news.jobs);
                self.news.sessions.extend(news.sessions);
                self.news.queues_changed |= news.queues_changed;
                self.news.is_incomplete |= news.is_incomplete;
                self.news.server_count = news.server_count;
            }
        };
        tokio::time::timeout(PATIENCE, all).await.unwrap_or_else(|_| panic!("never: {what}"));
    }

    /// Takes all news up to a call of another server, and answers those before it.
    async fn up_to_now(&mut self, other: &mut Self) -> PeerEvents {
        other.marks += 1;
        let mark = fixture::job("mark", "k", NOW, 1_000 * other.id.0 + other.marks);
        other.does(fixture::create(&mark)).await;
        self.until("the mark", |news| news.ready.iter().any(|(queue, _)| &**queue == "mark")).await;
        let mut news = std::mem::take(&mut self.news);
        news.ready.retain(|(queue, _)| &**queue != "mark");
        news
    }
}

async fn two() -> (tempfile::TempDir, RedisServer, Server, Server) {
    let dir = directory();
    let redis = RedisServer::start(dir.path(), &[]);
    let (mut a, mut b) = (Server::open(&redis.url(), 1).await, Server::open(&redis.url(), 2).await);
    // From here on only what happens is told.
    (a.news, b.news) = (PeerEvents::default(), PeerEvents::default());
    (dir, redis, a, b)
}

/// A job that runs under a session of `b`.
async fn running(a: &mut Server, b: &mut Server, session: SessionId) -> Arc<Job> {
    let job = fixture::job("q", "k", NOW, session.as_u128() as u64);
    a.does(fixture::create(&job)).await;
    let call = b.writer.request(NOW).transaction(fixture::put_session(session, 2, LIVE));
    let call = call.claim(fixture::claim(session, &["q"], &["k"], 1)).build();
    b.commit(call).await.claimed[0][0].clone()
}

fn cancel(job: &Job) -> Transaction {
    let command = Command::Cancel { reason: "".into(), actor: "me".into() };
    fixture::update(job, decide(job, &command, NOW).expect("it runs"))
}

#[tokio::test]
async fn each_kind_reaches_whom_it_concerns() {
    let (_dir, _redis, mut a, mut b) = two().await;
    let session = fixture::session(1);
    let job = running(&mut a, &mut b, session).await;
    let class: (Name, Name) = ("q".into(), "k".into());
    assert_eq!(b.up_to_now(&mut a).await.ready, [class], "became ready");

    a.does(cancel(&job)).await;
    let news = b.up_to_now(&mut a).await;
    assert_eq!((&news.jobs[..], &news.sessions[..]), (&[(session, job.id)][..], &[][..]));

    a.does(fixture::put_session(session, 1, LIVE)).await;
    assert_eq!(b.up_to_now(&mut a).await.sessions, [session], "adopted");

    let queue = fixture::put_queue(Queue::with_defaults("declared".into(), NOW));
    a.does(queue).await;
    let news = b.up_to_now(&mut a).await;
    assert!(news.queues_changed);
    assert_eq!(news.server_count, 2, "it began to listen after the other one");

    let own = a.up_to_now(&mut b).await;
    assert_eq!(
        own,
        PeerEvents { server_count: own.server_count, ..PeerEvents::default() },
        "nobody hears of its own"
    );
}

#[tokio::test]
async fn what_was_claimed_at_once_is_no_news() {
    let (_dir, _redis, mut a, mut b) = two().await;
    let (session, job) = (fixture::session(1), fixture::job("q", "k", NOW, 1));
    let call = a.writer.request(NOW).transaction(fixture::put_session(session, 1, LIVE));
    let call = call.transaction(fixture::create(&job)).claim(fixture::claim(session, &["q"], &["k"], 1));
    assert_eq!(a.commit(call.build()).await.claimed[0].len(), 1);
    assert_eq!(b.up_to_now(&mut a).await.ready, []);
}

/// The subscriber comes back by itself, and says that it may have missed something.
#[tokio::test]
async fn a_lost_subscription_is_told() {
    let (_dir, redis, mut a, mut b) = two().await;
    for nth in 1..=3 {
        let session = fixture::session(nth);
        let job = running(&mut a, &mut b, session).await;
        redis.ask("CLIENT KILL TYPE pubsub").expect("answers");
        a.does(cancel(&job)).await;
        b.until("something was missed", |news| news.is_incomplete).await;
        b.news = PeerEvents::default();
        // And it hears again.
        a.does(fixture::put_session(session, 1, LIVE)).await;
        b.until("it hears again", |news| news.sessions == [session] || news.is_incomplete).await;
        b.news = PeerEvents::default();
    }
}

/// A message that never came, on a connection that is well.
#[tokio::test]
async fn a_lost_message_is_found_by_its_number() {
    let (_dir, redis, mut a, mut b) = two().await;
    let session = fixture::session(1);
    let job = running(&mut a, &mut b, session).await;
    b.up_to_now(&mut a).await;
    redis.ask("INCR sentinel:{s0}:to:0000000000000002").expect("answers");
    b.until("one is missing", |news| news.is_incomplete).await;
    b.news = PeerEvents::default();
    a.does(cancel(&job)).await;
    let news = b.up_to_now(&mut a).await;
    assert_eq!(news.jobs, [(session, job.id)]);
    assert!(!news.is_incomplete, "it goes on from there");
}

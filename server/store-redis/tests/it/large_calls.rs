//! Calls that exceed the limits of one Lua `unpack` and of one journal entry.

use sentinel_domain::{Command, JobId, NewJob, State, decide};
use sentinel_faults::RedisServer;
use sentinel_store::conformance::fixture;
use sentinel_store::{JournalPage, Position, Store, TransactionResult};
use sentinel_store_redis::{OpenOptions, RedisStore};

use crate::audit;
use crate::support::temp_dir;

const NOW: i64 = 1_000;
/// `unpack` fails with about 8,000 values, and an entry holds about 3,000 events as fields.
const JOBS: u64 = 9_000;

#[tokio::test]
async fn a_call_with_thousands_of_jobs_is_committed() {
    let dir = temp_dir();
    let server = RedisServer::start(dir.path(), &[]);
    let store = RedisStore::open(OpenOptions::new(server.url(), NOW)).await.expect("opened");
    let mut writer = fixture::Writer::new(1);
    let session = fixture::session(1);
    let later = |new: &mut NewJob| new.delay_ms = Some(10);
    let mut call = writer.request(NOW).transaction(fixture::put_session(session, 1, 90_000));
    for n in 0..JOBS {
        let job = fixture::job_from_spec(fixture::spec("q", "k", NOW, later), NOW, n);
        call = call.transaction(fixture::create(&job));
    }
    let created = store.commit(call.build()).await.expect("committed");
    assert!(created.results.iter().all(|verdict| *verdict == TransactionResult::Committed));
    let claim = fixture::claim(session, &["q"], &["k"], usize::MAX);
    let call = writer.request(NOW + 10).promote(usize::MAX).claim(claim).build();
    let mut claimed = store.commit(call.clone()).await.expect("committed").claimed;
    assert_eq!(claimed[0].len() as u64, JOBS);
    let again = store.commit(call).await.expect("repeated");
    assert_eq!(again.claimed, claimed);
    assert_eq!(store.session_jobs(session).await.expect("a reply").len() as u64, JOBS);

    let mut call = writer.request(NOW + 20);
    for job in claimed.remove(0) {
        let lease = job.status.lease.expect("it runs").id;
        let command = Command::Succeed { lease, started_at: None, result: "x".into() };
        let decision = decide(&job, &command, NOW + 20).expect("its lease is live");
        call = call.transaction(fixture::update(&job, decision));
    }
    store.commit(call.build()).await.expect("committed");
    // All of them finished in the same millisecond.
    let ids: Vec<JobId> = (0..JOBS).map(|n| JobId::new(NOW, 0, n << 2)).collect();
    let mut call = writer.request(NOW + 30);
    for job in store.read(ids).await.expect("a reply").into_iter().flatten() {
        let decision = decide(&job, &Command::Retry, NOW + 30).expect("terminal");
        call = call.transaction(fixture::update(&job, decision));
    }
    store.commit(call.build()).await.expect("committed");

    let depths = store.depths().await.expect("a reply");
    assert_eq!((depths.len(), depths[0].state, depths[0].count), (1, State::Ready, JOBS));
    let client = redis::Client::open(server.url()).expect("a valid URL");
    let mut link = client.get_multiplexed_async_connection().await.expect("connected");
    audit::check(audit::count("sentinel").query_async(&mut link).await.expect("a reply"));
    assert_journal_is_complete(&store).await;
}

async fn assert_journal_is_complete(store: &RedisStore) {
    let mut at = Position::default();
    let mut counts = Vec::new();
    loop {
        let JournalPage::Entries(entries) = store.read_journal(at, 9).await.expect("a reply")
        else {
            panic!("nothing was trimmed")
        };
        let Some(last) = entries.last() else { break };
        at = last.position;
        for entry in &entries {
            let new = entry.jobs.iter().filter(|event| event.encoded_spec.is_some()).count() as u64;
            counts.push((entry.jobs.len() as u64, new));
        }
    }
    assert_eq!(counts, [(JOBS, JOBS), (2 * JOBS, 0), (JOBS, 0), (JOBS, JOBS)]);
}

#[tokio::test]
async fn a_payload_of_the_maximum_size_is_stored() {
    let dir = temp_dir();
    let server = RedisServer::start(dir.path(), &[]);
    let store = RedisStore::open(OpenOptions::new(server.url(), NOW)).await.expect("opened");
    let other = RedisStore::open(OpenOptions::new(server.url(), NOW)).await.expect("opened");
    let mut writer = fixture::Writer::new(1);
    let session = fixture::session(1);
    let big = |new: &mut NewJob| new.payload = vec![b'x'; 1 << 20].into();
    let job = fixture::job_from_spec(fixture::spec("q", "k", NOW, big), NOW, 1);
    store
        .commit(writer.request(NOW).transaction(fixture::create(&job)).build())
        .await
        .expect("committed");
    // A server that did not create the job reads its spec.
    let mut writer = fixture::Writer::new(2);
    let call = writer.request(NOW).transaction(fixture::put_session(session, 2, 90_000));
    let call = call.claim(fixture::claim(session, &["q"], &["k"], 1)).build();
    let claimed = other.commit(call).await.expect("committed").claimed;
    assert_eq!(claimed[0][0].spec, job.spec);
}

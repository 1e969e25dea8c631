//! The journal is trimmed by time, and never beyond what is projected.

use sentinel_faults::RedisServer;
use sentinel_store::conformance::fixture;
use sentinel_store::{JournalPage, Position, Store, TrimRequest};
use sentinel_store_redis::{OpenOptions, RedisStore};

use crate::place::directory;

const NOW: i64 = 1_000_000;

async fn first(store: &RedisStore) -> u64 {
    let mut at = Position { seq: 0, ..*store.head().borrow() };
    loop {
        match store.read_journal(at, 1).await.expect("answers") {
            JournalPage::Entries(entries) => return entries[0].position.seq,
            JournalPage::Trimmed => at.seq += 1,
            JournalPage::OtherEpoch => panic!("{at} is no place of this journal"),
        }
    }
}

#[tokio::test]
async fn by_time_and_projection() {
    let dir = directory();
    // One entry a node, so that trimming by whole nodes is exact.
    let server = RedisServer::start(dir.path(), &["--stream-node-max-entries", "1"]);
    let store = RedisStore::open(OpenOptions::new(server.url(), NOW)).await.expect("opens");
    let mut writer = fixture::Writer::new(1);
    // Four entries a second for ten seconds.
    for n in 0..40 {
        let now = NOW + n * 250;
        let job = fixture::job("q", "k", now, n as u64);
        store.commit(writer.request(now).transaction(fixture::create(&job)).build()).await.expect("commits");
    }
    let head = *store.head().borrow();
    let trim = |projected, journal_before| TrimRequest {
        projected: Position { seq: projected, ..head },
        terminal_before: 0,
        journal_before,
        limit: 0,
    };
    store.trim(trim(40, NOW)).await.expect("trims");
    assert_eq!(first(&store).await, 1, "nothing is old enough");
    store.trim(trim(5, NOW + 10_000)).await.expect("trims");
    assert_eq!(first(&store).await, 6, "what is not projected stays");
    store.trim(trim(40, NOW + 5_100)).await.expect("trims");
    let oldest = first(&store).await;
    assert!((17..=22).contains(&oldest), "to the second: {oldest}");
    let other = TrimRequest { projected: Position { epoch: head.epoch + 1, seq: 99 }, ..trim(0, NOW * 2) };
    store.trim(other).await.expect("trims");
    assert_eq!(first(&store).await, oldest, "of another epoch");
    store.trim(trim(40, NOW * 2)).await.expect("trims");
    let last = store.read_journal(head, 9).await.expect("answers");
    assert!(
        matches!(last, JournalPage::Entries(entries) if entries.is_empty()),
        "the head is known"
    );
}

#[tokio::test]
async fn by_size_where_it_is_too_much() {
    let dir = directory();
    let server = RedisServer::start(dir.path(), &["--stream-node-max-entries", "1"]);
    let options = OpenOptions { journal_max_bytes: 100_000, ..OpenOptions::new(server.url(), NOW) };
    let store = RedisStore::open(options).await.expect("opens");
    let mut writer = fixture::Writer::new(1);
    for n in 0..40 {
        let now = NOW + n * 1_000;
        let heavy = |new: &mut sentinel_domain::NewJob| new.payload = vec![b'x'; 10_000].into();
        let job = fixture::job_from_spec(fixture::spec("q", "k", now, heavy), now, n as u64);
        store.commit(writer.request(now).transaction(fixture::create(&job)).build()).await.expect("commits");
    }
    let head = *store.head().borrow();
    let trim = |projected| TrimRequest {
        projected: Position { seq: projected, ..head },
        terminal_before: 0,
        journal_before: 0,
        limit: 0,
    };
    store.trim(trim(9)).await.expect("trims");
    assert_eq!(first(&store).await, 10, "what is not projected stays, whatever its size");
    store.trim(trim(40)).await.expect("trims");
    let oldest = first(&store).await;
    assert!((31..=33).contains(&oldest), "ten entries of 10 kB: from {oldest}");
    store.trim(trim(40)).await.expect("trims");
    assert_eq!(first(&store).await, oldest, "enough is gone");
}

//! The journal is trimmed by time and by size, but never beyond the projected position.

use sentinel_faults::RedisServer;
use sentinel_store::conformance::fixture;
use sentinel_store::{JournalPage, Position, Store, TrimRequest};
use sentinel_store_redis::{OpenOptions, RedisStore};

use crate::support::temp_dir;

const NOW: i64 = 1_000_000;

async fn first_seq(store: &RedisStore) -> u64 {
    let mut at = Position { seq: 0, ..*store.head().borrow() };
    loop {
        match store.read_journal(at, 1).await.expect("a reply") {
            JournalPage::Entries(entries) => return entries[0].position.seq,
            JournalPage::Trimmed => at.seq += 1,
            JournalPage::OtherEpoch => panic!("{at} is of another epoch"),
        }
    }
}

#[tokio::test]
async fn the_journal_is_trimmed_by_time_up_to_the_projected_position() {
    let dir = temp_dir();
    // One entry per node, so that trimming whole nodes is exact.
    let server = RedisServer::start(dir.path(), &["--stream-node-max-entries", "1"]);
    let store = RedisStore::open(OpenOptions::new(server.url(), NOW)).await.expect("opened");
    let mut writer = fixture::Writer::new(1);
    // Four entries per second for ten seconds.
    for n in 0..40 {
        let now = NOW + n * 250;
        let job = fixture::job("q", "k", now, n as u64);
        store
            .commit(writer.request(now).transaction(fixture::create(&job)).build())
            .await
            .expect("committed");
    }
    let head = *store.head().borrow();
    let trim = |projected, journal_before| TrimRequest {
        projected: Position { seq: projected, ..head },
        terminal_before: 0,
        journal_before,
        limit: 0,
    };
    store.trim(trim(40, NOW)).await.expect("trimmed");
    assert_eq!(first_seq(&store).await, 1, "nothing is old enough");
    store.trim(trim(5, NOW + 10_000)).await.expect("trimmed");
    assert_eq!(first_seq(&store).await, 6, "unprojected entries are kept");
    store.trim(trim(40, NOW + 5_100)).await.expect("trimmed");
    let oldest = first_seq(&store).await;
    assert!((17..=22).contains(&oldest), "accurate to one second: {oldest}");
    let other =
        TrimRequest { projected: Position { epoch: head.epoch + 1, seq: 99 }, ..trim(0, NOW * 2) };
    store.trim(other).await.expect("trimmed");
    assert_eq!(first_seq(&store).await, oldest, "a trim of another epoch is ignored");
    store.trim(trim(40, NOW * 2)).await.expect("trimmed");
    let last = store.read_journal(head, 9).await.expect("a reply");
    assert!(
        matches!(last, JournalPage::Entries(entries) if entries.is_empty()),
        "the head is kept"
    );
}

#[tokio::test]
async fn the_journal_is_trimmed_by_size_up_to_the_projected_position() {
    let dir = temp_dir();
    let server = RedisServer::start(dir.path(), &["--stream-node-max-entries", "1"]);
    let options = OpenOptions { journal_max_bytes: 100_000, ..OpenOptions::new(server.url(), NOW) };
    let store = RedisStore::open(options).await.expect("opened");
    let mut writer = fixture::Writer::new(1);
    for n in 0..40 {
        let now = NOW + n * 1_000;
        let heavy = |new: &mut sentinel_domain::NewJob| new.payload = vec![b'x'; 10_000].into();
        let job = fixture::job_from_spec(fixture::spec("q", "k", now, heavy), now, n as u64);
        store
            .commit(writer.request(now).transaction(fixture::create(&job)).build())
            .await
            .expect("committed");
    }
    let head = *store.head().borrow();
    let trim = |projected| TrimRequest {
        projected: Position { seq: projected, ..head },
        terminal_before: 0,
        journal_before: 0,
        limit: 0,
    };
    store.trim(trim(9)).await.expect("trimmed");
    assert_eq!(first_seq(&store).await, 10, "unprojected entries are kept whatever their size");
    store.trim(trim(40)).await.expect("trimmed");
    let oldest = first_seq(&store).await;
    assert!((31..=33).contains(&oldest), "ten entries of 10 kB are kept, from {oldest}");
    store.trim(trim(40)).await.expect("trimmed");
    assert_eq!(first_seq(&store).await, oldest, "the size is within the limit");
}

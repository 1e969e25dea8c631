//! The suite of the port.

use std::path::PathBuf;
use std::sync::Arc;

use sentinel_domain::Millis;
use sentinel_store::Store;
use sentinel_store::conformance::{Harness, Restart, exercise, seed_from_env, walk};
use sentinel_store::fault::{Faulty, Odds};
use sentinel_store_embedded::{DirLock, Embedded, OpenOptions, RingLimits, Seed};

/// Small files and a small ring, so that a walk leaves both behind.
fn open(dir: PathBuf, restart: Restart) -> Arc<dyn Store> {
    let lock = Arc::new(DirLock::acquire(dir).expect("nobody else has it"));
    let options = OpenOptions {
        sessions_expire_at: restart.sessions_expire_at,
        journal_segment_bytes: 100_000,
        ring: RingLimits { events: 500, bytes: 1 << 20 },
        ballast_bytes: 0,
        ..OpenOptions::new(lock, restart.now)
    };
    let Restart { checkpoint, jobs, queues, keys, producers, .. } = restart;
    let seed = Seed { checkpoint, jobs, queues, keys, producers };
    Arc::new(Embedded::open(options, seed).expect("opens"))
}

const START: Millis = 1_700_000_000_000;

/// In memory where there is such a place: a walk is about what is kept, not about the disk.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}

async fn harness() -> Harness {
    let dir = directory();
    let first = open(dir.path().into(), Restart { now: START, ..Restart::default() });
    Harness::new(first).reopened_by(move |restart| {
        let path = dir.path().to_owned();
        Box::pin(async move { open(path, restart) })
    })
}

#[tokio::test]
async fn it_conforms() {
    exercise(harness).await;
}

#[tokio::test]
async fn walks_agree_with_the_oracle() {
    let seed = seed_from_env();
    for nth in 0..4 {
        let report = walk(&mut harness().await, seed.wrapping_add(nth), 1_000).await;
        assert!(report.reached.contains_key("reopened"), "{report:?}");
    }
}

/// Lost calls and replies change nothing for a writer that repeats its number.
#[tokio::test]
async fn a_lossy_walk_agrees_with_the_oracle() {
    let dir = directory();
    let path = dir.path().to_owned();
    let lossy = move |restart| {
        let store = Faulty::new(open(path.clone(), restart));
        store.commits.seeded(1, Odds { lost_reply: 300, lost_call: 200, ..Odds::default() });
        Arc::new(store)
    };
    let first = lossy(Restart { now: START, ..Restart::default() });
    let mut harness = Harness::new(first).reopened_by(move |restart| {
        let again = lossy(restart);
        Box::pin(async move { again as Arc<dyn Store> })
    });
    let report = walk(&mut harness, seed_from_env(), 1_000).await;
    report.assert_wide();
    assert!(report.reached.contains_key("reopened"), "{report:?}");
}

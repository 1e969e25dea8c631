//! The suite of the port.

use std::path::PathBuf;
use std::sync::Arc;

use sentinel_domain::Millis;
use sentinel_store::Store;
use sentinel_store::conformance::{Harness, ReopenState, run_suite, seed_from_env, run_property_test};
use sentinel_store::fault::{FaultyStore, FaultRates};
use sentinel_store_embedded::{DirLock, EmbeddedStore, OpenOptions, RingLimits, LedgerState};

/// Small files and a small ring, so that a walk leaves both behind.
fn open(dir: PathBuf, restart: ReopenState) -> Arc<dyn Store> {
    let lock = Arc::new(DirLock::acquire(dir).expect("nobody else has it"));
    let options = OpenOptions {
        sessions_expire_at: restart.sessions_expire_at,
        journal_segment_bytes: 100_000,
        ring: RingLimits { events: 500, bytes: 1 << 20 },
        ballast_bytes: 0,
        ..OpenOptions::new(lock, restart.now)
    };
    let ReopenState { checkpoint, jobs, queues, keys, producers, .. } = restart;
    let seed = LedgerState { checkpoint, jobs, queues, keys, producers };
    Arc::new(EmbeddedStore::open(options, seed).expect("opens"))
}

const START: Millis = 1_700_000_000_000;

/// In memory where there is such a place: a walk is about what is kept, not about the disk.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}

async fn harness() -> Harness {
    let dir = directory();
    let first = open(dir.path().into(), ReopenState { now: START, ..ReopenState::default() });
    Harness::new(first).reopened_by(move |restart| {
        let path = dir.path().to_owned();
        Box::pin(async move { open(path, restart) })
    })
}

#[tokio::test]
async fn it_conforms() {
    run_suite(harness).await;
}

#[tokio::test]
async fn walks_agree_with_the_oracle() {
    let seed = seed_from_env();
    for nth in 0..4 {
        let report = run_property_test(&mut harness().await, seed.wrapping_add(nth), 1_000).await;
        assert!(report.reached.contains_key("reopened"), "{report:?}");
    }
}

/// Lost calls and replies change nothing for a writer that repeats its number.
#[tokio::test]
async fn a_lossy_walk_agrees_with_the_oracle() {
    let dir = directory();
    let path = dir.path().to_owned();
    let lossy = move |restart| {
        let store = FaultyStore::new(open(path.clone(), restart));
        store.commits.seeded(1, FaultRates { lost_response: 300, lost_request: 200, ..FaultRates::default() });
        Arc::new(store)
    };
    let first = lossy(ReopenState { now: START, ..ReopenState::default() });
    let mut harness = Harness::new(first).reopened_by(move |restart| {
        let again = lossy(restart);
        Box::pin(async move { again as Arc<dyn Store> })
    });
    let report = run_property_test(&mut harness, seed_from_env(), 1_000).await;
    report.assert_coverage();
    assert!(report.reached.contains_key("reopened"), "{report:?}");
}

//! The conformance suite and the property test.

use std::path::PathBuf;
use std::sync::Arc;

use sentinel_domain::Millis;
use sentinel_store::Store;
use sentinel_store::conformance::{
    Harness, ReopenState, run_property_test, run_suite, seed_from_env,
};
use sentinel_store::fault::{FaultRates, FaultyStore};
use sentinel_store_embedded::{DirLock, EmbeddedStore, LedgerState, OpenOptions, RingLimits};

/// Opens a store with small files and a small ring, so that a run exceeds both.
fn open(dir: PathBuf, state: ReopenState) -> Arc<dyn Store> {
    let lock = Arc::new(DirLock::acquire(dir).expect("the lock is free"));
    let options = OpenOptions {
        sessions_expire_at: state.sessions_expire_at,
        journal_segment_bytes: 100_000,
        ring: RingLimits { events: 500, bytes: 1 << 20 },
        ballast_bytes: 0,
        ..OpenOptions::new(lock, state.now)
    };
    let ReopenState { checkpoint, jobs, queues, keys, producers, .. } = state;
    let ledger = LedgerState { checkpoint, jobs, queues, keys, producers };
    Arc::new(EmbeddedStore::open(options, ledger).expect("the store opens"))
}

const START: Millis = 1_700_000_000_000;

/// Returns a directory in memory if possible, because these tests are not about the disk.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}

async fn harness() -> Harness {
    let dir = directory();
    let first = open(dir.path().into(), ReopenState { now: START, ..ReopenState::default() });
    Harness::new(first).reopened_by(move |state| {
        let path = dir.path().to_owned();
        Box::pin(async move { open(path, state) })
    })
}

#[tokio::test]
async fn the_store_passes_the_conformance_suite() {
    run_suite(harness).await;
}

#[tokio::test]
async fn the_store_equals_the_oracle() {
    let seed = seed_from_env();
    for nth in 0..4 {
        let report = run_property_test(&mut harness().await, seed.wrapping_add(nth), 1_000).await;
        assert!(report.reached.contains_key("reopened"), "{report:?}");
    }
}

/// A writer that repeats its requests gets the same results in spite of lost requests and
/// responses.
#[tokio::test]
async fn the_store_equals_the_oracle_with_lost_requests_and_responses() {
    let dir = directory();
    let path = dir.path().to_owned();
    let lossy = move |state| {
        let store = FaultyStore::new(open(path.clone(), state));
        store.commits.seeded(
            1,
            FaultRates { lost_response: 300, lost_request: 200, ..FaultRates::default() },
        );
        Arc::new(store)
    };
    let first = lossy(ReopenState { now: START, ..ReopenState::default() });
    let mut harness = Harness::new(first).reopened_by(move |state| {
        let again = lossy(state);
        Box::pin(async move { again as Arc<dyn Store> })
    });
    let report = run_property_test(&mut harness, seed_from_env(), 1_000).await;
    report.assert_coverage();
    assert!(report.reached.contains_key("reopened"), "{report:?}");
}

//! Tests of the fault layer: each fault has its effect, and a writer that repeats its requests gets
//! the same results as without faults.

use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::{Job, Millis};
use sentinel_store::conformance::{Harness, fixture, run_property_test, seed_from_env};
use sentinel_store::fault::{Fault, FaultRates, FaultyStore};
use sentinel_store::oracle::Oracle;
use sentinel_store::{CommitRequest, CommitResult, Conflict, Store, StoreError, TransactionResult};
use tokio::time::{Instant, timeout};

const T0: Millis = 1_700_000_000_000;

fn store() -> FaultyStore {
    FaultyStore::new(Arc::new(Oracle::default()))
}

/// Returns a job and the request that creates it.
fn create(writer: &mut fixture::Writer) -> (Arc<Job>, CommitRequest) {
    let job = fixture::job("q", "k", T0, 1);
    let request = writer.request(T0).transaction(fixture::create(&job)).build();
    (job, request)
}

async fn is_stored(store: &FaultyStore, job: &Job) -> bool {
    store.read(vec![job.id]).await.expect("the store answers")[0].is_some()
}

#[tokio::test]
async fn lost_requests_and_responses_do_not_change_the_results() {
    let lossy = store();
    lossy
        .commits
        .seeded(1, FaultRates { lost_response: 300, lost_request: 200, ..FaultRates::default() });
    let lossy = Arc::new(lossy);
    let report = run_property_test(&mut Harness::new(lossy.clone()), seed_from_env(), 1_500).await;
    report.assert_coverage();
    assert!(lossy.injected() > 500, "{} faults in {report:?}", lossy.injected());
}

#[tokio::test]
async fn a_lost_response_is_applied_and_a_lost_request_is_not() {
    for (fault, applied) in [(Fault::LostResponse, true), (Fault::LostRequest, false)] {
        let (store, mut writer) = (store(), fixture::Writer::new(1));
        let (job, request) = create(&mut writer);
        store.commits.once(&[fault]);
        let lost = store.commit(request.clone()).await;
        assert!(matches!(lost, Err(StoreError::OutcomeUnknown(_))), "{lost:?}");
        assert_eq!(is_stored(&store, &job).await, applied);
        let result = store.commit(request).await.expect("the store answers");
        assert_eq!(result.results, [TransactionResult::Committed], "{fault:?}");
    }
}

#[tokio::test]
async fn an_unavailable_or_full_store_recovers() {
    let (store, mut writer) = (store(), fixture::Writer::new(1));
    let (job, request) = create(&mut writer);
    store.commits.once(&[Fault::Unavailable, Fault::Full]);
    let results = [store.commit(request.clone()).await, store.commit(request.clone()).await];
    assert!(matches!(results[0], Err(StoreError::Unavailable(_))), "{results:?}");
    assert!(matches!(results[1], Err(StoreError::Full(_))), "{results:?}");
    assert!(!is_stored(&store, &job).await);
    store.commits.always(Some(Fault::Full));
    let without = writer.request(T0).build();
    store.commit(without).await.expect("a full store accepts requests without new specs");
    store.commits.always(None);
    let last = CommitRequest { number: 9, ..request };
    store.commit(last).await.expect("the store has recovered");
    assert!(is_stored(&store, &job).await);
}

#[tokio::test]
async fn reads_fail_and_recover() {
    let store = store();
    store.reads.always(Some(Fault::Unavailable));
    assert!(store.due_work(T0, 9).await.is_err());
    assert!(store.read_journal(Default::default(), 9).await.is_err());
    store.clear_faults();
    assert!(store.due_work(T0, 9).await.is_ok());
    assert_eq!(store.injected(), 2);
}

#[tokio::test]
async fn a_concurrent_update_causes_a_conflict() {
    let (store, mut writer) = (store(), fixture::Writer::new(1));
    let (job, request) = create(&mut writer);
    store.commit(request).await.expect("the store answers");
    let cancel = sentinel_domain::Command::Cancel { reason: "".into(), actor: "".into() };
    let decision = sentinel_domain::decide(&job, &cancel, T0).expect("the job is waiting");
    let request = writer.request(T0).transaction(fixture::update(&job, decision)).build();
    store.commits.once(&[Fault::ConcurrentUpdate]);
    let CommitResult { results, .. } = store.commit(request).await.expect("the store answers");
    let TransactionResult::Conflict(Conflict::Job { current: Some(current), .. }) = &results[0]
    else {
        panic!("{results:?}");
    };
    assert_eq!(current.status.version, job.status.version + 1);
    assert_eq!(current.status.state, job.status.state);
}

#[tokio::test(start_paused = true)]
async fn slow_requests_and_responses_are_delayed() {
    let (store, mut writer) = (store(), fixture::Writer::new(1));
    let wait = Duration::from_secs(30);
    for fault in [Fault::SlowRequest(wait), Fault::SlowResponse(wait)] {
        let began = Instant::now();
        store.commits.once(&[fault]);
        store.reads.once(&[fault]);
        store
            .commit(writer.request(T0).transaction(Default::default()).build())
            .await
            .expect("the store answers");
        store.queues().await.expect("the store answers");
        assert_eq!(began.elapsed(), 2 * wait);
    }
}

#[tokio::test(start_paused = true)]
async fn a_disconnected_caller_gets_no_response() {
    let store = Arc::new(store());
    let (job, request) = create(&mut fixture::Writer::new(1));
    store.commits.once(&[Fault::SlowRequest(Duration::from_secs(1))]);
    let pending = store.commit(request);
    store.disconnect();
    assert!(timeout(Duration::from_secs(9), pending).await.is_err());
    assert!(timeout(Duration::from_secs(9), store.queues()).await.is_err());
    // The pending request never arrives at the store.
    let survivor = FaultyStore::new(store.inner());
    assert!(!is_stored(&survivor, &job).await);
}

#[tokio::test]
async fn a_seed_reproduces_its_faults() {
    let rates = FaultRates { lost_request: 400, unavailable: 400, ..FaultRates::default() };
    let mut runs = Vec::new();
    for seed in [5, 5, 6] {
        let (store, mut writer) = (store(), fixture::Writer::new(1));
        store.commits.seeded(seed, rates);
        let mut errors = Vec::new();
        for _ in 0..64 {
            errors.push(store.commit(writer.request(T0).build()).await.err());
        }
        runs.push(errors);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[1], runs[2]);
}

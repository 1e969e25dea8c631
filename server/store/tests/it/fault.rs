//! The layer of faults is a store as well: behind it a writer that repeats its number sees
//! what it would see without it. And each fault is what its name says.

use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::{Job, Millis};
use sentinel_store::conformance::{Harness, fixture, seed_from_env, run_property_test};
use sentinel_store::fault::{Fault, FaultyStore, FaultRates};
use sentinel_store::oracle::Oracle;
use sentinel_store::{CommitRequest, CommitResult, Conflict, Store, StoreError, TransactionResult};
use tokio::time::{Instant, timeout};

const T0: Millis = 1_700_000_000_000;

fn store() -> FaultyStore {
    FaultyStore::new(Arc::new(Oracle::default()))
}

/// A job, and the call that creates it.
fn initial_state(writer: &mut fixture::Writer) -> (Arc<Job>, CommitRequest) {
    let job = fixture::job("q", "k", T0, 1);
    let call = writer.request(T0).transaction(fixture::create(&job)).build();
    (job, call)
}

async fn is_there(store: &FaultyStore, job: &Job) -> bool {
    store.read(vec![job.id]).await.expect("answers")[0].is_some()
}

#[tokio::test]
async fn a_walk_through_lost_calls_agrees_with_the_oracle() {
    let lossy = store();
    lossy.commits.seeded(1, FaultRates { lost_response: 300, lost_request: 200, ..FaultRates::default() });
    let lossy = Arc::new(lossy);
    let report = run_property_test(&mut Harness::new(lossy.clone()), seed_from_env(), 1_500).await;
    report.assert_coverage();
    assert!(lossy.injected() > 500, "{} faults in {report:?}", lossy.injected());
}

#[tokio::test]
async fn a_lost_reply_is_applied_and_a_lost_call_is_not() {
    for (fault, applied) in [(Fault::LostResponse, true), (Fault::LostRequest, false)] {
        let (store, mut writer) = (store(), fixture::Writer::new(1));
        let (job, call) = initial_state(&mut writer);
        store.commits.once(&[fault]);
        let lost = store.commit(call.clone()).await;
        assert!(matches!(lost, Err(StoreError::OutcomeUnknown(_))), "{lost:?}");
        assert_eq!(is_there(&store, &job).await, applied);
        let told = store.commit(call).await.expect("answers");
        assert_eq!(told.results, [TransactionResult::Committed], "told once, {fault:?} or not");
    }
}

#[tokio::test]
async fn a_store_that_is_away_comes_back() {
    let (store, mut writer) = (store(), fixture::Writer::new(1));
    let (job, call) = initial_state(&mut writer);
    store.commits.once(&[Fault::Unavailable, Fault::Full]);
    let answers = [store.commit(call.clone()).await, store.commit(call.clone()).await];
    assert!(matches!(answers[0], Err(StoreError::Unavailable(_))), "{answers:?}");
    assert!(matches!(answers[1], Err(StoreError::Full(_))), "{answers:?}");
    assert!(!is_there(&store, &job).await);
    store.commits.always(Some(Fault::Full));
    let without = writer.request(T0).build();
    store.commit(without).await.expect("a full store takes what makes no job");
    store.commits.always(None);
    let last = CommitRequest { number: 9, ..call };
    store.commit(last).await.expect("it came back");
    assert!(is_there(&store, &job).await);
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
async fn a_competitor_is_always_first() {
    let (store, mut writer) = (store(), fixture::Writer::new(1));
    let (job, call) = initial_state(&mut writer);
    store.commit(call).await.expect("answers");
    let cancel = sentinel_domain::Command::Cancel { reason: "".into(), actor: "".into() };
    let decision = sentinel_domain::decide(&job, &cancel, T0).expect("it waits");
    let call = writer.request(T0).transaction(fixture::update(&job, decision)).build();
    store.commits.once(&[Fault::ConcurrentUpdate]);
    let CommitResult { results, .. } = store.commit(call).await.expect("answers");
    let TransactionResult::Conflict(Conflict::Job { current: Some(current), .. }) = &results[0]
    else {
        panic!("{results:?}");
    };
    assert_eq!(current.status.version, job.status.version + 1);
    assert_eq!(current.status.state, job.status.state);
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_takes_its_time() {
    let (store, mut writer) = (store(), fixture::Writer::new(1));
    let wait = Duration::from_secs(30);
    for fault in [Fault::SlowRequest(wait), Fault::SlowResponse(wait)] {
        let began = Instant::now();
        store.commits.once(&[fault]);
        store.reads.once(&[fault]);
        store.commit(writer.request(T0).transaction(Default::default()).build()).await.expect("answers");
        store.queues().await.expect("answers");
        assert_eq!(began.elapsed(), 2 * wait);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_answers_a_caller_that_is_dead() {
    let store = Arc::new(store());
    let (job, call) = initial_state(&mut fixture::Writer::new(1));
    store.commits.once(&[Fault::SlowRequest(Duration::from_secs(1))]);
    let on_its_way = store.commit(call);
    store.disconnect();
    assert!(timeout(Duration::from_secs(9), on_its_way).await.is_err());
    assert!(timeout(Duration::from_secs(9), store.queues()).await.is_err());
    // What had not arrived never does: another caller of the same store sees nothing of it.
    let survivor = FaultyStore::new(store.inner());
    assert!(!is_there(&survivor, &job).await);
}

#[tokio::test]
async fn the_same_seed_throws_the_same_faults() {
    let odds = FaultRates { lost_request: 400, unavailable: 400, ..FaultRates::default() };
    let mut runs = Vec::new();
    for seed in [5, 5, 6] {
        let (store, mut writer) = (store(), fixture::Writer::new(1));
        store.commits.seeded(seed, odds);
        let mut answers = Vec::new();
        for _ in 0..64 {
            answers.push(store.commit(writer.request(T0).build()).await.err());
        }
        runs.push(answers);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[1], runs[2]);
}

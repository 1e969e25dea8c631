//! The layer of faults is a store as well: behind it a writer that repeats its number sees
//! what it would see without it. And each fault is what its name says.

use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::{Job, Millis};
use sentinel_store::conformance::{Harness, make, seed_from_env, walk};
use sentinel_store::fault::{Fault, Faulty, Odds};
use sentinel_store::oracle::Oracle;
use sentinel_store::{CommitRequest, CommitResult, Conflict, Store, StoreError, TransactionResult};
use tokio::time::{Instant, timeout};

const T0: Millis = 1_700_000_000_000;

fn store() -> Faulty {
    Faulty::new(Arc::new(Oracle::default()))
}

/// A job, and the call that creates it.
fn initial_state(writer: &mut make::Writer) -> (Arc<Job>, CommitRequest) {
    let job = make::job("q", "k", T0, 1);
    let call = writer.call(T0).group(make::create(&job)).done();
    (job, call)
}

async fn is_there(store: &Faulty, job: &Job) -> bool {
    store.read(vec![job.id]).await.expect("answers")[0].is_some()
}

#[tokio::test]
async fn a_walk_through_lost_calls_agrees_with_the_oracle() {
    let lossy = store();
    lossy.commits.seeded(1, Odds { lost_reply: 300, lost_call: 200, ..Odds::default() });
    let lossy = Arc::new(lossy);
    let report = walk(&mut Harness::new(lossy.clone()), seed_from_env(), 1_500).await;
    report.assert_wide();
    assert!(lossy.met() > 500, "{} faults in {report:?}", lossy.met());
}

#[tokio::test]
async fn a_lost_reply_is_applied_and_a_lost_call_is_not() {
    for (fault, applied) in [(Fault::LostReply, true), (Fault::LostCall, false)] {
        let (store, mut writer) = (store(), make::Writer::new(1));
        let (job, call) = initial_state(&mut writer);
        store.commits.once(&[fault]);
        let lost = store.commit(call.clone()).await;
        assert!(matches!(lost, Err(StoreError::Unknown(_))), "{lost:?}");
        assert_eq!(is_there(&store, &job).await, applied);
        let told = store.commit(call).await.expect("answers");
        assert_eq!(told.verdicts, [TransactionResult::Committed], "told once, {fault:?} or not");
    }
}

#[tokio::test]
async fn a_store_that_is_away_comes_back() {
    let (store, mut writer) = (store(), make::Writer::new(1));
    let (job, call) = initial_state(&mut writer);
    store.commits.once(&[Fault::Unavailable, Fault::Full]);
    let answers = [store.commit(call.clone()).await, store.commit(call.clone()).await];
    assert!(matches!(answers[0], Err(StoreError::Unavailable(_))), "{answers:?}");
    assert!(matches!(answers[1], Err(StoreError::Full(_))), "{answers:?}");
    assert!(!is_there(&store, &job).await);
    store.commits.always(Some(Fault::Full));
    let without = writer.call(T0).done();
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
    assert!(store.tail(Default::default(), 9).await.is_err());
    store.heal();
    assert!(store.due_work(T0, 9).await.is_ok());
    assert_eq!(store.met(), 2);
}

#[tokio::test]
async fn a_competitor_is_always_first() {
    let (store, mut writer) = (store(), make::Writer::new(1));
    let (job, call) = initial_state(&mut writer);
    store.commit(call).await.expect("answers");
    let cancel = sentinel_domain::Command::Cancel { reason: "".into(), actor: "".into() };
    let decision = sentinel_domain::decide(&job, &cancel, T0).expect("it waits");
    let call = writer.call(T0).group(make::update(&job, decision)).done();
    store.commits.once(&[Fault::Competitor]);
    let CommitResult { verdicts, .. } = store.commit(call).await.expect("answers");
    let TransactionResult::Conflict(Conflict::Job { current: Some(current), .. }) = &verdicts[0]
    else {
        panic!("{verdicts:?}");
    };
    assert_eq!(current.status.version, job.status.version + 1);
    assert_eq!(current.status.state, job.status.state);
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_takes_its_time() {
    let (store, mut writer) = (store(), make::Writer::new(1));
    let wait = Duration::from_secs(30);
    for fault in [Fault::SlowCall(wait), Fault::SlowReply(wait)] {
        let began = Instant::now();
        store.commits.once(&[fault]);
        store.reads.once(&[fault]);
        store.commit(writer.call(T0).group(Default::default()).done()).await.expect("answers");
        store.queues().await.expect("answers");
        assert_eq!(began.elapsed(), 2 * wait);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_answers_a_caller_that_is_dead() {
    let store = Arc::new(store());
    let (job, call) = initial_state(&mut make::Writer::new(1));
    store.commits.once(&[Fault::SlowCall(Duration::from_secs(1))]);
    let on_its_way = store.commit(call);
    store.cut();
    assert!(timeout(Duration::from_secs(9), on_its_way).await.is_err());
    assert!(timeout(Duration::from_secs(9), store.queues()).await.is_err());
    // What had not arrived never does: another caller of the same store sees nothing of it.
    let survivor = Faulty::new(store.inner());
    assert!(!is_there(&survivor, &job).await);
}

#[tokio::test]
async fn the_same_seed_throws_the_same_faults() {
    let odds = Odds { lost_call: 400, unavailable: 400, ..Odds::default() };
    let mut runs = Vec::new();
    for seed in [5, 5, 6] {
        let (store, mut writer) = (store(), make::Writer::new(1));
        store.commits.seeded(seed, odds);
        let mut answers = Vec::new();
        for _ in 0..64 {
            answers.push(store.commit(writer.call(T0).done()).await.err());
        }
        runs.push(answers);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[1], runs[2]);
}

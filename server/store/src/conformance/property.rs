//! The property test: random requests go to a store and to the oracle, and all results and states
//! are compared. A seed reproduces a run.

mod compare;
mod step;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use sentinel_domain::{Job, JobId, Millis, UniqueKey, held_key, invariant};

use crate::conformance::fixture::Writer;
use crate::conformance::{Harness, ReopenState};
use crate::oracle::Oracle;
use crate::{
    CommitRequest, CommitResult, Position, Store, StoreError, TransactionResult, TrimRequest,
};

/// Returns the seed in SENTINEL_TEST_SEED, or else a seed that differs from run to run.
pub fn seed_from_env() -> u64 {
    let given = std::env::var("SENTINEL_TEST_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| RandomState::new().hash_one(()))
}

/// The coverage of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How often each event happened.
    pub reached: BTreeMap<&'static str, u64>,
}

impl Report {
    /// Panics if an essential event never happened.
    pub fn assert_coverage(&self) {
        for event in
            ["committed", "conflict", "replayed", "reused", "claimed", "promoted", "due", "updated"]
        {
            assert!(self.reached.contains_key(event), "the run never reached {event}: {self:?}");
        }
    }
}

/// A SplitMix64 generator. It returns the same numbers for a seed on every platform.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next_u64() % end
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(super) fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        (!items.is_empty()).then(|| &items[self.below(items.len() as u64) as usize])
    }
}

/// Repeats a request until its outcome is known, as every writer does.
async fn commit_with_retry(
    store: &dyn Store,
    request: &CommitRequest,
) -> Result<CommitResult, StoreError> {
    loop {
        match store.commit(request.clone()).await {
            Err(StoreError::OutcomeUnknown(_)) => {}
            known => return known,
        }
    }
}

/// Prints the seed and the step if the run panics.
struct FailureHint {
    seed: u64,
    step: usize,
}

impl Drop for FailureHint {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, step } = self;
            eprintln!("property test failed at step {step}: SENTINEL_TEST_SEED={seed}");
        }
    }
}

/// The state of a run.
pub(super) struct PropertyTest {
    pub(super) oracle: Oracle,
    pub(super) rng: Rng,
    pub(super) now: Millis,
    pub(super) writers: [Writer; 2],
    /// The ids of all jobs so far.
    pub(super) ids: Vec<JobId>,
    /// The unique keys of all jobs so far.
    pub(super) keys: Vec<UniqueKey>,
    /// Older versions of jobs, for preconditions that no longer hold.
    pub(super) stale: Vec<Arc<Job>>,
    pub(super) report: Report,
    last: Option<CommitRequest>,
    /// What a ledger would supply to a reopened store.
    checkpoint: Option<ReopenState>,
}

impl PropertyTest {
    fn new(seed: u64) -> Self {
        Self {
            oracle: Oracle::default(),
            rng: Rng::new(seed),
            now: 1_700_000_000_000,
            writers: [Writer::new(1), Writer::new(2)],
            ids: Vec::new(),
            keys: Vec::new(),
            stale: Vec::new(),
            report: Report::default(),
            last: None,
            checkpoint: None,
        }
    }

    pub(super) fn reached(&mut self, event: &'static str) {
        *self.report.reached.entry(event).or_default() += 1;
    }

    /// Sends a request to both stores and compares the results.
    async fn commit(&mut self, store: &dyn Store, request: CommitRequest) {
        let expected = self.oracle.commit(request.clone()).await;
        let actual = commit_with_retry(store, &request).await;
        compare::commit_results(&expected, &actual);
        self.last = Some(request);
        let Ok(committed) = actual else { return };
        for result in &committed.results {
            self.reached(match result {
                TransactionResult::Committed => "committed",
                TransactionResult::Conflict(_) => "conflict",
                TransactionResult::Replayed(_) => "replayed",
                TransactionResult::IdempotencyKeyReused => "reused",
            });
        }
        for job in committed.claimed.iter().flatten() {
            assert_eq!(invariant::violated(job), [""; 0], "{job:?}");
            self.reached("claimed");
        }
    }

    /// Repeats the last request, and checks that the one before it is refused.
    async fn repeat(&mut self, store: &dyn Store) {
        let Some(request) = self.last.clone() else { return };
        let expected = self.oracle.commit(request.clone()).await;
        compare::commit_results(&expected, &commit_with_retry(store, &request).await);
        if request.number > 1 {
            let old = CommitRequest { number: request.number - 1, ..request };
            let result = commit_with_retry(store, &old).await;
            assert!(result.is_err(), "an old number is refused");
        }
        self.reached("lost response");
    }

    async fn trim(&mut self, store: &dyn Store) {
        let head = *store.head().borrow();
        let lag = self.rng.below(20);
        let request = TrimRequest {
            projected: Position { seq: head.seq.saturating_sub(lag), ..head },
            terminal_before: self.now - self.rng.below(5_000) as Millis,
            journal_before: Millis::MIN,
            limit: self.rng.below(30) as usize,
        };
        let expected = self.oracle.trim(request).await.expect("the oracle answers");
        assert_eq!(expected, store.trim(request).await.expect("the store answers"));
        if expected.evicted > 0 {
            self.reached("evicted");
            // A ledger's checkpoint is never older than the jobs that were evicted.
            self.take_checkpoint(store).await;
        }
        compare::state(self, store).await;
    }

    /// Records what a fully projected ledger would supply to a reopened store.
    async fn take_checkpoint(&mut self, store: &dyn Store) {
        let jobs = self.stored_jobs().await;
        let is_awaited = |id: &JobId| jobs.iter().any(|job| job.status.waiting_for.contains(id));
        let mut state = ReopenState { checkpoint: *store.head().borrow(), ..Default::default() };
        for job in &jobs {
            if !job.status.state.is_terminal() || is_awaited(&job.id) {
                state.jobs.push(Job::clone(job));
            } else if let Some((key, Some(until))) = held_key(job) {
                state.keys.push((key, job.id, until));
            }
        }
        state.keys.extend(self.oracle.kept_keys());
        state.queues = self.oracle.queues().await.expect("the oracle answers");
        state.producers = self.oracle.producers();
        self.checkpoint = Some(state);
    }

    async fn stored_jobs(&self) -> Vec<Arc<Job>> {
        let jobs = self.oracle.read(self.ids.clone()).await.expect("the oracle answers");
        jobs.into_iter().flatten().collect()
    }

    async fn reopen(&mut self, harness: &mut Harness) {
        let mut state = self.checkpoint.clone().unwrap_or_default();
        state.now = self.now;
        state.sessions_expire_at = self.now + 3_000;
        self.oracle.reopen(&state);
        harness.reopen(state).await;
        self.last = None;
        self.reached("reopened");
    }

    async fn step(&mut self, harness: &mut Harness) {
        let store = harness.store();
        let jump = if self.rng.one_in(40) { 30_000 } else { 300 };
        self.now += self.rng.below(jump) as Millis;
        match self.rng.below(100) {
            0..76 => {
                let request = self.random_request().await;
                self.commit(&*store, request).await;
            }
            76..82 => {
                let request = self.sweep().await;
                self.commit(&*store, request).await;
            }
            82..85 => self.repeat(&*store).await,
            85..88 => self.trim(&*store).await,
            88..90 => {
                let until = self.now + self.rng.below(4_000) as Millis;
                self.oracle.extend_sessions(until).await.expect("the oracle answers");
                store.extend_sessions(until).await.expect("the store answers");
            }
            90..92 => self.take_checkpoint(&*store).await,
            92..94 if harness.can_reopen() => {
                drop(store);
                self.reopen(harness).await;
                compare::state(self, &*harness.store()).await;
            }
            _ => compare::state(self, &*store).await,
        }
    }
}

/// Runs random steps against a store and the oracle, and returns the coverage.
///
/// # Panics
///
/// Panics if the store and the oracle differ.
pub async fn run_property_test(harness: &mut Harness, seed: u64, steps: usize) -> Report {
    let mut hint = FailureHint { seed, step: 0 };
    let mut test = PropertyTest::new(seed);
    for step in 0..steps {
        hint.step = step;
        test.step(harness).await;
    }
    compare::state(&mut test, &*harness.store()).await;
    compare::journal(&test, &*harness.store()).await;
    test.report
}

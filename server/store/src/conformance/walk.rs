//! A seeded walk: the same calls to a store and to the oracle, and everything compared.

mod compare;
mod step;

use std::collections::BTreeMap;
use std::sync::Arc;

use sentinel_domain::{Job, JobId, Millis, UniqueKey, held_key, invariant};

use std::hash::{BuildHasher, RandomState};

use crate::conformance::make::Writer;
use crate::conformance::{Harness, Restart};
use crate::oracle::Oracle;
use crate::{CommitRequest, CommitResult, Position, Store, StoreError, TransactionResult, Trim};

/// The seed in SENTINEL_TEST_SEED, or one that differs from run to run.
pub fn seed_from_env() -> u64 {
    let given = std::env::var("SENTINEL_TEST_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| RandomState::new().hash_one(()))
}

/// What a walk reached.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How often each thing happened.
    pub reached: BTreeMap<&'static str, u64>,
}

impl Report {
    /// Panics if the walk missed what it is for.
    pub fn assert_wide(&self) {
        for what in
            ["committed", "conflict", "repeated", "reused", "claimed", "promoted", "due", "updated"]
        {
            assert!(self.reached.contains_key(what), "the walk never reached {what}: {self:?}");
        }
    }
}

/// SplitMix64: small, and the same everywhere.
pub(crate) struct Entropy(u64);

impl Entropy {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    pub(super) fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        (!of.is_empty()).then(|| &of[self.below(of.len() as u64) as usize])
    }
}

/// What every writer does about a reply that was lost.
async fn until_told(store: &dyn Store, call: &CommitRequest) -> Result<CommitResult, StoreError> {
    loop {
        match store.commit(call.clone()).await {
            Err(StoreError::Unknown(_)) => {}
            told => return told,
        }
    }
}

/// Prints how to walk the same way again.
struct Footprint(u64, usize);

impl Drop for Footprint {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("walk failed at step {}: SENTINEL_TEST_SEED={}", self.1, self.0);
        }
    }
}

/// Where a walk is.
pub(super) struct Walk {
    pub(super) oracle: Oracle,
    pub(super) entropy: Entropy,
    pub(super) now: Millis,
    pub(super) writers: [Writer; 2],
    /// Every id that was ever used, and keys.
    pub(super) ids: Vec<JobId>,
    pub(super) keys: Vec<UniqueKey>,
    /// Older records, for guards that no longer hold.
    pub(super) stale: Vec<Arc<Job>>,
    pub(super) report: Report,
    last: Option<CommitRequest>,
    /// What a ledger would have: a position and the jobs as of it.
    checkpoint: Option<Restart>,
}

impl Walk {
    pub(super) fn reached(&mut self, what: &'static str) {
        *self.report.reached.entry(what).or_default() += 1;
    }

    /// The same call to both, and the same answer.
    async fn call(&mut self, store: &dyn Store, call: CommitRequest) {
        let expected = self.oracle.commit(call.clone()).await;
        let got = until_told(store, &call).await;
        compare::outcomes(&expected, &got);
        self.last = Some(call);
        let Ok(outcome) = got else { return };
        for verdict in &outcome.verdicts {
            self.reached(match verdict {
                TransactionResult::Committed => "committed",
                TransactionResult::Conflict(_) => "conflict",
                TransactionResult::Repeated(_) => "repeated",
                TransactionResult::RequestReused => "reused",
            });
        }
        for job in outcome.claimed.iter().flatten() {
            assert_eq!(invariant::broken(job), [""; 0], "{job:?}");
            self.reached("claimed");
        }
    }

    async fn repeat(&mut self, store: &dyn Store) {
        let Some(call) = self.last.clone() else { return };
        let again = self.oracle.commit(call.clone()).await;
        compare::outcomes(&again, &until_told(store, &call).await);
        if call.number > 1 {
            let old = CommitRequest { number: call.number - 1, ..call };
            assert!(until_told(store, &old).await.is_err(), "an old number is refused");
        }
        self.reached("lost reply");
    }

    async fn trim(&mut self, store: &dyn Store) {
        let head = *store.head().borrow();
        let lag = self.entropy.below(20);
        let trim = Trim {
            projected: Position { seq: head.seq.saturating_sub(lag), ..head },
            terminal_before: self.now - self.entropy.below(5_000) as Millis,
            journal_before: Millis::MIN,
            limit: self.entropy.below(30) as usize,
        };
        let expected = self.oracle.trim(trim).await.expect("answers");
        assert_eq!(expected, store.trim(trim).await.expect("answers"));
        if expected.finals > 0 {
            self.reached("evicted");
            // A ledger's checkpoint never lies before what it let go.
            self.note_checkpoint(store).await;
        }
        compare::everything(self, store).await;
    }

    /// Notes what a ledger that has everything would hand to a restart.
    async fn note_checkpoint(&mut self, store: &dyn Store) {
        let jobs = self.hot_jobs().await;
        let is_awaited = |id: &JobId| jobs.iter().any(|job| job.status.waiting_for.contains(id));
        let mut restart = Restart { checkpoint: *store.head().borrow(), ..Restart::default() };
        for job in &jobs {
            if !job.status.state.is_terminal() || is_awaited(&job.id) {
                restart.jobs.push(Job::clone(job));
            } else if let Some((key, Some(until))) = held_key(job) {
                restart.keys.push((key, job.id, until));
            }
        }
        restart.keys.extend(self.oracle.kept_keys());
        restart.queues = self.oracle.queues().await.expect("answers");
        restart.producers = self.oracle.producers();
        self.checkpoint = Some(restart);
    }

    async fn hot_jobs(&self) -> Vec<Arc<Job>> {
        let jobs = self.oracle.read(self.ids.clone()).await.expect("answers");
        jobs.into_iter().flatten().collect()
    }

    async fn reopen(&mut self, harness: &mut Harness) {
        let mut restart = self.checkpoint.clone().unwrap_or_default();
        restart.now = self.now;
        restart.sessions_expire_at = self.now + 3_000;
        self.oracle.restart(&restart);
        harness.reopen(restart).await;
        self.last = None;
        self.reached("reopened");
    }
}

/// Walks `steps` steps with a store and the oracle side by side.
pub async fn walk(harness: &mut Harness, seed: u64, steps: usize) -> Report {
    let mut at = Footprint(seed, 0);
    let mut walk = Walk {
        oracle: Oracle::default(),
        entropy: Entropy::new(seed),
        now: 1_700_000_000_000,
        writers: [Writer::new(1), Writer::new(2)],
        ids: Vec::new(),
        keys: Vec::new(),
        stale: Vec::new(),
        report: Report::default(),
        last: None,
        checkpoint: None,
    };
    for step in 0..steps {
        at.1 = step;
        let store = harness.store();
        let jump = if walk.entropy.one_in(40) { 30_000 } else { 300 };
        walk.now += walk.entropy.below(jump) as Millis;
        match walk.entropy.below(100) {
            0..76 => {
                let call = walk.any_call().await;
                walk.call(&*store, call).await;
            }
            76..82 => {
                let call = walk.sweep().await;
                walk.call(&*store, call).await;
            }
            82..85 => walk.repeat(&*store).await,
            85..88 => walk.trim(&*store).await,
            88..90 => {
                let until = walk.now + walk.entropy.below(4_000) as Millis;
                walk.oracle.extend_sessions(until).await.expect("answers");
                store.extend_sessions(until).await.expect("answers");
            }
            90..92 => walk.note_checkpoint(&*store).await,
            92..94 if harness.can_reopen() => {
                drop(store);
                walk.reopen(harness).await;
                compare::everything(&mut walk, &*harness.store()).await;
            }
            _ => compare::everything(&mut walk, &*store).await,
        }
    }
    compare::everything(&mut walk, &*harness.store()).await;
    compare::journal(&walk, &*harness.store()).await;
    walk.report.clone()
}

//! The conformance suite of [`Store`]: every backend runs it in its tests.

mod cases;
pub mod fixture;
mod property;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sentinel_domain::{Job, JobId, Millis, Queue, UniqueKey};

use crate::{IdempotencyRecord, Position, Store};

pub(crate) use property::Rng;
pub use property::{Report, run_property_test, seed_from_env};

/// The state with which a store is reopened, as a ledger would supply it.
#[derive(Clone, Debug, Default)]
pub struct ReopenState {
    pub now: Millis,
    pub sessions_expire_at: Millis,
    /// The other fields contain all changes up to here.
    pub checkpoint: Position,
    /// Live jobs, and terminal ones that a BLOCKED one of them still waits for.
    pub jobs: Vec<Job>,
    pub queues: Vec<Queue>,
    /// Unique keys of other terminal jobs whose time-to-live has not passed, with its end.
    pub keys: Vec<(UniqueKey, JobId, Millis)>,
    /// The offsets of producers.
    pub producers: Vec<IdempotencyRecord>,
}

/// The future of a store that is being opened.
pub type Opening = Pin<Box<dyn Future<Output = Arc<dyn Store>> + Send>>;

/// A store under test, empty at first.
pub struct Harness {
    store: Option<Arc<dyn Store>>,
    reopen: Option<Box<dyn FnMut(ReopenState) -> Opening + Send>>,
}

impl Harness {
    /// Returns a harness without support for reopening.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store: Some(store), reopen: None }
    }

    /// Sets the function that reopens the store from its persistent state. The old handle is
    /// dropped first.
    #[must_use]
    pub fn reopened_by(
        mut self,
        reopen: impl FnMut(ReopenState) -> Opening + Send + 'static,
    ) -> Self {
        self.reopen = Some(Box::new(reopen));
        self
    }

    /// Returns the store.
    pub fn store(&self) -> Arc<dyn Store> {
        self.store.clone().expect("the store is absent only during `reopen`")
    }

    /// Returns whether the store can be reopened.
    pub fn can_reopen(&self) -> bool {
        self.reopen.is_some()
    }

    /// Reopens the store, if that is supported. No other handle of it may exist.
    pub async fn reopen(&mut self, state: ReopenState) {
        if let Some(reopen) = &mut self.reopen {
            self.store = None;
            self.store = Some(reopen(state).await);
        }
    }
}

/// Prints the name of the case that panicked.
struct CaseName(&'static str);

impl Drop for CaseName {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("conformance case {} failed", self.0);
        }
    }
}

/// Runs every case and the property test, each on an empty store from `new_store`.
///
/// # Panics
///
/// Panics if the store violates the contract of [`Store`].
pub async fn run_suite(new_store: impl AsyncFn() -> Harness) {
    cases::run_all(&new_store).await;
    let name = CaseName("property test");
    let report = run_property_test(&mut new_store().await, seed_from_env(), STEPS).await;
    report.assert_coverage();
    drop(name);
}

/// Enough steps to cover every kind of step many times.
const STEPS: usize = 1_500;

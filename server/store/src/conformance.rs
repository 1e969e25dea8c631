//! What every store must do, as cases that any store runs with one call.

mod cases;
pub mod make;
mod walk;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sentinel_domain::{Job, JobId, Millis, Queue, UniqueKey};

use crate::{IdempotencyRecord, Position, Store};

pub(crate) use walk::Entropy;
pub use walk::{Report, seed_from_env, walk};

/// What a store that is opened again is told, as a ledger would tell it.
#[derive(Clone, Debug, Default)]
pub struct Restart {
    pub now: Millis,
    pub sessions_expire_at: Millis,
    /// Everything up to here is in what follows.
    pub checkpoint: Position,
    /// Live jobs, and final ones that a BLOCKED one of them still waits for.
    pub jobs: Vec<Job>,
    pub queues: Vec<Queue>,
    /// Keys of other final jobs whose own time is not over.
    pub keys: Vec<(UniqueKey, JobId, Millis)>,
    /// Where producers stand.
    pub producers: Vec<IdempotencyRecord>,
}

/// A store that was opened.
pub type Opening = Pin<Box<dyn Future<Output = Arc<dyn Store>> + Send>>;

/// A store under test, empty at first.
pub struct Harness {
    store: Option<Arc<dyn Store>>,
    reopen: Option<Box<dyn FnMut(Restart) -> Opening + Send>>,
}

impl Harness {
    /// A store that is not opened a second time.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store: Some(store), reopen: None }
    }

    /// A store that keeps what it has where `reopen` finds it. It is dropped before.
    #[must_use]
    pub fn reopened_by(mut self, reopen: impl FnMut(Restart) -> Opening + Send + 'static) -> Self {
        self.reopen = Some(Box::new(reopen));
        self
    }

    /// The store.
    pub fn store(&self) -> Arc<dyn Store> {
        self.store.clone().expect("is only away while it is opened again")
    }

    /// It can be opened again.
    pub fn can_reopen(&self) -> bool {
        self.reopen.is_some()
    }

    /// Opens the store again, where that can be done. No other handle of it may be left.
    pub async fn reopen(&mut self, restart: Restart) {
        if let Some(reopen) = &mut self.reopen {
            self.store = None;
            self.store = Some(reopen(restart).await);
        }
    }
}

/// Says which case broke, since the panic says only where.
struct Named(&'static str);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("conformance case {} failed", self.0);
        }
    }
}

/// Runs every case and a walk on stores that `make` makes, each empty and of its own.
/// Panics where the store does otherwise than the port says.
pub async fn exercise(make: impl AsyncFn() -> Harness) {
    cases::all(&make).await;
    let named = Named("walk");
    let seed = seed_from_env();
    let report = walk(&mut make().await, seed, WALK_STEPS).await;
    report.assert_wide();
    drop(named);
}

/// Long enough to reach every kind of step many times.
const WALK_STEPS: usize = 1_500;

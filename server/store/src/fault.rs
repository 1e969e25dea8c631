//! Fault injection around any store: lost requests and responses, an unavailable, full or slow
//! store, and a concurrent writer that always commits first.
//!
//! [`FaultyStore`] keeps the contract of [`Store`]. A writer that repeats a request under the same
//! number gets the same results as without faults.

mod plan;
mod store;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::conformance::fixture::Writer;
use crate::{ServerId, Store};
pub use plan::{FaultPlan, FaultRates};

/// A fault of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The request is applied and its response is lost: [`crate::StoreError::OutcomeUnknown`].
    LostResponse,
    /// The request never arrives: [`crate::StoreError::OutcomeUnknown`].
    LostRequest,
    /// Nothing is applied: [`crate::StoreError::Unavailable`].
    Unavailable,
    /// A request that needs space fails with [`crate::StoreError::Full`]. Others pass.
    Full,
    /// Another writer first raises the version of every live job that the request depends on by
    /// version. Each of these transactions then gets a conflict.
    ConcurrentUpdate,
    /// The request is delayed on its way to the store.
    SlowRequest(Duration),
    /// The request is applied at once and its response is delayed.
    SlowResponse(Duration),
}

/// A store that injects faults into another one.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    /// Faults of commits.
    pub commits: FaultPlan,
    /// Faults of all other requests. A lost request or response is an `Unavailable` error here.
    pub reads: FaultPlan,
    is_disconnected: watch::Sender<bool>,
    holds_commits: watch::Sender<bool>,
    /// The last applied number of each writer. A repeat of it never gets [`Fault::Full`].
    applied: Mutex<HashMap<ServerId, u64>>,
    /// Writes the updates of [`Fault::ConcurrentUpdate`].
    concurrent_writer: tokio::sync::Mutex<Writer>,
}

/// The id of the concurrent writer. No server of a test has it.
const CONCURRENT_WRITER: u64 = u64::MAX;

impl FaultyStore {
    /// Returns a store without faults: none happen until a plan has some.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            commits: FaultPlan::default(),
            reads: FaultPlan::default(),
            is_disconnected: watch::Sender::new(false),
            holds_commits: watch::Sender::new(false),
            applied: Mutex::default(),
            concurrent_writer: tokio::sync::Mutex::new(Writer::new(CONCURRENT_WRITER)),
        }
    }

    /// Returns the store without the faults.
    pub fn inner(&self) -> Arc<dyn Store> {
        self.inner.clone()
    }

    /// Simulates the death of the caller. Requests that have not arrived never do, and no request
    /// gets a response any more.
    pub fn disconnect(&self) {
        self.is_disconnected.send_replace(true);
    }

    /// Delays all commits until [`Self::release_commits`].
    pub fn hold_commits(&self) {
        self.holds_commits.send_replace(true);
    }

    /// Lets the delayed commits pass.
    pub fn release_commits(&self) {
        self.holds_commits.send_replace(false);
    }

    fn applied(&self) -> MutexGuard<'_, HashMap<ServerId, u64>> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of faults injected so far into commits and reads.
    pub fn injected(&self) -> u64 {
        self.commits.injected() + self.reads.injected()
    }

    /// Stops all faults. A disconnected caller stays disconnected.
    pub fn clear_faults(&self) {
        self.commits.clear();
        self.reads.clear();
    }
}

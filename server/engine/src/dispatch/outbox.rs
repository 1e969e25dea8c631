//! What waits to be sent to the worker of one session.

use std::sync::{Arc, Mutex, MutexGuard};

use sentinel_domain::{Job, JobId, LeaseId};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::runtime::lock;

/// The content of an outbox.
#[derive(Default)]
pub(crate) struct Pending {
    pub(crate) cancels: Vec<Arc<Job>>,
    pub(crate) revoked: Vec<(JobId, LeaseId)>,
    pub(crate) assigned: Vec<Arc<Job>>,
    /// Jobs that a peer changed.
    pub(crate) reload: Vec<JobId>,
    /// A peer may have changed any job of the session.
    pub(crate) reload_all: bool,
    /// A peer may have adopted the session.
    pub(crate) recheck_owner: bool,
    /// Another stream took the session over.
    pub(crate) is_superseded: bool,
}

/// The outbox of one session. Its size is limited by the credits and leases of the worker.
#[derive(Default)]
pub(crate) struct Outbox {
    pending: Mutex<Pending>,
    filled: Notify,
    /// Cancelled when the stream has finished all work that follows its close.
    pub(super) closed: CancellationToken,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        lock(&self.pending)
    }

    pub(super) fn fill(&self, fill: impl FnOnce(&mut Pending)) {
        fill(&mut self.lock());
        self.filled.notify_one();
    }

    /// Adds jobs that the session sends or hands back.
    pub(crate) fn assign(&self, jobs: Vec<Arc<Job>>) {
        self.fill(|pending| pending.assigned.extend(jobs));
    }

    /// Waits until something was added.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Takes everything out. `is_superseded` stays set.
    pub(crate) fn take(&self) -> Pending {
        let mut pending = self.lock();
        let is_superseded = pending.is_superseded;
        let taken = std::mem::take(&mut *pending);
        pending.is_superseded = is_superseded;
        taken
    }

    pub(crate) fn is_superseded(&self) -> bool {
        self.lock().is_superseded
    }
}

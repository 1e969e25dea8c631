//! Leader election for the projector and for retention.
//!
//! The leader lease is kept in the store. Two leaders at a time do no harm, because the
//! checkpoint of the ledger fences the projector. No leader for a moment only delays the ledger.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sentinel_store::{ServerId, Store};
use tokio::time::Instant;

use crate::Observer;

/// How long the lease outlives its server.
const LEASE_TTL: Duration = Duration::from_secs(3);

/// How often the leader renews it.
const RENEW_EVERY: Duration = Duration::from_secs(1);

/// Whether this server is the leader, as far as it knows. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Leadership(Arc<AtomicBool>);

impl Leadership {
    pub(crate) fn is_leader(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns whether that is a change.
    fn set(&self, is_leader: bool) -> bool {
        self.0.swap(is_leader, Ordering::Relaxed) != is_leader
    }
}

/// The candidacy of this server. One loop owns it.
pub(crate) struct LeaderLease {
    store: Arc<dyn Store>,
    server: ServerId,
    observer: Arc<dyn Observer>,
    leadership: Leadership,
    renewed_at: Option<Instant>,
}

impl LeaderLease {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        server: ServerId,
        observer: Arc<dyn Observer>,
        leadership: Leadership,
    ) -> Self {
        Self { store, server, observer, leadership, renewed_at: None }
    }

    /// Acquires or renews the lease. Returns false when a peer has it or the store does not
    /// answer.
    pub(crate) async fn acquire_or_renew(&mut self) -> bool {
        let now = Instant::now();
        if self.renewed_at.is_some_and(|at| now - at < RENEW_EVERY) {
            return true;
        }
        let acquired = self.store.acquire_leader_lease(self.server, LEASE_TTL).await;
        if let Err(error) = &acquired {
            tracing::debug!(%error, "leader lease could not be requested");
        }
        let is_leader = acquired.unwrap_or(false);
        self.renewed_at = is_leader.then_some(now);
        if self.leadership.set(is_leader) {
            tracing::info!(is_leader, "leadership changed");
            self.observer.ledger_lag(0, 0);
        }
        is_leader
    }

    /// Gives the lease up, so that a peer can take over at once.
    pub(crate) async fn release(&mut self) {
        self.renewed_at = None;
        if self.leadership.set(false) {
            // If the store does not receive it, the lease expires.
            let _ = self.store.acquire_leader_lease(self.server, Duration::ZERO).await;
        }
    }
}

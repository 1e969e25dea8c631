//! Monitors the store: the head of the journal, and whether the store lost acknowledged changes.
//!
//! Once a store lost changes, the server stops using it, because the server's state and its
//! acknowledgements refer to the lost changes. It restarts after the store is rebuilt.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sentinel_store::{Position, StoreError};
use tokio::sync::watch;

/// Whether a store still contains all changes that this server has observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreHealth {
    /// It does.
    Healthy,
    /// It lost some of them: every call fails with this message.
    RolledBack(String),
    /// It was rebuilt: open it again.
    Rebuilt,
}

/// The state that reads, commits and the subscriber share.
#[derive(Debug)]
pub(crate) struct StoreMonitor {
    pub(crate) head: watch::Sender<Position>,
    health: watch::Sender<StoreHealth>,
    /// New jobs are refused because memory is short.
    pub(crate) memory_is_short: AtomicBool,
    /// New jobs are refused because too much of the journal is not projected.
    pub(crate) ledger_is_behind: AtomicBool,
}

impl StoreMonitor {
    pub(crate) fn new(position: Position) -> Arc<Self> {
        Arc::new(Self {
            head: watch::Sender::new(position),
            health: watch::Sender::new(StoreHealth::Healthy),
            memory_is_short: AtomicBool::new(false),
            ledger_is_behind: AtomicBool::new(false),
        })
    }

    pub(crate) fn health(&self) -> watch::Receiver<StoreHealth> {
        self.health.subscribe()
    }

    /// Moves the head forward, never back.
    pub(crate) fn advance_head(&self, at: Position) {
        self.head.send_if_modified(|head| {
            let is_ahead = at.epoch == head.epoch && at.seq > head.seq;
            if is_ahead {
                *head = at;
            }
            is_ahead
        });
    }

    /// Returns the observed head of the journal, or the error of an unhealthy store.
    pub(crate) fn observed(&self) -> Result<Position, StoreError> {
        match &*self.health.borrow() {
            StoreHealth::Healthy => Ok(*self.head.borrow()),
            StoreHealth::RolledBack(message) => Err(StoreError::RolledBack(message.clone())),
            StoreHealth::Rebuilt => Err(StoreError::RolledBack(
                "STORE_ROLLED_BACK: the store was rebuilt; this server restarts to use it".into(),
            )),
        }
    }

    /// Checks that the store's position is not behind the one that was observed before the read.
    /// Returns the store's position.
    pub(crate) fn check_position(
        &self,
        observed: Position,
        current: Option<Position>,
    ) -> Result<Position, StoreError> {
        match current {
            Some(at) if at.epoch == observed.epoch && at.seq >= observed.seq => Ok(at),
            behind => {
                let at = behind.map_or_else(|| "empty".to_owned(), |at| format!("at {at}"));
                let message = format!("the store is {at}, but this server has observed {observed}");
                Err(self.mark_rolled_back(&message))
            }
        }
    }

    /// Records that the store was rolled back: from now on every call fails.
    pub(crate) fn mark_rolled_back(&self, cause: &str) -> StoreError {
        let message = format!(
            "STORE_ROLLED_BACK: {cause}. Redis lost acknowledged changes; run `sentinel rebuild`, \
             then this server resumes by itself"
        );
        self.health.send_if_modified(|health| {
            let is_new = *health == StoreHealth::Healthy;
            if is_new {
                tracing::error!(
                    cause,
                    "the store lost acknowledged changes; run `sentinel rebuild`"
                );
                *health = StoreHealth::RolledBack(message.clone());
            }
            is_new
        });
        StoreError::RolledBack(message)
    }

    /// Records that the store was rebuilt.
    pub(crate) fn mark_rebuilt(&self) {
        self.health.send_if_modified(|health| {
            let is_new = *health != StoreHealth::Rebuilt;
            *health = StoreHealth::Rebuilt;
            is_new
        });
    }

    /// Returns why new jobs are refused at the moment, if they are.
    pub(crate) fn new_jobs_refusal(&self) -> Option<&'static str> {
        if self.memory_is_short.load(Ordering::Relaxed) {
            Some("the memory of Redis is short: only results of running jobs are accepted")
        } else if self.ledger_is_behind.load(Ordering::Relaxed) {
            Some(
                "the ledger is too far behind: until it catches up, only results of running jobs \
                 are accepted",
            )
        } else {
            None
        }
    }
}

//! What a server knows of its store beside the jobs: how far it saw the journal, and whether
//! the store is still the one that it saw.
//!
//! A store that lost something is not served from again: what was read and promised before
//! does not hold there. The process begins anew once somebody has rebuilt the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sentinel_store::{Position, StoreError};
use tokio::sync::watch;

/// Whether a store is the one that this server saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreHealth {
    /// It is.
    Healthy,
    /// It lost what this server saw: every call fails, and this says why.
    RolledBack(String),
    /// It was rebuilt since: open it again.
    Rebuilt,
}

/// What reads, commits and the subscriber tell each other.
#[derive(Debug)]
pub(crate) struct Pulse {
    pub(crate) head: watch::Sender<Position>,
    condition: watch::Sender<StoreHealth>,
    /// New jobs are refused: memory is short.
    pub(crate) is_full: AtomicBool,
    /// New jobs are refused: too much of the journal waits for the ledger.
    pub(crate) is_behind: AtomicBool,
}

impl Pulse {
    pub(crate) fn new(at: Position) -> Arc<Self> {
        Arc::new(Self {
            head: watch::Sender::new(at),
            condition: watch::Sender::new(StoreHealth::Healthy),
            is_full: AtomicBool::new(false),
            is_behind: AtomicBool::new(false),
        })
    }

    pub(crate) fn condition(&self) -> watch::Receiver<StoreHealth> {
        self.condition.subscribe()
    }

    /// Moves the head forward, never back.
    pub(crate) fn reached(&self, at: Position) {
        self.head.send_if_modified(|head| {
            let is_ahead = at.epoch == head.epoch && at.seq > head.seq;
            if is_ahead {
                *head = at;
            }
            is_ahead
        });
    }

    /// How far the journal was seen, while the store is sound.
    pub(crate) fn seen(&self) -> Result<Position, StoreError> {
        match &*self.condition.borrow() {
            StoreHealth::Healthy => Ok(*self.head.borrow()),
            StoreHealth::RolledBack(why) => Err(StoreError::RolledBack(why.clone())),
            StoreHealth::Rebuilt => Err(StoreError::RolledBack(
                "STORE_ROLLED_BACK: the store was rebuilt; this server begins anew with it".into(),
            )),
        }
    }

    /// Where the store stands, if that is not behind what was seen before it was asked.
    pub(crate) fn check(
        &self,
        seen: Position,
        there: Option<Position>,
    ) -> Result<Position, StoreError> {
        match there {
            Some(there) if there.epoch == seen.epoch && there.seq >= seen.seq => Ok(there),
            there => {
                let at = there.map_or_else(|| "empty".to_owned(), |at| format!("at {at}"));
                Err(self.rolled_back(&format!("the store is {at}, it was seen at {seen}")))
            }
        }
    }

    /// From now on every call fails.
    pub(crate) fn rolled_back(&self, what: &str) -> StoreError {
        let why = format!(
            "STORE_ROLLED_BACK: {what}. Redis lost what it acknowledged; run `sentinel rebuild`, then \
             this server goes on by itself"
        );
        self.condition.send_if_modified(|condition| {
            let is_news = *condition == StoreHealth::Healthy;
            if is_news {
                tracing::error!("{why}");
                *condition = StoreHealth::RolledBack(why.clone());
            }
            is_news
        });
        StoreError::RolledBack(why)
    }

    /// Somebody made the store anew.
    pub(crate) fn rebuilt(&self) {
        self.condition.send_if_modified(|condition| {
            let is_news = *condition != StoreHealth::Rebuilt;
            *condition = StoreHealth::Rebuilt;
            is_news
        });
    }

    /// New jobs have no place now, and why.
    pub(crate) fn refuses_new(&self) -> Option<&'static str> {
        if self.is_full.load(Ordering::Relaxed) {
            Some("the memory of Redis is short: only reports are taken")
        } else if self.is_behind.load(Ordering::Relaxed) {
            Some("the ledger is too far behind: only reports are taken until it has caught up")
        } else {
            None
        }
    }
}

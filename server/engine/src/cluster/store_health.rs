//! Whether the store answers this server.
//!
//! A server whose store does not answer can do nothing for its workers and watchers. They are
//! disconnected, so that they reconnect to a healthy server.

use std::sync::Mutex;
use std::time::Duration;

use sentinel_store::StoreError;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::Settings;
use crate::runtime::lock;

/// The health of the store, as seen by the commit loop and the sweeper.
pub(crate) struct StoreHealth {
    /// How long every call may fail before the store counts as unreachable.
    limit: Duration,
    failing_since: Mutex<Option<Instant>>,
    is_unreachable: watch::Sender<bool>,
}

impl StoreHealth {
    /// The limit is a third of `session_ttl_ms`: a disconnected worker can resume its session at
    /// a peer before the session expires.
    pub(crate) fn new(settings: &Settings) -> Self {
        let limit_ms = settings.session_ttl_ms.cast_unsigned() / 3;
        Self::with_limit(Duration::from_millis(limit_ms))
    }

    fn with_limit(limit: Duration) -> Self {
        Self { limit, failing_since: Mutex::default(), is_unreachable: watch::Sender::new(false) }
    }

    /// Records the result of a call to the store.
    pub(crate) fn record<T>(&self, result: &Result<T, StoreError>) {
        let mut since = lock(&self.failing_since);
        let is_unreachable = match result {
            Err(StoreError::OutcomeUnknown(_) | StoreError::Unavailable(_)) => {
                since.get_or_insert_with(Instant::now).elapsed() >= self.limit
            }
            // The store answered, even if with an error.
            _ => {
                *since = None;
                false
            }
        };
        self.is_unreachable
            .send_if_modified(|was| std::mem::replace(was, is_unreachable) != is_unreachable);
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<bool> {
        self.is_unreachable.subscribe()
    }

    /// Refuses a new stream while the store is unreachable.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if *self.is_unreachable.borrow() {
            return Err(StoreError::Unavailable("the store does not answer this server".into()));
        }
        Ok(())
    }
}

/// Waits until the store is unreachable; forever once the engine has stopped.
pub(crate) async fn until_unreachable(is_unreachable: &mut watch::Receiver<bool>) {
    if is_unreachable.wait_for(|is_unreachable| *is_unreachable).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests;

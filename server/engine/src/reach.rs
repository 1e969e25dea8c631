//! Whether the store answers this server. One that it does not answer for long can do nothing
//! for its workers and watchers, who would sit there as if all was well: they are sent away, and
//! come to a server that has more luck.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sentinel_store::StoreError;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::Engine;

/// What commits and sweeps find out.
pub(crate) struct Reach {
    failing_since: Mutex<Option<Instant>>,
    is_cut_off: watch::Sender<bool>,
}

impl Default for Reach {
    fn default() -> Self {
        Self { failing_since: Mutex::default(), is_cut_off: watch::Sender::new(false) }
    }
}

impl Reach {
    /// What became of a call to the store. `limit`: for how long all may fail.
    fn note<T>(&self, answer: &Result<T, StoreError>, limit: Duration) {
        let mut since = self.failing_since.lock().unwrap_or_else(PoisonError::into_inner);
        let is_cut_off = match answer {
            Err(StoreError::Unknown(_) | StoreError::Unavailable(_)) => {
                since.get_or_insert_with(Instant::now).elapsed() >= limit
            }
            // It answered, whatever it said.
            _ => {
                *since = None;
                false
            }
        };
        self.is_cut_off.send_if_modified(|was| std::mem::replace(was, is_cut_off) != is_cut_off);
    }
}

impl Engine {
    /// True from when the store has not answered for a third of `session_ttl`, so that who is
    /// sent away can be elsewhere before its session ends, until it answers again.
    pub fn cut_off(&self) -> watch::Receiver<bool> {
        self.reach.is_cut_off.subscribe()
    }

    /// Who comes now is told to try elsewhere.
    pub(crate) fn refuse_if_cut_off(&self) -> Result<(), StoreError> {
        if *self.reach.is_cut_off.borrow() {
            return Err(StoreError::Unavailable("the store does not answer this server".into()));
        }
        Ok(())
    }

    pub(crate) fn note_reach<T>(&self, answer: &Result<T, StoreError>) {
        let limit_ms = self.settings.session_ttl_ms.cast_unsigned() / 3;
        self.reach.note(answer, Duration::from_millis(limit_ms));
    }
}

/// Returns when the server is cut off; never where nobody can say.
pub(crate) async fn until_cut_off(cut_off: &mut watch::Receiver<bool>) {
    if cut_off.wait_for(|is_cut_off| *is_cut_off).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests;

//! The summaries of one reader.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::computation::{Computation, Summary};
use super::selection::SummarySelection;
use super::state::SummaryState;
use crate::cluster::{StoreHealth, until_unreachable};
use crate::{EngineError, Observer};

/// The interval of keepalives while there is no summary to send.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Opens streams of summaries.
pub struct Summaries {
    pub(crate) state: Arc<SummaryState>,
    pub(crate) health: Arc<StoreHealth>,
    pub(crate) observer: Arc<dyn Observer>,
}

/// The summaries of one reader.
pub struct SummaryStream {
    state: Arc<SummaryState>,
    health: Arc<StoreHealth>,
    observer: Arc<dyn Observer>,
    selection: SummarySelection,
    newest: watch::Receiver<Option<Arc<Computation>>>,
    is_unreachable: watch::Receiver<bool>,
    has_begun: bool,
    counts_as_watch: bool,
}

impl Summaries {
    /// Opens a stream. `counts_as_watch`: it is not part of another watch.
    pub fn open(
        &self,
        mut selection: SummarySelection,
        counts_as_watch: bool,
    ) -> Result<SummaryStream, EngineError> {
        selection.check()?;
        self.health.check()?;
        selection.queues.sort();
        selection.queues.dedup();
        self.state.join(&selection);
        if counts_as_watch {
            self.observer.watches(1);
        }
        Ok(SummaryStream {
            state: self.state.clone(),
            health: self.health.clone(),
            observer: self.observer.clone(),
            selection,
            newest: self.state.newest.subscribe(),
            is_unreachable: self.health.subscribe(),
            has_begun: false,
            counts_as_watch,
        })
    }
}

impl Drop for SummaryStream {
    fn drop(&mut self) {
        self.state.leave(&self.selection);
        if self.counts_as_watch {
            self.observer.watches(-1);
        }
    }
}

impl SummaryStream {
    /// Returns the newest summary: at once the first time, then as it is computed. None after
    /// `KEEPALIVE` without one. May be dropped and called again.
    pub async fn next(&mut self) -> Result<Option<Summary>, EngineError> {
        let keepalive_at = Instant::now() + KEEPALIVE;
        loop {
            self.health.check()?;
            if let Some(computation) = self.unseen() {
                return Ok(Some(computation.summary(&self.selection)));
            }
            tokio::select! {
                changed = self.newest.changed() => {
                    if changed.is_err() {
                        return Err(EngineError::ShuttingDown);
                    }
                    self.newest.mark_changed();
                }
                () = until_unreachable(&mut self.is_unreachable) => {}
                () = tokio::time::sleep_until(keepalive_at) => return Ok(None),
            }
        }
    }

    /// Returns the newest computation, if it is new to this reader and includes its selection.
    fn unseen(&mut self) -> Option<Arc<Computation>> {
        if self.has_begun && !self.newest.has_changed().unwrap_or_default() {
            return None;
        }
        let computation = self.newest.borrow_and_update().clone()?;
        let is_fresh = self.has_begun || computation.is_fresh();
        (is_fresh && computation.selections.contains(&self.selection)).then(|| {
            self.has_begun = true;
            computation
        })
    }
}

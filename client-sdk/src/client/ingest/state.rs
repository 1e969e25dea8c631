//! The state of an ingest stream, shared with its background task.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::window::Window;
use crate::Error;
use crate::proto::jobs::v1::IngestStarted;

/// The state that an [`crate::IngestStream`] shares with its background task.
#[derive(Debug)]
pub(super) struct IngestState {
    window: Mutex<Window>,
    /// Wakes the background task: the window has new items, or is complete.
    pub(super) items_ready: Notify,
    /// Wakes waiting callers: items were committed, or the stream has closed.
    pub(super) changed: watch::Sender<()>,
}

impl IngestState {
    pub(super) fn new(window: Window) -> Self {
        Self {
            window: Mutex::new(window),
            items_ready: Notify::new(),
            changed: watch::Sender::new(()),
        }
    }

    pub(super) fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn close(&self, result: Result<(), Error>) {
        self.window().closed = Some(result);
        self.changed.send_replace(());
    }

    pub(super) fn resume(&self, started: IngestStarted) -> Result<(), Error> {
        self.window().resume(started)?;
        self.changed.send_replace(());
        Ok(())
    }
}

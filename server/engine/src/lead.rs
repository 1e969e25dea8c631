//! Which of several servers carries the journal over and lets go of what is old.
//!
//! The lead is a lease in the store. Two leaders do no harm, since the ledger is fenced by its
//! checkpoint; none for a moment is a ledger that lags.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use crate::Engine;

/// How long the lead outlives its server.
const LASTS: Duration = Duration::from_secs(3);

/// How often it is kept.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// This server's part in it.
#[derive(Default)]
pub(crate) struct Lead {
    kept_at: Option<Instant>,
}

impl Engine {
    /// This server carries the journal over, as far as it knows.
    pub fn leads(&self) -> bool {
        self.leads.load(Ordering::Relaxed)
    }
}

impl Lead {
    /// Takes or keeps the lead. False when another server has it, or the store can not say.
    pub(crate) async fn hold(&mut self, engine: &Engine) -> bool {
        let now = Instant::now();
        if self.kept_at.is_some_and(|at| now - at < KEEP_EVERY) {
            return true;
        }
        let held = engine.store.lead(engine.server, LASTS).await;
        if let Err(error) = &held {
            tracing::debug!(%error, "the lead could not be asked for");
        }
        let holds = held.unwrap_or(false);
        self.kept_at = holds.then_some(now);
        if engine.leads.swap(holds, Ordering::Relaxed) != holds {
            tracing::info!(holds, "the lead among servers");
            engine.observer.ledger_lag(0, 0);
        }
        holds
    }

    /// Lets another server try.
    pub(crate) async fn give_up(&mut self, engine: &Engine) {
        self.kept_at = None;
        if engine.leads.swap(false, Ordering::Relaxed) {
            // Unless the store hears it, the lead ends by itself.
            let _ = engine.store.lead(engine.server, Duration::ZERO).await;
        }
    }
}

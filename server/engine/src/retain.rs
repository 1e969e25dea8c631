//! Retention: the history lets go of jobs that finished long ago, or that are too many.
//!
//! A job that is still hot stays: it runs again, somebody waits for it, or it just ended. One
//! that a retry brings back at this very moment comes with its spec and is recorded anew.

use std::time::Duration;

use sentinel_domain::limits::REQUEST_TTL_MS;
use sentinel_ledger::{Expiry, Stale};
use tokio_util::sync::CancellationToken;

use crate::{Engine, EngineError};

const EVERY: Duration = Duration::from_secs(300);

/// Jobs that one step looks at. Between two steps whatever waits for the ledger has its turn.
const STEP: usize = 500;

/// What one pass removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Older than their state is kept.
    pub expired: u64,
    /// Beyond what a queue may keep.
    pub surplus: u64,
}

/// The loop.
pub(crate) async fn run(engine: Engine, closing: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = closing.cancelled() => return,
        }
        if !engine.leads() {
            continue;
        }
        let pass = tokio::select! {
            pass = engine.forget_finished() => pass,
            () = closing.cancelled() => return,
        };
        match pass {
            Ok(Forgotten { expired: 0, surplus: 0 }) => {}
            Ok(Forgotten { expired, surplus }) => {
                tracing::info!(expired, surplus, "finished jobs were removed from the history");
            }
            Err(error) => {
                tracing::warn!(%error, "the history keeps what is over for now; tried again later");
            }
        }
    }
}

impl Engine {
    /// One pass over the finished jobs; the engine makes one every five minutes. It may be
    /// dropped between any two steps: the next one goes on with what is there.
    pub async fn forget_finished(&self) -> Result<Forgotten, EngineError> {
        Ok(Forgotten {
            expired: self.forget_expired().await?,
            surplus: self.forget_surplus().await?,
        })
    }

    async fn forget_expired(&self) -> Result<u64, EngineError> {
        let now = self.now();
        let expiry = Expiry {
            now,
            succeeded_by: now - self.settings.keep_succeeded_ms,
            others_by: now - self.settings.keep_unsuccessful_ms,
        };
        let mut gone = 0;
        let mut from = None;
        loop {
            let page = self.ledger.expired(expiry, from, STEP).await?;
            let removed = self.forget(page.jobs).await?;
            self.observer.forgotten("age", removed);
            gone += removed;
            from = page.next;
            if from.is_none() {
                return Ok(gone);
            }
        }
    }

    /// The oldest go first. What finished within the memory of request ids stays, so that a
    /// repeat finds its job.
    async fn forget_surplus(&self) -> Result<u64, EngineError> {
        let now = self.now();
        let by = now - REQUEST_TTL_MS.cast_signed();
        let expiry = Expiry { now, succeeded_by: by, others_by: by };
        let mut gone = 0;
        for (queue, mut surplus) in self.ledger.overfull(self.settings.keep_finished_max).await? {
            let mut after = None;
            while surplus > 0 {
                let (mut stale, next) =
                    self.ledger.oldest_finished(queue.clone(), expiry, after, STEP).await?;
                stale.truncate(usize::try_from(surplus).unwrap_or(usize::MAX));
                let removed = self.forget(stale).await?;
                self.observer.forgotten("count", removed);
                gone += removed;
                surplus -= removed.min(surplus);
                after = next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(gone)
    }

    /// Removes those that are not hot, with their logs.
    async fn forget(&self, mut stale: Vec<Stale>) -> Result<u64, EngineError> {
        if stale.is_empty() {
            return Ok(0);
        }
        let ids: Vec<_> = stale.iter().map(|one| one.id).collect();
        let hot = self.store.read(ids).await?;
        let mut hot = hot.into_iter();
        stale.retain(|_| hot.next().flatten().is_none());
        let mut ids: Vec<_> = stale.iter().map(|one| one.id).collect();
        while !ids.is_empty() {
            let done = self.ledger.remove_logs(ids.clone()).await?;
            ids.drain(..done);
        }
        let mut gone = 0;
        while !stale.is_empty() {
            let removed = self.ledger.remove(stale.clone()).await?;
            stale.drain(..removed.done);
            gone += removed.jobs as u64;
        }
        Ok(gone)
    }
}

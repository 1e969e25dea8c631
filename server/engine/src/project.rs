//! The projector: carries the journal into the ledger, then lets the store forget.

use std::time::Duration;

use sentinel_broker::{Position, Tail, Trim};
use sentinel_ledger::LedgerError;
use tokio_util::sync::CancellationToken;

use crate::{Engine, EngineError};

/// Entries of one transaction of the ledger.
const ENTRIES_MAX: usize = 256;

/// Finals that one call evicts.
const EVICT_MAX: usize = 2_000;

const TRIM_EVERY_MS: i64 = 1_000;

/// How long to wait after an error.
const PAUSE: Duration = Duration::from_millis(500);

/// The loop. At the end it carries over what is left.
pub(crate) async fn run(engine: Engine, closing: CancellationToken) {
    let mut head = engine.broker.head();
    let mut trimmed_at = engine.now();
    let mut caught_up_at = engine.now();
    loop {
        match catch_up(&engine).await {
            Ok(position) => {
                caught_up_at = engine.now();
                if engine.now() - trimmed_at >= TRIM_EVERY_MS {
                    trimmed_at = engine.now();
                    trim(&engine, position).await;
                }
                if closing.is_cancelled() && position.seq >= head.borrow().seq {
                    return;
                }
            }
            Err(error) => {
                // Whoever looks at the metrics sees it grow, though nothing is read.
                let (known, head) = (engine.recorded.known(), *head.borrow());
                let behind = head.seq.saturating_sub(known.seq);
                let lag_ms = if behind == 0 { 0 } else { engine.now() - caught_up_at };
                engine.observer.ledger_lag(behind, lag_ms.max(0));
                if !error.is_told_once() {
                    tracing::error!(%error, "the ledger does not take the journal; it will be tried again");
                }
                if closing.is_cancelled() {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        let linger = Duration::from_millis(engine.settings.project_linger_ms);
        tokio::select! {
            _ = head.changed() => {}
            () = closing.cancelled() => continue,
            () = tokio::time::sleep(Duration::from_secs(1)) => continue,
        }
        tokio::select! {
            () = tokio::time::sleep(linger) => {}
            () = closing.cancelled() => {}
        }
    }
}

/// Projects up to the head; answers how far the ledger is.
async fn catch_up(engine: &Engine) -> Result<Position, EngineError> {
    let mut position = engine.ledger.checkpoint().await?;
    engine.recorded.reached(position);
    loop {
        let entries = match engine.broker.tail(position, ENTRIES_MAX).await? {
            Tail::Entries(entries) => entries,
            Tail::Trimmed | Tail::OtherEpoch => {
                // A store drops nothing unprojected, so the two do not belong together.
                return Err(EngineError::Ledger(LedgerError::Superseded {
                    expected: position,
                    found: *engine.broker.head().borrow(),
                }));
            }
        };
        let Some(last) = entries.last() else {
            engine.observer.ledger_lag(0, 0);
            return Ok(position);
        };
        let (behind, at) = (engine.broker.head().borrow().seq - position.seq, last.at);
        engine.observer.ledger_lag(behind, (engine.now() - at).max(0));
        position = engine.ledger.project(position, entries).await?;
        engine.recorded.reached(position);
    }
}

async fn trim(engine: &Engine, projected: Position) {
    let now = engine.now();
    loop {
        let trim = Trim {
            projected,
            finals_before: now - engine.settings.finals_hot_ms,
            journal_before: now - engine.settings.watch_window_ms,
            limit: EVICT_MAX,
        };
        match engine.broker.trim(trim).await {
            Ok(trimmed) if trimmed.more => {}
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(%error, "the store could not be trimmed");
                return;
            }
        }
    }
}

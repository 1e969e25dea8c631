//! The projector: carries the journal into the ledger, then lets the store forget.

use std::time::Duration;

use sentinel_ledger::LedgerError;
use sentinel_store::{JournalPage, Position, Trim};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::lead::Lead;
use crate::{Engine, EngineError};

/// Entries of one transaction of the ledger.
const ENTRIES_MAX: usize = 256;

/// How long it projects without a look at the lead and at what can be trimmed.
const ROUND: Duration = Duration::from_secs(1);

/// Finals that one call evicts.
const EVICT_MAX: usize = 2_000;

const TRIM_EVERY_MS: i64 = 1_000;

/// How often a server without the lead asks for it.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// How long to wait after an error.
const PAUSE: Duration = Duration::from_millis(500);

/// The loop, in which only the server that has the lead does anything. At the end it carries
/// over what is left.
pub(crate) async fn run(engine: Engine, closing: CancellationToken) {
    let mut head = engine.store.head();
    let mut trimmed_at = engine.now();
    let mut caught_up_at = engine.now();
    let mut lead = Lead::default();
    // Others may go on committing: what there is when this server closes is enough.
    let mut last = None;
    loop {
        if closing.is_cancelled() {
            last.get_or_insert(*head.borrow());
        }
        if !lead.hold(&engine).await {
            if closing.is_cancelled() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(ASK_EVERY) => {}
                () = closing.cancelled() => {}
            }
            continue;
        }
        match catch_up(&engine).await {
            Ok((position, is_all)) => {
                caught_up_at = engine.now();
                if engine.now() - trimmed_at >= TRIM_EVERY_MS {
                    trimmed_at = engine.now();
                    trim(&engine, position).await;
                }
                if last.is_some_and(|last| position.seq >= last.seq) {
                    lead.give_up(&engine).await;
                    return;
                }
                if !is_all {
                    continue;
                }
            }
            Err(error) => {
                // Whoever looks at the metrics sees it grow, though nothing is read.
                engine.tell_lag(*head.borrow(), caught_up_at);
                if !error.is_told_once() {
                    tracing::error!(%error, "the ledger does not take the journal; it will be tried again");
                }
                // Another server may reach what this one does not.
                lead.give_up(&engine).await;
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

/// Projects up to the head, for a while; answers how far the ledger is, and whether that is all.
async fn catch_up(engine: &Engine) -> Result<(Position, bool), EngineError> {
    let mut position = engine.ledger.checkpoint().await?;
    engine.recorded.reached(position);
    let until = Instant::now() + ROUND;
    loop {
        let entries = match engine.store.tail(position, ENTRIES_MAX).await? {
            JournalPage::Entries(entries) => entries,
            JournalPage::Trimmed | JournalPage::OtherEpoch => {
                position = moved_from(engine, position).await?;
                continue;
            }
        };
        let Some(last) = entries.last() else {
            engine.observer.ledger_lag(0, 0);
            return Ok((position, true));
        };
        let (behind, at) = (engine.store.head().borrow().seq.saturating_sub(position.seq), last.at);
        engine.observer.ledger_lag(behind, (engine.now() - at).max(0));
        position = match engine.ledger.project(position, entries).await {
            Err(LedgerError::Superseded { .. }) => moved_from(engine, position).await?,
            projected => projected?,
        };
        engine.recorded.reached(position);
        if Instant::now() >= until {
            return Ok((position, false));
        }
    }
}

/// Where the checkpoint is by now: a server that had the lead before may have moved it.
async fn moved_from(engine: &Engine, position: Position) -> Result<Position, EngineError> {
    let current = engine.ledger.checkpoint().await?;
    if current == position {
        // A store drops nothing unprojected, so the two do not belong together.
        let found = *engine.store.head().borrow();
        return Err(EngineError::Ledger(LedgerError::Superseded { expected: position, found }));
    }
    tracing::info!(from = %position, to = %current, "another server carried the journal over");
    Ok(current)
}

async fn trim(engine: &Engine, projected: Position) {
    let now = engine.now();
    loop {
        let trim = Trim {
            projected,
            terminal_before: now - engine.settings.finals_hot_ms,
            journal_before: now - engine.settings.watch_window_ms,
            limit: EVICT_MAX,
        };
        match engine.store.trim(trim).await {
            Ok(trimmed) if trimmed.more => {}
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(%error, "the store could not be trimmed");
                return;
            }
        }
    }
}

//! The sweeper: decides about jobs that nobody asks about.
//!
//! It reads what needs due_work, decides, and commits under guards. Two sweepers, or a
//! sweeper and a report, race harmlessly: the guard lets one of them win.

use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::{Command, Job, decide, on_deadline};
use sentinel_store::{DueWork, Mutation, Precondition, SessionRow, Transaction, TransactionResult};
use tokio_util::sync::CancellationToken;

use crate::cancel::group;
use crate::{Engine, EngineError};

const EVERY: Duration = Duration::from_millis(100);

/// Jobs of one round.
const LIMIT: usize = 1_000;

/// A sweeper that was away for so long can not tell silence from its own absence.
const AWAY_MS: i64 = 2_000;

/// The loop.
pub(crate) async fn run(engine: Engine, closing: CancellationToken) {
    let mut swept_at = engine.now();
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = closing.cancelled() => return,
        }
        let now = engine.now();
        let swept = if now - swept_at > AWAY_MS {
            tracing::warn!(
                away_ms = now - swept_at,
                "nobody swept for a while: all sessions get more time"
            );
            let until = now + engine.settings.session_ttl_ms;
            let extended = engine.store.extend_sessions(until).await;
            engine.note_reach(&extended);
            extended.map_err(EngineError::from)
        } else {
            round(&engine).await
        };
        match swept {
            Ok(()) => swept_at = now,
            Err(error) if error.is_told_once() => {}
            Err(error) => tracing::warn!(%error, "a sweep failed"),
        }
    }
}

async fn round(engine: &Engine) -> Result<(), EngineError> {
    let now = engine.now();
    let due_work = engine.store.due_work(now, LIMIT).await;
    engine.note_reach(&due_work);
    let DueWork { deadlines, lost, expired, unblocked } = due_work?;
    for held in engine.hand_back(engine.roster.take_orphans(), None).await {
        engine.push_revoked(held.id, held.lease);
    }
    let mut work: Vec<(Arc<Job>, Command)> = Vec::new();
    for job in lost {
        if let Some(lease) = job.status.lease {
            engine.observer.lease_lost(&job);
            work.push((job, Command::Lose { session: lease.session }));
        }
    }
    for job in deadlines {
        if let Some(command) = on_deadline(&job, now, engine.chance.throw() as u32) {
            work.push((job, command));
        }
    }
    for u in unblocked {
        work.push((u.job, Command::Unblock { parent: u.parent, outcome: u.outcome }));
    }
    carry_out(engine, work).await?;
    // A session that comes back joins the roster before it touches its row. So what is
    // submitted under the roster's lock is committed before the row of a new stream.
    engine.roster.with_absent(
        |row: &SessionRow| row.id,
        expired,
        |gone| engine.commits.offer(gone.into_iter().map(drop_session).collect()),
    );
    Ok(())
}

/// The row stays if another server adopted the session since, or heard its worker.
fn drop_session(row: SessionRow) -> Transaction {
    Transaction {
        request: None,
        guards: vec![Precondition::SessionRow(row)],
        changes: vec![Mutation::DropSession(row.id)],
    }
}

/// Decides and commits. What conflicts has changed and is found again if it still needs to be.
async fn carry_out(engine: &Engine, work: Vec<(Arc<Job>, Command)>) -> Result<(), EngineError> {
    let now = engine.now();
    let mut groups = Vec::new();
    let mut steps = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for (job, command) in work {
        if !seen.insert(job.id) {
            continue;
        }
        if let Ok(decision) = decide(&job, &command, now) {
            let (group, after) = group(&job, decision, Vec::new());
            groups.push(group);
            steps.push((job, after));
        }
    }
    if groups.is_empty() {
        return Ok(());
    }
    let verdicts = engine.commits.groups(groups).await?;
    for ((before, after), verdict) in steps.into_iter().zip(verdicts) {
        if verdict != TransactionResult::Committed {
            continue;
        }
        if let (Some(lease), None) = (before.status.lease, after.status.lease) {
            engine.observer.recorded(&before, &after);
            engine.push_revoked(before.id, lease);
        }
    }
    Ok(())
}

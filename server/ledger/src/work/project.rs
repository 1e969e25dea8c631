//! From journal entries to rows: one transaction a batch, fenced by the checkpoint.

use std::sync::Arc;

use sentinel_domain::{Job, JobId};
use sentinel_store::codec::Names;
use sentinel_store::{JournalEntry, Position};

use super::batch::Batch;
use super::read;
use crate::rows::{Extent, Lock, Rows};
use crate::sql::Fault;

/// Writes the entries that follow `from` and moves the checkpoint.
pub(crate) async fn project<R: Rows>(
    rows: &mut R,
    from: Position,
    entries: &[Arc<JournalEntry>],
) -> Result<Position, Fault> {
    check_order(from, entries)?;
    let Some(last) = entries.last() else { return Ok(from) };
    // The fence: of two projectors that start from one checkpoint, one finds it moved.
    if !rows.move_checkpoint(from, last).await? {
        let (found, _) = rows.checkpoint().await?;
        return Err(Fault::Superseded { expected: from, found });
    }
    rows.drop_keys(last.at).await?;
    let batch = Batch::of(entries)?;
    if !batch.producers.is_empty() {
        rows.drop_producers(last.at).await?;
    }
    take_out(rows, &batch.gone, Extent::All).await?;
    take_out(rows, &batch.respecced, Extent::Spec).await?;
    rows.write(&batch).await?;
    Ok(last.position)
}

/// Deletes jobs, or their specs and labels alone.
async fn take_out<R: Rows>(rows: &mut R, ids: &[JobId], extent: Extent) -> Result<(), Fault> {
    let mut names = Names::default();
    for step in ids.chunks(R::STEP) {
        let there = read::jobs(rows, step, Lock::Held, &mut names).await?;
        let there: Vec<Job> = there.into_iter().flatten().collect();
        if !there.is_empty() {
            rows.delete(&there, extent).await?;
        }
    }
    Ok(())
}

/// Jobs that the entries say are gone.
pub(crate) fn deleted(entries: &[Arc<JournalEntry>]) -> Vec<JobId> {
    let events = entries.iter().flat_map(|entry| &entry.jobs);
    events.filter(|event| event.status.is_deleted()).map(|event| event.id).collect()
}

/// Dense within an epoch. From the very start any place will do, since the journal may
/// have been trimmed or belong to a store that was rebuilt.
fn check_order(from: Position, entries: &[Arc<JournalEntry>]) -> Result<(), Fault> {
    let mut after = from;
    for found in entries.iter().map(|entry| entry.position) {
        let follows = if found.epoch == after.epoch {
            found.seq == after.seq + 1
        } else {
            found.epoch > after.epoch
        };
        if !follows && after != Position::default() {
            return Err(Fault::Gap { after, found });
        }
        after = found;
    }
    Ok(())
}

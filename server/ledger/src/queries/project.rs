//! Projection of journal entries: one transaction per batch, fenced by the checkpoint.

use std::sync::Arc;

use sentinel_domain::{Job, JobId};
use sentinel_store::codec::NamePool;
use sentinel_store::{JournalEntry, Position};

use super::lookup::read_jobs;
use crate::batch::Batch;
use crate::connection::{Connection, DeleteScope, RowLock};
use crate::database_error::DatabaseError;
use crate::error::LedgerError;
use crate::ledger::{Ledger, with_conn};

impl Ledger {
    /// Records the entries that follow `from` in one transaction, and returns the new
    /// checkpoint. If `from` is `(0, 0)`, the first entry may be of any epoch.
    ///
    /// # Errors
    /// [`LedgerError::Superseded`] if the checkpoint is not `from`, [`LedgerError::Gap`] if the
    /// entries are not consecutive, [`LedgerError::MissingJob`] if an entry changes a job that
    /// no entry created, and those of the database.
    pub async fn project(
        &self,
        from: Position,
        entries: Vec<Arc<JournalEntry>>,
    ) -> Result<Position, LedgerError> {
        // Before the jobs: without its job a log line could not be found any more.
        let mut deleted = deleted_jobs(&entries);
        while !deleted.is_empty() {
            let done = self.remove_attempt_data(deleted.clone()).await?;
            deleted.drain(..done);
        }
        with_conn!(self.history.write, |conn| project(conn, from, &entries))
    }
}

async fn project<C: Connection>(
    conn: &mut C,
    from: Position,
    entries: &[Arc<JournalEntry>],
) -> Result<Position, DatabaseError> {
    check_order(from, entries)?;
    let Some(last) = entries.last() else { return Ok(from) };
    // If two projectors start from the same checkpoint, the second one fails here.
    if !conn.move_checkpoint(from, last).await? {
        let (found, _) = conn.checkpoint().await?;
        return Err(DatabaseError::Superseded { expected: from, found });
    }
    conn.delete_expired_unique_keys(last.at).await?;
    let batch = Batch::from_entries(entries)?;
    if !batch.producers.is_empty() {
        conn.delete_expired_producer_records(last.at).await?;
    }
    delete_jobs(conn, &batch.deleted, DeleteScope::Job).await?;
    delete_jobs(conn, &batch.respecced, DeleteScope::Spec).await?;
    conn.write(&batch).await?;
    Ok(last.position)
}

async fn delete_jobs<C: Connection>(
    conn: &mut C,
    ids: &[JobId],
    scope: DeleteScope,
) -> Result<(), DatabaseError> {
    let mut names = NamePool::default();
    for step in ids.chunks(C::BATCH_SIZE) {
        let jobs = read_jobs(conn, step, RowLock::ForUpdate, &mut names).await?;
        let jobs: Vec<Job> = jobs.into_iter().flatten().collect();
        if !jobs.is_empty() {
            conn.delete_jobs(&jobs, scope).await?;
        }
    }
    Ok(())
}

fn deleted_jobs(entries: &[Arc<JournalEntry>]) -> Vec<JobId> {
    let events = entries.iter().flat_map(|entry| &entry.jobs);
    events.filter(|event| event.status.is_deleted()).map(|event| event.id).collect()
}

/// Checks that the entries are consecutive within their epoch. After the initial position the
/// first entry may be any: the journal may be trimmed, or may belong to a rebuilt store.
fn check_order(from: Position, entries: &[Arc<JournalEntry>]) -> Result<(), DatabaseError> {
    let mut after = from;
    for found in entries.iter().map(|entry| entry.position) {
        let follows = if found.epoch == after.epoch {
            found.seq == after.seq + 1
        } else {
            found.epoch > after.epoch
        };
        if !follows && after != Position::default() {
            return Err(DatabaseError::Gap { after, found });
        }
        after = found;
    }
    Ok(())
}

//! Retention: finding and deleting old terminal jobs, a limited number per transaction.
//!
//! A job cannot finish before it is enqueued, and ids increase with the time of enqueue. So the
//! index by state, read from the lowest id up to the cutoff, contains every job that is old
//! enough. Retention has no index of its own, because each change of a job would have to update
//! it. Instead, each scan re-reads a job that waited long before it ran.

use sentinel_domain::{Job, JobId, Name, State};
use sentinel_store::codec::NamePool;

use super::lookup::read_jobs;
use super::merge::{Merge, queue_names};
use crate::connection::{Connection, DeleteScope, Direction, RowLock, Source};
use crate::database_error::DatabaseError;
use crate::error::LedgerError;
use crate::ledger::{Ledger, with_conn};
use crate::types::retention::{
    RemovableJob, RemovablePage, RemovalResult, RetentionCursor, RetentionCutoffs,
};

/// The maximum number of rows that one transaction deletes, exceeded by at most one job's rows.
/// About 20 ms.
const ROWS_MAX: usize = 4_096;

impl Ledger {
    /// Returns terminal jobs that are old enough to be deleted, sorted by queue, state and id.
    /// Scans at most `max_scanned` jobs; [`RemovablePage::next`] is where the next call continues.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn removable_jobs(
        &self,
        cutoffs: RetentionCutoffs,
        from: Option<RetentionCursor>,
        max_scanned: usize,
    ) -> Result<RemovablePage, LedgerError> {
        let max_scanned = max_scanned.max(1);
        with_conn!(self.history.read, |conn| {
            removable_jobs(conn, cutoffs, from.as_ref(), max_scanned)
        })
    }

    /// Returns the queues with more than `max` terminal jobs, and how many more. Counts index
    /// entries, some million per second, unless the whole table holds fewer than `max` jobs.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn queues_over_limit(&self, max: u64) -> Result<Vec<(Name, u64)>, LedgerError> {
        with_conn!(self.history.read, |conn| queues_over_limit(conn, max))
    }

    /// Returns those of the next `limit` terminal jobs of a queue after `after` that may be
    /// deleted, lowest id first, and where the next call continues; `None` at the end.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn oldest_removable(
        &self,
        queue: Name,
        cutoffs: RetentionCutoffs,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<(Vec<RemovableJob>, Option<JobId>), LedgerError> {
        with_conn!(self.history.read, |conn| {
            oldest_removable(conn, &queue, cutoffs, after, limit)
        })
    }

    /// Deletes jobs with their labels and attempts, unless they changed. One transaction deletes
    /// a limited number of rows, so some jobs may be left for the next call. Delete the log
    /// lines before with [`Ledger::remove_attempt_data`]: without its job a line could not be
    /// found any more.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn remove_jobs(&self, jobs: Vec<RemovableJob>) -> Result<RemovalResult, LedgerError> {
        with_conn!(self.history.write, |conn| remove_jobs(conn, &jobs))
    }
}

async fn removable_jobs<C: Connection>(
    conn: &mut C,
    cutoffs: RetentionCutoffs,
    from: Option<&RetentionCursor>,
    max_scanned: usize,
) -> Result<RemovablePage, DatabaseError> {
    let mut page = RemovablePage::default();
    let mut names = NamePool::default();
    let mut scanned = 0;
    for (queue, state) in terminal_ranges(conn, from).await? {
        let Some(cutoff) = cutoffs.cutoff(state) else { continue };
        let is_first = from.is_some_and(|from| (&from.queue, from.state) == (&queue, state));
        let mut after = from.filter(|_| is_first).and_then(|from| from.after);
        let source = Source::State(queue.clone(), state);
        let mut merge = Merge::new(vec![source], Direction::Ascending { after }, max_scanned);
        loop {
            if scanned >= max_scanned {
                page.next = Some(RetentionCursor { queue, state, after });
                return Ok(page);
            }
            let wanted = C::BATCH_SIZE.min(max_scanned - scanned);
            let step = merge.take(conn, wanted).await?;
            // The end of a range counts as one, so that the number of empty ranges is limited too.
            scanned += wanted.min(step.len() + 1);
            let is_end = step.len() < wanted;
            let ids: Vec<JobId> = step.into_iter().map(|candidate| candidate.id).collect();
            let old = &ids[..ids.partition_point(|id| id.created_at() <= cutoff)];
            after = old.last().copied().or(after);
            let jobs = read_jobs(conn, old, RowLock::None, &mut names).await?;
            let jobs = jobs.into_iter().flatten();
            page.jobs.extend(jobs.filter(|job| cutoffs.allow_removal(job)).map(removable));
            if is_end || old.len() < ids.len() {
                break;
            }
        }
    }
    Ok(page)
}

fn removable(job: Job) -> RemovableJob {
    RemovableJob { id: job.id, version: job.status.version }
}

fn terminal_states() -> impl Iterator<Item = State> + Clone {
    State::ALL.into_iter().filter(|state| state.is_terminal())
}

/// Returns the pairs of queue and terminal state, sorted, from the cursor on.
async fn terminal_ranges<C: Connection>(
    conn: &mut C,
    from: Option<&RetentionCursor>,
) -> Result<Vec<(Name, State)>, DatabaseError> {
    let queues = queue_names(conn).await?;
    let is_ahead = |queue: &Name, state: State| {
        from.is_none_or(|from| (queue, state) >= (&from.queue, from.state))
    };
    let all = queues.iter().flat_map(|queue| terminal_states().map(move |state| (queue, state)));
    Ok(all.filter(|(q, s)| is_ahead(q, *s)).map(|(q, s)| (q.clone(), s)).collect())
}

async fn queues_over_limit<C: Connection>(
    conn: &mut C,
    max: u64,
) -> Result<Vec<(Name, u64)>, DatabaseError> {
    let mut found = Vec::new();
    if conn.job_count_upper_bound().await?.is_some_and(|bound| bound <= max) {
        return Ok(found);
    }
    for queue in queue_names(conn).await? {
        let mut terminal = 0;
        for state in terminal_states() {
            terminal += conn.count(&queue, state, None).await?;
        }
        if terminal > max {
            found.push((queue, terminal - max));
        }
    }
    Ok(found)
}

async fn oldest_removable<C: Connection>(
    conn: &mut C,
    queue: &Name,
    cutoffs: RetentionCutoffs,
    after: Option<JobId>,
    limit: usize,
) -> Result<(Vec<RemovableJob>, Option<JobId>), DatabaseError> {
    let sources = terminal_states().map(|state| Source::State(queue.clone(), state)).collect();
    let mut merge = Merge::new(sources, Direction::Ascending { after }, limit);
    let mut names = NamePool::default();
    let ids: Vec<JobId> =
        merge.take(conn, limit).await?.into_iter().map(|candidate| candidate.id).collect();
    let jobs = read_jobs(conn, &ids, RowLock::None, &mut names).await?.into_iter().flatten();
    let found = jobs.filter(|job| cutoffs.allow_removal(job)).map(removable).collect();
    Ok((found, ids.last().copied().filter(|_| ids.len() == limit)))
}

async fn remove_jobs<C: Connection>(
    conn: &mut C,
    jobs: &[RemovableJob],
) -> Result<RemovalResult, DatabaseError> {
    let mut names = NamePool::default();
    let mut result = RemovalResult::default();
    let mut deleted_rows = 0;
    for step in jobs.chunks(C::BATCH_SIZE) {
        if deleted_rows >= ROWS_MAX {
            break;
        }
        result.processed += step.len();
        let ids: Vec<JobId> = step.iter().map(|job| job.id).collect();
        let current = read_jobs(conn, &ids, RowLock::ForUpdate, &mut names).await?;
        let is_unchanged = |job: &Job, checked: &RemovableJob| {
            job.status.version == checked.version && job.status.state.is_terminal()
        };
        let unchanged = current.into_iter().zip(step);
        let unchanged: Vec<Job> = unchanged
            .filter_map(|(job, checked)| job.filter(|job| is_unchanged(job, checked)))
            .collect();
        if !unchanged.is_empty() {
            deleted_rows += conn.delete_jobs(&unchanged, DeleteScope::Job).await?;
            result.removed += unchanged.len();
        }
    }
    Ok(result)
}

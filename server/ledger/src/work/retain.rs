//! Letting go of old jobs, a bounded amount at a time.
//!
//! A job can not finish before it was enqueued, and ids rise with that time. So the index by
//! state, read from its lowest id up to the age, has every job that is old enough. No index
//! of its own, which each change of a job would have to keep: a job that waited long is
//! looked at once a walk instead.

use sentinel_domain::{Job, JobId, Name, State};
use sentinel_store::codec::Names;

use super::read;
use super::scan::{Merge, queue_names};
use crate::rows::{Direction, Extent, Lock, Rows, Source};
use crate::sql::Fault;
use crate::{RetentionCutoffs, RetentionCursor, RemovalResult, RemovableJob, RemovablePage};

/// Rows that one transaction deletes, those of one job over. About 20 ms.
const ROWS_MAX: usize = 4_096;

/// Jobs that are old enough, by queue, state and id. Looks at `looks` jobs or ranges at the
/// most.
pub(crate) async fn expired<R: Rows>(
    rows: &mut R,
    expiry: RetentionCutoffs,
    from: Option<&RetentionCursor>,
    looks: usize,
) -> Result<RemovablePage, Fault> {
    let mut page = RemovablePage::default();
    let mut names = Names::default();
    let mut looked = 0;
    for (queue, state) in ranges(rows, from).await? {
        let Some(by) = expiry.of(state) else { continue };
        let is_first = from.is_some_and(|place| (&place.queue, place.state) == (&queue, state));
        let mut after = from.filter(|_| is_first).and_then(|place| place.after);
        let source = Source::State(queue.clone(), state);
        let mut merge = Merge::new(vec![source], Direction::Rising { after }, looks);
        loop {
            if looked >= looks {
                page.next = Some(RetentionCursor { queue, state, after });
                return Ok(page);
            }
            let wanted = R::STEP.min(looks - looked);
            let step = merge.take(rows, wanted).await?;
            // The end of a range takes a look too, so that many empty ones are bounded.
            looked += wanted.min(step.len() + 1);
            let is_end = step.len() < wanted;
            let ids: Vec<JobId> = step.into_iter().map(|candidate| candidate.id).collect();
            let old = &ids[..ids.partition_point(|id| id.created_at() <= by)];
            after = old.last().copied().or(after);
            let jobs = read::jobs(rows, old, Lock::Free, &mut names).await?.into_iter().flatten();
            page.jobs.extend(jobs.filter(|job| expiry.covers(job)).map(stale));
            if is_end || old.len() < ids.len() {
                break;
            }
        }
    }
    Ok(page)
}

fn stale(job: Job) -> RemovableJob {
    RemovableJob { id: job.id, version: job.status.version }
}

/// Queues and final states, in order, from the place on.
async fn ranges<R: Rows>(rows: &mut R, from: Option<&RetentionCursor>) -> Result<Vec<(Name, State)>, Fault> {
    let queues = queue_names(rows).await?;
    let is_ahead = |queue: &Name, state: State| {
        from.is_none_or(|place| (queue, state) >= (&place.queue, place.state))
    };
    let finals = State::ALL.into_iter().filter(|state| state.is_terminal());
    let all = queues.iter().flat_map(|queue| finals.clone().map(move |state| (queue, state)));
    Ok(all.filter(|(q, s)| is_ahead(q, *s)).map(|(q, s)| (q.clone(), s)).collect())
}

/// Queues with more than `max` finished jobs, and by how many. Counts index entries, some
/// million a second; and not at all while the whole table can not have so many.
pub(crate) async fn overfull<R: Rows>(rows: &mut R, max: u64) -> Result<Vec<(Name, u64)>, Fault> {
    let mut found = Vec::new();
    if rows.jobs_at_most().await?.is_some_and(|most| most <= max) {
        return Ok(found);
    }
    for queue in queue_names(rows).await? {
        let mut finished = 0;
        for state in State::ALL.into_iter().filter(|state| state.is_terminal()) {
            finished += rows.count(&queue, state, None).await?;
        }
        if finished > max {
            found.push((queue, finished - max));
        }
    }
    Ok(found)
}

/// At most `limit` finished jobs of a queue that may go, from the lowest id after `after` on.
/// Answers them, and where to go on unless the queue is at its end.
pub(crate) async fn oldest<R: Rows>(
    rows: &mut R,
    queue: &Name,
    expiry: RetentionCutoffs,
    after: Option<JobId>,
    limit: usize,
) -> Result<(Vec<RemovableJob>, Option<JobId>), Fault> {
    let finals = State::ALL.into_iter().filter(|state| state.is_terminal());
    let sources = finals.map(|state| Source::State(queue.clone(), state)).collect();
    let mut merge = Merge::new(sources, Direction::Rising { after }, limit);
    let mut names = Names::default();
    let ids: Vec<JobId> =
        merge.take(rows, limit).await?.into_iter().map(|candidate| candidate.id).collect();
    let jobs = read::jobs(rows, &ids, Lock::Free, &mut names).await?.into_iter().flatten();
    let found = jobs.filter(|job| expiry.covers(job)).map(stale).collect();
    Ok((found, ids.last().copied().filter(|_| ids.len() == limit)))
}

/// Deletes jobs that are as they were looked at, with all that belongs to them but log lines.
pub(crate) async fn remove<R: Rows>(rows: &mut R, stale: &[RemovableJob]) -> Result<RemovalResult, Fault> {
    let mut names = Names::default();
    let mut removed = RemovalResult::default();
    let mut deleted = 0;
    for step in stale.chunks(R::STEP) {
        if deleted >= ROWS_MAX {
            break;
        }
        removed.done += step.len();
        let ids: Vec<JobId> = step.iter().map(|one| one.id).collect();
        let jobs = read::jobs(rows, &ids, Lock::Held, &mut names).await?;
        let is_same = |job: &Job, one: &RemovableJob| {
            job.status.version == one.version && job.status.state.is_terminal()
        };
        let same = jobs.into_iter().zip(step);
        let same: Vec<Job> =
            same.filter_map(|(job, one)| job.filter(|job| is_same(job, one))).collect();
        if !same.is_empty() {
            deleted += rows.delete(&same, Extent::All).await?;
            removed.jobs += same.len();
        }
    }
    Ok(removed)
}

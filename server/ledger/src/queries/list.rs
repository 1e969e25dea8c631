//! Lists of jobs.
//!
//! The cheapest index yields candidates, and the rest of the filter is applied to each of them.
//! A limit on the number of candidates keeps a selective filter from reading the whole table.

use sentinel_domain::limits::PAGE_MAX;
use sentinel_domain::{Filter, Job, JobId, Millis, Name, State};
use sentinel_store::codec::NamePool;

use super::lookup::read_first_jobs;
use super::merge::{Merge, queue_names};
use crate::connection::{Candidate, Connection, Direction, RowLock, Source};
use crate::database_error::DatabaseError;
use crate::error::LedgerError;
use crate::ledger::{Ledger, with_conn};
use crate::types::jobs::{Page, PageRequest};

/// The maximum number of candidates that one page scans. About 0.3 s if none of them matches.
const SCAN_MAX: usize = 100_000;
/// The number of candidates that a count holds in memory.
const COUNT_STEP: usize = 1_024;
/// The maximum size of the specs and statuses of one page, unless a single job is larger. A page
/// must fit into one message.
const PAGE_BYTES: usize = 12 << 20;

impl Ledger {
    /// Returns a page of the jobs that match a filter, newest first.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn list(&self, filter: Filter, request: PageRequest) -> Result<Page, LedgerError> {
        with_conn!(self.history.read, |conn| list(conn, &filter, request))
    }

    /// Counts the jobs that match a filter, and returns whether there may be more. Scans at most
    /// `max_scanned` jobs.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn count_matching(
        &self,
        filter: Filter,
        max_scanned: usize,
    ) -> Result<(u64, bool), LedgerError> {
        with_conn!(self.history.read, |conn| count_matching(conn, &filter, max_scanned))
    }
}

async fn list<C: Connection>(
    conn: &mut C,
    filter: &Filter,
    request: PageRequest,
) -> Result<Page, DatabaseError> {
    let size = request.size.clamp(1, PAGE_MAX as usize);
    let Some(direction) = id_bounds(filter, request.before) else { return Ok(Page::default()) };
    let mut merge = Merge::new(sources(conn, filter).await?, direction, size);
    let mut names = NamePool::default();
    let mut page = Page::default();
    let mut bytes = 0;
    let mut scanned = 0;
    loop {
        let step = merge.take(conn, C::BATCH_SIZE.min(SCAN_MAX - scanned)).await?;
        let Some(last) = step.last().map(|candidate| candidate.id) else { return Ok(page) };
        scanned += step.len();
        let mut matching = matching_ids(conn, filter, step).await?;
        // A match beyond the page size means that another page follows.
        let room = size - page.jobs.len();
        let has_more = matching.len() > room;
        matching.truncate(room);
        let mut ids = &matching[..];
        while !ids.is_empty() {
            let jobs = read_first_jobs(conn, ids, RowLock::None, &mut names).await?;
            ids = &ids[jobs.len()..];
            for job in jobs.into_iter().flatten() {
                bytes += size_in_message(&job);
                if bytes > PAGE_BYTES && !page.jobs.is_empty() {
                    page.next = page.jobs.last().map(|job| job.id);
                    return Ok(page);
                }
                page.jobs.push(job);
            }
        }
        if has_more {
            page.next = page.jobs.last().map(|job| job.id);
            return Ok(page);
        }
        if scanned == SCAN_MAX {
            page.next = Some(last);
            return Ok(page);
        }
    }
}

async fn count_matching<C: Connection>(
    conn: &mut C,
    filter: &Filter,
    max_scanned: usize,
) -> Result<(u64, bool), DatabaseError> {
    let Some(direction) = id_bounds(filter, None) else { return Ok((0, false)) };
    let mut merge = Merge::new(sources(conn, filter).await?, direction, max_scanned);
    let (mut count, mut scanned) = (0, 0);
    while scanned < max_scanned {
        let step = merge.take(conn, COUNT_STEP.min(max_scanned - scanned)).await?;
        if step.is_empty() {
            return Ok((count, false));
        }
        scanned += step.len();
        for candidates in step.chunks(C::BATCH_SIZE) {
            count += matching_ids(conn, filter, candidates.to_vec()).await?.len() as u64;
        }
    }
    Ok((count, !merge.take(conn, 1).await?.is_empty()))
}

fn size_in_message(job: &Job) -> usize {
    let status = &job.status;
    job.spec.payload.len()
        + status.result.as_ref().map_or(0, |result| result.len())
        + status.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.len())
        + status.error.as_ref().map_or(0, |error| error.message.len())
        + job.spec.labels.iter().map(|label| label.key.len() + label.value.len()).sum::<usize>()
}

/// Returns the ids between the creation times of the filter and below the page start; `None` if
/// there can be none.
fn id_bounds(filter: &Filter, before: Option<JobId>) -> Option<Direction> {
    let from = match filter.created_after {
        Some(at) => Some(lowest_id(at)?),
        None => None,
    };
    let until = match filter.created_before {
        Some(at) if at <= 0 => return None,
        Some(at) => lowest_id(at),
        None => None,
    };
    let below = [until, before].into_iter().flatten().min();
    Some(Direction::Descending { from, below })
}

/// Returns the lowest id with this creation time; `None` if an id cannot hold a time this late.
fn lowest_id(at: Millis) -> Option<JobId> {
    let at = at.max(0) as u128;
    (at < 1 << 48).then(|| JobId::from_u128(at << 80))
}

/// Returns disjoint ranges that together contain every job of the filter. Assumes that a label
/// is more selective than a queue, and a queue more selective than a kind.
async fn sources<C: Connection>(
    conn: &mut C,
    filter: &Filter,
) -> Result<Vec<Source>, DatabaseError> {
    if let Some(label) = filter.labels.first() {
        return Ok(vec![Source::Label(label.clone())]);
    }
    let is_any_queue = filter.queues.is_empty() && filter.within.is_all();
    if is_any_queue && !filter.kinds.is_empty() {
        return Ok(distinct(&filter.kinds).into_iter().map(Source::Kind).collect());
    }
    if is_any_queue && filter.states.is_empty() {
        return Ok(vec![Source::All]);
    }
    let mut queues =
        if filter.queues.is_empty() { queue_names(conn).await? } else { distinct(&filter.queues) };
    queues.retain(|queue| filter.within.contains(queue));
    let matches = |state: &State| filter.states.is_empty() || filter.states.contains(state);
    let states: Vec<State> = State::ALL.into_iter().filter(matches).collect();
    let pairs = queues.iter().flat_map(|queue| states.iter().map(move |state| (queue, state)));
    Ok(pairs.map(|(queue, state)| Source::State(queue.clone(), *state)).collect())
}

fn distinct(names: &[Name]) -> Vec<Name> {
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    names
}

/// Returns the candidates that match the filter.
async fn matching_ids<C: Connection>(
    conn: &mut C,
    filter: &Filter,
    candidates: Vec<Candidate>,
) -> Result<Vec<JobId>, DatabaseError> {
    let mut ids: Vec<JobId> = candidates
        .into_iter()
        .filter(|candidate| matches_columns(filter, candidate))
        .map(|candidate| candidate.id)
        .collect();
    for label in filter.labels.iter().skip(1) {
        if !ids.is_empty() {
            let labelled = conn.jobs_with_label(&ids, label).await?;
            ids.retain(|id| labelled.contains(id));
        }
    }
    Ok(ids)
}

/// Applies the filter to the columns of a candidate. A missing column is one by which the range
/// was selected, so it matches.
fn matches_columns(filter: &Filter, candidate: &Candidate) -> bool {
    let has_name = |names: &[Name], name: &Option<Name>| match name {
        Some(name) => names.is_empty() || names.contains(name),
        None => true,
    };
    let has_state = match candidate.state {
        Some(state) => filter.states.is_empty() || filter.states.contains(&state),
        None => true,
    };
    let is_within = candidate.queue.as_ref().is_none_or(|queue| filter.within.contains(queue));
    has_state
        && is_within
        && has_name(&filter.queues, &candidate.queue)
        && has_name(&filter.kinds, &candidate.kind)
}

//! A page of a list: the cheapest index yields candidates, the rest of the filter judges
//! each, and a bound on candidates keeps any filter from reading the whole table.

use sentinel_domain::limits::PAGE_MAX;
use sentinel_domain::{Filter, Job, JobId, Millis, Name, State};
use sentinel_store::codec::Names;

use super::read;
use super::scan::{Merge, queue_names};
use crate::rows::{Candidate, Direction, Lock, Rows, Source};
use crate::sql::Fault;
use crate::{Page, PageRequest};

/// Candidates that one page looks at, at the most. About 0.3 s when none of them fits.
const SCAN_MAX: usize = 100_000;
/// Candidates that a count holds at once.
const LOOK_STEP: usize = 1_024;
/// Specs and statuses that one page holds, unless a single job has more: a page must fit
/// into a message.
const PAGE_BYTES: usize = 12 << 20;

/// The jobs of a filter, newest first.
pub(crate) async fn list<R: Rows>(
    rows: &mut R,
    filter: &Filter,
    request: PageRequest,
) -> Result<Page, Fault> {
    let size = request.size.clamp(1, PAGE_MAX as usize);
    let Some(direction) = bounds(filter, request.before) else { return Ok(Page::default()) };
    let mut merge = Merge::new(sources(rows, filter).await?, direction, size);
    let mut names = Names::default();
    let mut page = Page::default();
    let mut bytes = 0;
    let mut scanned = 0;
    loop {
        let step = merge.take(rows, R::STEP.min(SCAN_MAX - scanned)).await?;
        let Some(last) = step.last().map(|candidate| candidate.id) else { return Ok(page) };
        scanned += step.len();
        let mut fitting = fitting(rows, filter, step).await?;
        // One more than there is room for tells whether another page follows.
        let room = size - page.jobs.len();
        let is_more = fitting.len() > room;
        fitting.truncate(room);
        let mut ids = &fitting[..];
        while !ids.is_empty() {
            let jobs = read::first_jobs(rows, ids, Lock::Free, &mut names).await?;
            ids = &ids[jobs.len()..];
            for job in jobs.into_iter().flatten() {
                bytes += weight(&job);
                if bytes > PAGE_BYTES && !page.jobs.is_empty() {
                    page.next = page.jobs.last().map(|job| job.id);
                    return Ok(page);
                }
                page.jobs.push(job);
            }
        }
        if is_more {
            page.next = page.jobs.last().map(|job| job.id);
            return Ok(page);
        }
        if scanned == SCAN_MAX {
            page.next = Some(last);
            return Ok(page);
        }
    }
}

/// How many jobs a filter has among those that the first `looks` looks find, and whether there
/// may be more.
pub(crate) async fn matching<R: Rows>(
    rows: &mut R,
    filter: &Filter,
    looks: usize,
) -> Result<(u64, bool), Fault> {
    let Some(direction) = bounds(filter, None) else { return Ok((0, false)) };
    let mut merge = Merge::new(sources(rows, filter).await?, direction, looks);
    let (mut count, mut looked) = (0, 0);
    while looked < looks {
        let step = merge.take(rows, LOOK_STEP.min(looks - looked)).await?;
        if step.is_empty() {
            return Ok((count, false));
        }
        looked += step.len();
        for some in step.chunks(R::STEP) {
            count += fitting(rows, filter, some.to_vec()).await?.len() as u64;
        }
    }
    Ok((count, !merge.take(rows, 1).await?.is_empty()))
}

fn weight(job: &Job) -> usize {
    let status = &job.status;
    job.spec.payload.len()
        + status.result.as_ref().map_or(0, |result| result.len())
        + status.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.len())
        + status.error.as_ref().map_or(0, |error| error.message.len())
        + job.spec.labels.iter().map(|label| label.key.len() + label.value.len()).sum::<usize>()
}

/// The ids that the times and the page allow; None when that is none.
fn bounds(filter: &Filter, before: Option<JobId>) -> Option<Direction> {
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
    Some(Direction::Falling { from, below })
}

/// The lowest id of a millisecond. None when no id can be that late.
fn lowest_id(at: Millis) -> Option<JobId> {
    let at = at.max(0) as u128;
    (at < 1 << 48).then(|| JobId::from_u128(at << 80))
}

/// The ranges whose union has every job of the filter, each job once. A label is thought
/// to be rarer than a queue, and a queue narrower than a kind.
async fn sources<R: Rows>(rows: &mut R, filter: &Filter) -> Result<Vec<Source>, Fault> {
    if let Some(label) = filter.labels.first() {
        return Ok(vec![Source::Label(label.clone())]);
    }
    let is_anywhere = filter.queues.is_empty() && filter.within.is_all();
    if is_anywhere && !filter.kinds.is_empty() {
        return Ok(distinct(&filter.kinds).into_iter().map(Source::Kind).collect());
    }
    if is_anywhere && filter.states.is_empty() {
        return Ok(vec![Source::All]);
    }
    let mut queues =
        if filter.queues.is_empty() { queue_names(rows).await? } else { distinct(&filter.queues) };
    queues.retain(|queue| filter.within.contains(queue));
    let wanted = |state: &State| filter.states.is_empty() || filter.states.contains(state);
    let states: Vec<State> = State::ALL.into_iter().filter(wanted).collect();
    let pairs = queues.iter().flat_map(|queue| states.iter().map(move |state| (queue, state)));
    Ok(pairs.map(|(queue, state)| Source::State(queue.clone(), *state)).collect())
}

fn distinct(names: &[Name]) -> Vec<Name> {
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    names
}

/// Those that are in the filter.
async fn fitting<R: Rows>(
    rows: &mut R,
    filter: &Filter,
    candidates: Vec<Candidate>,
) -> Result<Vec<JobId>, Fault> {
    let mut ids: Vec<JobId> = candidates
        .into_iter()
        .filter(|candidate| allows(filter, candidate))
        .map(|candidate| candidate.id)
        .collect();
    for label in filter.labels.iter().skip(1) {
        if !ids.is_empty() {
            let labelled = rows.labelled(&ids, label).await?;
            ids.retain(|id| labelled.contains(id));
        }
    }
    Ok(ids)
}

/// What the range did not already make sure of. A part that a range leaves out of its
/// candidates is a part that it was chosen by.
fn allows(filter: &Filter, candidate: &Candidate) -> bool {
    let names = |names: &[Name], name: &Option<Name>| match name {
        Some(name) => names.is_empty() || names.contains(name),
        None => true,
    };
    let state_fits = match candidate.state {
        Some(state) => filter.states.is_empty() || filter.states.contains(&state),
        None => true,
    };
    let is_within = candidate.queue.as_ref().is_none_or(|queue| filter.within.contains(queue));
    state_fits
        && is_within
        && names(&filter.queues, &candidate.queue)
        && names(&filter.kinds, &candidate.kind)
}

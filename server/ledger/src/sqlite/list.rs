//! A page of a list: the cheapest index yields candidates, the rest of the filter judges
//! each, and a bound on candidates keeps any filter from reading the whole table.

use diesel::prelude::*;
use sentinel_broker::codec::Names;
use sentinel_domain::limits::PAGE_MAX;
use sentinel_domain::{Filter, Job, JobId, Millis, Name, State};

use super::fault::Fault;
use super::read;
use super::scan::{Candidate, Direction, Merge, Source, has_label, queue_names};
use crate::{Page, PageRequest};

/// Candidates that one page looks at, at the most. About 0.3 s when none of them fits.
const SCAN_MAX: usize = 100_000;
/// Specs and statuses that one page holds, unless a single job has more: a page must fit
/// into a message.
const PAGE_BYTES: usize = 12 << 20;

/// The jobs of a filter, newest first.
pub(crate) fn list(
    connection: &mut SqliteConnection,
    filter: &Filter,
    request: PageRequest,
) -> Result<Page, Fault> {
    let size = request.size.clamp(1, PAGE_MAX as usize);
    let Some(direction) = bounds(filter, request.before) else { return Ok(Page::default()) };
    let mut merge = Merge::new(sources(connection, filter)?, direction, size);
    let mut names = Names::default();
    let mut page = Page::default();
    let mut bytes = 0;
    for scanned in 1.. {
        let Some(candidate) = merge.next(connection)? else { break };
        let fits = fits(connection, filter, &candidate)?;
        if fits && page.jobs.len() == size {
            page.next = page.jobs.last().map(|job| job.id);
            break;
        }
        if fits && let Some(job) = read::job(connection, candidate.id, &mut names)? {
            bytes += weight(&job);
            if bytes > PAGE_BYTES && !page.jobs.is_empty() {
                page.next = page.jobs.last().map(|job| job.id);
                break;
            }
            page.jobs.push(job);
        }
        if scanned == SCAN_MAX {
            page.next = Some(candidate.id);
            break;
        }
    }
    Ok(page)
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
fn sources(connection: &mut SqliteConnection, filter: &Filter) -> Result<Vec<Source>, Fault> {
    if let Some(label) = filter.labels.first() {
        return Ok(vec![Source::Label(label.clone())]);
    }
    if filter.queues.is_empty() && !filter.kinds.is_empty() {
        return Ok(distinct(&filter.kinds).into_iter().map(Source::Kind).collect());
    }
    if filter.queues.is_empty() && filter.states.is_empty() {
        return Ok(vec![Source::All]);
    }
    let queues =
        if filter.queues.is_empty() { queue_names(connection)? } else { distinct(&filter.queues) };
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

/// What the range did not already make sure of. A part that a range leaves out of its
/// candidates is a part that it was chosen by.
fn fits(
    connection: &mut SqliteConnection,
    filter: &Filter,
    candidate: &Candidate,
) -> Result<bool, Fault> {
    let allows = |names: &[Name], name: &Option<Name>| match name {
        Some(name) => names.is_empty() || names.contains(name),
        None => true,
    };
    let state_fits = match candidate.state {
        Some(state) => filter.states.is_empty() || filter.states.contains(&state),
        None => true,
    };
    if !state_fits
        || !allows(&filter.queues, &candidate.queue)
        || !allows(&filter.kinds, &candidate.kind)
    {
        return Ok(false);
    }
    for label in filter.labels.iter().skip(1) {
        if !has_label(connection, candidate.id, label)? {
            return Ok(false);
        }
    }
    Ok(true)
}

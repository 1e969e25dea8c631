//! Letting go of old jobs, a bounded amount at a time.
//!
//! A job can not finish before it was enqueued, and ids rise with that time. So the index by
//! state, read from its lowest id up to the age, has every job that is old enough. No index
//! of its own, which each change of a job would have to keep: a job that waited long is
//! looked at once a walk instead.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};
use sentinel_broker::codec::Names;
use sentinel_broker::codec::code;
use sentinel_domain::{Job, JobId, Name, State};

use super::fault::Fault;
use super::scan::{Direction, Merge, Source, queue_names};
use super::schema::{attempts, jobs, keys, labels, log_sizes, logs, specs};
use super::{key, read};
use crate::{Expiry, Place, Removed, Stale, StalePage};

/// Rows that one transaction deletes, those of one job over. About 20 ms.
const ROWS_MAX: usize = 4_096;

/// Lines of logs that one transaction deletes at the most.
const LINES_MAX: i64 = 2_048;

/// Jobs that are old enough, by queue, state and id. Looks at `looks` jobs or ranges at the
/// most.
pub(crate) fn expired(
    connection: &mut SqliteConnection,
    expiry: Expiry,
    from: Option<&Place>,
    looks: usize,
) -> Result<StalePage, Fault> {
    let mut page = StalePage::default();
    let mut names = Names::default();
    let mut looked = 0;
    for (queue, state) in ranges(connection, from)? {
        let Some(by) = expiry.of(state) else { continue };
        let is_first = from.is_some_and(|place| (&place.queue, place.state) == (&queue, state));
        let mut after = from.filter(|_| is_first).and_then(|place| place.after);
        let source = Source::State(queue.clone(), state);
        let mut merge = Merge::new(vec![source], Direction::Rising { after }, looks);
        loop {
            if looked >= looks {
                page.next = Some(Place { queue, state, after });
                return Ok(page);
            }
            looked += 1;
            let Some(candidate) = merge.next(connection)? else { break };
            if candidate.id.created_at() > by {
                break;
            }
            after = Some(candidate.id);
            let job = read::job(connection, candidate.id, &mut names)?;
            page.jobs.extend(job.filter(|job| expiry.covers(job)).map(stale));
        }
    }
    Ok(page)
}

fn stale(job: Job) -> Stale {
    Stale { id: job.id, version: job.status.version }
}

/// Queues and final states, in order, from the place on.
fn ranges(
    connection: &mut SqliteConnection,
    from: Option<&Place>,
) -> Result<Vec<(Name, State)>, Fault> {
    let queues = queue_names(connection)?;
    let is_ahead = |queue: &Name, state: State| {
        from.is_none_or(|place| (queue, state) >= (&place.queue, place.state))
    };
    let finals = State::ALL.into_iter().filter(|state| state.is_final());
    let all = queues.iter().flat_map(|queue| finals.clone().map(move |state| (queue, state)));
    Ok(all.filter(|(q, s)| is_ahead(q, *s)).map(|(q, s)| (q.clone(), s)).collect())
}

/// Queues with more than `max` finished jobs, and by how many. Counts index entries, about
/// 10 million a second; and not at all while the whole table can not have so many.
pub(crate) fn overfull(
    connection: &mut SqliteConnection,
    max: u64,
) -> Result<Vec<(Name, u64)>, Fault> {
    let bound = |text: &str| jobs::table.select(sql::<Nullable<BigInt>>(text));
    let lowest: Option<i64> = bound("min(rowid)").get_result(connection)?;
    let highest: Option<i64> = bound("max(rowid)").get_result(connection)?;
    let rows = highest.unwrap_or_default() - lowest.unwrap_or_default() + 1;
    let mut found = Vec::new();
    if rows.cast_unsigned() <= max {
        return Ok(found);
    }
    for queue in queue_names(connection)? {
        let mut finished = 0;
        for state in State::ALL.into_iter().filter(|state| state.is_final()) {
            let count: i64 = jobs::table
                .filter(jobs::queue.eq(&*queue))
                .filter(jobs::state.eq(code::from_state(state).cast_signed()))
                .count()
                .get_result(connection)?;
            finished += count.cast_unsigned();
        }
        if finished > max {
            found.push((queue, finished - max));
        }
    }
    Ok(found)
}

/// At most `limit` finished jobs of a queue that may go, from the lowest id after `after` on.
/// Answers them, and where to go on unless the queue is at its end.
pub(crate) fn oldest(
    connection: &mut SqliteConnection,
    queue: &Name,
    expiry: Expiry,
    after: Option<JobId>,
    limit: usize,
) -> Result<(Vec<Stale>, Option<JobId>), Fault> {
    let finals = State::ALL.into_iter().filter(|state| state.is_final());
    let sources = finals.map(|state| Source::State(queue.clone(), state)).collect();
    let mut merge = Merge::new(sources, Direction::Rising { after }, limit);
    let mut names = Names::default();
    let mut found = Vec::new();
    let mut last = None;
    for _ in 0..limit {
        let Some(candidate) = merge.next(connection)? else { return Ok((found, None)) };
        last = Some(candidate.id);
        let job = read::job(connection, candidate.id, &mut names)?;
        found.extend(job.filter(|job| expiry.covers(job)).map(stale));
    }
    Ok((found, last))
}

/// Deletes jobs that are as they were looked at, with all that belongs to them in this file.
pub(crate) fn remove(connection: &mut SqliteConnection, stale: &[Stale]) -> Result<Removed, Fault> {
    let mut names = Names::default();
    let mut removed = Removed::default();
    let mut rows = 0;
    for one in stale {
        if rows >= ROWS_MAX {
            break;
        }
        removed.done += 1;
        let job = read::job(connection, one.id, &mut names)?;
        let is_same = |job: &Job| job.status.version == one.version && job.status.state.is_final();
        if let Some(job) = job.filter(is_same) {
            rows += delete(connection, &job)?;
            removed.jobs += 1;
        }
    }
    Ok(removed)
}

fn delete(connection: &mut SqliteConnection, job: &Job) -> Result<usize, Fault> {
    let id = key(job.id);
    let mut rows = 0;
    for label in &job.spec.labels {
        let row = labels::table.find((&*label.key, &*label.value, &id[..]));
        rows += diesel::delete(row).execute(connection)?;
    }
    rows +=
        diesel::delete(attempts::table.filter(attempts::job.eq(&id[..]))).execute(connection)?;
    rows += diesel::delete(specs::table.find(&id[..])).execute(connection)?;
    if let Some(unique) = sentinel_domain::unique_key(&job.spec) {
        let held = keys::table.find(unique.as_bytes()).filter(keys::job.eq(&id[..]));
        rows += diesel::delete(held).execute(connection)?;
    }
    rows += diesel::delete(jobs::table.find(&id[..])).execute(connection)?;
    Ok(rows)
}

/// Deletes log lines of jobs. Answers how many of the jobs have none left.
pub(crate) fn remove_logs(
    connection: &mut SqliteConnection,
    ids: &[JobId],
) -> Result<usize, Fault> {
    let mut left = LINES_MAX;
    for (done, id) in ids.iter().enumerate() {
        let job = key(*id);
        let attempts: Vec<(i64, i64)> = log_sizes::table
            .filter(log_sizes::job.eq(&job[..]))
            .select((log_sizes::run, log_sizes::attempt))
            .load(connection)?;
        for (run, attempt) in attempts {
            let of = logs::table
                .filter(logs::job.eq(&job[..]))
                .filter(logs::run.eq(run))
                .filter(logs::attempt.eq(attempt));
            let beyond: Option<i64> = of
                .order(logs::seq.asc())
                .offset(left)
                .limit(1)
                .select(logs::seq)
                .first(connection)
                .optional()?;
            if let Some(beyond) = beyond {
                diesel::delete(of.filter(logs::seq.lt(beyond))).execute(connection)?;
                return Ok(done);
            }
            left -= diesel::delete(of).execute(connection)? as i64;
            let size = log_sizes::table.find((&job[..], run, attempt));
            diesel::delete(size).execute(connection)?;
        }
    }
    Ok(ids.len())
}

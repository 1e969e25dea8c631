//! Sorted ranges of indexes, merged by id.
//!
//! A list over several queues and states asks for one order over many ranges. SQLite would
//! read all of them and sort; here each range is read in small steps and the next id is
//! taken from the range that has it.

use std::collections::{BinaryHeap, VecDeque};

use diesel::prelude::*;
use sentinel_broker::codec::code;
use sentinel_domain::{JobId, Label, Name, State};

use super::fault::Fault;
use super::schema::{jobs, labels};
use super::{job_id, key};

/// Rows of a range that are read at once.
const STEP_MIN: usize = 16;
const STEP_MAX: usize = 1024;

/// One sorted range of an index.
#[derive(Clone, Debug)]
pub(super) enum Source {
    All,
    State(Name, State),
    Kind(Name),
    Label(Label),
}

/// Which way, and where to begin.
#[derive(Clone, Copy, Debug)]
pub(super) enum Direction {
    Rising {
        after: Option<JobId>,
    },
    /// From `from` on and below `below`.
    Falling {
        from: Option<JobId>,
        below: Option<JobId>,
    },
}

/// What a range tells about a job, as far as it had to be read.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) id: JobId,
    pub(super) queue: Option<Name>,
    pub(super) kind: Option<Name>,
    pub(super) state: Option<State>,
}

struct Range {
    source: Source,
    rows: VecDeque<Candidate>,
    /// Where the next step begins.
    direction: Direction,
    is_read: bool,
}

/// Several ranges as one.
pub(super) struct Merge {
    ranges: Vec<Range>,
    /// The head of every range that has one; the greatest key is next.
    heads: BinaryHeap<(u128, usize)>,
    step: usize,
    is_begun: bool,
}

impl Merge {
    /// `wanted` is how many candidates the caller expects to take.
    pub(super) fn new(sources: Vec<Source>, direction: Direction, wanted: usize) -> Self {
        let step = (2 * wanted / sources.len().max(1)).clamp(STEP_MIN, STEP_MAX);
        let range = |source| Range { source, rows: VecDeque::new(), direction, is_read: false };
        Self {
            ranges: sources.into_iter().map(range).collect(),
            heads: BinaryHeap::new(),
            step,
            is_begun: false,
        }
    }

    /// The next candidate in order.
    pub(super) fn next(
        &mut self,
        connection: &mut SqliteConnection,
    ) -> Result<Option<Candidate>, Fault> {
        if !self.is_begun {
            self.is_begun = true;
            for index in 0..self.ranges.len() {
                self.push_head(connection, index)?;
            }
        }
        let Some((_, index)) = self.heads.pop() else { return Ok(None) };
        let candidate = self.ranges[index].rows.pop_front();
        self.push_head(connection, index)?;
        Ok(candidate)
    }

    fn push_head(&mut self, connection: &mut SqliteConnection, index: usize) -> Result<(), Fault> {
        let range = &mut self.ranges[index];
        if range.rows.is_empty() && !range.is_read {
            range.read(connection, self.step)?;
        }
        if let Some(head) = range.rows.front() {
            let bits = head.id.as_u128();
            let rank = match range.direction {
                Direction::Rising { .. } => !bits,
                Direction::Falling { .. } => bits,
            };
            self.heads.push((rank, index));
        }
        Ok(())
    }
}

impl Range {
    fn read(&mut self, connection: &mut SqliteConnection, step: usize) -> Result<(), Fault> {
        let limit = step as i64;
        self.rows = match self.direction {
            Direction::Rising { after } => rising(connection, &self.source, after, limit)?,
            Direction::Falling { from, below } => {
                let low = key(from.unwrap_or(JobId::from_u128(0)));
                let high = key(below.unwrap_or(JobId::from_u128(u128::MAX)));
                falling(connection, &self.source, (&low, &high), limit)?
            }
        };
        self.is_read = self.rows.len() < step;
        if let Some(last) = self.rows.back() {
            match &mut self.direction {
                Direction::Rising { after } => *after = Some(last.id),
                Direction::Falling { below, .. } => *below = Some(last.id),
            }
        }
        Ok(())
    }
}

/// Only ranges by state are read upwards: that is how a start finds the live jobs.
fn rising(
    connection: &mut SqliteConnection,
    source: &Source,
    after: Option<JobId>,
    limit: i64,
) -> Result<VecDeque<Candidate>, Fault> {
    let Source::State(queue, state) = source else { return Ok(VecDeque::new()) };
    let low = after.map(key).unwrap_or_default();
    let rows: Vec<Vec<u8>> = jobs::table
        .filter(jobs::queue.eq(&**queue))
        .filter(jobs::state.eq(code::from_state(*state).cast_signed()))
        .filter(jobs::id.gt(&low[..]))
        .order(jobs::id.asc())
        .limit(limit)
        .select(jobs::id)
        .load(connection)?;
    rows.into_iter().map(|id| bare(&id)).collect()
}

fn falling(
    connection: &mut SqliteConnection,
    source: &Source,
    (low, high): (&[u8], &[u8]),
    limit: i64,
) -> Result<VecDeque<Candidate>, Fault> {
    let within = jobs::id.ge(low).and(jobs::id.lt(high));
    match source {
        Source::All => {
            let rows: Vec<Vec<u8>> = jobs::table
                .filter(within)
                .order(jobs::id.desc())
                .limit(limit)
                .select(jobs::id)
                .load(connection)?;
            rows.into_iter().map(|id| bare(&id)).collect()
        }
        Source::State(queue, state) => {
            let rows: Vec<(Vec<u8>, String)> = jobs::table
                .filter(jobs::queue.eq(&**queue))
                .filter(jobs::state.eq(code::from_state(*state).cast_signed()))
                .filter(within)
                .order(jobs::id.desc())
                .limit(limit)
                .select((jobs::id, jobs::kind))
                .load(connection)?;
            rows.into_iter()
                .map(|(id, kind)| Ok(Candidate { kind: Some(kind.into()), ..bare(&id)? }))
                .collect()
        }
        Source::Kind(kind) => {
            let rows: Vec<(Vec<u8>, i32)> = jobs::table
                .filter(jobs::kind.eq(&**kind))
                .filter(within)
                .order(jobs::id.desc())
                .limit(limit)
                .select((jobs::id, jobs::state))
                .load(connection)?;
            rows.into_iter()
                .map(|(id, state)| Ok(Candidate { state: Some(to_state(state)?), ..bare(&id)? }))
                .collect()
        }
        Source::Label(label) => labelled(connection, label, (low, high), limit),
    }
}

fn labelled(
    connection: &mut SqliteConnection,
    label: &Label,
    (low, high): (&[u8], &[u8]),
    limit: i64,
) -> Result<VecDeque<Candidate>, Fault> {
    let rows: Vec<(Vec<u8>, String, String, i32)> = labels::table
        .inner_join(jobs::table.on(jobs::id.eq(labels::job)))
        .filter(labels::key.eq(&*label.key))
        .filter(labels::value.eq(&*label.value))
        .filter(labels::job.ge(low).and(labels::job.lt(high)))
        .order(labels::job.desc())
        .limit(limit)
        .select((labels::job, jobs::queue, jobs::kind, jobs::state))
        .load(connection)?;
    rows.into_iter()
        .map(|(id, queue, kind, state)| {
            Ok(Candidate {
                id: job_id(&id)?,
                queue: Some(queue.into()),
                kind: Some(kind.into()),
                state: Some(to_state(state)?),
            })
        })
        .collect()
}

fn bare(id: &[u8]) -> Result<Candidate, Fault> {
    Ok(Candidate { id: job_id(id)?, queue: None, kind: None, state: None })
}

fn to_state(state: i32) -> Result<State, Fault> {
    Ok(code::to_state(state.cast_unsigned())?)
}

/// Whether a job has a label.
pub(super) fn has_label(
    connection: &mut SqliteConnection,
    id: JobId,
    label: &Label,
) -> Result<bool, Fault> {
    let id = key(id);
    let found: Option<Vec<u8>> = labels::table
        .find((&*label.key, &*label.value, &id[..]))
        .select(labels::job)
        .get_result(connection)
        .optional()?;
    Ok(found.is_some())
}

/// The queues that jobs are in, by name. One step into the index a queue: DISTINCT would
/// read the entry of every job.
pub(super) fn queue_names(connection: &mut SqliteConnection) -> Result<Vec<Name>, Fault> {
    let mut found: Vec<Name> = Vec::new();
    loop {
        let after = found.last().map_or("", |name| &**name);
        let next: Option<String> = jobs::table
            .filter(jobs::queue.gt(after))
            .order(jobs::queue.asc())
            .select(jobs::queue)
            .first(connection)
            .optional()?;
        match next {
            Some(name) => found.push(name.into()),
            None => return Ok(found),
        }
    }
}

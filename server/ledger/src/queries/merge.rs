//! Merges sorted index ranges by id.
//!
//! A list over several queues and states needs one order over many ranges. A database would read
//! all of them and sort. A merge reads each range in small steps and takes the next id from
//! the range that has it.

use std::collections::{BinaryHeap, VecDeque};

use sentinel_domain::Name;

use crate::connection::{Candidate, Connection, Direction, Source};
use crate::database_error::DatabaseError;

/// The number of rows of a range that one statement reads.
const STEP_MIN: usize = 16;
const STEP_MAX: usize = 1024;

struct Range {
    source: Source,
    rows: VecDeque<Candidate>,
    /// The start of the next step.
    direction: Direction,
    is_exhausted: bool,
}

/// An iterator over several ranges in one order.
pub(super) struct Merge {
    ranges: Vec<Range>,
    /// The first candidate of each range that has one; the greatest rank is next.
    heads: BinaryHeap<(u128, usize)>,
    step: usize,
    is_started: bool,
}

impl Merge {
    /// Creates a merge for a caller that expects to take `wanted` candidates.
    pub(super) fn new(sources: Vec<Source>, direction: Direction, wanted: usize) -> Self {
        let step = (2 * wanted / sources.len().max(1)).clamp(STEP_MIN, STEP_MAX);
        let range =
            |source| Range { source, rows: VecDeque::new(), direction, is_exhausted: false };
        Self {
            ranges: sources.into_iter().map(range).collect(),
            heads: BinaryHeap::new(),
            step,
            is_started: false,
        }
    }

    /// Returns the next candidates in order; fewer than `count` only at the end.
    pub(super) async fn take<C: Connection>(
        &mut self,
        conn: &mut C,
        count: usize,
    ) -> Result<Vec<Candidate>, DatabaseError> {
        let mut taken = Vec::with_capacity(count.min(STEP_MAX));
        while taken.len() < count {
            let Some(candidate) = self.next(conn).await? else { break };
            taken.push(candidate);
        }
        Ok(taken)
    }

    async fn next<C: Connection>(
        &mut self,
        conn: &mut C,
    ) -> Result<Option<Candidate>, DatabaseError> {
        if !self.is_started {
            self.is_started = true;
            self.read(conn, 0, self.ranges.len()).await?;
            for index in 0..self.ranges.len() {
                self.push_head(index);
            }
        }
        let Some((_, index)) = self.heads.pop() else { return Ok(None) };
        let candidate = self.ranges[index].rows.pop_front();
        if self.ranges[index].rows.is_empty() && !self.ranges[index].is_exhausted {
            self.read(conn, index, index + 1).await?;
        }
        self.push_head(index);
        Ok(candidate)
    }

    fn push_head(&mut self, index: usize) {
        let range = &self.ranges[index];
        if let Some(head) = range.rows.front() {
            let bits = head.id.as_u128();
            let rank = match range.direction {
                Direction::Ascending { .. } => !bits,
                Direction::Descending { .. } => bits,
            };
            self.heads.push((rank, index));
        }
    }

    async fn read<C: Connection>(
        &mut self,
        conn: &mut C,
        from: usize,
        to: usize,
    ) -> Result<(), DatabaseError> {
        let ranges = &mut self.ranges[from..to];
        let requests: Vec<_> =
            ranges.iter().map(|range| (&range.source, range.direction)).collect();
        let read = conn.ranges(&requests, self.step).await?;
        for (range, read) in ranges.iter_mut().zip(read) {
            range.is_exhausted = read.len() < self.step;
            if let Some(last) = read.back() {
                match &mut range.direction {
                    Direction::Ascending { after } => *after = Some(last.id),
                    Direction::Descending { below, .. } => *below = Some(last.id),
                }
            }
            range.rows = read;
        }
        Ok(())
    }
}

/// Returns the queues that contain jobs, sorted by name.
pub(super) async fn queue_names<C: Connection>(conn: &mut C) -> Result<Vec<Name>, DatabaseError> {
    let mut found: Vec<Name> = Vec::new();
    loop {
        let after = found.last().map_or("", |name| &**name);
        match conn.queue_after(after).await? {
            Some(name) => found.push(name),
            None => return Ok(found),
        }
    }
}

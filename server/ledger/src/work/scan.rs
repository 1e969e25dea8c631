//! Sorted ranges of indexes, merged by id.
//!
//! A list over several queues and states asks for one order over many ranges. A database
//! would read all of them and sort; here each range is read in small steps and the next id is
//! taken from the range that has it.

use std::collections::{BinaryHeap, VecDeque};

use sentinel_domain::Name;

use crate::rows::{Candidate, Direction, Rows, Source};
use crate::sql::Fault;

/// Rows of a range that are read at once.
const STEP_MIN: usize = 16;
const STEP_MAX: usize = 1024;

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

    /// The next candidates in order; fewer than `count` only at the end.
    pub(super) async fn take<R: Rows>(
        &mut self,
        rows: &mut R,
        count: usize,
    ) -> Result<Vec<Candidate>, Fault> {
        let mut taken = Vec::with_capacity(count.min(STEP_MAX));
        while taken.len() < count {
            let Some(candidate) = self.next(rows).await? else { break };
            taken.push(candidate);
        }
        Ok(taken)
    }

    async fn next<R: Rows>(&mut self, rows: &mut R) -> Result<Option<Candidate>, Fault> {
        if !self.is_begun {
            self.is_begun = true;
            self.read(rows, 0, self.ranges.len()).await?;
            for index in 0..self.ranges.len() {
                self.push_head(index);
            }
        }
        let Some((_, index)) = self.heads.pop() else { return Ok(None) };
        let candidate = self.ranges[index].rows.pop_front();
        if self.ranges[index].rows.is_empty() && !self.ranges[index].is_read {
            self.read(rows, index, index + 1).await?;
        }
        self.push_head(index);
        Ok(candidate)
    }

    fn push_head(&mut self, index: usize) {
        let range = &self.ranges[index];
        if let Some(head) = range.rows.front() {
            let bits = head.id.as_u128();
            let rank = match range.direction {
                Direction::Rising { .. } => !bits,
                Direction::Falling { .. } => bits,
            };
            self.heads.push((rank, index));
        }
    }

    async fn read<R: Rows>(&mut self, rows: &mut R, from: usize, to: usize) -> Result<(), Fault> {
        let ranges = &mut self.ranges[from..to];
        let asked: Vec<_> = ranges.iter().map(|range| (&range.source, range.direction)).collect();
        let read = rows.ranges(&asked, self.step).await?;
        for (range, read) in ranges.iter_mut().zip(read) {
            range.is_read = read.len() < self.step;
            if let Some(last) = read.back() {
                match &mut range.direction {
                    Direction::Rising { after } => *after = Some(last.id),
                    Direction::Falling { below, .. } => *below = Some(last.id),
                }
            }
            range.rows = read;
        }
        Ok(())
    }
}

/// The queues that jobs are in, by name.
pub(super) async fn queue_names<R: Rows>(rows: &mut R) -> Result<Vec<Name>, Fault> {
    let mut found: Vec<Name> = Vec::new();
    loop {
        let after = found.last().map_or("", |name| &**name);
        match rows.queue_after(after).await? {
            Some(name) => found.push(name),
            None => return Ok(found),
        }
    }
}

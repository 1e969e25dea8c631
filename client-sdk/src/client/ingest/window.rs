//! What a producer has handed over and the server has not told as committed. Kept until then,
//! whatever becomes of the stream.

use std::collections::VecDeque;

use prost::Message;

use crate::Error;
use crate::proto::jobs::v1::{IngestCommitted, IngestItem, IngestRefused, IngestStarted, JobSpec};

/// Refusals that nobody took; beyond, the oldest are dropped.
const REFUSED_MAX: usize = 10_000;

/// The state that a producer and its stream share.
#[derive(Debug, Default)]
pub(super) struct Window {
    committed: u64,
    /// Those after `committed`, in order, with their bytes.
    items: VecDeque<(JobSpec, u64)>,
    items_bytes: u64,
    max_items: u64,
    max_bytes: u64,
    refused: VecDeque<IngestRefused>,
    refused_count: u64,
    /// No more items will come.
    pub(super) is_finishing: bool,
    /// How the stream ended, when it did for good.
    pub(super) ended: Option<Result<(), Error>>,
}

impl Window {
    /// Where a producer of this process begins.
    pub(super) fn new(started: IngestStarted) -> Self {
        let mut window = Self { committed: started.committed_offset, ..Self::default() };
        window.sized(&started);
        window.refuse(started.refused);
        window
    }

    fn sized(&mut self, started: &IngestStarted) {
        self.max_items = u64::from(started.window_items.max(1));
        self.max_bytes = started.window_bytes.max(1);
    }

    pub(super) fn committed(&self) -> u64 {
        self.committed
    }

    /// The last item that was handed over.
    pub(super) fn last(&self) -> u64 {
        self.committed + self.items.len() as u64
    }

    /// Whether one more item of so many bytes may follow these.
    fn has_room(&self, (items, bytes): (u64, u64), more: u64) -> bool {
        items == 0 || (items < self.max_items && bytes + more <= self.max_bytes)
    }

    /// Takes an item if there is room; its offset.
    pub(super) fn push(&mut self, spec: &mut Option<JobSpec>) -> Option<u64> {
        let bytes = spec.as_ref()?.encoded_len() as u64;
        if !self.has_room((self.items.len() as u64, self.items_bytes), bytes) {
            return None;
        }
        self.items.push_back((spec.take()?, bytes));
        self.items_bytes += bytes;
        Some(self.last())
    }

    /// The item at an offset, if it was handed over and may follow what is on the way: the
    /// items before it that are not committed, `sent_bytes` of them. With its bytes.
    pub(super) fn item(&self, offset: u64, sent_bytes: u64) -> Option<(IngestItem, u64)> {
        let at = offset.checked_sub(self.committed + 1)?;
        let (spec, bytes) = self.items.get(usize::try_from(at).ok()?)?;
        let may_follow = self.has_room((at, sent_bytes), *bytes);
        may_follow.then(|| (IngestItem { offset, spec: Some(spec.clone()) }, *bytes))
    }

    /// A new stream of the same producer has begun.
    pub(super) fn resume(&mut self, started: IngestStarted) -> Result<(), Error> {
        let (committed, sent) = (self.committed, self.last());
        let server_offset = started.committed_offset;
        if server_offset < committed {
            return Err(Error::ProducerOffsetLost { committed, server_offset });
        }
        if server_offset > sent {
            return Err(Error::ProducerOffsetAhead { sent, server_offset });
        }
        self.sized(&started);
        let refused = started.refused.into_iter().filter(|refused| refused.offset > committed);
        self.refuse(refused.collect());
        self.reach(server_offset);
        Ok(())
    }

    /// Items of which the last one sent is `sent` are committed; the bytes of them.
    pub(super) fn commit(&mut self, told: IngestCommitted, sent: u64) -> Result<u64, Error> {
        let reached = told.committed_offset;
        if reached < self.committed || reached > sent {
            return Err(Error::Protocol { message: "IngestCommitted of items that were not sent" });
        }
        self.refuse(told.refused);
        Ok(self.reach(reached))
    }

    fn reach(&mut self, offset: u64) -> u64 {
        let count = (offset - self.committed) as usize;
        let bytes = self.items.drain(..count).map(|(_, bytes)| bytes).sum::<u64>();
        self.committed = offset;
        self.items_bytes -= bytes;
        bytes
    }

    fn refuse(&mut self, refused: Vec<IngestRefused>) {
        self.refused_count += refused.len() as u64;
        self.refused.extend(refused);
        let over = self.refused.len().saturating_sub(REFUSED_MAX);
        self.refused.drain(..over);
    }

    /// Refusals that nobody took yet, and how many there were in all.
    pub(super) fn take_refused(&mut self) -> (Vec<IngestRefused>, u64) {
        (self.refused.drain(..).collect(), self.refused_count)
    }
}

#[cfg(test)]
mod tests;

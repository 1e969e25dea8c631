//! The sliding window of a producer: items that were sent but not acknowledged as committed. They
//! are kept across reconnects.

use std::collections::VecDeque;

use prost::Message;

use crate::Error;
use crate::proto::jobs::v1::{IngestCommitted, IngestItem, IngestRefused, IngestStarted, JobSpec};

/// The limit of stored refusals; older ones are dropped.
const MAX_REFUSED: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Window {
    committed: u64,
    /// The items after `committed`, in order, with their encoded sizes.
    items: VecDeque<(JobSpec, u64)>,
    items_bytes: u64,
    max_items: u64,
    max_bytes: u64,
    refused: VecDeque<IngestRefused>,
    refused_count: u64,
    /// Whether the producer sends no more items.
    pub(super) is_finishing: bool,
    /// The result of the stream, once it has closed permanently.
    pub(super) closed: Option<Result<(), Error>>,
}

impl Window {
    /// An empty window at the server's committed offset.
    pub(super) fn new(started: IngestStarted) -> Self {
        let mut window = Self { committed: started.committed_offset, ..Self::default() };
        window.set_limits(&started);
        window.add_refused(started.refused);
        window
    }

    fn set_limits(&mut self, started: &IngestStarted) {
        self.max_items = u64::from(started.window_items.max(1));
        self.max_bytes = started.window_bytes.max(1);
    }

    pub(super) fn committed(&self) -> u64 {
        self.committed
    }

    /// The offset of the last item in the window.
    pub(super) fn last(&self) -> u64 {
        self.committed + self.items.len() as u64
    }

    /// Whether the producer has finished and all items are committed.
    pub(super) fn is_complete(&self) -> bool {
        self.is_finishing && self.items.is_empty()
    }

    /// Whether one more item of `size` bytes fits after `items` items with `bytes` bytes. A single
    /// item always fits.
    fn fits(&self, (items, bytes): (u64, u64), size: u64) -> bool {
        items == 0 || (items < self.max_items && bytes + size <= self.max_bytes)
    }

    /// Moves an item into the window and returns its offset, or `None` when the window is full.
    pub(super) fn push(&mut self, spec: &mut Option<JobSpec>) -> Option<u64> {
        let bytes = spec.as_ref()?.encoded_len() as u64;
        if !self.fits((self.items.len() as u64, self.items_bytes), bytes) {
            return None;
        }
        self.items.push_back((spec.take()?, bytes));
        self.items_bytes += bytes;
        Some(self.last())
    }

    /// The item at `offset` and its size, if it exists and fits into the server's window after the
    /// unacknowledged items before it, which have `sent_bytes` bytes.
    pub(super) fn item(&self, offset: u64, sent_bytes: u64) -> Option<(IngestItem, u64)> {
        let index = offset.checked_sub(self.committed + 1)?;
        let (spec, bytes) = self.items.get(usize::try_from(index).ok()?)?;
        let fits = self.fits((index, sent_bytes), *bytes);
        fits.then(|| (IngestItem { offset, spec: Some(spec.clone()) }, *bytes))
    }

    /// Applies the IngestStarted of a reconnect.
    pub(super) fn resume(&mut self, started: IngestStarted) -> Result<(), Error> {
        let (committed, sent) = (self.committed, self.last());
        let server_offset = started.committed_offset;
        if server_offset < committed {
            return Err(Error::ProducerOffsetLost { committed, server_offset });
        }
        if server_offset > sent {
            return Err(Error::ProducerOffsetAhead { sent, server_offset });
        }
        self.set_limits(&started);
        let refused = started.refused.into_iter().filter(|refused| refused.offset > committed);
        self.add_refused(refused.collect());
        self.advance(server_offset);
        Ok(())
    }

    /// Removes committed items and returns their bytes. `last_sent` is the last offset that was
    /// sent on this stream.
    pub(super) fn commit(
        &mut self,
        message: IngestCommitted,
        last_sent: u64,
    ) -> Result<u64, Error> {
        let offset = message.committed_offset;
        if offset < self.committed || offset > last_sent {
            return Err(Error::Protocol {
                message: "IngestCommitted for items that were not sent",
            });
        }
        self.add_refused(message.refused);
        Ok(self.advance(offset))
    }

    fn advance(&mut self, offset: u64) -> u64 {
        let count = (offset - self.committed) as usize;
        let bytes = self.items.drain(..count).map(|(_, bytes)| bytes).sum::<u64>();
        self.committed = offset;
        self.items_bytes -= bytes;
        bytes
    }

    fn add_refused(&mut self, refused: Vec<IngestRefused>) {
        self.refused_count += refused.len() as u64;
        self.refused.extend(refused);
        let excess = self.refused.len().saturating_sub(MAX_REFUSED);
        self.refused.drain(..excess);
    }

    /// Removes and returns the stored refusals, with the number of all refusals so far.
    pub(super) fn take_refused(&mut self) -> (Vec<IngestRefused>, u64) {
        (self.refused.drain(..).collect(), self.refused_count)
    }
}

#[cfg(test)]
mod tests;

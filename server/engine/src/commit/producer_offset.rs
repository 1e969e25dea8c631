//! The offset of a producer: how far its items are committed.
//!
//! It is stored as an idempotency record, in the transaction that creates the jobs of the items.

use std::collections::VecDeque;

use bytes::Bytes;
use sentinel_domain::limits::{INGEST_WINDOW_ITEMS, PRODUCER_OFFSET_TTL_MS};
use sentinel_domain::{Ack, Millis};
use sentinel_store::{IdempotencyRecord, Mutation, Precondition, StoreError, Transaction};

use super::idempotency::{read_array, read_text};
use crate::EngineError;
use crate::error::ItemError;

/// The version of the encoding.
const FORMAT: u8 = 1;

/// The most bytes that are kept of the texts of a rejection.
const MESSAGE_BYTES: usize = 512;
const FIELD_BYTES: usize = 256;

/// An item of a producer that became no job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedItem {
    pub offset: u64,
    pub error: ItemError,
}

/// The stored offset of a producer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProducerOffset {
    /// The stream that owns the producer. Every Start draws another number.
    pub(crate) stream: u64,
    pub(crate) committed: u64,
    /// The durability level of the last items. A reader of the offset waits for it.
    pub(crate) level: Ack,
    /// The rejected ones among the last items, oldest first.
    pub(crate) rejected: VecDeque<RejectedItem>,
}

/// A stream's view of its producer: the offset, and the record that its next commit expects.
#[derive(Clone, Debug)]
pub(crate) struct ProducerState {
    /// The id of the record.
    pub(crate) id: Box<str>,
    pub(crate) offset: ProducerOffset,
    /// The encoded offset in the store, if there is one.
    pub(crate) stored: Option<Bytes>,
    /// The durability level that every commit has at least.
    pub(crate) min_level: Ack,
}

impl ProducerState {
    /// Returns the offset after a batch of items that follow it.
    pub(crate) fn after<T>(&self, items: &[Result<T, ItemError>], level: Ack) -> ProducerOffset {
        let ProducerOffset { stream, committed, ref rejected, .. } = self.offset;
        let mut offset = ProducerOffset {
            stream,
            committed: committed + items.len() as u64,
            level,
            rejected: rejected.clone(),
        };
        for (number, item) in (committed + 1..).zip(items) {
            if let Err(error) = item {
                let mut error = error.clone();
                truncate(&mut error.message, MESSAGE_BYTES);
                truncate(&mut error.field, FIELD_BYTES);
                offset.rejected.push_back(RejectedItem { offset: number, error });
            }
        }
        let before = offset.committed.saturating_sub(INGEST_WINDOW_ITEMS);
        offset.rejected.retain(|rejected| rejected.offset > before);
        offset
    }

    /// Makes a transaction move the offset, on the condition that it is still the stored one.
    pub(crate) fn advance(&self, transaction: &mut Transaction, to: &ProducerOffset, now: Millis) {
        let (id, response) = (self.id.clone(), self.stored.clone());
        // The first precondition: a stream that lost its producer must not see other conflicts.
        transaction.preconditions.insert(0, Precondition::IdempotencyRecord { id, response });
        transaction.mutations.push(Mutation::PutIdempotencyRecord(IdempotencyRecord {
            id: self.id.clone(),
            content_hash: 0,
            response: to.encode(),
            expires_at: now + PRODUCER_OFFSET_TTL_MS.cast_signed(),
        }));
    }

    /// Returns the state after a commit that moved the offset.
    pub(crate) fn moved_to(&self, offset: ProducerOffset) -> Self {
        let stored = Some(offset.encode());
        Self { id: self.id.clone(), stored, offset, min_level: self.min_level }
    }
}

fn truncate(text: &mut String, max: usize) {
    text.truncate(text.floor_char_boundary(max));
}

impl ProducerOffset {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(32);
        out.extend([FORMAT, self.level as u8]);
        out.extend(self.stream.to_be_bytes());
        out.extend(self.committed.to_be_bytes());
        for RejectedItem { offset, error } in &self.rejected {
            out.extend(offset.to_be_bytes());
            for text in [&error.reason, &error.message, &error.field] {
                out.extend((text.len() as u32).to_be_bytes());
                out.extend(text.as_bytes());
            }
        }
        out.into()
    }

    pub(crate) fn decode(stored: &[u8]) -> Result<Self, EngineError> {
        let damaged = || StoreError::Damaged("the offset of a producer cannot be decoded".into());
        Ok(Self::try_decode(stored).ok_or_else(damaged)?)
    }

    fn try_decode(mut bytes: &[u8]) -> Option<Self> {
        let [format, level] = *read_array(&mut bytes)?;
        let level = match (format, level) {
            (FORMAT, 0) => Ack::Store,
            (FORMAT, 1) => Ack::Replicated,
            (FORMAT, 2) => Ack::Ledger,
            _ => return None,
        };
        let stream = u64::from_be_bytes(*read_array(&mut bytes)?);
        let committed = u64::from_be_bytes(*read_array(&mut bytes)?);
        let mut rejected = VecDeque::new();
        while !bytes.is_empty() {
            let offset = u64::from_be_bytes(*read_array(&mut bytes)?);
            let (reason, message) = (read_text(&mut bytes)?, read_text(&mut bytes)?);
            let field = read_text(&mut bytes)?;
            let error = ItemError { reason, message, field };
            rejected.push_back(RejectedItem { offset, error });
        }
        Some(Self { stream, committed, level, rejected })
    }
}

#[cfg(test)]
mod tests;

//! Where a producer stands, as it is remembered beside the jobs that its items became.

use std::collections::VecDeque;

use bytes::Bytes;
use sentinel_domain::limits::{INGEST_POSITION_TTL_MS, INGEST_WINDOW_ITEMS};
use sentinel_domain::{Ack, Millis};
use sentinel_store::{IdempotencyRecord, Mutation, Precondition, StoreError, Transaction};

use crate::EngineError;
use crate::answer::{take, text};
use crate::batch::{BatchItem, ItemRefused};

/// Begins what is remembered, so that a later version can tell what it reads.
const FORMAT: u8 = 1;

/// Texts of a refusal that are kept.
const MESSAGE_BYTES: usize = 512;
const FIELD_BYTES: usize = 256;

/// An item that became no job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedItem {
    pub offset: u64,
    pub why: ItemRefused,
}

/// How far a producer has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The stream that holds the producer: each Start is another one.
    pub(crate) stream: u64,
    pub(crate) committed: u64,
    /// How safe the last items had to be: who reads the place waits for it.
    pub(crate) level: Ack,
    /// Among the last items, the oldest first.
    pub(crate) refused: VecDeque<RefusedItem>,
}

/// What a stream believes to be remembered of its producer.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    /// Under which it is remembered.
    pub(crate) id: Box<str>,
    pub(crate) place: Place,
    /// The place as it is remembered.
    pub(crate) known: Option<Bytes>,
    /// What must have a commit before it is told, at least.
    pub(crate) least: Ack,
}

impl Standing {
    /// The place after a batch of items that follow it.
    pub(crate) fn after(&self, items: &[BatchItem], level: Ack) -> Place {
        let Place { stream, committed, ref refused, .. } = self.place;
        let mut place = Place {
            stream,
            committed: committed + items.len() as u64,
            level,
            refused: refused.clone(),
        };
        for (offset, item) in (committed + 1..).zip(items) {
            if let Err(why) = item {
                let mut why = why.clone();
                cut(&mut why.message, MESSAGE_BYTES);
                cut(&mut why.field, FIELD_BYTES);
                place.refused.push_back(RefusedItem { offset, why });
            }
        }
        let before = place.committed.saturating_sub(INGEST_WINDOW_ITEMS);
        place.refused.retain(|refused| refused.offset > before);
        place
    }

    /// Makes a group hold only while the producer stands here, and move it on.
    pub(crate) fn advance(&self, group: &mut Transaction, to: &Place, now: Millis) {
        let guard = Precondition::Remembered { id: self.id.clone(), answer: self.known.clone() };
        // First: what else may be in the way does not matter to a stream that is over.
        group.guards.insert(0, guard);
        group.changes.push(Mutation::Remember(IdempotencyRecord {
            id: self.id.clone(),
            content_hash: 0,
            answer: to.encode(),
            until: now + INGEST_POSITION_TTL_MS.cast_signed(),
        }));
    }

    /// The standing of the same stream at another place.
    pub(crate) fn at(&self, place: Place) -> Self {
        let known = Some(place.encode());
        Self { id: self.id.clone(), known, place, least: self.least }
    }
}

fn cut(text: &mut String, max: usize) {
    text.truncate(text.floor_char_boundary(max));
}

impl Place {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(32);
        out.extend([FORMAT, self.level as u8]);
        out.extend(self.stream.to_be_bytes());
        out.extend(self.committed.to_be_bytes());
        for RefusedItem { offset, why } in &self.refused {
            out.extend(offset.to_be_bytes());
            for text in [&why.reason, &why.message, &why.field] {
                out.extend((text.len() as u32).to_be_bytes());
                out.extend(text.as_bytes());
            }
        }
        out.into()
    }

    /// From what is remembered.
    pub(crate) fn read(known: &[u8]) -> Result<Self, EngineError> {
        let damaged = || StoreError::Damaged("the position of a producer can not be read".into());
        Ok(Self::decode(known).ok_or_else(damaged)?)
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let [format, level] = *take(&mut bytes)?;
        let level = match (format, level) {
            (FORMAT, 0) => Ack::Store,
            (FORMAT, 1) => Ack::Replicated,
            (FORMAT, 2) => Ack::Ledger,
            _ => return None,
        };
        let stream = u64::from_be_bytes(*take(&mut bytes)?);
        let committed = u64::from_be_bytes(*take(&mut bytes)?);
        let mut refused = VecDeque::new();
        while !bytes.is_empty() {
            let offset = u64::from_be_bytes(*take(&mut bytes)?);
            let (reason, message) = (text(&mut bytes)?, text(&mut bytes)?);
            let field = text(&mut bytes)?;
            refused.push_back(RefusedItem { offset, why: ItemRefused { reason, message, field } });
        }
        Some(Self { stream, committed, level, refused })
    }
}

#[cfg(test)]
mod tests;

//! Idempotency records in memory, until they expire.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::HashMap;
use sentinel_domain::{Millis, limits};
use sentinel_store::IdempotencyRecord;

struct Stored {
    content_hash: u64,
    response: Bytes,
    expires_at: Millis,
    order: u64,
}

/// The result of a lookup by idempotency key.
pub(crate) enum Lookup {
    /// There is no record, or it has expired.
    Missing,
    /// The request is a repeat; this is the stored response.
    Replay(Bytes),
    /// The key was used for a request with other content.
    OtherContent,
}

/// Records by id. [`Self::remove_expired`] enforces [`limits::IDEMPOTENCY_RECORDS_MAX`] and
/// [`limits::IDEMPOTENCY_BYTES`].
#[derive(Default)]
pub(crate) struct IdempotencyRecords {
    by_id: HashMap<Arc<str>, Stored>,
    by_expiry: BTreeMap<(Millis, u64), Arc<str>>,
    next_order: u64,
    response_bytes: u64,
}

impl IdempotencyRecords {
    pub(crate) fn lookup(&self, record: &IdempotencyRecord, now: Millis) -> Lookup {
        match self.by_id.get(&*record.id) {
            Some(stored) if stored.expires_at <= now => Lookup::Missing,
            Some(stored) if stored.content_hash == record.content_hash => {
                Lookup::Replay(stored.response.clone())
            }
            Some(_) => Lookup::OtherContent,
            None => Lookup::Missing,
        }
    }

    /// Returns the stored response of an id, unless it has expired.
    pub(crate) fn response(&self, id: &str, now: Millis) -> Option<&Bytes> {
        let stored = self.by_id.get(id).filter(|stored| stored.expires_at > now)?;
        Some(&stored.response)
    }

    /// Stores a record and returns the previous one of its id.
    pub(crate) fn put(&mut self, record: &IdempotencyRecord) -> Option<IdempotencyRecord> {
        let old = self.remove(&record.id);
        let id: Arc<str> = Arc::from(&*record.id);
        let order = self.next_order;
        self.next_order += 1;
        self.by_expiry.insert((record.expires_at, order), id.clone());
        let IdempotencyRecord { content_hash, expires_at, .. } = *record;
        let response = record.response.clone();
        self.response_bytes += response.len() as u64;
        self.by_id.insert(id, Stored { content_hash, response, expires_at, order });
        old
    }

    /// Returns all records, sorted by expiry.
    pub(crate) fn all(&self) -> Vec<IdempotencyRecord> {
        let record = |id: &Arc<str>| {
            let Stored { content_hash, response, expires_at, .. } = self.by_id.get(id)?;
            let (content_hash, expires_at) = (*content_hash, *expires_at);
            let (id, response) = ((&**id).into(), response.clone());
            Some(IdempotencyRecord { id, content_hash, response, expires_at })
        };
        self.by_expiry.values().filter_map(record).collect()
    }

    /// Removes and returns the record of an id.
    pub(crate) fn remove(&mut self, id: &str) -> Option<IdempotencyRecord> {
        let Stored { content_hash, response, expires_at, order } = self.by_id.remove(id)?;
        self.by_expiry.remove(&(expires_at, order));
        self.response_bytes -= response.len() as u64;
        Some(IdempotencyRecord { id: id.into(), content_hash, response, expires_at })
    }

    /// Removes at most `limit` records that have expired or exceed the limits, the oldest first.
    pub(crate) fn remove_expired(&mut self, now: Millis, limit: usize) {
        for _ in 0..limit {
            let Some(first) = self.by_expiry.first_entry() else { return };
            let has_expired = first.key().0 <= now;
            let fits = self.by_id.len() as u64 <= limits::IDEMPOTENCY_RECORDS_MAX
                && self.response_bytes <= limits::IDEMPOTENCY_BYTES;
            if !has_expired && fits {
                return;
            }
            let id = first.get().clone();
            self.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests;

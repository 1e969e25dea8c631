//! Idempotency records: the responses of requests, and the offsets of producers.

use bytes::Bytes;
use sentinel_domain::Millis;

/// The stored response of a request, under its idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// The idempotency key, or the key of a producer's offset.
    pub id: Box<str>,
    /// The hash of the request, by [`content_hash`].
    pub content_hash: u64,
    pub response: Bytes,
    pub expires_at: Millis,
}

/// The prefix of the ids under which the offsets of producers are stored. No request has such an
/// id.
///
/// The ledger also stores these records, together with the jobs up to the offset.
pub const PRODUCER_OFFSET_PREFIX: &str = "ingest/";

impl IdempotencyRecord {
    /// Returns whether the record is the offset of a producer.
    pub fn is_producer_offset(&self) -> bool {
        self.id.starts_with(PRODUCER_OFFSET_PREFIX)
    }
}

/// Returns the hash of a request. It is stored, so it is the same in all versions and on all
/// machines.
pub fn content_hash(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

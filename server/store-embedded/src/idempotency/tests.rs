//! The limits on idempotency records.

use super::*;

fn record(n: u64, response: &Bytes) -> IdempotencyRecord {
    let (response, expires_at) = (response.clone(), 1_000 + n as Millis);
    IdempotencyRecord { id: n.to_string().into(), content_hash: n, response, expires_at }
}

fn is_stored(records: &IdempotencyRecords, n: u64) -> bool {
    !matches!(records.lookup(&record(n, &Bytes::new()), 0), Lookup::Missing)
}

/// Stores one record more than `max`, and checks that only the oldest one is removed.
fn exceed_limit(max: u64, response: &Bytes) {
    let mut records = IdempotencyRecords::default();
    for n in 0..max {
        records.put(&record(n, response));
        records.remove_expired(0, 1);
    }
    assert!(is_stored(&records, 0), "at the limit all records are stored");
    records.put(&record(max, response));
    records.remove_expired(0, 1_000);
    assert!(!is_stored(&records, 0) && is_stored(&records, 1) && is_stored(&records, max));
}

#[test]
fn the_oldest_records_are_removed_at_the_limit() {
    exceed_limit(limits::IDEMPOTENCY_RECORDS_MAX, &Bytes::new());
}

#[test]
fn the_oldest_responses_are_removed_at_the_limit() {
    let response = Bytes::from(vec![0; 1 << 20]);
    exceed_limit(limits::IDEMPOTENCY_BYTES >> 20, &response);
    let mut records = IdempotencyRecords::default();
    for _ in 0..3 {
        records.put(&record(7, &response));
        assert_eq!(records.response_bytes, 1 << 20, "a newer response replaces the older one");
    }
    records.remove_expired(2_000, 10);
    assert_eq!((records.response_bytes, is_stored(&records, 7)), (0, false));
}

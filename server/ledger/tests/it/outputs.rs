//! Output of each lease is stored once, in order, within its size limit, and is deleted with its
//! job.

use bytes::Bytes;
use sentinel_domain::JobId;
use sentinel_domain::limits::{OUTPUT_ATTEMPT_BYTES, OUTPUT_CHUNK_BYTES};
use sentinel_ledger::{Ledger, OutputPosition, OutputQuery};

use crate::backend::{BackendKind, fresh_ledger, on_every_backend};
use crate::journal_fixture::START;

on_every_backend!(
    a_chunk_is_appended_once_and_only_at_the_end,
    a_new_lease_of_an_attempt_starts_with_empty_output,
    the_output_of_a_lease_is_limited,
    output_is_deleted_in_limited_steps,
);

fn job(number: u16) -> JobId {
    JobId::new(START, 0, u64::from(number) << 2)
}

fn position(job: JobId, epoch: u64, offset: u64) -> OutputPosition {
    OutputPosition { job, run: 1, attempt: 1, epoch, offset }
}

fn all(job: JobId) -> OutputQuery {
    OutputQuery { job, run: 1, attempt: 1, after: None, offset: 0 }
}

async fn put(ledger: &Ledger, at: OutputPosition, data: &[u8]) -> u64 {
    ledger.append_output(at, Bytes::copy_from_slice(data)).await.expect("written")
}

/// Reads all output, page by page.
async fn read(ledger: &Ledger, mut query: OutputQuery) -> Vec<u8> {
    let mut found = Vec::new();
    loop {
        let chunks = ledger.read_output(query).await.expect("chunks");
        let Some(last) = chunks.last() else { return found };
        query.after = Some(last.cursor);
        for chunk in chunks {
            assert_eq!(chunk.offset, query.offset + found.len() as u64, "no gap");
            found.extend(chunk.data);
        }
    }
}

async fn a_chunk_is_appended_once_and_only_at_the_end(backend: BackendKind) {
    let (_database, ledger) = fresh_ledger(backend).await;
    let id = job(1);
    assert_eq!(ledger.last_attempt_with_output(id, 1).await, Ok(None));
    assert_eq!(put(&ledger, position(id, 7, 5), b"early").await, 0, "the output is empty");
    assert_eq!(put(&ledger, position(id, 7, 0), b"one ").await, 4);
    assert_eq!(put(&ledger, position(id, 7, 0), b"one ").await, 4, "a repeat");
    assert_eq!(put(&ledger, position(id, 7, 4), b"").await, 4, "an empty chunk");
    assert_eq!(put(&ledger, position(id, 7, 9), b"far").await, 4, "a gap");
    let text: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut end = 4;
    for chunk in text.chunks(1_000) {
        end = put(&ledger, position(id, 7, end), chunk).await;
    }
    let whole = [b"one ".as_slice(), &text].concat();
    assert_eq!(read(&ledger, all(id)).await, whole);
    for offset in [1, 4, 5, 1_004, 399_999, whole.len() as u64, u64::MAX] {
        let rest = whole.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
        assert!(read(&ledger, OutputQuery { offset, ..all(id) }).await == rest, "from {offset}");
    }
    assert_eq!(ledger.last_attempt_with_output(id, 1).await, Ok(Some(1)));
    assert_eq!(ledger.last_attempt_with_output(id, 2).await, Ok(None));
    assert_eq!(read(&ledger, OutputQuery { attempt: 2, ..all(id) }).await, b"");
}

async fn a_new_lease_of_an_attempt_starts_with_empty_output(backend: BackendKind) {
    let (_database, ledger) = fresh_ledger(backend).await;
    let id = job(1);
    put(&ledger, position(id, 1, 0), b"of the first").await;
    let first = ledger.read_output(all(id)).await.expect("chunks");
    put(&ledger, position(id, 2, 0), b"second").await;
    // The first lease has ended. Readers do not see its late output.
    put(&ledger, position(id, 1, 12), b" and late").await;
    assert_eq!(read(&ledger, all(id)).await, b"second");
    let query = OutputQuery { after: Some(first[0].cursor), ..all(id) };
    assert_eq!(read(&ledger, query).await, b"second", "a reader of the first lease restarts");
}

async fn the_output_of_a_lease_is_limited(backend: BackendKind) {
    let (_database, ledger) = fresh_ledger(backend).await;
    let id = job(1);
    let chunk = vec![b'x'; OUTPUT_CHUNK_BYTES as usize];
    let mut end = 0;
    while end < OUTPUT_ATTEMPT_BYTES {
        end = put(&ledger, position(id, 1, end), &chunk).await;
    }
    assert_eq!(end, OUTPUT_ATTEMPT_BYTES);
    assert_eq!(put(&ledger, position(id, 1, end), b"y").await, end, "refused");
    assert_eq!(put(&ledger, position(id, 2, 0), b"y").await, 1, "another lease has its own limit");
}

async fn output_is_deleted_in_limited_steps(backend: BackendKind) {
    let (_database, ledger) = fresh_ledger(backend).await;
    let (deleted, kept) = (job(1), job(2));
    for id in [deleted, kept] {
        for epoch in [1, 2] {
            let mut end = 0;
            for _ in 0..1_500 {
                end = put(&ledger, position(id, epoch, end), b"z").await;
            }
        }
    }
    let mut steps = 0;
    while ledger.remove_attempt_data(vec![deleted]).await == Ok(0) {
        steps += 1;
        assert!(steps < 10, "it finishes");
    }
    assert!(steps > 0, "one transaction deletes fewer than 3,000 chunks");
    assert_eq!(read(&ledger, all(deleted)).await, b"");
    assert_eq!(read(&ledger, all(kept)).await.len(), 1_500);
}

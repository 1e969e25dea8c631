//! The checkpoint fences projectors, and a batch is atomic.

use std::sync::Arc;

use sentinel_domain::limits::PAYLOAD_MAX_BYTES;
use sentinel_domain::{Filter, Label, NewJob};
use sentinel_ledger::{LedgerError, PageRequest};
use sentinel_store::{JournalEntry, Position};

use crate::backend::{BackendKind, fresh_ledger, on_every_backend};
use crate::journal_fixture::Journal;

on_every_backend!(
    a_new_ledger_has_the_default_checkpoint,
    one_of_two_concurrent_projectors_is_superseded,
    a_repeated_batch_is_refused_and_changes_nothing,
    a_gap_is_refused,
    a_batch_with_an_unknown_job_is_rolled_back,
    a_batch_of_thousands_of_jobs_is_one_transaction,
    text_is_stored_byte_for_byte,
    the_largest_job_fits,
);

async fn a_new_ledger_has_the_default_checkpoint(backend: BackendKind) {
    let (_database, ledger) = fresh_ledger(backend).await;
    assert_eq!(ledger.checkpoint().await, Ok(Position::default()));
    assert_eq!(ledger.as_of().await, Ok(0));
    assert_eq!(ledger.project(Position::default(), vec![]).await, Ok(Position::default()));
}

async fn one_of_two_concurrent_projectors_is_superseded(backend: BackendKind) {
    let (database, ledger) = fresh_ledger(backend).await;
    let other = database.open().await;
    let mut journal = Journal::new(1);
    let entries = vec![journal.entry_with_new_jobs(50)];
    let start = Position::default();
    let (one, two) =
        tokio::join!(ledger.project(start, entries.clone()), other.project(start, entries));
    let lost = LedgerError::Superseded { expected: start, found: journal.position };
    let won = Ok(journal.position);
    assert!(
        (one == won && two == Err(lost.clone())) || (two == won && one == Err(lost)),
        "{one:?} and {two:?}"
    );
}

async fn a_repeated_batch_is_refused_and_changes_nothing(backend: BackendKind) {
    let (_database, ledger) = fresh_ledger(backend).await;
    let mut journal = Journal::new(2);
    let first = vec![journal.entry_with_new_jobs(5)];
    let at = ledger.project(Position::default(), first.clone()).await.expect("a projection");
    let again = ledger.project(Position::default(), first).await;
    assert_eq!(again, Err(LedgerError::Superseded { expected: Position::default(), found: at }));
    assert_eq!(ledger.checkpoint().await, Ok(at));
}

async fn a_gap_is_refused(backend: BackendKind) {
    let (_database, ledger) = fresh_ledger(backend).await;
    let mut journal = Journal::new(3);
    let first = journal.entry_with_new_jobs(1);
    let _skipped = journal.entry_with_new_jobs(1);
    let third = journal.entry_with_new_jobs(1);
    let gap = LedgerError::Gap { after: first.position, found: third.position };
    let both = vec![first.clone(), third.clone()];
    assert_eq!(ledger.project(Position::default(), both).await, Err(gap.clone()));
    let at = ledger.project(Position::default(), vec![first]).await.expect("a projection");
    assert_eq!(ledger.project(at, vec![third]).await, Err(gap));
}

async fn a_batch_with_an_unknown_job_is_rolled_back(backend: BackendKind) {
    let (_database, ledger) = fresh_ledger(backend).await;
    let mut journal = Journal::new(4);
    let entry = journal.entry_with_new_jobs(3);
    let mut jobs = entry.jobs.clone();
    jobs[1].encoded_spec = None;
    let missing = jobs[1].id;
    let broken = Arc::new(JournalEntry { jobs, ..(*entry).clone() });
    let refused = ledger.project(Position::default(), vec![broken]).await;
    assert!(
        matches!(refused, Err(LedgerError::MissingJob { id, .. }) if id == missing),
        "{refused:?}"
    );
    assert_eq!(ledger.checkpoint().await, Ok(Position::default()));
    let ids = journal.jobs.keys().copied().collect();
    assert!(ledger.get(ids).await.expect("a result").iter().all(Option::is_none));
    assert_eq!(ledger.project(Position::default(), vec![entry]).await, Ok(journal.position));
}

async fn a_batch_of_thousands_of_jobs_is_one_transaction(backend: BackendKind) {
    let (_database, ledger) = fresh_ledger(backend).await;
    let mut journal = Journal::new(5);
    let entries: Vec<_> = (0..12).map(|_| journal.entry_with_new_jobs(1_000)).collect();
    assert_eq!(ledger.project(Position::default(), entries).await, Ok(journal.position));
    let count: u64 =
        ledger.count_by_state(vec![]).await.expect("counts").iter().map(|c| c.count).sum();
    assert_eq!(count, 12_000);
}

/// A job with `text` in its label.
fn job_with_label(text: &str) -> NewJob {
    NewJob {
        queue: "mail".into(),
        kind: "send".into(),
        labels: vec![("shop".into(), text.to_owned())],
        ..NewJob::default()
    }
}

async fn text_is_stored_byte_for_byte(backend: BackendKind) {
    let (_database, ledger) = fresh_ledger(backend).await;
    let mut journal = Journal::new(5);
    let mut at = Position::default();
    // Many collations treat these as equal. The last has four bytes per character.
    let texts = ["a", "A", "a ", "\u{e4}", "a\u{308}", "\u{1f525}\u{1f468}\u{200d}\u{1f680}"];
    let mut ids = Vec::new();
    for text in texts {
        let (id, entry) =
            journal.entry_with_failed_job(job_with_label(text), &format!("{text}\0'\\\"`\n"));
        at = ledger.project(at, vec![entry]).await.expect("projected");
        ids.push(id);
    }
    for (text, id) in texts.into_iter().zip(ids) {
        let label = Label { key: "shop".into(), value: text.into() };
        let filter = Filter { labels: vec![label], ..Filter::default() };
        let page = ledger.list(filter, PageRequest { size: 10, before: None }).await;
        let found: Vec<_> = page.expect("a page").jobs.into_iter().map(|job| job.id).collect();
        assert_eq!(found, [id], "{text}");
        let ends = ledger.attempts(id, None, 10).await.expect("attempts");
        assert_eq!(ends, journal.failed_attempts[&id], "{text}");
    }
}

async fn the_largest_job_fits(backend: BackendKind) {
    let (_database, ledger) = fresh_ledger(backend).await;
    let mut journal = Journal::new(6);
    let labels = |n: u8| (format!("{n:0128}"), format!("{n:0256}"));
    let new = NewJob {
        payload: bytes::Bytes::from(vec![0xfe; PAYLOAD_MAX_BYTES as usize]),
        labels: (0..16).map(labels).collect(),
        queue: "q".repeat(128),
        kind: "k".repeat(128),
        ..NewJob::default()
    };
    let (id, entry) = journal.entry_with_failed_job(new, &"\u{1f525}".repeat(4_096));
    ledger.project(Position::default(), vec![entry]).await.expect("projected");
    assert!(ledger.get(vec![id]).await.expect("jobs") == [Some(journal.jobs[&id].clone())]);
    let page = ledger.list(Filter::default(), PageRequest { size: 10, before: None }).await;
    assert!(page.expect("a page").jobs == [journal.jobs[&id].clone()]);
}

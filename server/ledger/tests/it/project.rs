//! The checkpoint is a fence, and a batch is whole or absent.

use std::sync::Arc;

use sentinel_domain::limits::PAYLOAD_MAX_BYTES;
use sentinel_domain::{Filter, Label, NewJob};
use sentinel_ledger::{LedgerError, PageRequest};
use sentinel_store::{JournalEntry, Position};

use crate::home::{Home, fresh, on_every_home};
use crate::journal::Journal;

on_every_home!(
    nothing_was_projected_at_first,
    of_two_projectors_one_is_superseded,
    the_same_batch_twice_is_refused_and_changes_nothing,
    a_gap_is_refused,
    a_batch_with_a_job_never_seen_leaves_nothing_behind,
    a_batch_of_many_thousands_is_one_transaction,
    text_is_kept_byte_by_byte,
    the_largest_job_fits,
);

async fn nothing_was_projected_at_first(home: Home) {
    let (_directory, ledger) = fresh(home).await;
    assert_eq!(ledger.checkpoint().await, Ok(Position::default()));
    assert_eq!(ledger.as_of().await, Ok(0));
    assert_eq!(ledger.project(Position::default(), vec![]).await, Ok(Position::default()));
}

async fn of_two_projectors_one_is_superseded(home: Home) {
    let (place, ledger) = fresh(home).await;
    let other = place.open().await;
    let mut journal = Journal::new(1);
    let entries = vec![journal.births(50)];
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

async fn the_same_batch_twice_is_refused_and_changes_nothing(home: Home) {
    let (_directory, ledger) = fresh(home).await;
    let mut journal = Journal::new(2);
    let first = vec![journal.births(5)];
    let at = ledger.project(Position::default(), first.clone()).await.expect("a projection");
    let again = ledger.project(Position::default(), first).await;
    assert_eq!(again, Err(LedgerError::Superseded { expected: Position::default(), found: at }));
    assert_eq!(ledger.checkpoint().await, Ok(at));
}

async fn a_gap_is_refused(home: Home) {
    let (_directory, ledger) = fresh(home).await;
    let mut journal = Journal::new(3);
    let first = journal.births(1);
    let _left_out = journal.births(1);
    let third = journal.births(1);
    let gap = LedgerError::Gap { after: first.position, found: third.position };
    let both = vec![first.clone(), third.clone()];
    assert_eq!(ledger.project(Position::default(), both).await, Err(gap.clone()));
    let at = ledger.project(Position::default(), vec![first]).await.expect("a projection");
    assert_eq!(ledger.project(at, vec![third]).await, Err(gap));
}

async fn a_batch_with_a_job_never_seen_leaves_nothing_behind(home: Home) {
    let (_directory, ledger) = fresh(home).await;
    let mut journal = Journal::new(4);
    let entry = journal.births(3);
    let mut jobs = entry.jobs.clone();
    jobs[1].new = None;
    let missing = jobs[1].id;
    let broken = Arc::new(JournalEntry { jobs, ..(*entry).clone() });
    let refused = ledger.project(Position::default(), vec![broken]).await;
    assert!(
        matches!(refused, Err(LedgerError::MissingJob { id, .. }) if id == missing),
        "{refused:?}"
    );
    assert_eq!(ledger.checkpoint().await, Ok(Position::default()));
    let ids = journal.jobs.keys().copied().collect();
    assert!(ledger.get(ids).await.expect("an answer").iter().all(Option::is_none));
    assert_eq!(ledger.project(Position::default(), vec![entry]).await, Ok(journal.position));
}

async fn a_batch_of_many_thousands_is_one_transaction(home: Home) {
    let (_directory, ledger) = fresh(home).await;
    let mut journal = Journal::new(5);
    let entries: Vec<_> = (0..12).map(|_| journal.births(1_000)).collect();
    assert_eq!(ledger.project(Position::default(), entries).await, Ok(journal.position));
    let count: u64 = ledger.count_by_state(vec![]).await.expect("counts").iter().map(|c| c.count).sum();
    assert_eq!(count, 12_000);
}

/// A job whose label and error say `text`.
fn saying(text: &str) -> NewJob {
    NewJob {
        queue: "mail".into(),
        kind: "send".into(),
        labels: vec![("shop".into(), text.to_owned())],
        ..NewJob::default()
    }
}

async fn text_is_kept_byte_by_byte(home: Home) {
    let (_place, ledger) = fresh(home).await;
    let mut journal = Journal::new(5);
    let mut at = Position::default();
    // Equal to many a collation; the last has four bytes a character.
    let texts = ["a", "A", "a ", "\u{e4}", "a\u{308}", "\u{1f525}\u{1f468}\u{200d}\u{1f680}"];
    let mut ids = Vec::new();
    for text in texts {
        let (id, entry) = journal.failure(saying(text), &format!("{text}\0'\\\"`\n"));
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
        assert_eq!(ends, journal.ends[&id], "{text}");
    }
}

async fn the_largest_job_fits(home: Home) {
    let (_place, ledger) = fresh(home).await;
    let mut journal = Journal::new(6);
    let labels = |n: u8| (format!("{n:0128}"), format!("{n:0256}"));
    let new = NewJob {
        payload: bytes::Bytes::from(vec![0xfe; PAYLOAD_MAX_BYTES as usize]),
        labels: (0..16).map(labels).collect(),
        queue: "q".repeat(128),
        kind: "k".repeat(128),
        ..NewJob::default()
    };
    let (id, entry) = journal.failure(new, &"\u{1f525}".repeat(4_096));
    ledger.project(Position::default(), vec![entry]).await.expect("projected");
    assert!(ledger.get(vec![id]).await.expect("jobs") == [Some(journal.jobs[&id].clone())]);
    let page = ledger.list(Filter::default(), PageRequest { size: 10, before: None }).await;
    assert!(page.expect("a page").jobs == [journal.jobs[&id].clone()]);
}

//! Import of a ledger in files into a database: all queries return the same results, even if the
//! import is interrupted at any moment.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sentinel_domain::limits::PAYLOAD_MAX_BYTES;
use sentinel_domain::{Filter, Job, JobId, Label};
use sentinel_ledger::{
    Import, ImportStep, Ledger, LedgerError, LedgerOptions, LogQuery, LogRow, PageRequest,
};
use sentinel_store::Position;

use crate::backend::{BackendKind, TestDatabase, fresh_ledger};
use crate::journal_fixture::{Journal, START};
use crate::kinds::kind;

const ENTRIES: usize = 300;

async fn filled_ledger() -> (TestDatabase, Ledger, Journal) {
    let (database, ledger) = fresh_ledger(BackendKind::Sqlite).await;
    let mut journal = Journal::new(4);
    let entries: Vec<_> = (0..ENTRIES).map(|_| journal.random_entry(40)).collect();
    ledger.project(Position::default(), entries).await.expect("projected");
    for (nth, job) in journal.jobs.keys().enumerate().step_by(3) {
        let line = |seq: u64| {
            let text = format!("line {seq} of {nth}: \u{1F980} {}", "x".repeat(nth % 300));
            LogRow { job: *job, run: 1, attempt: 1, seq, at: START, level: 3, text }
        };
        ledger.append_logs((0..3).map(line).collect()).await.expect("written");
    }
    let kinds = (0..3_000).map(|nth| kind(&format!("kind{nth}"), START, START + nth)).collect();
    ledger.declare_kinds(kinds).await.expect("declared");
    (database, ledger, journal)
}

/// Opens a database although an import into it is unfinished.
async fn open_unfinished(database: &TestDatabase) -> Ledger {
    let TestDatabase::MariaDb(database) = database else { unreachable!("a database") };
    let options =
        LedgerOptions { allow_unfinished_import: true, ..LedgerOptions::new(PAYLOAD_MAX_BYTES) };
    Ledger::connect(&database.url(), options).await.expect("connected")
}

async fn begin(source: &Ledger, target: &Ledger) -> Result<(), LedgerError> {
    let import = Import {
        source: source.checkpoint().await.expect("a checkpoint"),
        directory: "/srv".to_owned(),
        step: ImportStep::CopyRows,
        rows: 0,
    };
    target.begin_import(&import, source.as_of().await.expect("a time")).await
}

/// Returns the results of all queries on every job, as text.
async fn all_results(ledger: &Ledger, journal: &Journal) -> String {
    let mut listed: Vec<Job> = Vec::new();
    loop {
        let before = listed.last().map(|job| job.id);
        let request = PageRequest { size: 1_000, before };
        let page = ledger.list(Filter::default(), request).await.expect("a page");
        listed.extend(page.jobs);
        if page.next.is_none() {
            break;
        }
    }
    let ids: Vec<JobId> = journal.jobs.keys().copied().collect();
    let mut results = format!("{listed:?} {:?}", ledger.get(ids.clone()).await);
    for id in ids {
        let query = LogQuery { job: id, attempt: None, after: None, limit: 10 };
        let (ends, lines) = (ledger.attempts(id, None, 1_000).await, ledger.read_logs(query).await);
        let bytes = ledger.log_bytes(id, 1, 1).await;
        results += &format!("{id}: {ends:?} {lines:?} {bytes:?}\n");
    }
    let labels = vec![Label { key: "region".into(), value: "a".into() }];
    let labelled = Filter { labels, ..Filter::default() };
    let labelled = ledger.list(labelled, PageRequest { size: 500, before: None }).await;
    let (counts, queues) = (ledger.count_by_state(Vec::new()).await, ledger.queues().await);
    let mut keys = ledger.held_unique_keys(0).await.expect("keys");
    keys.sort_by_key(|(_, job, until)| (*until, *job));
    let mut kinds = ledger.kinds(String::new(), 1_000).await.expect("kinds");
    while let Some(last) = kinds.last().filter(|_| kinds.len() % 1_000 == 0) {
        let more = ledger.kinds(last.name.to_string(), 1_000).await.expect("kinds");
        if more.is_empty() {
            break;
        }
        kinds.extend(more);
    }
    let mut producers = ledger.producer_records(0).await.expect("producers");
    producers.sort_by_key(|producer| producer.id.clone());
    let at = (ledger.checkpoint().await, ledger.as_of().await);
    results + &format!("{labelled:?} {counts:?} {queues:?} {keys:?} {kinds:?} {producers:?} {at:?}")
}

#[tokio::test]
async fn an_interrupted_import_yields_the_same_results() {
    let (_files, source, journal) = filled_ledger().await;
    let (database, empty) = fresh_ledger(BackendKind::MariaDb).await;
    drop(empty);
    let target = open_unfinished(&database).await;
    begin(&source, &target).await.expect("begun");
    let copied = AtomicUsize::new(0);
    let on_page = |more| _ = copied.fetch_add(more, Ordering::Relaxed);
    let mut interruptions = 0;
    // Interrupted between any two responses of the database: uncommitted pages are rolled back.
    let rows = source.row_count().await.expect("counted");
    for micros in (0..).map(|nth: u64| 500 + nth * 700) {
        let import = tokio::time::timeout(
            Duration::from_micros(micros),
            target.import_from(&source, &on_page),
        );
        match import.await {
            Ok(ended) => {
                ended.expect("imported");
                break;
            }
            Err(_) => interruptions += 1,
        }
        let imported = target.current_import().await.expect("read").expect("an import").rows;
        assert!(imported <= rows, "no row is counted twice: {imported} of {rows}");
    }
    let imported = target.current_import().await.expect("read").expect("an import");
    assert_eq!((imported.rows, imported.step), (rows, ImportStep::CopyRows));
    println!("{rows} rows after {interruptions} interruptions");
    assert!(interruptions > 3, "it was interrupted {interruptions} times");
    let refused = database.try_open().await.err();
    assert!(matches!(refused, Some(LedgerError::ImportInProgress { .. })), "{refused:?}");
    target.set_import_step(ImportStep::Done).await.expect("set");
    let opened = database.open().await;
    let (before, after) =
        (all_results(&source, &journal).await, all_results(&opened, &journal).await);
    assert!(before == after, "the results differ");
    target.import_from(&source, &on_page).await.expect("all rows are there");
    assert_eq!(target.current_import().await.expect("read").map(|import| import.rows), Some(rows));
}

#[tokio::test]
async fn an_import_into_a_database_with_rows_is_refused() {
    let (_files, source, _) = filled_ledger().await;
    let (database, target) = fresh_ledger(BackendKind::MariaDb).await;
    target
        .project(Position::default(), vec![Journal::new(9).random_entry(1)])
        .await
        .expect("projected");
    let refused = begin(&source, &target).await.err();
    assert!(matches!(refused, Some(LedgerError::NotEmpty { .. })), "{refused:?}");
    assert_eq!(target.current_import().await, Ok(None));
    database.open().await;

    let (_other, target) = fresh_ledger(BackendKind::MariaDb).await;
    target.declare_kinds(vec![kind("mail", START, START)]).await.expect("declared");
    let refused = begin(&source, &target).await.err();
    assert!(matches!(refused, Some(LedgerError::NotEmpty { .. })), "{refused:?}");

    let (other, target) = fresh_ledger(BackendKind::MariaDb).await;
    begin(&source, &target).await.expect("begun");
    let again = begin(&source, &open_unfinished(&other).await).await.err();
    assert!(matches!(again, Some(LedgerError::NotEmpty { .. })), "{again:?}");
}

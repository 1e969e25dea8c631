//! Retention removes the jobs that a predicate over the model selects, for any page size, and
//! leaves no orphaned rows.

use std::collections::BTreeSet;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use rand::RngExt;
use sentinel_domain::{Filter, Job, JobId, Millis, State, held_key};
use sentinel_ledger::{Ledger, LogQuery, LogRow, PageRequest, RemovableJob, RetentionCutoffs};
use sentinel_store::Position;

use crate::backend::{BackendKind, TestDatabase, fresh_ledger, on_every_backend};
use crate::journal_fixture::{Journal, START};

on_every_backend!(
    a_scan_finds_the_removable_jobs_for_any_page_size,
    a_job_is_removable_exactly_at_the_cutoff,
    a_changed_job_is_not_removed,
    the_oldest_jobs_of_a_queue_over_its_limit_are_found,
    log_lines_are_deleted_in_limited_steps,
);

/// Creates a ledger with the history of a random journal.
async fn ledger_with_history(backend: BackendKind, seed: u64) -> (TestDatabase, Ledger, Journal) {
    let (database, ledger) = fresh_ledger(backend).await;
    let mut journal = Journal::new(seed);
    let entries: Vec<_> = (0..150).map(|_| journal.random_entry(8)).collect();
    ledger.project(Position::default(), entries).await.expect("projected");
    (database, ledger, journal)
}

/// The rule of `RetentionCutoffs::allow_removal`, written independently.
fn is_removable(job: &Job, cutoffs: &RetentionCutoffs) -> bool {
    let by = match job.status.state {
        State::Succeeded => cutoffs.succeeded_by,
        State::Failed | State::Cancelled | State::Expired => cutoffs.others_by,
        _ => return false,
    };
    let is_held =
        matches!(held_key(job), Some((_, until)) if until.is_none_or(|at| at > cutoffs.now));
    job.status.finished_at.expect("terminal jobs have finished") <= by && !is_held
}

/// Scans to the end in pages of `max_scanned` jobs.
async fn scan(ledger: &Ledger, cutoffs: RetentionCutoffs, max_scanned: usize) -> Vec<RemovableJob> {
    let (mut found, mut from) = (Vec::new(), None);
    loop {
        let page = ledger.removable_jobs(cutoffs, from, max_scanned).await.expect("a page");
        assert!(page.jobs.len() <= max_scanned, "a page is limited");
        found.extend(page.jobs);
        from = page.next;
        if from.is_none() {
            return found;
        }
    }
}

async fn remove_all(ledger: &Ledger, mut removable: Vec<RemovableJob>) -> usize {
    let mut deleted = 0;
    while !removable.is_empty() {
        let removed = ledger.remove_jobs(removable.clone()).await.expect("removed");
        assert!(removed.processed > 0, "every call makes progress");
        removable.drain(..removed.processed);
        deleted += removed.removed;
    }
    deleted
}

async fn all(ledger: &Ledger) -> BTreeSet<JobId> {
    let (mut found, mut before) = (BTreeSet::new(), None);
    loop {
        let request = PageRequest { size: 1_000, before };
        let page = ledger.list(Filter::default(), request).await.expect("a page");
        found.extend(page.jobs.iter().map(|job| job.id));
        before = page.next;
        if before.is_none() {
            return found;
        }
    }
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

/// Counts the rows whose job does not exist.
fn orphaned_rows(database: &TestDatabase) -> i64 {
    let orphaned = |table: &str, column: &str| {
        format!("SELECT {column} FROM {table} WHERE {column} NOT IN (SELECT id FROM jobs)")
    };
    let tables = [("labels", "job"), ("attempts", "job"), ("specs", "id"), ("`keys`", "job")];
    let parts: Vec<_> = tables.iter().map(|(table, column)| orphaned(table, column)).collect();
    let sql = format!("SELECT count(*) AS `rows` FROM ({}) AS orphaned", parts.join(" UNION ALL "));
    match database {
        TestDatabase::Sqlite(directory) => {
            let path = directory.path().join("ledger.db");
            let mut file =
                SqliteConnection::establish(path.to_str().expect("UTF-8")).expect("a file");
            file.batch_execute("PRAGMA query_only = ON").expect("set");
            diesel::sql_query(sql).get_result::<Count>(&mut file).expect("a count").rows
        }
        TestDatabase::MariaDb(server) => server.ask(&sql).trim().parse().expect("a count"),
    }
}

async fn a_scan_finds_the_removable_jobs_for_any_page_size(backend: BackendKind) {
    for seed in 0..12 {
        let (database, ledger, mut journal) = ledger_with_history(backend, seed).await;
        let span = journal.now - START;
        let rng = &mut journal.rng;
        let cutoffs = RetentionCutoffs {
            now: START + rng.random_range(0..2 * span),
            succeeded_by: START + rng.random_range(0..span),
            others_by: START + rng.random_range(0..span),
        };
        let selected = |job: &&Job| is_removable(job, &cutoffs);
        let expected: BTreeSet<JobId> =
            journal.jobs.values().filter(selected).map(|j| j.id).collect();
        for max_scanned in [1, 7, 500] {
            let found = scan(&ledger, cutoffs, max_scanned).await;
            let ids: BTreeSet<JobId> = found.iter().map(|job| job.id).collect();
            assert_eq!(ids.len(), found.len(), "seed {seed}: no duplicates");
            assert_eq!(ids, expected, "seed {seed}, pages of {max_scanned}");
        }
        let removable = scan(&ledger, cutoffs, 500).await;
        assert_eq!(remove_all(&ledger, removable).await, expected.len());
        let left: BTreeSet<JobId> = journal.jobs.keys().copied().collect();
        assert_eq!(all(&ledger).await, &left - &expected, "seed {seed}");
        assert_eq!(orphaned_rows(&database), 0, "seed {seed}");
        assert!(scan(&ledger, cutoffs, 500).await.is_empty(), "nothing is left to do");
    }
}

async fn a_job_is_removable_exactly_at_the_cutoff(backend: BackendKind) {
    let (_database, ledger, journal) = ledger_with_history(backend, 40).await;
    let job = journal.jobs.values().find(|job| job.status.state == State::Succeeded);
    let job = job.expect("one succeeded");
    let end = job.status.finished_at.expect("it has finished");
    let at = |by: Millis| RetentionCutoffs {
        now: Millis::MAX,
        succeeded_by: by,
        others_by: Millis::MIN,
    };
    let has =
        async |by| scan(&ledger, at(by), 500).await.iter().any(|removable| removable.id == job.id);
    assert!(!has(end - 1).await);
    assert!(has(end).await);
}

async fn a_changed_job_is_not_removed(backend: BackendKind) {
    let (_database, ledger, journal) = ledger_with_history(backend, 41).await;
    let now = journal.now + 1_000_000;
    let removable =
        scan(&ledger, RetentionCutoffs { now, succeeded_by: now, others_by: now }, 500).await;
    let older = removable.iter().map(|s| RemovableJob { version: s.version - 1, ..*s }).collect();
    assert_eq!(remove_all(&ledger, older).await, 0);
    let live = journal.jobs.values().filter(|job| !job.status.state.is_terminal());
    let live = live.map(|job| RemovableJob { id: job.id, version: job.status.version }).collect();
    assert_eq!(remove_all(&ledger, live).await, 0, "a live job is never removed");
}

async fn the_oldest_jobs_of_a_queue_over_its_limit_are_found(backend: BackendKind) {
    let (_database, ledger, journal) = ledger_with_history(backend, 42).await;
    let now = journal.now + 1_000_000;
    let cutoffs = RetentionCutoffs { now, succeeded_by: now, others_by: now };
    assert_eq!(ledger.queues_over_limit(journal.jobs.len() as u64).await, Ok(vec![]));
    let terminal = |queue: &str| {
        let of = journal.jobs.values().filter(move |job| *job.spec.queue == *queue);
        of.filter(|job| job.status.state.is_terminal()).map(|job| job.id).collect::<Vec<_>>()
    };
    let max = 3;
    let over = ledger.queues_over_limit(max).await.expect("counted");
    assert!(!over.is_empty());
    for (queue, surplus) in over {
        let expected = terminal(&queue);
        assert_eq!(surplus, expected.len() as u64 - max);
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let next = ledger.oldest_removable(queue.clone(), cutoffs, after, 2).await;
            let (removable, next) = next.expect("found");
            found.extend(removable.into_iter().map(|one| one.id));
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "the lowest ids first");
    }
}

async fn log_lines_are_deleted_in_limited_steps(backend: BackendKind) {
    let (_database, ledger, journal) = ledger_with_history(backend, 43).await;
    let ids: Vec<JobId> = journal.jobs.keys().copied().take(3).collect();
    for (job, attempt) in [(ids[0], 1), (ids[0], 2), (ids[1], 1), (ids[2], 1)] {
        let row = |seq| LogRow { job, run: 1, attempt, seq, at: 1, level: 1, text: "line".into() };
        ledger.append_logs((0..1_500).map(row).collect()).await.expect("written");
    }
    let deleted = vec![ids[0], ids[1]];
    let mut steps = Vec::new();
    let mut left = deleted.clone();
    while !left.is_empty() {
        let done = ledger.remove_attempt_data(left.clone()).await.expect("removed");
        left.drain(..done);
        steps.push(done);
        assert!(steps.len() < 10, "{steps:?}");
    }
    assert_eq!(steps, [0, 1, 1], "4,500 lines, 2,048 a step");
    for id in ids {
        let query = LogQuery { job: id, attempt: None, after: None, limit: 10 };
        let lines = ledger.read_logs(query).await.expect("lines");
        assert_eq!(lines.is_empty(), deleted.contains(&id));
        assert_eq!(
            ledger.log_bytes(id, 1, 1).await,
            Ok(if deleted.contains(&id) { 0 } else { 6_000 })
        );
    }
}

//! Golden file of the SQL of each query, and its query plan on SQLite.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};
use diesel::prelude::*;
use diesel::sql_types::Text;
use sentinel_domain::{Filter, Label, Scopes, State};
use sentinel_ledger::{
    Ledger, LogCursor, LogQuery, LogRow, OutputPosition, OutputQuery, PageRequest, RetentionCutoffs,
};
use sentinel_store::Position;

use crate::journal_fixture::Journal;

/// The name of this test's file. It excludes the statements of concurrent tests.
const NAME: &str = "golden-sql.db";
static RECORDED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn recorder() -> Option<Box<dyn Instrumentation>> {
    let mut is_golden = false;
    Some(Box::new(move |event: InstrumentationEvent<'_>| match event {
        InstrumentationEvent::StartEstablishConnection { url, .. } => {
            is_golden = url.contains(NAME);
        }
        InstrumentationEvent::StartQuery { query, .. } if is_golden => {
            let text = query.to_string();
            let sql = text.split(" -- binds").next().unwrap_or_default().trim().to_owned();
            RECORDED.lock().unwrap_or_else(PoisonError::into_inner).insert(sql);
        }
        _ => {}
    }))
}

fn take_recorded() -> BTreeSet<String> {
    std::mem::take(&mut *RECORDED.lock().unwrap_or_else(PoisonError::into_inner))
}

#[derive(QueryableByName)]
struct Step {
    #[diesel(sql_type = Text)]
    detail: String,
}

fn plan(file: &mut SqliteConnection, sql: &str) -> Vec<String> {
    let steps: Vec<Step> =
        diesel::sql_query(format!("EXPLAIN QUERY PLAN {sql}")).load(file).expect("a plan");
    steps.into_iter().map(|step| step.detail).collect()
}

pub(crate) async fn run_list_queries(ledger: &Ledger) {
    let label = |key: &str| Label { key: key.into(), value: "a".into() };
    for parts in 0..16_u8 {
        let has = |part: u8| parts & part != 0;
        let filter = Filter {
            queues: if has(1) { vec!["mail".into(), "images".into()] } else { vec![] },
            kinds: if has(2) { vec!["send".into()] } else { vec![] },
            states: if has(4) { vec![State::Ready, State::Failed] } else { vec![] },
            labels: if has(8) { vec![label("region"), label("shop")] } else { vec![] },
            created_after: Some(1),
            created_before: None,
            within: Scopes::ALL,
        };
        ledger.list(filter, PageRequest { size: 5, before: None }).await.expect("a page");
    }
}

pub(crate) async fn run_log_queries(ledger: &Ledger, journal: &Journal) {
    let job = *journal.jobs.keys().next().expect("a job");
    let text = "z".repeat(6 << 20);
    for seq in 0..2 {
        let row = LogRow { job, run: 1, attempt: 1, seq, at: 1, level: 1, text: text.clone() };
        ledger.append_logs(vec![row]).await.expect("written");
    }
    let after = Some(LogCursor { run: 1, attempt: 1, seq: 0 });
    ledger.read_logs(LogQuery { job, attempt: None, after, limit: 5 }).await.expect("lines");
    let position = OutputPosition { job, run: 1, attempt: 1, epoch: 1, offset: 0 };
    ledger.append_output(position, Bytes::from_static(b"some")).await.expect("written");
    ledger.last_attempt_with_output(job, 1).await.expect("an attempt");
    let query = OutputQuery { job, run: 1, attempt: 1, after: None, offset: 0 };
    ledger.read_output(query).await.expect("chunks");
    ledger.log_bytes(job, 1, 1).await.expect("a size");
}

pub(crate) async fn run_retention_queries(ledger: &Ledger, journal: &Journal) {
    let now = journal.now + 1_000_000;
    let cutoffs = RetentionCutoffs { now, succeeded_by: now, others_by: now };
    let page = ledger.removable_jobs(cutoffs, None, 500).await.expect("a page");
    ledger.queues_over_limit(1).await.expect("counted");
    ledger.oldest_removable("mail".into(), cutoffs, None, 5).await.expect("a page");
    assert!(!page.jobs.is_empty());
    ledger.remove_jobs(page.jobs).await.expect("removed");
}

#[tokio::test]
async fn every_query_uses_an_index_and_matches_the_golden_file() {
    set_default_instrumentation(recorder).expect("recording");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join(NAME);
    let ledger = Ledger::open(&path).await.expect("a ledger");
    let mut journal = Journal::new(1);
    take_recorded();

    let mut sections = Vec::new();
    let entries: Vec<_> = (0..60).map(|_| journal.random_entry(8)).collect();
    let ids: Vec<_> = journal.jobs.keys().copied().collect();
    let (early, late) = entries.split_at(30);
    let at = ledger.project(Position::default(), early.to_vec()).await.expect("projected");
    ledger.project(at, late.to_vec()).await.expect("projected");
    sections.push(("project", take_recorded()));
    ledger.get(ids.clone()).await.expect("jobs");
    sections.push(("get", take_recorded()));
    run_list_queries(&ledger).await;
    sections.push(("list", take_recorded()));
    ledger.count_by_state(vec![]).await.expect("counts");
    sections.push(("count_by_state", take_recorded()));
    ledger.live_jobs(None, 10).await.expect("jobs");
    sections.push(("live_jobs", take_recorded()));
    ledger.queues().await.expect("queues");
    ledger.held_unique_keys(journal.now).await.expect("keys");
    ledger.producer_records(journal.now).await.expect("producers");
    ledger.attempts(ids[0], None, 10).await.expect("attempts");
    ledger.checkpoint().await.expect("a checkpoint");
    ledger.as_of().await.expect("a time");
    sections.push((
        "queues, held_unique_keys, producer_records, attempts, checkpoint, as_of",
        take_recorded(),
    ));
    run_log_queries(&ledger, &journal).await;
    sections.push(("logs", take_recorded()));
    run_retention_queries(&ledger, &journal).await;
    sections.push(("retention", take_recorded()));
    let logged = *journal.jobs.keys().next().expect("a job");
    ledger.remove_attempt_data(vec![logged]).await.expect("removed");
    sections.push(("remove_attempt_data", take_recorded()));

    let mut history = SqliteConnection::establish(path.to_str().expect("UTF-8")).expect("opened");
    let logs = format!("{}-logs", path.display());
    let mut logs = SqliteConnection::establish(&logs).expect("opened");
    let mut golden = String::new();
    for (section, statements) in sections {
        golden += &format!("-- {section}\n");
        for sql in statements {
            golden += &format!("{sql}\n");
            if !["SELECT", "UPDATE", "DELETE"].iter().any(|verb| sql.starts_with(verb)) {
                continue;
            }
            let file = if sql.contains("`log") || sql.contains("`outputs`") {
                &mut logs
            } else {
                &mut history
            };
            for step in plan(file, &sql) {
                golden += &format!("--   {step}\n");
                // The query returns every queue in key order, which needs a scan.
                let is_queues = step.starts_with("SCAN queues");
                assert!(!step.starts_with("SCAN") || is_queues, "{section}: {sql}: {step}");
                assert!(!step.contains("TEMP B-TREE"), "{section}: {sql}: {step}");
            }
        }
    }
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/sqlite_plan.golden");
    if std::env::var_os("SENTINEL_UPDATE").is_some() {
        std::fs::write(&file, &golden).expect("written");
    }
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(known == golden, "run with SENTINEL_UPDATE=1 and review the difference:\n{golden}");
}

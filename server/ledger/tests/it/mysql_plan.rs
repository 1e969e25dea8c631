//! Golden file of the SQL and the query plan of each query on MariaDB. Both come from the slow query
//! log, which is configured to contain every statement with its plan.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use sentinel_domain::limits::PAYLOAD_MAX_BYTES;
use sentinel_faults::MariaDb;
use sentinel_ledger::{KnownKind, Ledger, LedgerOptions, MigrationMode};
use sentinel_store::Position;

use crate::journal_fixture::Journal;
use crate::kinds::kind;
use crate::sqlite_plan::{run_list_queries, run_log_queries, run_retention_queries};

/// Additional jobs, so that a full scan is never the best plan.
const JOBS: usize = 20_000;

/// The maximum number of rows that a statement may examine, unless it counts: some steps of 1,024
/// jobs.
const ROWS_MAX: u64 = 4_096;

/// Statements that read nearly a whole table. A scan and the index cost the same, so the plan depends
/// on what the server has purged.
const READ_WHOLE: [(&str, &str); 2] =
    [("SELECT `keys`.", "keys, any access"), ("SELECT `producers`.", "producers, any access")];

/// The executions of a statement.
#[derive(Default)]
struct Executions {
    /// Table and index of each step.
    steps: BTreeSet<String>,
    /// Steps that read a whole table or index, or sort.
    costly: BTreeSet<String>,
    rows: u64,
}

type Statements = BTreeMap<String, Executions>;

/// The slow query log, read incrementally.
struct SlowLog {
    path: PathBuf,
    read: usize,
}

impl SlowLog {
    /// Returns the statements since the last call.
    fn new_statements(&mut self) -> Statements {
        let bytes = std::fs::read(&self.path).expect("the log");
        let new = String::from_utf8_lossy(&bytes[self.read..]).into_owned();
        self.read = bytes.len();
        let mut found = Statements::new();
        for entry in new.split("# User@Host: ").skip(1) {
            let text: Vec<&str> = entry
                .lines()
                .skip(1)
                .filter(|line| !line.starts_with('#') && !line.starts_with("SET timestamp="))
                .collect();
            let sql = shape(&text.join("\n"));
            // Skips the header of the log and the statements that begin a session or a transaction.
            // A COMMIT may be logged after its response.
            if !["SET ", "use ", "/usr/", "Tcp port", "START", "COMMIT"]
                .iter()
                .any(|text| sql.starts_with(text))
            {
                found.entry(sql).or_default().add(entry);
            }
        }
        found
    }
}

impl Executions {
    fn add(&mut self, entry: &str) {
        let inserts = ["\nINSERT INTO ", "\nINSERT IGNORE INTO "];
        let is_insert = inserts.iter().any(|start| entry.contains(start));
        let explained = entry.lines().filter_map(|line| line.strip_prefix("# explain: "));
        // The plan of an insert is not relevant.
        for line in explained.skip(1).filter(|_| !is_insert) {
            let columns: Vec<&str> = line.split('\t').collect();
            let (table, access, index) = (columns[2], columns[3], columns[5]);
            let extra = columns.last().copied().unwrap_or_default();
            self.steps.insert(format!("{table} {index}"));
            let sorts = extra.contains("filesort") || extra.contains("temporary");
            if access == "ALL" || access == "index" || sorts {
                self.costly.insert(format!("{table} {access} {index} {extra}"));
            }
        }
        let examined = entry.split("Rows_examined: ").nth(1).expect("a count of rows");
        let examined = examined.split_whitespace().next().expect("a number");
        self.rows = self.rows.max(examined.parse().expect("a number"));
    }
}

/// Normalizes a statement: removes its values and all but one of many equal rows.
fn shape(sql: &str) -> String {
    let mut text = String::new();
    let mut chars = sql.trim().trim_end_matches(';').chars().peekable();
    while let Some(next) = chars.next() {
        let in_name = text.ends_with(|last: char| last.is_alphanumeric() || last == '_');
        if next == '\'' {
            while let Some(inner) = chars.next() {
                match inner {
                    '\\' => drop(chars.next()),
                    '\'' if chars.peek() != Some(&'\'') => break,
                    '\'' => drop(chars.next()),
                    _ => {}
                }
            }
            text.push('?');
        } else if next.is_ascii_digit() && !in_name {
            while chars.peek().is_some_and(char::is_ascii_digit) {
                chars.next();
            }
            text.push('?');
        } else {
            text.push(next);
        }
    }
    let text = text.replace("-?", "?").replace("_binary?", "?").replace("NULL", "?");
    let one_row = match text.split_once(" VALUES (") {
        Some((head, rows)) => {
            let row = rows.split_once(')').map_or(rows, |(row, _)| row);
            let tail = rows.split_once(" ON DUPLICATE").map_or("", |(_, tail)| tail);
            format!("{head} VALUES ({row}), .. ON DUPLICATE{tail}")
        }
        None => text,
    };
    // Combined ranges, and rows combined with OR.
    let one_row = match one_row.split_once(" UNION ALL ") {
        Some((first, _)) => format!("{first} UNION ALL .."),
        None => one_row,
    };
    let one_of = match one_row.split_once(" OR ") {
        Some((first, _)) => {
            let (verb, row) = first.split_once(" WHERE ").expect("rows of a condition");
            format!("{verb} WHERE ({} OR ..", row.trim_start_matches('('))
        }
        None => one_row,
    };
    match one_of.split_once(" IN (?") {
        Some((head, rest)) => {
            let tail = rest.split_once(')').map_or("", |(_, tail)| tail);
            format!("{head} IN (?, ..){tail}")
        }
        None => one_of,
    }
}

#[tokio::test]
async fn every_query_uses_an_index_on_mariadb() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("slow.log");
    let log = format!("--slow-query-log-file={}", path.display());
    let database = MariaDb::start_with(&[
        "--log-slow-verbosity=explain,query_plan",
        // Otherwise the server recalculates statistics in the background at any time.
        "--innodb-stats-auto-recalc=OFF",
        &log,
    ]);
    let done = Ledger::migrate(&database.url(), MigrationMode::Apply).await;
    done.expect("migrated");
    let mut journal = Journal::new(1);
    let mut at = Position::default();
    let filling = Ledger::connect(&database.url(), LedgerOptions::new(PAYLOAD_MAX_BYTES)).await;
    let filling = filling.expect("connected");
    for _ in 0..JOBS / 2_000 {
        at =
            filling.project(at, vec![journal.entry_with_new_jobs(2_000)]).await.expect("projected");
    }
    let entries: Vec<_> = (0..60).map(|_| journal.random_entry(8)).collect();
    let (early, late) = entries.split_at(30);
    at = filling.project(at, early.to_vec()).await.expect("projected");
    // Attempts of every job.
    database.ask(
        "INSERT IGNORE INTO attempts (job, epoch, run, attempt, outcome, ended_at_ms) \
         SELECT id, n, 1, n, 1, 1 FROM jobs, (SELECT 1 AS n UNION SELECT 2 UNION SELECT 3) AS times",
    );
    database.ask("ANALYZE TABLE jobs, labels, attempts, specs, `keys`, producers");
    let kinds: Vec<_> = (0..3_000).map(|nth| kind(&format!("kind{nth}"), 1, nth)).collect();
    filling.declare_kinds(kinds.clone()).await.expect("declared");
    database.ask("ANALYZE TABLE kinds");
    database.ask("SET GLOBAL long_query_time = 0; SET GLOBAL slow_query_log = ON");
    // New connections: a session keeps the `long_query_time` that it started with.
    let ledger = Ledger::connect(&database.url(), LedgerOptions::new(PAYLOAD_MAX_BYTES)).await;
    let ledger = ledger.expect("connected");
    let mut log = SlowLog { path, read: 0 };
    let mut sections = Vec::new();
    assert_eq!(ledger.checkpoint().await, Ok(at));
    sections.push(("connect", log.new_statements()));
    ledger.project(at, late.to_vec()).await.expect("projected");
    sections.push(("project", log.new_statements()));
    let ids: Vec<_> = journal.failed_attempts.keys().copied().take(40).collect();
    ledger.get(ids.clone()).await.expect("jobs");
    sections.push(("get", log.new_statements()));
    run_list_queries(&ledger).await;
    sections.push(("list", log.new_statements()));
    ledger.count_by_state(vec![]).await.expect("counts");
    sections.push(("count_by_state", log.new_statements()));
    ledger.live_jobs(None, 10).await.expect("jobs");
    sections.push(("live_jobs", log.new_statements()));
    ledger.queues().await.expect("queues");
    ledger.held_unique_keys(journal.now).await.expect("keys");
    ledger.producer_records(journal.now).await.expect("producers");
    ledger.attempts(ids[0], None, 10).await.expect("attempts");
    ledger.checkpoint().await.expect("a checkpoint");
    ledger.as_of().await.expect("a time");
    sections.push((
        "queues, held_unique_keys, producer_records, attempts, checkpoint, as_of",
        log.new_statements(),
    ));
    run_log_queries(&ledger, &journal).await;
    sections.push(("logs", log.new_statements()));
    run_retention_queries(&ledger, &journal).await;
    sections.push(("retention", log.new_statements()));
    let logged = *journal.jobs.keys().next().expect("a job");
    ledger.remove_attempt_data(vec![logged]).await.expect("removed");
    sections.push(("remove_attempt_data", log.new_statements()));
    run_kind_queries(&ledger, &kinds).await;
    sections.push(("kinds", log.new_statements()));
    check(sections);
}

async fn run_kind_queries(ledger: &Ledger, kinds: &[KnownKind]) {
    ledger.declare_kinds(kinds[..200].to_vec()).await.expect("declared");
    let names = kinds[..200].iter().map(|kind| kind.name.clone()).collect();
    ledger.touch_kinds(names, 5_000).await.expect("recorded");
    ledger.kinds(String::new(), 50).await.expect("a page");
    ledger.kinds("kind5".to_owned(), 50).await.expect("a page");
    ledger.kind("kind5".to_owned()).await.expect("a result");
    ledger.delete_unseen_kinds(300).await.expect("deleted");
}

/// Fails on statements that scan a table or sort, and compares all with the golden file.
fn check(sections: Vec<(&str, Statements)>) {
    let mut golden = String::new();
    let mut wrong = Vec::new();
    for (section, statements) in sections {
        golden += &format!("-- {section}\n");
        for (sql, runs) in statements {
            golden += &format!("{sql}\n");
            for step in &runs.steps {
                let whole = READ_WHOLE.iter().find(|(start, _)| sql.starts_with(start));
                let step = whole.map_or(step.as_str(), |(_, table)| table);
                golden += &format!("--   {step}\n");
            }
            let is_allowed = |step: &&String| {
                // Queries that return every queue, held key, or producer record.
                ["queues index", "keys ALL", "producers ALL"].iter().any(|known| step.starts_with(known))
                    // A page from one end of the table stops at its limit.
                    || (step.starts_with("jobs index") && sql.contains("LIMIT ?"))
                    // A session reads the format table, which has a row per format.
                    || section == "connect"
                    // At most ten thousand rows are counted.
                    || (step.starts_with("kinds index") && sql.starts_with("SELECT COUNT(*)"))
            };
            for step in runs.costly.iter().filter(|step| !is_allowed(step)) {
                wrong.push(format!("{section}: {sql}: {step}"));
            }
            if runs.rows > ROWS_MAX && !sql.contains("COUNT(*)") && !sql.contains("OFFSET") {
                wrong.push(format!("{section}: {sql}: {} rows", runs.rows));
            }
        }
    }
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/mysql_plan.golden");
    if std::env::var_os("SENTINEL_UPDATE").is_some() {
        std::fs::write(&file, &golden).expect("written");
    }
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(known == golden, "run with SENTINEL_UPDATE=1 and review the difference:\n{golden}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

//! The SQL that each question leads to on MariaDB, and the plan by which it was run, as a golden
//! file. The server tells both: it logs every statement as slow, with its plan.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use sentinel_faults::MariaDb;
use sentinel_ledger::{KnownKind, Ledger, LedgerOptions, MigrationMode};
use sentinel_store::Position;

use crate::journal_fixture::Journal;
use crate::kinds::kind;
use crate::sqlite_plan::{run_list_queries, run_log_queries, run_retention_queries};

/// Jobs beside those that are asked for, so that reading all of them is never the best plan.
const JOBS: usize = 20_000;

/// What one statement may look at, unless it counts: some steps of 1,024 jobs.
const ROWS_MAX: u64 = 4_096;

/// What a start asks for nearly whole: with or without the index costs the same, so which of them
/// is taken hangs on what was purged by then.
const READ_WHOLE: [(&str, &str); 2] =
    [("SELECT `keys`.", "keys, any way"), ("SELECT `producers`.", "producers, any way")];

/// How a statement was run, each time.
#[derive(Default)]
struct Runs {
    /// Table and index of each step.
    steps: BTreeSet<String>,
    /// Steps that read a whole table or index, or sort.
    costly: BTreeSet<String>,
    rows: u64,
}

type Statements = BTreeMap<String, Runs>;

/// The log of a server, read part by part.
struct SlowLog {
    path: PathBuf,
    read: usize,
}

impl SlowLog {
    /// What was run since it was last asked.
    fn taken(&mut self) -> Statements {
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
            // How the log begins, and how a session and a transaction do. The end of one may come
            // into the log after its answer.
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

impl Runs {
    fn add(&mut self, entry: &str) {
        let inserts = ["\nINSERT INTO ", "\nINSERT IGNORE INTO "];
        let is_insert = inserts.iter().any(|start| entry.contains(start));
        let explained = entry.lines().filter_map(|line| line.strip_prefix("# explain: "));
        // What is inserted is not looked for.
        for line in explained.skip(1).filter(|_| !is_insert) {
            let columns: Vec<&str> = line.split('\t').collect();
            let (table, way, index) = (columns[2], columns[3], columns[5]);
            let extra = columns.last().copied().unwrap_or_default();
            self.steps.insert(format!("{table} {index}"));
            let sorts = extra.contains("filesort") || extra.contains("temporary");
            if way == "ALL" || way == "index" || sorts {
                self.costly.insert(format!("{table} {way} {index} {extra}"));
            }
        }
        let examined = entry.split("Rows_examined: ").nth(1).expect("a count of rows");
        let examined = examined.split_whitespace().next().expect("a number");
        self.rows = self.rows.max(examined.parse().expect("a number"));
    }
}

/// A statement without its values, and with one of many equal rows.
fn shape(sql: &str) -> String {
    let mut bare = String::new();
    let mut chars = sql.trim().trim_end_matches(';').chars().peekable();
    while let Some(next) = chars.next() {
        let in_name = bare.ends_with(|last: char| last.is_alphanumeric() || last == '_');
        if next == '\'' {
            while let Some(inner) = chars.next() {
                match inner {
                    '\\' => drop(chars.next()),
                    '\'' if chars.peek() != Some(&'\'') => break,
                    '\'' => drop(chars.next()),
                    _ => {}
                }
            }
            bare.push('?');
        } else if next.is_ascii_digit() && !in_name {
            while chars.peek().is_some_and(char::is_ascii_digit) {
                chars.next();
            }
            bare.push('?');
        } else {
            bare.push(next);
        }
    }
    let bare = bare.replace("-?", "?").replace("_binary?", "?").replace("NULL", "?");
    let one_row = match bare.split_once(" VALUES (") {
        Some((head, rows)) => {
            let row = rows.split_once(')').map_or(rows, |(row, _)| row);
            let tail = rows.split_once(" ON DUPLICATE").map_or("", |(_, tail)| tail);
            format!("{head} VALUES ({row}), .. ON DUPLICATE{tail}")
        }
        None => bare,
    };
    // Ranges joined, rows joined by OR.
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
        // Else the server counts anew in the background, whenever it comes to it.
        "--innodb-stats-auto-recalc=OFF",
        &log,
    ]);
    let done = Ledger::migrate(&database.url(), MigrationMode::Apply).await;
    done.expect("migrated");
    let mut journal = Journal::new(1);
    let mut at = Position::default();
    let filling = Ledger::connect(&database.url(), LedgerOptions::default()).await;
    let filling = filling.expect("connected");
    for _ in 0..JOBS / 2_000 {
        at =
            filling.project(at, vec![journal.entry_with_new_jobs(2_000)]).await.expect("projected");
    }
    let entries: Vec<_> = (0..60).map(|_| journal.entry(8)).collect();
    let (early, late) = entries.split_at(30);
    at = filling.project(at, early.to_vec()).await.expect("projected");
    // Attempts of all of them, and keys that are over at different times.
    database.ask(
        "INSERT IGNORE INTO attempts (job, epoch, run, attempt, outcome, ended_at_ms) \
         SELECT id, n, 1, n, 1, 1 FROM jobs, (SELECT 1 AS n UNION SELECT 2 UNION SELECT 3) AS times",
    );
    database.ask("ANALYZE TABLE jobs, labels, attempts, specs, `keys`, producers");
    let kinds: Vec<_> = (0..3_000).map(|nth| kind(&format!("kind{nth}"), 1, nth)).collect();
    filling.declare_kinds(kinds.clone()).await.expect("taken");
    database.ask("ANALYZE TABLE kinds");
    database.ask("SET GLOBAL long_query_time = 0; SET GLOBAL slow_query_log = ON");
    // New connections: a session keeps the bound that it began with.
    let ledger = Ledger::connect(&database.url(), LedgerOptions::default()).await;
    let ledger = ledger.expect("connected");
    let mut log = SlowLog { path, read: 0 };
    let mut sections = Vec::new();
    assert_eq!(ledger.checkpoint().await, Ok(at));
    sections.push(("connect", log.taken()));
    ledger.project(at, late.to_vec()).await.expect("projected");
    sections.push(("project", log.taken()));
    let ids: Vec<_> = journal.failed_attempts.keys().copied().take(40).collect();
    ledger.get(ids.clone()).await.expect("jobs");
    sections.push(("get", log.taken()));
    run_list_queries(&ledger).await;
    sections.push(("list", log.taken()));
    ledger.count_by_state(vec![]).await.expect("counts");
    sections.push(("counts", log.taken()));
    ledger.live_jobs(None, 10).await.expect("jobs");
    sections.push(("live", log.taken()));
    ledger.queues().await.expect("queues");
    ledger.held_unique_keys(journal.now).await.expect("keys");
    ledger.producer_records(journal.now).await.expect("producers");
    ledger.attempts(ids[0], None, 10).await.expect("attempts");
    ledger.checkpoint().await.expect("a checkpoint");
    ledger.as_of().await.expect("a time");
    sections.push(("queues, held_keys, producers, attempts, checkpoint, as_of", log.taken()));
    run_log_queries(&ledger, &journal).await;
    sections.push(("logs", log.taken()));
    run_retention_queries(&ledger, &journal).await;
    sections.push(("retention", log.taken()));
    let logged = *journal.jobs.keys().next().expect("a job");
    ledger.remove_attempt_data(vec![logged]).await.expect("removed");
    sections.push(("retention of logs", log.taken()));
    run_kind_queries(&ledger, &kinds).await;
    sections.push(("kinds", log.taken()));
    judge(sections);
}

async fn run_kind_queries(ledger: &Ledger, kinds: &[KnownKind]) {
    ledger.declare_kinds(kinds[..200].to_vec()).await.expect("taken");
    let names = kinds[..200].iter().map(|kind| kind.name.clone()).collect();
    ledger.touch_kinds(names, 5_000).await.expect("noted");
    ledger.kinds(String::new(), 50).await.expect("a page");
    ledger.kinds("kind5".to_owned(), 50).await.expect("a page");
    ledger.kind("kind5".to_owned()).await.expect("an answer");
    ledger.delete_unseen_kinds(300).await.expect("dropped");
}

/// What reads a whole table or sorts is wrong; the rest is compared with the golden file.
fn judge(sections: Vec<(&str, Statements)>) {
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
                // Every queue is asked for, and at a start every key that is held and every producer.
                ["queues index", "keys ALL", "producers ALL"].iter().any(|known| step.starts_with(known))
                    // A page that begins at an end of the table stops after its limit.
                    || (step.starts_with("jobs index") && sql.contains("LIMIT ?"))
                    // What a session looks at has a row a format.
                    || section == "connect"
                    // Ten thousand at the most are counted.
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
    assert!(known == golden, "run with SENTINEL_UPDATE=1 and look at the difference:\n{golden}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

//! A database that several servers share: migrations, settings, outages, and reconnects.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::limits::PAYLOAD_MAX_BYTES;
use sentinel_domain::{Filter, JobId};
use sentinel_faults::{MariaDb, Proxy};
use sentinel_ledger::{
    Ledger, LedgerError, LedgerOptions, LogRow, MigrationMode, PageRequest, RetentionCutoffs,
};
use sentinel_store::{JournalEntry, Position};

use crate::backend::{BackendKind, TestDatabase, fresh_ledger};
use crate::journal_fixture::{Journal, START};

/// The maximum duration of an operation that is not blocked.
const BLOCKED: Duration = Duration::from_secs(100);

async fn migrate(database: &MariaDb) -> Result<Vec<u32>, LedgerError> {
    Ok(Ledger::migrate(&database.url(), MigrationMode::Apply).await?.steps)
}

async fn connect(url: &str) -> Result<Ledger, LedgerError> {
    Ledger::connect(url, LedgerOptions::new(PAYLOAD_MAX_BYTES)).await
}

/// Retries until the database is available.
async fn checkpoint(ledger: &Ledger) -> Position {
    let asked = async {
        loop {
            match ledger.checkpoint().await {
                Ok(position) => return position,
                Err(LedgerError::Unavailable { .. }) => tokio::task::yield_now().await,
                Err(other) => panic!("{other}"),
            }
        }
    };
    tokio::time::timeout(BLOCKED, asked).await.expect("the ledger is available again")
}

/// Checks that the ledger contains the jobs of the journal up to its checkpoint.
async fn assert_whole(ledger: &Ledger, entries: &[Arc<JournalEntry>]) {
    let at = checkpoint(ledger).await;
    let projected = entries.iter().filter(|entry| entry.position.seq <= at.seq);
    let mut expected: Vec<JobId> =
        projected.flat_map(|entry| entry.jobs.iter().map(|event| event.id)).collect();
    expected.sort();
    let live = ledger.live_jobs(None, usize::MAX / 4).await.expect("jobs");
    let found: Vec<JobId> = live.iter().map(|job| job.id).collect();
    assert_eq!(found, expected, "at {at}");
}

#[tokio::test]
async fn a_database_is_refused_until_it_is_migrated() {
    let database = MariaDb::start();
    let refused = connect(&database.url()).await.err().expect("refused");
    assert!(matches!(&refused, LedgerError::OlderFormat { .. }), "{refused}");
    assert!(refused.to_string().contains("sentinel migrate"), "{refused}");
    let planned = Ledger::migrate(&database.url(), MigrationMode::DryRun).await.expect("a plan");
    assert_eq!((planned.from, planned.to, planned.steps), (0, 7, vec![1, 2, 3, 4, 5, 6, 7]));
    assert!(connect(&database.url()).await.is_err(), "a plan changes nothing");
    let done = Ledger::migrate(&database.url(), MigrationMode::Apply).await.expect("migrated");
    assert_eq!((done.from, done.to, &done.steps[..]), (0, 7, &[1, 2, 3, 4, 5, 6, 7][..]));
    assert!(!done.ledger.contains("hush"), "{}", done.ledger);
    let ledger = connect(&database.url()).await.expect("connected");
    assert_eq!(ledger.checkpoint().await, Ok(Position::default()));
    assert_eq!(migrate(&database).await, Ok(vec![]));
}

#[tokio::test]
async fn one_of_many_concurrent_migrations_runs() {
    let database = MariaDb::start();
    let all = tokio::join!(
        migrate(&database),
        migrate(&database),
        migrate(&database),
        migrate(&database)
    );
    let mut steps: Vec<_> =
        [all.0, all.1, all.2, all.3].into_iter().map(|one| one.expect("migrated")).collect();
    steps.sort();
    assert_eq!(steps, [vec![], vec![], vec![], vec![1, 2, 3, 4, 5, 6, 7]]);
}

#[tokio::test]
async fn an_interrupted_migration_is_resumed() {
    let database = MariaDb::start();
    migrate(&database).await.expect("migrated");
    // The state after an interruption: some tables exist, and no row records the steps.
    database.ask("DELETE FROM formats; DROP TABLE logs, log_sizes, checkpoints, moves");
    let refused = connect(&database.url()).await.err();
    assert!(matches!(refused, Some(LedgerError::OlderFormat { .. })), "{refused:?}");
    assert_eq!(migrate(&database).await, Ok(vec![1, 2, 3, 4, 5, 6, 7]));
    connect(&database.url()).await.expect("connected");
}

#[tokio::test]
async fn a_newer_format_is_refused_if_it_excludes_this_version() {
    let database = MariaDb::start();
    migrate(&database).await.expect("migrated");
    database.ask("INSERT INTO formats (version, readable_by) VALUES (8, 1)");
    connect(&database.url()).await.expect("a step that only adds");
    assert_eq!(migrate(&database).await, Ok(vec![]));
    database.ask("INSERT INTO formats (version, readable_by) VALUES (9, 8)");
    let refusals = [connect(&database.url()).await.err(), migrate(&database).await.err()];
    for refused in refusals {
        let Some(LedgerError::NewerFormat { found, known, .. }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!((found.as_str(), known.as_str()), ("9", "7"));
    }
}

#[tokio::test]
async fn connection_errors_do_not_contain_the_password() {
    let database = MariaDb::start_with(&["--max-allowed-packet=4M"]);
    migrate(&database).await.expect("migrated");
    let refused = connect(&database.url()).await.err().expect("refused").to_string();
    assert!(refused.contains("max_allowed_packet"), "{refused}");
    let small = LedgerOptions::new(1 << 20);
    Ledger::connect(&database.url(), small).await.expect("a smaller payload fits");
    database.ask("SET GLOBAL innodb_flush_log_at_trx_commit = 2");
    let refused = Ledger::connect(&database.url(), small).await.err().expect("refused");
    assert!(refused.to_string().contains("innodb_flush_log_at_trx_commit"), "{refused}");
    let url = database.url();
    for wrong in [
        url.replace("hush%401", "secret"),
        url.replace("/sentinel", "/absent"),
        url.replace("sentinel:", "nobody:"),
        url.replace(&format!(":{}", database.port()), ":1"),
        url.replace("mysql:", "http:"),
    ] {
        let error = connect(&wrong).await.err().expect("refused").to_string();
        assert!(!error.contains("hush") && !error.contains("secret"), "{error}");
        assert!(error.contains("127.0.0.1"), "{error}");
    }
}

#[tokio::test]
async fn server_settings_do_not_affect_the_ledger() {
    let database = MariaDb::start_with(&[
        "--default-time-zone=+05:30",
        "--sql-mode=ANSI_QUOTES,PIPES_AS_CONCAT",
        "--transaction-isolation=SERIALIZABLE",
        "--character-set-server=latin1",
        "--collation-server=latin1_swedish_ci",
        "--lc-messages=de_DE",
        "--autocommit=0",
    ]);
    migrate(&database).await.expect("migrated");
    let ledger = connect(&database.url()).await.expect("connected");
    let mut journal = Journal::new(9);
    let entries: Vec<_> = (0..30).map(|_| journal.random_entry(8)).collect();
    let at = ledger.project(Position::default(), entries).await.expect("projected");
    assert_eq!(at, journal.position);
    let page = ledger.list(Filter::default(), PageRequest { size: 1_000, before: None }).await;
    let expected: Vec<_> = journal.jobs.values().rev().cloned().collect();
    assert_eq!(page.expect("a page").jobs, expected);
    assert_eq!(ledger.as_of().await, Ok(journal.now));
}

#[tokio::test]
async fn concurrent_projectors_record_each_batch_once() {
    let (database, _) = fresh_ledger(BackendKind::MariaDb).await;
    let mut journal = Journal::new(10);
    let entries: Arc<[_]> = (0..120).map(|_| journal.entry_with_new_jobs(20)).collect();
    let mut projectors = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (ledger, entries) = (database.open().await, entries.clone());
        projectors.spawn(async move {
            let mut recorded = 0;
            loop {
                let from = ledger.checkpoint().await.expect("a checkpoint");
                let next = &entries[from.seq as usize..];
                if next.is_empty() {
                    return recorded;
                }
                let batch = next[..next.len().min(3)].to_vec();
                let count = batch.len();
                match ledger.project(from, batch).await {
                    Ok(_) => recorded += count,
                    Err(LedgerError::Superseded { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        });
    }
    let recorded: usize = projectors.join_all().await.into_iter().sum();
    assert_eq!(recorded, entries.len());
    assert_whole(&database.open().await, &entries).await;
}

#[tokio::test]
async fn two_servers_can_append_lines_of_one_attempt() {
    let (database, one) = fresh_ledger(BackendKind::MariaDb).await;
    let two = database.open().await;
    let job = JobId::new(START, 0, 1);
    let row = |seq| LogRow { job, run: 1, attempt: 1, seq, at: START, level: 1, text: "ab".into() };
    let through = async |ledger: &Ledger, first: u64| {
        // Each line twice, in batches that overlap those of the other server.
        for begin in (first..200).step_by(4) {
            ledger.append_logs((begin..begin + 8).map(row).collect()).await.expect("written");
        }
    };
    tokio::join!(through(&one, 0), through(&two, 2), through(&two, 1));
    let bytes = one.log_bytes(job, 1, 1).await.expect("a size");
    let query = sentinel_ledger::LogQuery { job, attempt: None, after: None, limit: 1_000 };
    let lines = two.read_logs(query).await.expect("lines");
    let seqs: Vec<u64> = lines.iter().map(|line| line.seq).collect();
    assert_eq!(seqs, (0..seqs.len() as u64).collect::<Vec<_>>());
    assert_eq!(bytes, 2 * lines.len() as u64);
}

#[tokio::test]
async fn conflicting_transactions_are_retried() {
    let (database, one) = fresh_ledger(BackendKind::MariaDb).await;
    let two = database.open().await;
    let mut journal = Journal::new(11);
    let entries: Vec<_> = (0..400).map(|_| journal.random_entry(10)).collect();
    let at = one.project(Position::default(), entries).await.expect("projected");
    let now = journal.now + 1_000_000;
    let cutoffs = RetentionCutoffs { now, succeeded_by: now, others_by: now };
    let removable = one.removable_jobs(cutoffs, None, 100_000).await.expect("a page").jobs;
    let backwards: Vec<_> = removable.iter().rev().copied().collect();
    assert!(removable.len() > 300, "{}", removable.len());
    let remove = async |ledger: &Ledger, mut removable: Vec<_>| {
        let mut total = 0;
        while !removable.is_empty() {
            let removed = ledger.remove_jobs(removable.clone()).await.expect("removed");
            removable.drain(..removed.processed);
            total += removed.removed;
        }
        total
    };
    // Each locks the rows in the opposite order of the other.
    let more = vec![journal.entry_with_new_jobs(500)];
    let (a, b, projected) = tokio::join!(
        remove(&one, removable.clone()),
        remove(&two, backwards),
        two.project(at, more)
    );
    assert_eq!(projected, Ok(journal.position));
    assert_eq!(a + b, removable.len());
    assert_eq!(one.removable_jobs(cutoffs, None, 100_000).await.expect("a page").jobs, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_waits_for_a_lock() {
    let (database, ledger) = fresh_ledger(BackendKind::MariaDb).await;
    let TestDatabase::MariaDb(database) = &database else { unreachable!("requested") };
    let mut journal = Journal::new(12);
    let entry = journal.entry_with_new_jobs(3);
    std::thread::scope(|scope| {
        // Longer than the lock wait timeout.
        scope.spawn(|| {
            database.ask("BEGIN; UPDATE checkpoints SET at_ms = 7; DO SLEEP(7); ROLLBACK")
        });
        let sleeping = "SELECT COUNT(*) FROM information_schema.processlist \
                        WHERE info LIKE 'DO SLEEP%'";
        while database.ask(sleeping).trim() == "0" {
            std::thread::yield_now();
        }
        let projected = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current()
                .block_on(ledger.project(Position::default(), vec![entry]))
        });
        assert_eq!(projected, Ok(journal.position));
    });
}

#[tokio::test]
async fn killing_the_database_leaves_whole_batches() {
    let (database, ledger) = fresh_ledger(BackendKind::MariaDb).await;
    let TestDatabase::MariaDb(mut database) = database else { unreachable!("requested") };
    let mut journal = Journal::new(13);
    let entries: Arc<[_]> = (0..600).map(|_| journal.entry_with_new_jobs(40)).collect();
    let mut acknowledged = Position::default();
    for round in 1..=3 {
        let (projected, mut progress) = tokio::sync::watch::channel(acknowledged);
        let projecting = tokio::spawn({
            let (ledger, entries) = (ledger.clone(), entries.clone());
            async move {
                let mut from = checkpoint(&ledger).await;
                while let Some(entry) = entries.get(from.seq as usize) {
                    match ledger.project(from, vec![entry.clone()]).await {
                        Ok(to) => from = to,
                        Err(LedgerError::Unavailable { .. }) => return,
                        Err(other) => panic!("{other}"),
                    }
                    projected.send_replace(from);
                }
            }
        });
        let enough = progress.wait_for(|at| at.seq >= 60 * round).await;
        drop(enough.expect("it projects"));
        database.kill();
        projecting.await.expect("it stopped");
        acknowledged = *progress.borrow();
        database.restart();
        let found = checkpoint(&ledger).await;
        assert!(found >= acknowledged, "{found} is behind {acknowledged}, which was acknowledged");
        assert_whole(&ledger, &entries).await;
    }
}

#[tokio::test]
async fn a_cut_connection_is_reopened() {
    let (database, _) = fresh_ledger(BackendKind::MariaDb).await;
    let TestDatabase::MariaDb(database) = &database else { unreachable!("requested") };
    let target = SocketAddr::from((Ipv4Addr::LOCALHOST, database.port()));
    let proxy = Proxy::start(target).await.expect("a proxy");
    let ledger = connect(&database.url_at(proxy.address().port())).await.expect("connected");
    let mut journal = Journal::new(14);
    let entries: Vec<_> = (0..60).map(|_| journal.entry_with_new_jobs(30)).collect();
    // A cut idle connection is detected before the next query uses it.
    let mut at = ledger.project(Position::default(), entries[..5].to_vec()).await.expect("written");
    for entry in &entries[5..10] {
        assert!(proxy.cut() > 0, "there were connections");
        assert_eq!(ledger.checkpoint().await, Ok(at));
        proxy.cut();
        at = ledger.project(at, vec![entry.clone()]).await.expect("written");
    }
    // Cut during a projection: it fails or succeeds, and is never applied partially.
    let mut failed = 0;
    for round in 0..40 {
        let Some(entry) = entries.get(at.seq as usize) else { break };
        let projection = ledger.project(at, vec![entry.clone()]);
        let cut = async {
            for _ in 0..round * 10 {
                tokio::task::yield_now().await;
            }
            proxy.cut();
        };
        match tokio::join!(projection, cut).0 {
            Ok(_) => {}
            Err(LedgerError::Unavailable { .. }) => failed += 1,
            Err(other) => panic!("{other}"),
        }
        at = checkpoint(&ledger).await;
        assert_whole(&ledger, &entries).await;
    }
    println!("{failed} projections failed");
}

#[tokio::test]
async fn an_unresponsive_database_times_out() {
    let (database, ledger) = fresh_ledger(BackendKind::MariaDb).await;
    let TestDatabase::MariaDb(database) = &database else { unreachable!("requested") };
    let mut journal = Journal::new(15);
    let at = ledger
        .project(Position::default(), vec![journal.entry_with_new_jobs(5)])
        .await
        .expect("written");
    database.pause();
    let asked = async {
        tokio::join!(ledger.checkpoint(), ledger.project(at, vec![journal.entry_with_new_jobs(5)]))
    };
    let (read, written) = tokio::time::timeout(BLOCKED, asked).await.expect("it times out");
    assert!(matches!(read, Err(LedgerError::Unavailable { .. })), "{read:?}");
    assert!(matches!(written, Err(LedgerError::Unavailable { .. })), "{written:?}");
    database.resume();
    assert_eq!(checkpoint(&ledger).await, at);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_vanishes_in_a_transaction_does_not_block_others() {
    let (database, two) = fresh_ledger(BackendKind::MariaDb).await;
    let TestDatabase::MariaDb(database) = &database else { unreachable!("requested") };
    let target = SocketAddr::from((Ipv4Addr::LOCALHOST, database.port()));
    let proxy = Proxy::start(target).await.expect("a proxy");
    let one = connect(&database.url_at(proxy.address().port())).await.expect("connected");
    let mut journal = Journal::new(16);
    let entries: Vec<_> = (0..250).map(|_| journal.entry_with_new_jobs(100)).collect();
    let few = entries[..5].to_vec();
    let projecting = tokio::spawn(async move { one.project(Position::default(), entries).await });
    // Wait until the projector has locked the checkpoint, then drop its packets. The lock itself is
    // polled, because information_schema.innodb_trx is cached when it is read often.
    let free = "SELECT COUNT(*) FROM checkpoints FOR UPDATE SKIP LOCKED";
    tokio::task::block_in_place(|| {
        while database.ask(free).trim() != "0" {
            std::thread::yield_now();
        }
    });
    proxy.discard();
    let expected = few.last().expect("an entry").position;
    let projected = two.project(Position::default(), few).await;
    assert!(!projecting.is_finished(), "it is blocked inside its transaction");
    projecting.abort();
    assert_eq!(projected, Ok(expected));
}

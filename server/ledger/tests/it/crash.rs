//! A killed projection leaves a ledger that matches its checkpoint.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use sentinel_ledger::Ledger;

use crate::journal_fixture::Journal;

const DIRECTORY: &str = "SENTINEL_LEDGER_CRASH_DIR";
const BATCH: usize = 300;

/// Runs in a child process of the test below, and projects until it is killed.
#[tokio::test]
async fn project_until_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let path = std::path::Path::new(&directory).join("ledger.db");
    let ledger = Ledger::open(&path).await.expect("a ledger");
    let mut journal = Journal::new(1);
    let mut from = ledger.checkpoint().await.expect("a checkpoint");
    // Limited, in case the parent does not kill it.
    for _ in 0..2_000 {
        from = ledger
            .project(from, vec![journal.entry_with_new_jobs(BATCH)])
            .await
            .expect("projected");
        println!("projected {from}");
    }
}

#[tokio::test]
async fn killing_a_projection_leaves_whole_batches() {
    for kills in [1, 4, 9] {
        let directory = tempfile::tempdir().expect("a directory");
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "crash::project_until_killed", "--nocapture"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut reported = lines
            .map(|line| line.expect("text"))
            .filter_map(|line| line.split_once("projected ").map(|(_, at)| at.to_owned()));
        let last = reported.by_ref().take(kills).last().expect("it projects");
        child.kill().expect("killed");
        child.wait().expect("it exited");
        let last: sentinel_store::Position = last.parse().expect("a position");
        let ledger = Ledger::open(&directory.path().join("ledger.db")).await.expect("opened");
        let found = ledger.checkpoint().await.expect("a checkpoint");
        assert!(found >= last, "{found} is behind {last}, which was acknowledged");
        let mut journal = Journal::new(1);
        for _ in 0..found.seq {
            journal.entry_with_new_jobs(BATCH);
        }
        let expected: Vec<_> = journal.jobs.into_values().collect();
        let jobs = ledger.live_jobs(None, usize::MAX / 4).await.expect("jobs");
        assert!(jobs == expected, "{} jobs, not {}", jobs.len(), expected.len());
    }
}

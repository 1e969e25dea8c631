//! A process that is killed at any moment keeps all that it acknowledged, and nothing torn.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use sentinel_domain::{JobId, State, invariant};
use sentinel_store::conformance::fixture;
use sentinel_store::{JournalPage, Position, Store};
use sentinel_store_embedded::{EmbeddedStore, LedgerState};

use crate::durability::options;

const DIR: &str = "SENTINEL_TEST_KILL_DIR";
const ROUNDS: u64 = 10;
const GROUP: u64 = 3;

/// Runs in the process that is killed: commits for ever and says what was acknowledged.
/// Without a directory in the environment it is not that process and has nothing to do.
#[tokio::test]
async fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let store = EmbeddedStore::open(options(Path::new(&dir), 1_000), LedgerState::default()).expect("opens");
    let start = store.head().borrow().seq;
    let server = start + 1;
    let mut writer = fixture::Writer::new(server);
    let session = fixture::session(1);
    for number in 0.. {
        let first = (start + number) * GROUP;
        let jobs: Vec<_> = (first..first + GROUP).map(|n| fixture::job("q", "k", 1_000, n)).collect();
        let mut group = sentinel_store::Transaction::default();
        for job in &jobs {
            group.mutations.append(&mut fixture::create(job).mutations);
        }
        let call = writer.request(1_000).transaction(fixture::put_session(session, server, 9_000)).transaction(group);
        let call = call.claim(fixture::claim(session, &["q"], &["k"], 1));
        store.commit(call.build()).await.expect("commits");
        for job in &jobs {
            println!("acked {}", job.id);
        }
    }
}

/// Kills a child after some acknowledged jobs. Gives all that it printed.
fn acknowledged(dir: &Path, enough: u64) -> Vec<JobId> {
    let mut child = Command::new(std::env::current_exe().expect("has a path"))
        .args(["kill::child", "--exact", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut acked: Vec<JobId> = Vec::new();
    let mut is_killed = false;
    for line in BufReader::new(child.stdout.take().expect("is piped")).lines() {
        let line = line.expect("is text");
        acked.extend(line.split("acked ").nth(1).and_then(|id| id.parse::<JobId>().ok()));
        if acked.len() as u64 >= enough && !is_killed {
            child.kill().expect("is running");
            is_killed = true;
        }
    }
    child.wait().expect("has ended");
    acked
}

#[tokio::test]
async fn a_killed_process_keeps_what_it_acknowledged() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut acked: Vec<JobId> = Vec::new();
    for round in 0..ROUNDS {
        acked.extend(acknowledged(dir.path(), 30 + round * 17));
        let store = EmbeddedStore::open(options(dir.path(), 2_000), LedgerState::default()).expect("opens");
        let jobs = store.read(acked.clone()).await.expect("answers");
        for (id, job) in acked.iter().zip(&jobs) {
            let job = job.as_ref().unwrap_or_else(|| panic!("{id} was acknowledged and is gone"));
            assert_eq!(invariant::violated(job), [""; 0], "{job:?}");
        }
        let depths = store.depths().await.expect("answers");
        let count =
            |state| depths.iter().filter(|d| d.state == state).map(|d| d.count).sum::<u64>();
        let entries = store.head().borrow().seq;
        assert_eq!(count(State::Ready) + count(State::Running), entries * GROUP, "whole groups");
        assert_eq!(count(State::Running), entries, "a claim with each");
        let tail = store.read_journal(Position::default(), 1).await.expect("answers");
        assert!(matches!(tail, JournalPage::Entries(entries) if entries.len() == 1));
    }
    assert!(acked.len() as u64 >= ROUNDS * 30);
}

//! A killed process loses no acknowledged change and leaves no partial one.

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
const JOBS_PER_COMMIT: u64 = 3;

/// The child process of the next test. It commits forever and prints each acknowledged job. Without
/// the environment variable it does nothing.
#[tokio::test]
async fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let store = EmbeddedStore::open(options(Path::new(&dir), 1_000), LedgerState::default())
        .expect("the store opens");
    let start = store.head().borrow().seq;
    let server = start + 1;
    let mut writer = fixture::Writer::new(server);
    let session = fixture::session(1);
    for number in 0.. {
        let first = (start + number) * JOBS_PER_COMMIT;
        let jobs: Vec<_> =
            (first..first + JOBS_PER_COMMIT).map(|n| fixture::job("q", "k", 1_000, n)).collect();
        let mut transaction = sentinel_store::Transaction::default();
        for job in &jobs {
            transaction.mutations.append(&mut fixture::create(job).mutations);
        }
        let request = writer
            .request(1_000)
            .transaction(fixture::put_session(session, server, 9_000))
            .transaction(transaction);
        let request = request.claim(fixture::claim(session, &["q"], &["k"], 1));
        store.commit(request.build()).await.expect("the commit succeeds");
        for job in &jobs {
            println!("acked {}", job.id);
        }
    }
}

/// Kills a child process after `enough` acknowledged jobs, and returns all that it acknowledged.
fn acknowledged(dir: &Path, enough: u64) -> Vec<JobId> {
    let mut child = Command::new(std::env::current_exe().expect("has a path"))
        .args(["kill::child", "--exact", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut acknowledged_ids: Vec<JobId> = Vec::new();
    let mut is_killed = false;
    for line in BufReader::new(child.stdout.take().expect("is piped")).lines() {
        let line = line.expect("is text");
        acknowledged_ids
            .extend(line.split("acked ").nth(1).and_then(|id| id.parse::<JobId>().ok()));
        if acknowledged_ids.len() as u64 >= enough && !is_killed {
            child.kill().expect("is running");
            is_killed = true;
        }
    }
    child.wait().expect("has ended");
    acknowledged_ids
}

#[tokio::test]
async fn a_killed_process_loses_no_acknowledged_job() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut acknowledged_ids: Vec<JobId> = Vec::new();
    for round in 0..ROUNDS {
        acknowledged_ids.extend(acknowledged(dir.path(), 30 + round * 17));
        let store = EmbeddedStore::open(options(dir.path(), 2_000), LedgerState::default())
            .expect("the store opens");
        let jobs = store.read(acknowledged_ids.clone()).await.expect("the store answers");
        for (id, job) in acknowledged_ids.iter().zip(&jobs) {
            let job =
                job.as_ref().unwrap_or_else(|| panic!("{id} was acknowledged and is missing"));
            assert_eq!(invariant::violated(job), [""; 0], "{job:?}");
        }
        let depths = store.depths().await.expect("the store answers");
        let count =
            |state| depths.iter().filter(|d| d.state == state).map(|d| d.count).sum::<u64>();
        let entries = store.head().borrow().seq;
        assert_eq!(
            count(State::Ready) + count(State::Running),
            entries * JOBS_PER_COMMIT,
            "only complete commits"
        );
        assert_eq!(count(State::Running), entries, "one claim per commit");
        let page = store.read_journal(Position::default(), 1).await.expect("the store answers");
        assert!(matches!(page, JournalPage::Entries(entries) if entries.len() == 1));
    }
    assert!(acknowledged_ids.len() as u64 >= ROUNDS * 30);
}
